/* firestore_saved: the saved state: a head document (PREFIX/broker) and the pieces that it names
 * (PREFIX/broker/saved/). An instance begins with it and carries out what the feed has behind its place. Any instance
 * saves the state when the feed has grown; the head's last change says whether another one was faster. Documents of
 * calls that it covers are deleted half a minute after their time. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/firestore_parts.h"

enum {
    SAVE_CALLS_MIN = 300, /* documents in the feed, and up to as many more by chance */
    SAVE_BYTES_MIN = 1 << 20,
    STATE_BYTES_A_CALL = 8192, /* a large state is saved more rarely */
    DELETES_MAX = 400,
    PURGE_MS = 10000,
    GENESIS_PIECES = 0,
};

static void head_get(struct firestore *fs);
static void piece_get(struct firestore *fs);
static void piece_put(struct firestore *fs);

static char *piece_name(const struct firestore *fs, const char *pieces, uint64_t number)
{
    return mem_printf("%s/saved/%s-%04" PRIx64, fs->root, pieces, number);
}

/* Sends a commit; false: the link is not open. */
static bool commit(struct firestore *fs, const struct fs_write *writes, size_t count,
                   const struct grpc_call_events *events)
{
    struct buf request = {0};
    struct grpc_call *call = firestore_request(fs, "Commit", FIRESTORE_ANSWER_MS, events, fs);
    if (call == NULL)
        return false;
    fs_commit_encode(&request, fs->database, writes, count);
    grpc_call_send(call, buf_span(&request), true);
    buf_finish(&request);
    return true;
}

static bool no_message(void *arg, struct span bytes)
{
    return true;
}

/* Deleting is tried once: what is left of it goes with the next saved state. */
static void deleted(void *arg, enum grpc_status status, struct span text)
{
    struct firestore *fs = arg;
    fs->saved.purging = false;
}

static const struct grpc_call_events delete_events = {no_message, deleted};

static void names_delete(struct firestore *fs, char **names, size_t count)
{
    struct fs_write *writes = mem_zero(count, sizeof *writes);
    for (size_t i = 0; i < count; i++)
        writes[i] = (struct fs_write){.kind = FS_DELETE, .name = span_str(names[i])};
    fs->saved.purging = count > 0 && commit(fs, writes, count, &delete_events);
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(writes);
}

static void pieces_delete(struct firestore *fs, const char *pieces, uint64_t count)
{
    char *names[DELETES_MAX];
    size_t at = 0;
    while (at < count && at < DELETES_MAX) {
        names[at] = piece_name(fs, pieces, at);
        at++;
    }
    if (at > 0)
        names_delete(fs, names, at);
}

/* The instance that saved last deletes what the saved state covers. */
static void purge(struct timer *timer)
{
    struct firestore *fs = container_of(timer, struct firestore, saved.purge);
    char *names[DELETES_MAX];
    timer_start(fs->loop, timer, LOOP_MS(PURGE_MS));
    if (!fs->saved.is_ours || fs->saved.purging || !fs->feed.checked)
        return;
    size_t count = firestore_feed_old(fs, &fs->saved.place, names, DELETES_MAX);
    if (count > 0)
        names_delete(fs, names, count);
    if (count == DELETES_MAX)
        timer_start(fs->loop, timer, LOOP_MS(PURGE_MS / 10));
}

static void head_append(struct buf *to, const struct firestore_place *place, uint64_t count, uint64_t bytes,
                        const char *pieces, struct span epoch)
{
    fs_number_append(to, FIRESTORE_FORMAT);
    fs_record_append(to, FS_HEAD, (uint64_t[]){place->ns, count, bytes},
                     (struct span[]){span_str(place->name), span_str(pieces), epoch});
}

static bool head_read(struct fs_record *head, struct span data)
{
    uint64_t format;
    return fs_number_take(&data, &format) && format <= FIRESTORE_FORMAT && fs_record_take(&data, head) == 1 &&
           head->kind == FS_HEAD && head->texts[0].len < FIRESTORE_NAME_BYTES &&
           head->texts[2].len == MEMORY_EPOCH_BYTES;
}

