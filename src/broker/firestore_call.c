/* firestore_call: this instance's calls. What is called while one is under way goes together into the next one. A call
 * is written by one commit, as documents that must not be there yet; so it may be repeated until the server says that
 * they are. It is over when it has come back through the feed: then its answers are known, and the next one goes out.
 *
 * Google's emulator gives a commit its time before it can be seen, and a snapshot may lack a commit that is under way
 * and earlier than the snapshot's time. So with the emulator each call also writes one document that is the same for
 * all instances (`turn`). The emulator locks it, and a commit gets its time when the one before can be seen. In
 * Firestore itself snapshots are whole, and no document takes so many writes. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/firestore_parts.h"

enum {
    RETRY_MS_MIN = 100,
    RETRY_MS_MAX = 5000,
    /* A commit without an answer is written again after this time, and then after twice as much: an instance whose
     * commit got lost must be heard again before its life is over (FIRESTORE_LIFE_US). */
    AGAIN_MS = 600,
    SIGN_MS = 700,       /* for any sign of life of the connection meanwhile; */
    SIGN_DOWN_MS = 5000, /* while the hub is down, no life is at stake, and a slow server needs the time */
    TOUCH_S = 3600,
    STUCK_MS = 8000
};

static struct firestore_op *op_of(struct list *node)
{
    return container_of(node, struct firestore_op, node);
}

/* Tells whoever waits for it that it is lost, and frees it. */
static void op_lose(struct firestore *fs, struct firestore_op *op)
{
    if (op->kind == FS_PUBLISH)
        fs->backlog_bytes -= op->len;
    if (op->question != NULL)
        firestore_question_answer(fs, op->question);
    else if (op->call.done == NULL)
        ; /* nobody waits */
    else if (op->kind == FS_LEASE_CLAIM || op->kind == FS_LEASE_TAKE || op->kind == FS_LEASE_LAPSED)
        op->call.claim(op->arg, BROKER_LOST, NULL, false);
    else if (op->kind == FS_MAIL)
        op->call.mailed(op->arg, NULL);
    else
        op->call.done(op->arg, BROKER_LOST);
    free(op);
}

static void lose_all(struct firestore *fs, struct list *ops)
{
    struct list *node;
    while ((node = list_take(ops)) != NULL)
        op_lose(fs, op_of(node));
}

static void lose(struct task *task)
{
    struct firestore *fs = container_of(task, struct firestore, lose);
    lose_all(fs, &fs->lost);
}

static void retry_later(struct firestore *fs)
{
    uint64_t half = fs->retry_ms / 2;
    timer_start(fs->loop, &fs->retry, LOOP_MS(half + loop_random_below(fs->loop, half + 1)));
    fs->retry_ms = fs->retry_ms * 2 > RETRY_MS_MAX ? RETRY_MS_MAX : fs->retry_ms * 2;
}

/* The next call may go out when this one has come back. The server's answer says no more than that, and may be late or
 * get lost: an instance that waited for it would be silent for so long that others count it as dead. */
static void call_over(struct firestore *fs)
{
    fs->call_out = fs->resend = false;
    fs->retry_ms = RETRY_MS_MIN;
    timer_stop(fs->loop, &fs->retry);
    firestore_trouble(fs, NULL);
    loop_at_flush(fs->loop, &fs->flush);
}

/* A commit that was sent for a call. */
struct sent {
    struct firestore *fs;
    uint64_t call_number;
};

static void committed(void *arg, enum grpc_status status, struct span text)
{
    struct sent sent = *(struct sent *)arg;
    struct firestore *fs = sent.fs;
    free(arg);
    if (fs->destroying || !fs->call_out || sent.call_number != fs->call_number || fs->call_kept)
        return;
    if (status == GRPC_OK || status == GRPC_ALREADY_EXISTS) {
        fs->call_kept = true;
        fs->retry_ms = RETRY_MS_MIN;
        timer_stop(fs->loop, &fs->retry);
        firestore_trouble(fs, NULL);
        return;
    }
    if (status == GRPC_DEADLINE_EXCEEDED)
        firestore_link_break(fs, "Firestore did not answer");
    firestore_refused(fs, status, text, "to write");
    fs->resend = !grpc_link_is_open(&fs->link);
    if (!fs->resend)
        retry_later(fs);
}

static bool no_message(void *arg, struct span bytes)
{
    return true;
}

static const struct grpc_call_events commit_events = {no_message, committed};

