/* api_ask: an event that asks the clients it is for, and what they have answered together. */
#include "serve/api_parts.h"
#include "session/survey.h"

static void answered(void *arg, const struct inquiry_found *found)
{
    struct api_request *request = arg;
    struct buf json = {0}, missing = {0};
    struct content content;
    buf_append(&json, SPAN_LIT("{\"answers\":["));
    for (size_t i = 0; i < found->count; i++) {
        const struct inquiry_item *item = &found->items[i];
        bool has_answered = survey_answer_read(item->text, &content);
        struct buf *to = has_answered ? &json : &missing;
        if (to->len > 0 && to->data[to->off + to->len - 1] != '[')
            buf_append_char(to, ',');
        buf_append(to, has_answered ? SPAN_LIT("{\"socket\":\"") : SPAN_LIT("\""));
        buf_append_json(to, item->key);
        buf_append_char(to, '"');
        if (has_answered) {
            buf_append(to, SPAN_LIT(",\"answer\":"));
            buf_append(to, content.args);
            api_attachments_append(to, &content);
            buf_append_char(to, '}');
        }
    }
    buf_append(&json, SPAN_LIT("],\"missing\":["));
    buf_append(&json, buf_span(&missing));
    buf_append(&json, SPAN_LIT("],"));
    buf_finish(&missing);
    request->missed = found->more;
    api_found(request, &json, found);
}

/* False: refused. */
static bool ask(struct api_request *request, const struct subscriber_emit *emit)
{
    const struct api_input *input = &request->input;
    struct buf args = {0}, body = {0};
    api_args_make(&args, input);
    struct content content = content_of(buf_span(&args));
    content_encode(&body, &content);
    buf_finish(&args);
    if (body.len > INQUIRY_EVENT_BYTES_MAX) {
        buf_finish(&body);
        api_refuse(request, 413, REFUSAL_EVENT_TOO_LARGE, "args", "an event that asks has 512 KiB at most");
        return false;
    }
    struct inquiry_question question = {.kind = INQUIRY_ANSWERS,
                                        .nsp = request->nsp->name,
                                        .rooms = emit->rooms,
                                        .room_count = emit->room_count,
                                        .excepts = emit->excepts,
                                        .except_count = emit->except_count,
                                        .sid = emit->to_sid,
                                        .timeout_ms = input->timeout_ms != 0 ? input->timeout_ms : API_ASK_MS,
                                        .body = buf_span(&body),
                                        .here = input->here};
    request->acting = true;
    timer_stop(request->server->loop, &request->late); /* the question has a time of its own */
    bool asked = inquiry_ask(request->server->inquiries, &question, answered, request);
    buf_finish(&body);
    if (!asked)
        api_refuse(request, 503, REFUSAL_API_BUSY, NULL, NULL);
    return asked;
}

void api_ask(struct api_request *request)
{
    struct subscriber_emit emit;
    if (!api_nsp_find(request) || !api_selection(request, &emit) || !api_event_check(request) || !ask(request, &emit))
        api_done(request);
}