/* Nothing else is to be done: the replica stands behind the saved state, or at it. */
static void checked(struct firestore *fs)
{
    fs->saved.reading = false;
    firestore_feed_checked(fs);
}

static void loaded(struct firestore *fs)
{
    struct firestore_saved *saved = &fs->saved;
    if (saved->piece_count > 0 && !firestore_state_load(fs, buf_span(&saved->text))) {
        firestore_unusable(fs, "the saved state makes no sense: update this instance, or name another `prefix:`");
        return;
    }
    saved->state_bytes = saved->text.len;
    buf_finish(&saved->text);
    fs->loaded = true;
    fs->place = saved->place;
    list_each (node, &fs->lives) {
        const struct life *life = container_of(node, struct life, of_all);
        if (strcmp(life->publisher, fs->publisher) == 0 && life->calls >= fs->call_number)
            firestore_call_recalled(fs, life->calls, life->dropped == fs->call_number);
    }
    checked(fs);
}

/* The replica lacks what is gone from the feed, or has another service's past. */
static void begin_anew(struct firestore *fs, const struct fs_record *head)
{
    struct firestore_saved *saved = &fs->saved;
    firestore_went_down(fs);
    firestore_state_clear(fs);
    fs->loaded = false;
    memcpy(fs->memory.epoch, head->texts[2].data, MEMORY_EPOCH_BYTES);
    saved->piece = 0;
    buf_clear(&saved->text);
    if (saved->piece_count == GENESIS_PIECES)
        loaded(fs);
    else
        piece_get(fs);
}

static void pieces_set(struct firestore *fs, struct span pieces, uint64_t count)
{
    free(fs->saved.pieces);
    fs->saved.pieces = mem_text(pieces);
    fs->saved.piece_count = count;
}

/* What a piece of the state does not fit into is another's head: it was saved anew meanwhile. */
static void head_compare(struct firestore *fs, const struct fs_document *document)
{
    struct fs_record head;
    struct firestore_place place;
    if (!head_read(&head, document->data)) {
        firestore_unusable(fs, "PREFIX/broker holds what this program did not write, or a later version of it: update "
                               "this instance, or name another `prefix:`");
        return;
    }
    firestore_place_set(&place, head.numbers[0], head.texts[0]);
    fs->saved.updated_ns = document->updated_ns;
    fs->saved.place = place;
    fs->saved.exists = true;
    pieces_set(fs, head.texts[1], head.numbers[1]);
    if (fs->loaded && span_equal(head.texts[2], firestore_epoch(fs)) &&
        firestore_place_compare(&place, &fs->place) <= 0)
        checked(fs);
    else
        begin_anew(fs, &head);
}

static void genesis_made(void *arg, enum grpc_status status, struct span text)
{
    struct firestore *fs = arg;
    if (fs->destroying)
        return;
    if (status == GRPC_OK || status == GRPC_ALREADY_EXISTS) {
        head_get(fs);
        return;
    }
    firestore_refused(fs, status, text, "to write");
    firestore_link_break(fs, "the first document could not be written");
}

static const struct grpc_call_events genesis_events = {no_message, genesis_made};

/* The first instance of all begins the epoch; if several do, one of them wins. */
static void genesis(struct firestore *fs)
{
    struct buf head = {0};
    const struct firestore_place nowhere = {0};
    char epoch[MEMORY_EPOCH_BYTES + 1];
    loop_random_hex(fs->loop, epoch, MEMORY_EPOCH_BYTES);
    head_append(&head, &nowhere, GENESIS_PIECES, 0, "", span_of(epoch, MEMORY_EPOCH_BYTES));
    const struct fs_write write = {.kind = FS_CREATE, .name = span_str(fs->root), .data = buf_span(&head)};
    commit(fs, &write, 1, &genesis_events);
    buf_finish(&head);
}

static bool head_message(void *arg, struct span bytes)
{
    struct firestore *fs = arg;
    struct fs_got got;
    if (!fs_got_decode(&got, bytes))
        return false;
    fs->saved.exists = got.document.name.len > 0;
    buf_clear(&fs->saved.text);
    buf_append(&fs->saved.text, got.document.data);
    fs->saved.updated_ns = got.document.updated_ns;
    fs_got_finish(&got);
    return true;
}

