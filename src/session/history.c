/* history: turns a client's range into a question to the broker, and the page into the acknowledgement. */
#include "session/history.h"

#include "hub/audience.h"
#include "session/question.h"

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

static void page_encode(struct buf *to, const struct question *question, const struct broker_page *page)
{
    const struct subscriber *subscriber = question->call.subscriber;
    bool first = true, gap = page->clipped;
    if (question->back) /* below a position of which nothing is left there may never have been anything */
        gap |= !page->more && page->count > 0 && page->entries[0].prev != 0;
    else
        gap |= page->count > 0 ? page->entries[0].prev > question->at : page->last > question->at;
    buf_append(to, SPAN_LIT("[{\"entries\":["));
    for (size_t i = 0; i < page->count; i++) {
        if (!audience_shows(page->entries[i].audience, &subscriber->member, page->entries[i].seq))
            continue;
        if (!first)
            buf_append_char(to, ',');
        first = false;
        entry_encode(to, subscriber->sessions->hub, &page->entries[i]);
    }
    buf_printf(to, "],\"more\":%s,\"gap\":%s}]", page->more ? "true" : "false", gap ? "true" : "false");
}

static void answered(void *arg, enum broker_result result, const struct broker_page *page)
{
    struct question *question = arg;
    struct buf body = {0};
    /* Unanswered when the link broke: the client's timeout tells, as for everything else it asks for then. */
    if (result == BROKER_OK && question_is_awaited(question))
        page_encode(&body, question, page);
    question_answered(question, buf_span(&body));
    buf_finish(&body);
}

static void ask(struct question *question)
{
    struct broker_range range = {
        .epoch = span_of(question->epoch, question->epoch_len),
        .seq = question->at,
        .back = question->back,
        .limit = question->limit,
    };
    broker_read(hub_broker(question->call.sessions->hub), buf_span(&question->room), &range, answered, question);
}

void history_read(struct subscriber *subscriber, struct span room, const struct history_range *range,
                  struct span ack_id)
{
    struct span given = range->after.len != 0 ? range->after : range->before;
    struct token token = {0};
    if (given.len != 0 && !token_decode(given, &token)) {
        subscriber_refuse(subscriber, REFUSAL_POSITION_INVALID, given, ack_id);
        return;
    }
    struct question *question = question_create(subscriber, room, ack_id);
    question->back = range->after.len == 0;
    question->at = given.len != 0 ? token.seq : UINT64_MAX;
    question->limit = range->limit;
    question->epoch_len = token.epoch_len;
    memcpy(question->epoch, token.epoch, sizeof token.epoch);
    question_put(question, ask);
}
