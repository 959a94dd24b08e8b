/* firestore_feed: listens to the documents of all calls. What is heard waits until a snapshot says that nothing before
 * it is missing; then the calls up to there are carried out, in the order of their places.
 *
 * A document's name is `<publisher>-<call>-<piece>-<pieces>`, in digits of fixed width. The pieces of a call are
 * written by one commit, so they have one time and stand behind one another. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/firestore_parts.h"

enum { NS_PER_S = 1000000000, REACHED_MS = 1000, MUTE_MS_MIN = 4000, MUTE_MS_MAX = 32000, PUBLISHER_DIGITS = 16 };

struct document {
    struct map_node by_name;
    struct list node;
    uint64_t created_ns;
    struct buf data;
    bool is_old;
    uint64_t telling; /* in which it was heard last */
    char name[FIRESTORE_NAME_BYTES];
};

int firestore_place_compare(const struct firestore_place *a, const struct firestore_place *b)
{
    if (a->ns != b->ns)
        return a->ns < b->ns ? -1 : 1;
    return strcmp(a->name, b->name);
}

void firestore_place_set(struct firestore_place *place, uint64_t ns, struct span name)
{
    place->ns = ns;
    snprintf(place->name, sizeof place->name, SPAN_FMT, SPAN_ARG(name));
}

static struct firestore_place place_of(const struct document *document)
{
    struct firestore_place place = {.ns = document->created_ns};
    memcpy(place.name, document->name, sizeof place.name);
    return place;
}

static void document_remove(struct firestore *fs, struct document *document)
{
    map_remove(&fs->feed.documents, &document->by_name);
    list_remove(&document->node);
    fs->feed.old_count -= document->is_old;
    buf_finish(&document->data);
    free(document);
}

static void documents_clear(struct firestore *fs)
{
    struct map_node *node;
    while ((node = map_next(&fs->feed.documents, NULL)) != NULL)
        document_remove(fs, container_of(node, struct document, by_name));
}

static struct span name_of(struct span path)
{
    size_t at = path.len;
    while (at > 0 && path.data[at - 1] != '/')
        at--;
    return span_from(path, at);
}

static struct document *document_find(struct firestore *fs, struct span path)
{
    struct map_node *node = map_find(&fs->feed.documents, name_of(path));
    return node != NULL ? container_of(node, struct document, by_name) : NULL;
}

static void document_heard(struct firestore *fs, const struct fs_document *heard)
{
    struct span name = name_of(heard->name);
    struct document *document = document_find(fs, heard->name);
    if (document != NULL)
        document->telling = fs->feed.telling;
    if (document != NULL || name.len >= FIRESTORE_NAME_BYTES)
        return;
    document = mem_zero(1, sizeof *document);
    document->telling = fs->feed.telling;
    document->created_ns = heard->created_ns;
    memcpy(document->name, name.data, name.len);
    buf_append(&document->data, heard->data);
    list_init(&document->node);
    list_append(&fs->feed.fresh, &document->node);
    map_add(&fs->feed.documents, &document->by_name, span_str(document->name));
}

/* Documents go when a saved state covers them. One that this replica has not carried out may have gone for that reason.
 * `document` may be NULL. */
static void document_deleted(struct firestore *fs, struct document *document)
{
    if (document == NULL)
        return;
    fs->feed.checked = fs->feed.checked && document->is_old;
    document_remove(fs, document);
}

/* Behind a reset everything is told anew; what was not has been deleted. */
static void retold(struct firestore *fs)
{
    struct map_node *next = fs->feed.retelling ? map_next(&fs->feed.documents, NULL) : NULL;
    fs->feed.retelling = false;
    while (next != NULL) {
        struct document *document = container_of(next, struct document, by_name);
        next = map_next(&fs->feed.documents, next);
        if (document->telling != fs->feed.telling)
            document_deleted(fs, document);
    }
}

/* A document's name taken apart. */
struct piece {
    struct span publisher;
    uint64_t call;
    unsigned number, count;
};

static bool piece_read(struct piece *piece, const struct document *document)
{
    int end = 0;
    if (strspn(document->name, "0123456789abcdef") != PUBLISHER_DIGITS ||
        sscanf(document->name + PUBLISHER_DIGITS, "-%16" SCNx64 "-%4x-%4x%n", &piece->call, &piece->number,
               &piece->count, &end) != 3)
        return false;
    piece->publisher = span_of(document->name, PUBLISHER_DIGITS);
    return document->name[PUBLISHER_DIGITS + end] == '\0' && piece->number < piece->count;
}