static void commit(struct firestore *fs)
{
    struct span rest = buf_span(&fs->call);
    size_t count = (rest.len + FIRESTORE_PIECE_BYTES - 1) / FIRESTORE_PIECE_BYTES;
    struct fs_write *writes = mem_zero(count + 1, sizeof *writes);
    char **names = mem_zero(count, sizeof *names);
    struct buf request = {0};
    struct sent *sent = mem_zero(1, sizeof *sent);
    *sent = (struct sent){fs, fs->call_number};
    struct grpc_call *call = firestore_request(fs, "Commit", FIRESTORE_ANSWER_MS, &commit_events, sent);
    for (size_t i = 0; i < count; i++) {
        names[i] =
            mem_printf("%s/feed/%s-%016" PRIx64 "-%04zx-%04zx", fs->root, fs->publisher, fs->call_number, i, count);
        writes[i] = (struct fs_write){.kind = FS_CREATE, .name = span_str(names[i])};
        writes[i].data = span_sub(rest, 0, FIRESTORE_PIECE_BYTES);
        rest = span_from(rest, writes[i].data.len);
    }
    if (fs->turn != NULL)
        writes[count] = (struct fs_write){.kind = FS_PUT, .name = span_str(fs->turn)};
    if (call != NULL) {
        fs_commit_encode(&request, fs->database, writes, count + (fs->turn != NULL));
        grpc_call_send(call, buf_span(&request), true);
        timer_start(fs->loop, &fs->retry, LOOP_MS(fs->again_ms));
        fs->again_ms *= 2;
    } else {
        free(sent);
    }
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
    free(writes);
    buf_finish(&request);
}

static void retry(struct timer *timer)
{
    struct firestore *fs = container_of(timer, struct firestore, retry);
    if (!fs->call_out || fs->call_kept || fs->resend || !grpc_link_is_open(&fs->link))
        return;
    grpc_link_probe(&fs->link, fs->memory.broker.is_up ? SIGN_MS : SIGN_DOWN_MS);
    commit(fs);
}

/* A call with all that waits, or with nothing: then it only says that this instance is there. */
static void call_begin(struct firestore *fs)
{
    struct list *node;
    buf_clear(&fs->call);
    if (!fs->memory.broker.is_up)
        fs->run++;
    fs_number_append(&fs->call, FIRESTORE_FORMAT);
    fs_number_append(&fs->call, fs->run);
    if (!fs->memory.broker.is_up)
        fs_record_append(&fs->call, FS_HELLO, NULL, (struct span[]){span_str(fs->instance)});
    for (size_t i = 0; i < FIRESTORE_BATCH_OPS && !list_empty(&fs->waiting); i++) {
        node = fs->waiting.next;
        if (i > 0 && fs->call.len + op_of(node)->len > FIRESTORE_BATCH_BYTES)
            break;
        list_remove(node);
        list_append(&fs->flying, node);
        buf_append(&fs->call, span_of(op_of(node)->bytes, op_of(node)->len));
    }
    fs->call_number++;
    fs->call_out = true;
    fs->call_kept = false;
    fs->sent_us = loop_now_us(fs->loop);
    fs->again_ms = AGAIN_MS;
    commit(fs);
}

static bool may_call(const struct firestore *fs)
{
    return fs->feed.checked && !fs->call_out && !fs->unusable && grpc_link_is_open(&fs->link);
}

static void flush(struct task *task)
{
    struct firestore *fs = container_of(task, struct firestore, flush);
    if (may_call(fs) && (!list_empty(&fs->waiting) || !fs->memory.broker.is_up))
        call_begin(fs);
}

/* Once the feed has shown all that it has, it is known whether a call that got no answer has been written. */
void firestore_call_ready(struct firestore *fs)
{
    if (fs->resend && fs->call_out && grpc_link_is_open(&fs->link)) {
        fs->resend = false;
        fs->again_ms = AGAIN_MS;
        if (!fs->call_kept)
            commit(fs);
    }
    loop_at_flush(fs->loop, &fs->flush);
}

struct firestore_op *firestore_call_next(struct firestore *fs)
{
    return list_empty(&fs->flying) ? NULL : op_of(fs->flying.next);
}

void firestore_call_done(struct firestore *fs, struct firestore_op *op)
{
    if (op->kind == FS_PUBLISH)
        fs->backlog_bytes -= op->len;
    list_remove(&op->node);
    free(op);
}

/* Publishes that were not carried out go first into the next call, in their order. */
static void flying_again(struct firestore *fs)
{
    while (!list_empty(&fs->flying)) {
        struct list *last = fs->flying.prev;
        list_remove(last);
        if (op_of(last)->kind == FS_PUBLISH)
            list_prepend(&fs->waiting, last);
        else
            list_append(&fs->lost, last);
    }
    loop_at_flush(fs->loop, &fs->lose);
}

void firestore_call_shown(struct firestore *fs, uint64_t number)
{
    if (!fs->call_out || number != fs->call_number)
        return;
    flying_again(fs);
    call_over(fs);
}

void firestore_call_recalled(struct firestore *fs, uint64_t number, bool dropped)
{
    struct firestore_op *op;
    if (!fs->call_out || number < fs->call_number)
        return;
    while (!dropped && (op = firestore_call_next(fs)) != NULL && op->kind == FS_PUBLISH) {
        memory_done_later(&fs->memory, op->call.done, op->arg, BROKER_OK);
        firestore_call_done(fs, op);
    }
    firestore_call_shown(fs, fs->call_number);
}

