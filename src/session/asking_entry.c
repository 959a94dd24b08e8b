/* asking_entry: encodes and decodes; keeps what came for a socket that is on its way. */
#include "session/asking_entry.h"

#include <stdlib.h>

#include "base/mem.h"
#include "session/subscriber.h"

struct kept {
    struct list of_all;
    struct sessions *sessions;
    struct timer again;
    uint64_t since_us;
    size_t room_len, body_len;
    char bytes[]; /* room, body */
};

/* Takes the text up to `end` and the character behind it. */
static bool part_take(struct span *rest, char end, struct span *part)
{
    return rest->data != NULL && span_find(*rest, end) >= 0 && span_next(rest, end, part);
}

bool asking_sids_have(struct span sids, struct span sid)
{
    size_t from = 0, to = sids.len / ENGINEIO_SID_BYTES;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        int order = span_compare(span_sub(sids, middle * ENGINEIO_SID_BYTES, ENGINEIO_SID_BYTES), sid);
        if (order == 0)
            return true;
        if (order < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return false;
}

static bool kind_take(struct span *rest, struct span kind, struct asking_entry *entry)
{
    uint64_t bytes;
    entry->kind = (enum asking_kind)kind.data[0];
    entry->asked = SPAN_LIT("");
    switch (entry->kind) {
    case ASKING_QUESTION:
        return engineio_sid_is_valid(entry->asker);
    case ASKING_ANSWER:
        return true;
    case ASKING_SURVEY:
        return span_take_u64(rest, '\n', &bytes) && bytes % ENGINEIO_SID_BYTES == 0 &&
               span_take(rest, bytes, &entry->asked);
    }
    return false;
}

/* All but the content, which is what `rest` has then. */
static bool head_decode(struct span body, struct asking_entry *entry, struct span *rest)
{
    struct span kind, ms, wait_ms, id;
    *rest = span_from(body, asking_is_entry(body));
    if (!asking_is_entry(body) || !part_take(rest, ' ', &kind) || !part_take(rest, ' ', &ms) ||
        !part_take(rest, ' ', &wait_ms) || !part_take(rest, ' ', &entry->asker) || !part_take(rest, '\n', &id) ||
        kind.len != 1)
        return false;
    entry->id = id;
    return kind_take(rest, kind, entry) && span_to_u64(ms, &entry->ms) && entry->ms <= ASKING_MS_MAX &&
           span_to_u64(wait_ms, &entry->wait_ms) && entry->wait_ms <= ASKING_MS_MAX && id.len >= 1 &&
           id.len <= CALL_ID_BYTES_MAX;
}

bool asking_entry_decode(struct span body, struct asking_entry *entry)
{
    struct span rest;
    return head_decode(body, entry, &rest) && content_decode_text(rest, &entry->content);
}

bool asking_is_for(struct span body, struct span sid)
{
    struct asking_entry entry;
    struct span rest;
    return !head_decode(body, &entry, &rest) || entry.kind != ASKING_SURVEY || asking_sids_have(entry.asked, sid);
}

static void head_encode(struct buf *to, const struct asking_entry *entry)
{
    buf_append_char(to, ASKING_MARK);
    buf_printf(to, "%c %llu %llu " SPAN_FMT " " SPAN_FMT "\n", (char)entry->kind, (unsigned long long)entry->ms,
               (unsigned long long)entry->wait_ms, SPAN_ARG(entry->asker), SPAN_ARG(entry->id));
}

void asking_entry_encode(struct buf *to, const struct asking_entry *entry)
{
    head_encode(to, entry);
    if (entry->kind == ASKING_SURVEY) {
        buf_printf(to, "%zu\n", entry->asked.len);
        buf_append(to, entry->asked);
    }
    if (entry->content.count > 0)
        content_encode(to, &entry->content);
    else
        buf_append(to, entry->content.args);
}

static void published(void *arg, enum broker_result result)
{
    struct call *call = arg;
    (void)result; /* it is not logged, so it is never refused for good */
    call_end(call);
    free(call);
}

bool asking_entry_publish(struct sessions *sessions, const struct nsp *nsp, struct subscriber *caller, struct span sid,
                          const struct asking_entry *entry)
{
    struct buf room = {0}, body = {0};
    struct call *call = NULL;
    subscriber_own_room_name(&room, nsp, sid);
    asking_entry_encode(&body, entry);
    if (caller != NULL)
        call = call_create(caller->session, caller, (struct span){NULL, 0}, room.len + body.len);
    struct broker_publish publish = {.room = buf_span(&room), .body = buf_span(&body)};
    bool ok = broker_publish(hub_broker(sessions->hub), &publish, call != NULL ? published : NULL, call);
    if (!ok && call != NULL)
        published(call, BROKER_LOST);
    buf_finish(&room);
    buf_finish(&body);
    return ok;
}

static size_t kept_bytes(const struct kept *kept)
{
    return sizeof *kept + kept->room_len + kept->body_len;
}

static void kept_drop(struct kept *kept)
{
    timer_stop(kept->sessions->loop, &kept->again);
    list_remove(&kept->of_all);
    kept->sessions->asking.kept_count--;
    kept->sessions->asking.kept_bytes -= kept_bytes(kept);
    free(kept);
}

static uint64_t next_wait_ms(const struct asking_entry *entry)
{
    return entry->wait_ms != 0 ? entry->wait_ms * 2 : ASKING_AGAIN_MS;
}

/* Publishes it again, with the time that is left. It comes back here if the socket is still nowhere. */
static void publish_again(struct timer *timer)
{
    struct kept *kept = container_of(timer, struct kept, again);
    struct sessions *sessions = kept->sessions;
    struct asking_entry entry;
    struct span room = span_of(kept->bytes, kept->room_len),
                body = span_of(kept->bytes + kept->room_len, kept->body_len);
    uint64_t gone_ms = (loop_now_us(sessions->loop) - kept->since_us) / 1000;
    struct buf again = {0};
    if (asking_entry_decode(body, &entry) && entry.ms > gone_ms) {
        entry.ms -= gone_ms;
        entry.wait_ms = next_wait_ms(&entry);
        head_encode(&again, &entry);
        buf_append(&again, span_from(body, (size_t)span_find(body, '\n') + 1));
        struct broker_publish publish = {.room = room, .body = buf_span(&again)};
        broker_publish(hub_broker(sessions->hub), &publish, NULL, NULL);
    }
    kept_drop(kept);
    buf_finish(&again);
}

void asking_unheard(struct sessions *sessions, const struct broker_entry *from)
{
    struct asking_entry entry;
    if (!asking_entry_decode(from->body, &entry) || entry.ms == 0)
        return;
    size_t bytes = sizeof(struct kept) + from->room.len + from->body.len;
    if (sessions->asking.kept_count >= ASKING_KEPT_MAX || sessions->asking.kept_bytes + bytes > ASKING_KEPT_BYTES_MAX) {
        refusals_note(&sessions->refusals, REFUSAL_KEPT_FULL, entry.asker, from->room);
        return;
    }
    struct kept *kept = mem_zero(1, bytes);
    kept->sessions = sessions;
    kept->since_us = loop_now_us(sessions->loop);
    kept->room_len = from->room.len;
    kept->body_len = from->body.len;
    memcpy(kept->bytes, from->room.data, from->room.len);
    memcpy(kept->bytes + from->room.len, from->body.data, from->body.len);
    list_init(&kept->of_all);
    list_append(&sessions->asking.kept, &kept->of_all);
    sessions->asking.kept_count++;
    sessions->asking.kept_bytes += bytes;
    timer_init(&kept->again, publish_again);
    timer_start(sessions->loop, &kept->again, LOOP_MS(next_wait_ms(&entry)));
}

void asking_kept_init(struct sessions *sessions)
{
    list_init(&sessions->asking.kept);
}

void asking_kept_finish(struct sessions *sessions)
{
    list_each (node, &sessions->asking.kept) {
        kept_drop(container_of(node, struct kept, of_all));
    }
}