static void head_got(void *arg, enum grpc_status status, struct span text)
{
    struct firestore *fs = arg;
    if (fs->destroying)
        return;
    if (status != GRPC_OK) {
        firestore_refused(fs, status, text, "to be read");
        firestore_link_break(fs, "the saved state could not be read");
        return;
    }
    fs->proven = true;
    if (!fs->saved.exists) {
        genesis(fs);
        return;
    }
    struct buf data = fs->saved.text;
    fs->saved.text = (struct buf){0};
    const struct fs_document document = {.data = buf_span(&data), .updated_ns = fs->saved.updated_ns};
    head_compare(fs, &document);
    buf_finish(&data);
}

static const struct grpc_call_events head_events = {head_message, head_got};

/* False: the link is not open. */
static bool get(struct firestore *fs, char *name, const struct grpc_call_events *events)
{
    struct buf request = {0};
    struct grpc_call *call = firestore_request(fs, "BatchGetDocuments", FIRESTORE_ANSWER_MS, events, fs);
    if (call == NULL)
        return false;
    fs_get_encode(&request, fs->database, &name, 1);
    grpc_call_send(call, buf_span(&request), true);
    buf_finish(&request);
    return true;
}

static void head_get(struct firestore *fs)
{
    fs->saved.exists = false;
    get(fs, fs->root, &head_events);
}

void firestore_saved_check(struct firestore *fs)
{
    if (fs->saved.reading || fs->saved.writing)
        return;
    fs->saved.reading = true;
    head_get(fs);
}

static bool piece_message(void *arg, struct span bytes)
{
    struct firestore *fs = arg;
    struct fs_got got;
    if (!fs_got_decode(&got, bytes))
        return false;
    fs->saved.exists = got.document.name.len > 0;
    buf_append(&fs->saved.text, got.document.data);
    fs_got_finish(&got);
    return true;
}

static void piece_got(void *arg, enum grpc_status status, struct span text)
{
    struct firestore *fs = arg;
    if (fs->destroying)
        return;
    if (status != GRPC_OK || !fs->saved.exists) {
        if (status != GRPC_OK)
            firestore_refused(fs, status, text, "to be read");
        firestore_link_break(fs, "the state was saved anew while it was read");
    } else if (++fs->saved.piece < fs->saved.piece_count) {
        piece_get(fs);
    } else {
        loaded(fs);
    }
}

static const struct grpc_call_events piece_events = {piece_message, piece_got};

static void piece_get(struct firestore *fs)
{
    char *name = piece_name(fs, fs->saved.pieces, fs->saved.piece);
    fs->saved.exists = false;
    get(fs, name, &piece_events);
    free(name);
}

/* Saving is over, whatever came of it; the next try comes when the feed has grown again. */
static void save_end(struct firestore *fs)
{
    struct firestore_saved *saved = &fs->saved;
    saved->writing = false;
    buf_finish(&saved->text);
    free(saved->new_pieces);
    saved->new_pieces = NULL;
    saved->threshold =
        SAVE_CALLS_MIN + loop_random_below(fs->loop, SAVE_CALLS_MIN) + saved->state_bytes / STATE_BYTES_A_CALL;
    fs->feed.since = fs->feed.since_bytes = 0;
    if (!fs->destroying)
        firestore_feed_check(fs); /* which had to wait */
}

static void head_put(void *arg, enum grpc_status status, struct span text)
{
    struct firestore *fs = arg;
    struct firestore_saved *saved = &fs->saved;
    if (fs->destroying || !saved->writing)
        return;
    if (status == GRPC_OK) {
        struct span name = span_str(saved->new_place.name);
        firestore_op_add(fs, FS_SAVED, &saved->new_place.ns, &name);
        pieces_delete(fs, saved->pieces, saved->piece_count);
        pieces_set(fs, span_str(saved->new_pieces), saved->new_count);
    } else if (status == GRPC_FAILED_PRECONDITION) {
        pieces_delete(fs, saved->new_pieces, saved->new_count); /* another instance was faster */
    }
    save_end(fs);
}

static const struct grpc_call_events put_events = {no_message, head_put};

