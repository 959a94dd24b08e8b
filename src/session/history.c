/* history: see history.h. */
#include "session/history.h"

#include <stdlib.h>

#include "base/mem.h"
#include "hub/audience.h"
#include "session/socket_traffic.h"

struct history_call {
    struct socket *socket;
    bool back;
    uint64_t after;
    uint32_t limit;
    size_t ack_len;
    char ack[];
};

/* An entry for several rooms is for those who were in one of them. Exceptions do not count: they spare a client what it
 * knows already, and in the history it belongs. */
static bool is_for(const struct member *member, const struct broker_entry *entry)
{
    struct span rest = entry->audience, text;
    enum audience_sign sign;
    bool named = false;
    while (audience_next(&rest, &sign, &text)) {
        if (sign != AUDIENCE_TO)
            continue;
        named = true;
        if (member_was_in(member, text, entry->seq))
            return true;
    }
    return !named;
}

static void entry_encode(struct buf *to, const struct hub *hub, const struct broker_entry *entry)
{
    struct token token;
    hub_token(hub, entry->seq, &token);
    buf_append(to, SPAN_LIT("{\"at\":\""));
    token_encode(to, &token);
    buf_printf(to, "\",\"time\":%lld,\"args\":", (long long)entry->time_ms);
    buf_append(to, entry->body);
    buf_append_char(to, '}');
}

static void page_encode(struct buf *to, const struct history_call *call, const struct broker_page *page)
{
    const struct socket *socket = call->socket;
    bool first = true, gap = page->clipped;
    if (call->back) /* below a position of which nothing is left there may never have been anything */
        gap |= !page->more && page->count > 0 && page->entries[0].prev != 0;
    else
        gap |= page->count > 0 ? page->entries[0].prev > call->after : page->last > call->after;
    buf_append(to, SPAN_LIT("[{\"entries\":["));
    for (size_t i = 0; i < page->count; i++) {
        if (!is_for(&socket->member, &page->entries[i]))
            continue;
        if (!first)
            buf_append_char(to, ',');
        first = false;
        entry_encode(to, socket->sessions->hub, &page->entries[i]);
    }
    buf_printf(to, "],\"more\":%s,\"gap\":%s}]", page->more ? "true" : "false", gap ? "true" : "false");
}

static void answered(void *arg, enum broker_result result, const struct broker_page *page)
{
    struct history_call *call = arg;
    struct buf body = {0};
    /* Unanswered when the link broke: the client's timeout tells, as for everything else it asks for then. */
    if (call->socket->state == SOCKET_CONNECTED && result == BROKER_OK) {
        page_encode(&body, call, page);
        socket_ack_with(call->socket, span_of(call->ack, call->ack_len), buf_span(&body));
        buf_finish(&body);
    }
    socket_unref(call->socket);
    free(call);
}

void history_read(struct socket *socket, struct span room, const struct history_range *range, struct span ack_id)
{
    struct span given = range->after.len != 0 ? range->after : range->before;
    struct broker_range asked = {.seq = UINT64_MAX, .back = range->after.len == 0, .limit = range->limit};
    struct token token = {0};
    if (given.len != 0) {
        if (!token_decode(given, &token)) {
            socket_ack_with(socket, ack_id, SPAN_LIT("[{\"error\":\"after and before take an `at` of an entry\"}]"));
            return;
        }
        asked.epoch = span_of(token.epoch, token.epoch_len);
        asked.seq = token.seq;
    }
    struct buf name = {0};
    struct history_call *call = mem_zero(1, sizeof *call + ack_id.len);
    socket_room_name(&name, socket->nsp, room);
    call->socket = socket;
    call->back = asked.back;
    call->after = asked.seq;
    call->limit = asked.limit;
    call->ack_len = ack_id.len;
    memcpy(call->ack, ack_id.data, ack_id.len);
    socket->refs++;
    broker_read(socket->sessions->hub->broker, buf_span(&name), &asked, answered, call);
    buf_finish(&name);
}
