/* api_find: questions: lists of rooms and sockets, one socket, counts, and a room's history. */
#include "hub/audience.h"
#include "serve/api_parts.h"
#include "wire/json.h"
#include "wire/payload.h"

/* Begins the question that the request's fields ask; `done` gets the answer. */
static void ask(struct api_request *request, enum inquiry_kind kind, inquiry_found_fn *done)
{
    const struct api_input *input = &request->input;
    if (!api_nsp_find(request)) {
        api_done(request);
        return;
    }
    struct inquiry_question question = {.kind = kind,
                                        .nsp = request->nsp->name,
                                        .rooms = input->rooms.list,
                                        .room_count = input->rooms.count,
                                        .excepts = input->excepts.list,
                                        .except_count = input->excepts.count,
                                        .sid = buf_span(&input->socket),
                                        .after = buf_span(&input->after),
                                        .limit = input->limit != 0 ? input->limit : API_LIMIT_DEFAULT,
                                        .here = input->here};
    request->acting = true;
    if (!inquiry_ask(request->server->inquiries, &question, done, request)) {
        api_refuse(request, 503, REFUSAL_API_BUSY, NULL, NULL);
        api_done(request);
    }
}

void api_found(struct api_request *request, struct buf *json, const struct inquiry_found *found)
{
    buf_printf(json, "\"incomplete\":%s,\"instances\":{\"living\":%llu,\"answered\":%llu}}\n",
               found->incomplete || request->missed ? "true" : "false", (unsigned long long)found->living,
               (unsigned long long)found->answered);
    api_answer(request, 200, buf_span(json));
    buf_finish(json);
    api_done(request);
}

/* `"next"`: the `after` of a question for what is behind the last item; null: there is none. */
static void next_encode(struct buf *json, const struct inquiry_found *found)
{
    buf_append(json, SPAN_LIT("],\"next\":"));
    if (found->more && found->count > 0) {
        buf_append_char(json, '"');
        buf_append_json(json, found->items[found->count - 1].key);
        buf_append(json, SPAN_LIT("\","));
    } else {
        buf_append(json, SPAN_LIT("null,"));
    }
}

static void rooms_found(void *arg, const struct inquiry_found *found)
{
    struct buf json = {0};
    buf_append(&json, SPAN_LIT("{\"rooms\":["));
    for (size_t i = 0; i < found->count; i++) {
        buf_append(&json, i > 0 ? SPAN_LIT(",{\"room\":\"") : SPAN_LIT("{\"room\":\""));
        buf_append_json(&json, found->items[i].key);
        buf_printf(&json, "\",\"sockets\":%llu}", (unsigned long long)found->items[i].number);
    }
    next_encode(&json, found);
    api_found(arg, &json, found);
}

struct span api_text_of(const struct inquiry_item *item)
{
    return json_is_valid(item->text) ? item->text : SPAN_LIT("null");
}

static void sockets_found(void *arg, const struct inquiry_found *found)
{
    struct buf json = {0};
    buf_append(&json, SPAN_LIT("{\"sockets\":["));
    for (size_t i = 0; i < found->count; i++) {
        if (i > 0)
            buf_append_char(&json, ',');
        buf_append(&json, api_text_of(&found->items[i]));
    }
    next_encode(&json, found);
    api_found(arg, &json, found);
}

static void socket_found(void *arg, const struct inquiry_found *found)
{
    struct api_request *request = arg;
    if (found->count > 0) {
        struct span text = api_text_of(&found->items[0]);
        api_answer(request, 200, text);
    } else if (found->incomplete) {
        api_refuse(request, 503, REFUSAL_API_BROKER, NULL, "ask again: an instance has not answered");
    } else {
        api_refuse(request, 404, REFUSAL_SOCKET_UNKNOWN, NULL, NULL);
    }
    api_done(request);
}

static void counted(void *arg, const struct inquiry_found *found)
{
    struct buf json = {0};
    buf_printf(&json, "{\"sockets\":%llu,", (unsigned long long)found->total);
    api_found(arg, &json, found);
}

void api_rooms(struct api_request *request)
{
    ask(request, INQUIRY_ROOMS, rooms_found);
}

void api_sockets(struct api_request *request)
{
    ask(request, INQUIRY_SOCKETS, sockets_found);
}