static void save_head(struct firestore *fs)
{
    struct firestore_saved *saved = &fs->saved;
    struct buf head = {0};
    head_append(&head, &saved->new_place, saved->new_count, saved->text.len, saved->new_pieces, firestore_epoch(fs));
    const struct fs_write write = {
        .kind = FS_CHANGE, .name = span_str(fs->root), .data = buf_span(&head), .updated_ns = saved->updated_ns};
    if (!commit(fs, &write, 1, &put_events))
        save_end(fs);
    buf_finish(&head);
}

static void piece_was_put(void *arg, enum grpc_status status, struct span text)
{
    struct firestore *fs = arg;
    if (fs->destroying || !fs->saved.writing)
        return;
    if (status != GRPC_OK && status != GRPC_ALREADY_EXISTS)
        save_end(fs);
    else if (++fs->saved.piece < fs->saved.new_count)
        piece_put(fs);
    else
        save_head(fs);
}

static const struct grpc_call_events piece_put_events = {no_message, piece_was_put};

static void piece_put(struct firestore *fs)
{
    struct firestore_saved *saved = &fs->saved;
    char *name = piece_name(fs, saved->new_pieces, saved->piece);
    struct span data =
        span_sub(buf_span(&saved->text), (size_t)saved->piece * FIRESTORE_PIECE_BYTES, FIRESTORE_PIECE_BYTES);
    const struct fs_write write = {.kind = FS_CREATE, .name = span_str(name), .data = data};
    if (!commit(fs, &write, 1, &piece_put_events))
        save_end(fs);
    free(name);
}

/* The head as it is now: if nobody was faster, the state follows. */
static void save_begin(void *arg, enum grpc_status status, struct span text)
{
    struct firestore *fs = arg;
    struct firestore_saved *saved = &fs->saved;
    struct fs_record head;
    if (fs->destroying || !saved->writing)
        return;
    if (status != GRPC_OK || !saved->exists || !head_read(&head, buf_span(&saved->text)) || !fs->feed.checked ||
        !span_equal(head.texts[2], firestore_epoch(fs)) || head.numbers[0] > saved->place.ns) {
        save_end(fs);
        return;
    }
    pieces_set(fs, head.texts[1], head.numbers[1]);
    buf_clear(&saved->text);
    firestore_state_save(fs, &saved->text);
    saved->new_place = fs->place;
    saved->new_count = (saved->text.len + FIRESTORE_PIECE_BYTES - 1) / FIRESTORE_PIECE_BYTES;
    saved->new_pieces = mem_printf("%020" PRIu64 "-%s", fs->place.ns, fs->publisher);
    saved->state_bytes = saved->text.len;
    saved->piece = 0;
    piece_put(fs);
}

static const struct grpc_call_events save_events = {head_message, save_begin};

void firestore_saved_offer(struct firestore *fs)
{
    struct firestore_saved *saved = &fs->saved;
    bool due = fs->feed.since >= saved->threshold || fs->feed.since_bytes >= SAVE_BYTES_MIN + saved->state_bytes / 2;
    if (!due || saved->reading || saved->writing || !fs->memory.broker.is_up)
        return;
    saved->writing = true;
    saved->exists = false;
    if (!get(fs, fs->root, &save_events))
        save_end(fs);
}

void firestore_saved_told(struct firestore *fs, const struct firestore_place *place, bool by_us)
{
    struct firestore_saved *saved = &fs->saved;
    if (firestore_place_compare(place, &saved->place) <= 0)
        return;
    saved->place = *place;
    saved->is_ours = by_us;
    if (!saved->writing)
        save_end(fs);
}

void firestore_saved_init(struct firestore *fs)
{
    timer_init(&fs->saved.purge, purge);
    timer_start(fs->loop, &fs->saved.purge, LOOP_MS(PURGE_MS));
    save_end(fs);
}

void firestore_saved_down(struct firestore *fs)
{
    fs->saved.reading = fs->saved.purging = false;
    if (fs->saved.writing)
        save_end(fs);
}

void firestore_saved_finish(struct firestore *fs)
{
    timer_stop(fs->loop, &fs->saved.purge);
    save_end(fs);
    free(fs->saved.pieces);
}