static int compare(const void *a, const void *b)
{
    const struct firestore_place one = place_of(*(struct document *const *)a),
                                 other = place_of(*(struct document *const *)b);
    return firestore_place_compare(&one, &other);
}

/* It was not there when what stands behind it was carried out: the replica is not what it would be on other instances.
 * Firestore promises that this cannot be; its emulator does not keep that by itself (see firestore_call.c). */
static void late(struct firestore *fs, const struct document *document)
{
    log_event(LOG_ERROR,
              "Firestore has shown a call behind a later one, so this instance may have told clients what "
              "others did not: it begins anew",
              LOG_C("document", document->name));
    fs->loaded = fs->feed.checked = false;
    firestore_link_break(fs, "calls came out of their order");
}

/* A document's turn: with the last piece of a call the call is whole. False: it comes too late. */
static bool document_apply(struct firestore *fs, struct document *document, struct buf *call)
{
    struct piece piece;
    struct firestore_place place = place_of(document);
    if (firestore_place_compare(&place, &fs->place) <= 0) /* the state that was loaded has it? */
        return firestore_place_compare(&place, &fs->feed.begin) <= 0;
    if (!piece_read(&piece, document)) {
        log_event(LOG_WARNING, "a document in the broker's collection is not of this program",
                  LOG_C("name", document->name));
    } else {
        if (piece.number == 0)
            buf_clear(call);
        buf_append(call, buf_span(&document->data));
        if (piece.number + 1 == piece.count)
            firestore_apply(fs, piece.publisher, piece.call, buf_span(call), document->created_ns / 1000);
    }
    fs->place = place;
    fs->feed.since++;
    fs->feed.since_bytes += document->data.len;
    return true;
}

static void tell_reached(struct memory *memory, struct notice *notice)
{
    if (memory->broker.is_up)
        memory->broker.events->reached(memory->broker.hub, notice->number);
}

void firestore_feed_reached(struct firestore *fs)
{
    uint64_t now = loop_now_us(fs->loop);
    if (now - fs->feed.reached_us < LOOP_MS(REACHED_MS))
        return;
    fs->feed.reached_us = now;
    memory_notice(&fs->memory, tell_reached)->number = fs->memory.seq;
}

static void apply_all(struct firestore *fs)
{
    struct firestore_feed *feed = &fs->feed;
    struct document **turn = mem_zero(feed->documents.count + 1, sizeof(struct document *));
    struct buf call = {0};
    size_t count = 0, done = 0;
    list_each (node, &feed->fresh) {
        struct document *document = container_of(node, struct document, node);
        if (document->created_ns <= feed->snapshot_ns)
            turn[count++] = document;
    }
    qsort(turn, count, sizeof(struct document *), compare);
    for (; done < count && document_apply(fs, turn[done], &call); done++) {
        list_remove(&turn[done]->node);
        list_append(&feed->old, &turn[done]->node);
        buf_finish(&turn[done]->data);
        turn[done]->is_old = true;
    }
    feed->old_count += done;
    buf_finish(&call);
    if (done < count)
        late(fs, turn[done]);
    free(turn);
    if (!feed->checked)
        return;
    firestore_call_ready(fs);
    firestore_saved_offer(fs);
}

static void snapshot(struct firestore *fs, uint64_t read_ns)
{
    struct firestore_feed *feed = &fs->feed;
    retold(fs);
    /* What a listener that was away for so long has not been shown may have been deleted meanwhile. */
    if (read_ns > feed->snapshot_ns + (uint64_t)(FIRESTORE_KEEP_S - 5) * NS_PER_S)
        feed->checked = false;
    if (read_ns > feed->snapshot_ns)
        feed->snapshot_ns = read_ns;
    feed->mute_ms = MUTE_MS_MIN;
    if (feed->checked)
        apply_all(fs);
    else
        firestore_saved_check(fs);
}

void firestore_feed_check(struct firestore *fs)
{
    if (!fs->feed.checked && fs->feed.snapshot_ns != 0)
        firestore_saved_check(fs);
}