void api_socket(struct api_request *request)
{
    request->input.limit = 1;
    ask(request, INQUIRY_SOCKETS, socket_found);
}

void api_count(struct api_request *request)
{
    ask(request, INQUIRY_COUNT, counted);
}

void api_attachments_append(struct buf *to, const struct content *content)
{
    for (uint32_t i = 0; i < content->count; i++) {
        struct buf packet = {0};
        payload_binary_encode(&packet, content->attachments[i]);
        buf_append(to, i == 0 ? SPAN_LIT(",\"attachments\":[\"") : SPAN_LIT(",\""));
        buf_append(to, span_from(buf_span(&packet), 1)); /* without its `b` */
        buf_append_char(to, '"');
        buf_finish(&packet);
    }
    if (content->count > 0)
        buf_append_char(to, ']');
}

/* {"at":"...","time":ms,"args":[...],"attachments":["<base64>",...]}; the last only if there are any. */
static void entry_encode(struct buf *to, const struct hub *hub, const struct broker_entry *entry,
                         const struct content *content)
{
    struct token token;
    hub_token(hub, entry->seq, &token);
    buf_append(to, SPAN_LIT("{\"at\":\""));
    token_encode(to, &token);
    buf_printf(to, "\",\"time\":%lld,\"args\":", (long long)entry->time_ms);
    buf_append(to, content->args);
    api_attachments_append(to, content);
    buf_append_char(to, '}');
}

/* Entries behind the given position are no longer in the log. */
static bool has_gap(const struct api_request *request, const struct broker_page *page)
{
    struct token token = {.seq = 0};
    if (page->clipped)
        return true;
    if (request->input.after.len == 0)
        return !page->more && page->count > 0 && page->entries[0].prev != 0;
    token_decode(buf_span(&request->input.after), &token);
    return page->count > 0 ? page->entries[0].prev > token.seq : page->last > token.seq;
}

static void history_read(void *arg, enum broker_result result, const struct broker_page *page)
{
    struct api_request *request = arg;
    struct buf json = {0};
    struct content content;
    bool any = false;
    if (result != BROKER_OK) {
        api_refuse(request, 503, REFUSAL_API_BROKER, NULL, NULL);
        api_done(request);
        return;
    }
    buf_append(&json, SPAN_LIT("{\"entries\":["));
    for (size_t i = 0; i < page->count; i++) {
        if (audience_is_directive(page->entries[i].audience) || !content_decode_text(page->entries[i].body, &content) ||
            !json_is_valid(content.args))
            continue;
        if (any)
            buf_append_char(&json, ',');
        entry_encode(&json, request->server->hub, &page->entries[i], &content);
        any = true;
    }
    buf_printf(&json, "],\"more\":%s,\"gap\":%s}\n", page->more ? "true" : "false",
               has_gap(request, page) ? "true" : "false");
    api_answer(request, 200, buf_span(&json));
    buf_finish(&json);
    api_done(request);
}

void api_history(struct api_request *request)
{
    const struct api_input *input = &request->input;
    struct span given = input->after.len != 0 ? buf_span(&input->after) : buf_span(&input->before);
    struct token token = {.seq = 0};
    struct buf room = {0};
    if (!api_nsp_find(request)) {
        api_done(request);
    } else if ((input->after.len != 0 && input->before.len != 0) || (given.len != 0 && !token_decode(given, &token))) {
        api_refuse(request, 400, REFUSAL_POSITION_INVALID, input->after.len != 0 ? "after" : "before", NULL);
        api_done(request);
    } else if (input->rooms.count > 1) {
        api_refuse(request, 400, REFUSAL_API_FIELD, "room", "give one room, or none for the namespace's own log");
        api_done(request);
    } else {
        struct broker_range range = {.epoch = span_of(token.epoch, token.epoch_len),
                                     .seq = given.len != 0 ? token.seq : UINT64_MAX,
                                     .back = input->after.len == 0,
                                     .limit = input->limit != 0 ? input->limit : API_LIMIT_DEFAULT};
        subscriber_room_name(&room, request->nsp, input->rooms.count == 1 ? input->rooms.list[0] : SPAN_LIT(""));
        request->acting = true;
        broker_read(request->server->broker, buf_span(&room), &range, history_read, request);
        buf_finish(&room);
    }
}
