/* ask_all: an event that asks many clients, on all instances, and what they have answered together. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "embed/embed_parts.h"
#include "session/survey.h"

struct gathered {
    struct buf args;
    struct embed_part *parts;
    size_t part_count;
};

static void answer_append(struct gathered *to, const struct content *content)
{
    size_t from = to->args.len;
    buf_append(&to->args, content->args);
    if (content->count == 0)
        return;
    struct embed_part *part = &to->parts[to->part_count++];
    *part = (struct embed_part){.from = from, .to = to->args.len, .count = content->count};
    memcpy(part->attachments, content->attachments, content->count * sizeof content->attachments[0]);
}

/* Those who have answered, or those who have not; both come by their ids. */
static void sockets_append(struct gathered *to, const struct inquiry_found *found, bool answered)
{
    struct buf *args = &to->args;
    struct content content;
    bool any = false;
    buf_append_char(args, '[');
    for (size_t i = 0; i < found->count; i++) {
        const struct inquiry_item *item = &found->items[i];
        if (survey_answer_read(item->text, &content) != answered)
            continue;
        if (any)
            buf_append_char(args, ',');
        any = true;
        buf_append(args, answered ? SPAN_LIT("{\"id\":\"") : SPAN_LIT("\""));
        buf_append_json(args, item->key);
        buf_append_char(args, '"');
        if (answered) {
            buf_append(args, SPAN_LIT(",\"answer\":"));
            answer_append(to, &content);
            buf_append_char(args, '}');
        }
    }
    buf_append_char(args, ']');
}

static void all_answered(void *arg, const struct inquiry_found *found)
{
    struct inquirer *inquirer = arg;
    struct embed_nsp *nsp = inquirer->nsp;
    struct gathered all = {.parts = mem_zero(found->count + 1, sizeof *all.parts)};
    buf_append_char(&all.args, '[');
    sockets_append(&all, found, true);
    buf_append_char(&all.args, ',');
    sockets_append(&all, found, false);
    buf_append(&all.args, !found->more && !found->incomplete ? SPAN_LIT(",true]") : SPAN_LIT(",false]"));
    embed_answer_parts(nsp, "answers", inquirer->done, buf_span(&all.args), all.parts, all.part_count,
                       nsp->embed->is_open ? NULL : "ended");
    free(all.parts);
    buf_finish(&all.args);
    inquirer_free(inquirer);
}

/* What is wrong with it, or NULL. */
static const char *fault_of(const struct sennit_target *target, uint64_t timeout_ms, const struct content *content)
{
    if (timeout_ms == 0 || timeout_ms > INQUIRY_SURVEY_MS_MAX)
        return "many are asked with a timeout from 1 to 300000 ms";
    if (target->logged || target->is_volatile || target->answers != NULL)
        return "an event that asks is neither logged nor volatile, and acknowledges nothing";
    if (content_bytes(content) > INQUIRY_EVENT_BYTES_MAX)
        return "an event that asks many has 512 KiB at most";
    return NULL;
}

static bool begin(const char *call, const struct receivers *to, uint64_t timeout_ms, struct deed_handler done,
                  const struct content *content)
{
    struct inquirer *inquirer = inquirer_create(to->nsp, done);
    struct buf body = {0};
    content_encode(&body, content);
    struct inquiry_question question = {.kind = INQUIRY_ANSWERS,
                                        .nsp = to->nsp->config->nsp.name,
                                        .rooms = to->emit.rooms,
                                        .room_count = to->emit.room_count,
                                        .excepts = to->emit.excepts,
                                        .except_count = to->emit.except_count,
                                        .sid = to->emit.to_sid,
                                        .timeout_ms = timeout_ms,
                                        .body = buf_span(&body)};
    bool sent = inquiry_ask(to->nsp->embed->server.inquiries, &question, all_answered, inquirer);
    buf_finish(&body);
    if (!sent) {
        handle_misused(call, "64 events that ask many are under way: ask later");
        inquirer_free(inquirer);
    }
    return sent;
}

static bool ask_all(const char *call, const struct sennit_target *target, uint64_t timeout_ms, struct deed_handler done,
                    struct format_result *what)
{
    struct receivers to = {.nsp = NULL};
    const char *fault = fault_of(target, timeout_ms, &what->content);
    bool sent = false;
    if (fault != NULL)
        handle_misused(call, fault);
    else if (embed_handler_is_there(done.call, call) && receivers_read(&to, target, call))
        sent = begin(call, &to, timeout_ms, done, &what->content);
    buf_finish(&to.id);
    buf_finish(&what->text);
    return sent;
}

bool sennit_ask_all(struct sennit_target target, uint64_t timeout_ms, sennit_handler *done, void *data,
                    const char *name, struct sennit_args args)
{
    struct format_result what;
    return args_build(&what, "sennit_ask_all", name != NULL ? name : "", args) &&
           ask_all("sennit_ask_all", &target, timeout_ms, (struct deed_handler){done, data}, &what);
}

bool sennit_ask_allf(struct sennit_target target, uint64_t timeout_ms, sennit_handler *done, void *data,
                     const char *name, const char *format, ...)
{
    struct format_result what;
    va_list values;
    va_start(values, format);
    bool good = args_format(&what, "sennit_ask_allf", name != NULL ? name : "", format, values);
    va_end(values);
    return good && ask_all("sennit_ask_allf", &target, timeout_ms, (struct deed_handler){done, data}, &what);
}