void firestore_call_down(struct firestore *fs)
{
    list_each (node, &fs->waiting) {
        if (op_of(node)->kind == FS_PUBLISH)
            continue;
        list_remove(node);
        list_append(&fs->lost, node);
    }
    loop_at_flush(fs->loop, &fs->lose);
    loop_at_flush(fs->loop, &fs->flush);
}

static struct firestore_op *op_create(enum fs_record_kind kind, const uint64_t *numbers, const struct span *texts)
{
    struct buf record = {0};
    fs_record_append(&record, kind, numbers, texts);
    struct firestore_op *op = mem_zero(1, sizeof *op + record.len);
    op->kind = kind;
    op->len = record.len;
    memcpy(op->bytes, buf_span(&record).data, record.len);
    list_init(&op->node);
    buf_finish(&record);
    return op;
}

struct firestore_op *firestore_op_add(struct firestore *fs, enum fs_record_kind kind, const uint64_t *numbers,
                                      const struct span *texts)
{
    struct firestore_op *op = op_create(kind, numbers, texts);
    bool goes = fs->memory.broker.is_up || kind == FS_PUBLISH;
    list_append(goes ? &fs->waiting : &fs->lost, &op->node);
    loop_at_flush(fs->loop, goes ? &fs->flush : &fs->lose);
    return op;
}

void firestore_ask(struct firestore *fs, struct firestore_question *question)
{
    bool waits = question->is_current || !list_empty(&fs->waiting) || !list_empty(&fs->flying);
    if (fs->memory.broker.is_up && waits)
        firestore_op_add(fs, FS_PROBE, NULL, NULL)->question = question;
    else
        firestore_question_answer(fs, question);
}

bool firestore_publish(struct broker *broker, const struct broker_publish *publish, broker_done_fn *done, void *arg)
{
    struct firestore *fs = firestore_of(broker);
    const struct broker_retention none = {0}, *keep = publish->retention != NULL ? publish->retention : &none;
    size_t bytes = publish->room.len + publish->audience.len + publish->body.len + publish->id.len;
    if (bytes > FIRESTORE_ENTRY_BYTES_MAX || fs->backlog_bytes + bytes > BROKER_BACKLOG_BYTES_MAX)
        return false;
    struct firestore_op *op =
        firestore_op_add(fs, FS_PUBLISH, (uint64_t[]){keep->entries_max, keep->bytes_max, keep->age_ms_max},
                         (struct span[]){publish->room, publish->audience, publish->body, publish->id});
    op->call.done = done;
    op->arg = arg;
    fs->backlog_bytes += op->len;
    return true;
}

/* Rooms that sockets are in keep their record, however quiet they are. */
static void rooms_touch(struct firestore *fs)
{
    uint64_t now = loop_now_us(fs->loop);
    struct map_node *node = NULL;
    if (now - fs->touched_us < LOOP_S(TOUCH_S))
        return;
    fs->touched_us = now;
    while ((node = map_next(&fs->memory.channels, node)) != NULL)
        if (container_of(node, struct channel, by_room)->subscribed && !broker_room_is_owned(node->key))
            firestore_op_add(fs, FS_TOUCH, NULL, &node->key);
}

/* Says that this instance is there; and notices a listener that shows nothing more. */
static void pulse(struct timer *timer)
{
    struct firestore *fs = container_of(timer, struct firestore, pulse);
    uint64_t quiet_us = loop_now_us(fs->loop) - fs->sent_us;
    timer_start(fs->loop, timer, LOOP_MS(FIRESTORE_PULSE_MS) / 4);
    if (fs->call_out && fs->call_kept && quiet_us > LOOP_MS(STUCK_MS)) {
        fs->sent_us = loop_now_us(fs->loop);
        firestore_link_break(fs, "the listener does not show what was written");
    }
    firestore_feed_watch(fs);
    if (!fs->feed.checked || !fs->memory.broker.is_up)
        return;
    firestore_feed_reached(fs);
    if (!may_call(fs))
        return;
    rooms_touch(fs);
    if (quiet_us >= LOOP_MS(FIRESTORE_PULSE_MS))
        call_begin(fs);
}

void firestore_call_init(struct firestore *fs)
{
    list_init(&fs->waiting);
    list_init(&fs->flying);
    list_init(&fs->lost);
    task_init(&fs->flush, flush);
    task_init(&fs->lose, lose);
    timer_init(&fs->retry, retry);
    timer_init(&fs->pulse, pulse);
    fs->retry_ms = RETRY_MS_MIN;
    fs->touched_us = loop_now_us(fs->loop);
    timer_start(fs->loop, &fs->pulse, LOOP_MS(FIRESTORE_PULSE_MS));
}

void firestore_call_finish(struct firestore *fs)
{
    timer_stop(fs->loop, &fs->retry);
    timer_stop(fs->loop, &fs->pulse);
    lose_all(fs, &fs->flying);
    lose_all(fs, &fs->waiting);
    lose_all(fs, &fs->lost);
    task_cancel(&fs->flush);
    task_cancel(&fs->lose);
    buf_finish(&fs->call);
}
