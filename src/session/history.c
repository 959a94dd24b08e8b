/* history: turns a client's range into a question to the broker, and the page into the acknowledgement. */
#include "session/history.h"

#include "hub/audience.h"
#include "session/question.h"
#include "wire/json.h"

/* An answer under way. A client puts attachments into every place of an answer that looks like a placeholder. So
 * entries with attachments never share an answer with an entry that only looks as if it had some; and no client takes
 * more than CONTENT_ATTACHMENTS_MAX. A page is cut where the next entry does not fit; the client asks for the rest as
 * it does behind any page. */
struct answer {
    struct buf entries;
    struct content content;
};

/* Whether these arguments have what looks like a placeholder. */
static bool is_lookalike(struct span args)
{
    return !json_is_valid(args) || !socketio_placeholders_valid(args, 0);
}

/* Counts an entry with this content. False: it has no place beside the entries counted so far. */
static bool fits(uint32_t *count, bool *has_lookalike, const struct content *content)
{
    bool lookalike = content->count == 0 && is_lookalike(content->args);
    if (content->count > 0 ? *has_lookalike || *count + content->count > CONTENT_ATTACHMENTS_MAX
                           : lookalike && *count > 0)
        return false;
    *count += content->count;
    *has_lookalike |= lookalike;
    return true;
}

static void entry_encode(struct answer *answer, const struct hub *hub, const struct broker_entry *entry,
                         const struct content *content)
{
    struct token token;
    struct buf *to = &answer->entries;
    hub_token(hub, entry->seq, &token);
    if (to->len > 0)
        buf_append_char(to, ',');
    buf_append(to, SPAN_LIT("{\"at\":\""));
    token_encode(to, &token);
    buf_printf(to, "\",\"time\":%lld,\"args\":", (long long)entry->time_ms);
    size_t begin = to->len;
    buf_append(to, content->args);
    if (content->count > 0)
        socketio_placeholders_shift(to->data + to->off + begin, content->args.len, answer->content.count);
    for (uint32_t i = 0; i < content->count; i++)
        answer->content.attachments[answer->content.count++] = content->attachments[i];
    buf_append_char(to, '}');
}

/* Whether the entry is for this client; its content then. */
static bool is_shown(const struct subscriber *subscriber, const struct broker_entry *entry, struct content *content)
{
    if (!audience_shows(entry->audience, &subscriber->member, entry->seq))
        return false;
    if (content_decode_text(entry->body, content))
        return true;
    refusals_note(&subscriber_sessions(subscriber)->refusals, REFUSAL_EVENT_DAMAGED, subscriber_sid(subscriber),
                  subscriber->nsp->name);
    return false;
}

/* The entries that one answer takes: from the end that the client reads from. */
struct cut {
    size_t begin, end;
};

static bool has_attachments(const struct broker_page *page)
{
    for (size_t i = 0; i < page->count; i++)
        if (page->entries[i].body.len > 0 && page->entries[i].body.data[0] == CONTENT_MARK)
            return true;
    return false;
}

static struct cut page_cut(const struct question *question, const struct broker_page *page)
{
    struct cut cut = {0, page->count};
    struct content content;
    uint32_t count = 0;
    bool has_lookalike = false;
    if (!has_attachments(page))
        return cut;
    for (size_t i = 0; i < page->count; i++) {
        size_t at = question->back ? page->count - 1 - i : i;
        if (is_shown(question->call.subscriber, &page->entries[at], &content) &&
            !fits(&count, &has_lookalike, &content)) {
            if (question->back)
                cut.begin = at + 1;
            else
                cut.end = at;
            break;
        }
    }
    return cut;
}

static bool page_has_gap(const struct question *question, const struct broker_page *page, bool more)
{
    if (page->clipped)
        return true;
    if (question->back) /* below a position of which nothing is left there may never have been anything */
        return !more && page->count > 0 && page->entries[0].prev != 0;
    return page->count > 0 ? page->entries[0].prev > question->at : page->last > question->at;
}

static void page_encode(struct answer *answer, struct buf *to, const struct question *question,
                        const struct broker_page *page)
{
    const struct subscriber *subscriber = question->call.subscriber;
    struct cut cut = page_cut(question, page);
    bool more = page->more || cut.begin > 0 || cut.end < page->count;
    struct content content;
    for (size_t i = cut.begin; i < cut.end; i++) {
        if (is_shown(subscriber, &page->entries[i], &content))
            entry_encode(answer, subscriber_sessions(subscriber)->hub, &page->entries[i], &content);
    }
    buf_append(to, SPAN_LIT("[{\"entries\":["));
    buf_append(to, buf_span(&answer->entries));
    buf_printf(to, "],\"more\":%s,\"gap\":%s}]", more ? "true" : "false",
               page_has_gap(question, page, more) ? "true" : "false");
}

static void answered(void *arg, enum broker_result result, const struct broker_page *page)
{
    struct question *question = arg;
    struct answer answer = {.entries = {0}};
    struct buf body = {0};
    /* Unanswered when the link broke: the client's timeout tells, as for everything else it asks for then. */
    if (result == BROKER_OK && question_is_awaited(question))
        page_encode(&answer, &body, question, page);
    answer.content.args = buf_span(&body);
    question_answered(question, &answer.content);
    buf_finish(&answer.entries);
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
    if (!subscriber_may(subscriber, DEED_HISTORY, room)) {
        subscriber_refuse(subscriber, REFUSAL_HISTORY_FORBIDDEN, room, ack_id);
        return;
    }
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
