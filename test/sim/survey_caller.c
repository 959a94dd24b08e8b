/* survey_caller: its requests, and the answers to them. See survey_caller.h. */
#include "survey_caller.h"

#include "survey_program.h"
#include "wire/json.h"
#include "wire/payload.h"

enum { ACT_MS_MIN = 60, ACT_MS_MAX = 700 };

static void rooms_append(struct buf *to, const char *name, uint8_t rooms, const char *sid)
{
    bool first = true;
    if (rooms == 0 && sid[0] == '\0')
        return;
    buf_printf(to, ",\"%s\":[", name);
    for (int room = 0; room < SURVEY_ROOMS; room++) {
        if (rooms & 1 << room)
            buf_printf(to, "%s\"%s\"", first ? "" : ",", survey_room(room));
        first = first && !(rooms & 1 << room);
    }
    if (sid[0] != '\0')
        buf_printf(to, "%s\"%s\"", first ? "" : ",", sid);
    buf_append_char(to, ']');
}

static void ask(struct survey_caller *caller, uint16_t port, int at)
{
    struct client_world *world = caller->world;
    struct survey_target target;
    struct buf body = {0}, text = {0};
    uint64_t timeout_ms = survey_timeout_pick(caller->check);
    survey_target_pick(caller->check, &target);
    caller->calls[at].number =
        survey_check_asked(caller->check, &target, timeout_ms, world->number_of(world->arg, port));
    buf_printf(&body, "{\"namespace\":\"/survey\",\"event\":\"vote\",\"args\":[%u],\"timeout_ms\":%llu",
               caller->calls[at].number, (unsigned long long)timeout_ms);
    rooms_append(&body, "rooms", target.rooms, "");
    if (target.sid[0] != '\0')
        buf_printf(&body, ",\"socket\":\"%s\"", target.sid);
    rooms_append(&body, "except", target.excepts, target.except_sid);
    buf_append_char(&body, '}');
    buf_printf(&text,
               "POST /api/v1/ask HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
               "Connection: close\r\nContent-Length: %zu\r\n\r\n" SPAN_FMT,
               body.len, SPAN_ARG(buf_span(&body)));
    caller->calls[at].tag = poll_line_ask(&caller->line, port, buf_span(&text));
    buf_finish(&body);
    buf_finish(&text);
}

static void act(struct timer *timer)
{
    struct survey_caller *caller = container_of(timer, struct survey_caller, act);
    struct client_world *world = caller->world;
    uint16_t port = world->instance_pick(world->arg);
    if (caller->quiet)
        return;
    for (int i = 0; i < SURVEY_CALLS_MAX && port != 0; i++) {
        if (caller->calls[i].tag != 0)
            continue;
        ask(caller, port, i);
        break;
    }
    sim_timer_start(world->sim, timer, LOOP_MS(ACT_MS_MIN + sim_below(world->sim, ACT_MS_MAX - ACT_MS_MIN)));
}

/* `{"socket":"...","answer":[number,"sid"],"attachments":["base64"]}` */
static void answer_told(struct survey_caller *caller, uint32_t number, struct span item)
{
    struct buf sid = json_text_get(item, "socket"), theirs = {0}, bytes = {0};
    struct span args = json_object_get(item, SPAN_LIT("answer"));
    struct span attached = json_array_at(json_object_get(item, SPAN_LIT("attachments")), 0);
    struct survey_answer answer = {.number = 0, .bytes = {NULL, 0}};
    span_to_u64(json_array_at(args, 0), &answer.number);
    json_string_decode(json_array_at(args, 1), &theirs);
    answer.sid = buf_span(&theirs);
    if (attached.len > 2 && payload_base64_decode(&bytes, span_sub(attached, 1, attached.len - 2)))
        answer.bytes = buf_span(&bytes);
    survey_check_answer(caller->check, number, buf_span(&sid), &answer);
    buf_finish(&sid);
    buf_finish(&theirs);
    buf_finish(&bytes);
}

static void told(struct survey_caller *caller, uint32_t number, struct span body)
{
    struct span answers = json_object_get(body, SPAN_LIT("answers")), item;
    struct span missing = json_object_get(body, SPAN_LIT("missing"));
    struct span incomplete = json_object_get(body, SPAN_LIT("incomplete"));
    while (json_array_next(&answers, &item))
        answer_told(caller, number, item);
    while (json_array_next(&missing, &item)) {
        struct buf sid = {0};
        json_string_decode(item, &sid);
        survey_check_missing(caller->check, number, buf_span(&sid));
        buf_finish(&sid);
    }
    if (!json_is_valid(body) ||
        (!span_equal(incomplete, SPAN_LIT("false")) && !span_equal(incomplete, SPAN_LIT("true"))))
        check_fail(caller->check->check, "survey %u: the API answers " SPAN_FMT, number, SPAN_ARG(body));
    survey_check_over(caller->check, number, span_equal(incomplete, SPAN_LIT("false")));
}

static void answered(void *owner, uint64_t tag, int status, struct span body)
{
    struct survey_caller *caller = owner;
    for (int i = 0; i < SURVEY_CALLS_MAX; i++) {
        if (caller->calls[i].tag != tag)
            continue;
        caller->calls[i].tag = 0;
        if (status == 200) {
            told(caller, caller->calls[i].number, body);
            return;
        }
        survey_check_failed(caller->check, caller->calls[i].number);
        if (caller->check->calm || (status != 0 && status != 503))
            check_fail(caller->check->check, "survey %u: the API answers %d: " SPAN_FMT, caller->calls[i].number,
                       status, SPAN_ARG(body));
        return;
    }
}

void survey_caller_init(struct survey_caller *caller, struct client_world *world, struct survey_check *check)
{
    *caller = (struct survey_caller){.world = world, .check = check};
    poll_line_init(&caller->line, world->sim, answered, caller);
    timer_init(&caller->act, act);
    sim_timer_start(world->sim, &caller->act, LOOP_S(1));
}

void survey_caller_quiet(struct survey_caller *caller)
{
    caller->quiet = true;
}

bool survey_caller_is_settled(const struct survey_caller *caller)
{
    bool settled = true;
    for (int i = 0; i < SURVEY_CALLS_MAX; i++)
        settled = settled && caller->calls[i].tag == 0;
    return settled;
}

void survey_caller_finish(struct survey_caller *caller)
{
    if (caller->world == NULL)
        return;
    sim_timer_stop(caller->world->sim, &caller->act);
    poll_line_finish(&caller->line);
    for (int i = 0; i < SURVEY_CALLS_MAX; i++)
        if (caller->calls[i].tag != 0)
            survey_check_failed(caller->check, caller->calls[i].number);
}