void firestore_feed_checked(struct firestore *fs)
{
    fs->feed.checked = true;
    fs->feed.begin = fs->place;
    firestore_link_good(fs);
    apply_all(fs);
}

static void heard_take(struct firestore *fs, const struct fs_heard *heard)
{
    switch (heard->kind) {
    case FS_HEARD_DOCUMENT:
        document_heard(fs, &heard->document);
        break;
    case FS_HEARD_DELETED:
        document_deleted(fs, document_find(fs, heard->document.name));
        break;
    case FS_HEARD_SNAPSHOT:
        if (fs->feed.current)
            snapshot(fs, heard->read_ns);
        break;
    case FS_HEARD_RESET:
        fs->feed.telling++;
        fs->feed.retelling = true;
        fs->feed.current = false;
        break;
    case FS_HEARD_CURRENT:
        fs->feed.current = true;
        break;
    case FS_HEARD_COUNT:
        if (!fs->feed.retelling && heard->count != fs->feed.documents.count)
            firestore_link_break(fs, "the listener has lost documents");
        break;
    case FS_HEARD_ENDED:
        firestore_refused(fs, heard->status, heard->text, "to be listened to");
        firestore_link_break(fs, "the listener was ended");
        break;
    default:
        break;
    }
}

static bool message(void *arg, struct span bytes)
{
    struct firestore *fs = arg;
    struct fs_heard heard;
    fs->feed.heard_us = loop_now_us(fs->loop);
    if (!fs_heard_decode(&heard, bytes))
        return false;
    heard_take(fs, &heard);
    fs_heard_finish(&heard);
    return true;
}

static void ended(void *arg, enum grpc_status status, struct span text)
{
    struct firestore *fs = arg;
    fs->feed.listen = NULL;
    if (fs->destroying)
        return;
    if (status != GRPC_OK && status != GRPC_UNAVAILABLE)
        firestore_refused(fs, status, text, "to be listened to");
    firestore_link_break(fs, "the listener was ended");
}

static const struct grpc_call_events events = {message, ended};

void firestore_feed_init(struct firestore *fs)
{
    uint64_t seed[2];
    loop_random(fs->loop, seed, sizeof seed);
    map_init(&fs->feed.documents, seed);
    list_init(&fs->feed.fresh);
    list_init(&fs->feed.old);
    fs->feed.mute_ms = MUTE_MS_MIN;
}

void firestore_feed_start(struct firestore *fs)
{
    struct buf request = {0};
    documents_clear(fs);
    fs->feed.checked = false;
    fs->feed.retelling = fs->feed.current = false;
    fs->feed.snapshot_ns = 0;
    fs->feed.heard_us = loop_now_us(fs->loop);
    fs->feed.listen = firestore_request(fs, "Listen", 0, &events, fs);
    if (fs->feed.listen == NULL)
        return;
    fs_listen_encode(&request, fs->database, fs->root, "feed");
    grpc_call_send(fs->feed.listen, buf_span(&request), false);
    buf_finish(&request);
}

void firestore_feed_watch(struct firestore *fs)
{
    if (fs->feed.listen != NULL && fs->feed.snapshot_ns == 0 &&
        loop_now_us(fs->loop) - fs->feed.heard_us > LOOP_MS(fs->feed.mute_ms)) {
        fs->feed.mute_ms = fs->feed.mute_ms * 2 > MUTE_MS_MAX ? MUTE_MS_MAX : fs->feed.mute_ms * 2;
        firestore_link_break(fs, "the listener says nothing");
    }
}

void firestore_feed_stop(struct firestore *fs)
{
    fs->feed.checked = false;
}

void firestore_feed_finish(struct firestore *fs)
{
    documents_clear(fs);
    map_finish(&fs->feed.documents);
}

size_t firestore_feed_old(struct firestore *fs, const struct firestore_place *below, char **names, size_t most)
{
    size_t count = 0;
    list_each (node, &fs->feed.old) {
        const struct document *document = container_of(node, struct document, node);
        struct firestore_place place = place_of(document);
        if (count == most || firestore_place_compare(&place, below) > 0 ||
            place.ns + (uint64_t)FIRESTORE_KEEP_S * NS_PER_S > fs->feed.snapshot_ns)
            break;
        names[count++] = mem_printf("%s/feed/%s", fs->root, document->name);
    }
    return count;
}
