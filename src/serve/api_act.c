/* api_act: what changes something: publishing, and directives to sockets. A request is answered when the broker has
 * accepted its entry; then the room's log is read from its end, to tell the entry's position. */
#include "app/relay.h"
#include "hub/audience.h"
#include "serve/api_parts.h"
#include "wire/json.h"

enum { LOOK_BACK = 32 }; /* entries; one that was accepted long ago under its id is not looked for */

static uint64_t digest_of(struct span audience, struct span body)
{
    return broker_digest(body) ^ (broker_digest(audience) << 1);
}

static void accepted(struct api_request *request, uint64_t seq)
{
    struct buf json = {0};
    buf_append(&json, SPAN_LIT("{\"accepted\":true,\"at\":"));
    if (seq != 0) {
        struct token token;
        hub_token(request->server->hub, seq, &token);
        buf_append_char(&json, '"');
        token_encode(&json, &token);
        buf_append_char(&json, '"');
    } else {
        buf_append(&json, SPAN_LIT("null"));
    }
    buf_append(&json, SPAN_LIT("}\n"));
    api_answer(request, 200, buf_span(&json));
    buf_finish(&json);
    api_done(request);
}

static void looked_back(void *arg, enum broker_result result, const struct broker_page *page)
{
    struct api_request *request = arg;
    uint64_t seq = 0;
    for (size_t i = 0; result == BROKER_OK && i < page->count; i++)
        if (digest_of(page->entries[i].audience, page->entries[i].body) == request->digest)
            seq = page->entries[i].seq;
    accepted(request, seq);
}

static void refused(struct api_request *request, enum broker_result result)
{
    switch (result) {
    case BROKER_TAKEN:
        api_refuse(request, 409, REFUSAL_ID_TAKEN, "id", NULL);
        break;
    case BROKER_FULL:
        api_refuse(request, 507, REFUSAL_BROKER_FULL, NULL, NULL);
        break;
    case BROKER_FULL_ROOMS:
        api_refuse(request, 507, REFUSAL_BROKER_ROOMS_FULL, NULL, NULL);
        break;
    case BROKER_SPOILED:
        api_refuse(request, 500, REFUSAL_BROKER_SPOILED, NULL, NULL);
        break;
    default:
        api_refuse(request, 503, REFUSAL_API_LATE, NULL, NULL);
    }
    api_done(request);
}

static void published(void *arg, enum broker_result result)
{
    struct api_request *request = arg;
    if (result != BROKER_OK) {
        refused(request, result);
    } else if (!request->logged || request->client == NULL) {
        accepted(request, 0);
    } else {
        struct broker_range newest = {.seq = UINT64_MAX, .back = true, .limit = LOOK_BACK};
        broker_read(request->server->broker, buf_span(&request->room), &newest, looked_back, request);
    }
}

bool api_selection(struct api_request *request, struct subscriber_emit *emit)
{
    const struct api_input *input = &request->input;
    *emit = (struct subscriber_emit){.rooms = input->rooms.list,
                                     .room_count = input->rooms.count,
                                     .excepts = input->excepts.list,
                                     .except_count = input->excepts.count,
                                     .to_sid = buf_span(&input->socket)};
    if (emit->to_sid.len != 0 && (!engineio_sid_is_valid(emit->to_sid) || emit->room_count > 0)) {
        api_refuse(request, 400, REFUSAL_API_FIELD, "socket",
                   "give the id of one socket, a string of 20 characters, and no rooms beside it");
        return false;
    }
    for (size_t i = 0; i < emit->room_count; i++) {
        if (request->nsp->name.len + 1 + emit->rooms[i].len > BROKER_ROOM_BYTES_MAX) {
            api_refuse(request, 400, REFUSAL_ROOM_INVALID, "rooms", NULL);
            return false;
        }
    }
    return true;
}

static struct span only_room(const struct subscriber_emit *emit)
{
    return emit->room_count == 1 && emit->to_sid.len == 0 ? emit->rooms[0] : (struct span){NULL, 0};
}

/* The broker has it, or the backlog is full. */
static void publish_end(struct api_request *request, bool taken)
{
    if (taken)
        return;
    api_refuse(request, 503, REFUSAL_BROKER_BACKLOG, NULL, NULL);
    api_done(request);
}

/* What the entry is known by. */
static void remember(struct api_request *request, const struct emit *emit, bool logged)
{
    request->logged = logged;
    request->acting = true;
    if (!logged)
        return;
    buf_append(&request->room, buf_span(&emit->room));
    request->digest = digest_of(buf_span(&emit->audience), emit->body);
}

static bool is_reserved(struct span event)
{
    static const struct span names[] = {SPAN_LIT("connect"),     SPAN_LIT("connect_error"),
                                        SPAN_LIT("disconnect"),  SPAN_LIT("disconnecting"),
                                        SPAN_LIT("newListener"), SPAN_LIT("removeListener")};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (span_equal(event, names[i]))
            return true;
    return false;
}

bool api_event_check(struct api_request *request)
{
    const struct api_input *input = &request->input;
    const struct session_limits *limits = &request->server->config.limits;
    uint32_t depth = 0;
    struct span event = buf_span(&input->event);
    if (event.len == 0 || event.len > API_EVENT_BYTES_MAX || is_reserved(event))
        api_refuse(request, 400, REFUSAL_API_FIELD, "event",
                   "give the event's name, a string of 1 to 256 bytes that Socket.IO does not reserve");
    else if (input->args.data != NULL && (!json_is_valid_to(input->args, &depth) || depth > limits->nesting_max))
        api_refuse(request, 400, REFUSAL_TOO_DEEP, "args", NULL);
    else if (input->args.len > limits->payload_bytes_max)
        api_refuse(request, 413, REFUSAL_EVENT_TOO_LARGE, "args", NULL);
    else
        return true;
    return false;
}

void api_args_make(struct buf *to, const struct api_input *input)
{
    buf_append(to, SPAN_LIT("[\""));
    buf_append_json(to, buf_span(&input->event));
    buf_append_char(to, '"');
    struct span inner = input->args.data != NULL ? span_sub(input->args, 1, input->args.len - 2) : SPAN_LIT("");
    if (json_trim(inner).len > 0) {
        buf_append_char(to, ',');
        buf_append(to, inner);
    }
    buf_append_char(to, ']');
}

void api_publish(struct api_request *request)
{
    const struct api_input *input = &request->input;
    struct sessions *sessions = &request->server->sessions;
    struct subscriber_emit emit;
    struct buf args = {0};
    if (!api_nsp_find(request) || !api_selection(request, &emit) || !api_event_check(request)) {
        api_done(request);
        return;
    }
    if (!input->is_volatile && !input->here)
        emit.retention = relay_retention(request->nsp, buf_span(&input->event), only_room(&emit));
    if (input->id.data != NULL && emit.retention == NULL) {
        api_refuse(
            request, 400, REFUSAL_API_FIELD, "id",
            "leave it out, or let the event be logged (`log:` in the configuration): what is not logged cannot be "
            "told from a repetition");
        api_done(request);
        return;
    }
    api_args_make(&args, input);
    struct content content = content_of(buf_span(&args));
    emit.content = &content;
    emit.id = input->id.data != NULL ? input->id : SPAN_LIT("");
    if (input->here) {
        backend_publish_here(sessions, request->nsp, &emit);
        accepted(request, 0);
    } else {
        struct emit made;
        emit_event(&made, request->nsp, SPAN_LIT(""), &emit);
        remember(request, &made, emit.retention != NULL);
        emit_finish(&made);
        publish_end(request, backend_publish(sessions, request->nsp, &emit, published, request));
    }
    buf_finish(&args);
}

static void direct(struct api_request *request, enum directive_op op, const struct api_names *names, const char *field)
{
    struct sessions *sessions = &request->server->sessions;
    struct directive directive = {.op = op};
    struct subscriber_emit to;
    if (!api_nsp_find(request) || !api_selection(request, &to)) {
        api_done(request);
        return;
    }
    for (size_t i = 0; names != NULL && i < names->count; i++) {
        if (engineio_sid_is_valid(names->list[i]) ||
            request->nsp->name.len + 1 + names->list[i].len > BROKER_ROOM_BYTES_MAX) {
            api_refuse(request, 400, REFUSAL_ROOM_INVALID, field, NULL);
            api_done(request);
            return;
        }
        directive.rooms[directive.room_count++] = names->list[i];
    }
    if (names != NULL && names->count == 0) {
        api_refuse(request, 400, REFUSAL_API_FIELD, field,
                   "give 1 to 32 names of rooms, a string or a list of strings");
        api_done(request);
        return;
    }
    if (request->input.here) {
        backend_direct_here(sessions, request->nsp, &to, &directive);
        accepted(request, 0);
        return;
    }
    to.retention = relay_retention(request->nsp, SPAN_LIT(""), only_room(&to));
    struct emit made;
    emit_directive(&made, request->nsp, &to, &directive);
    remember(request, &made, to.retention != NULL);
    emit_finish(&made);
    publish_end(request, backend_direct(sessions, request->nsp, &to, &directive, published, request));
}

void api_join(struct api_request *request)
{
    direct(request, DIRECTIVE_JOIN, &request->input.join, "join");
}

void api_leave(struct api_request *request)
{
    direct(request, DIRECTIVE_LEAVE, &request->input.leave, "leave");
}

void api_disconnect(struct api_request *request)
{
    direct(request, request->input.whole ? DIRECTIVE_CLOSE : DIRECTIVE_DISCONNECT, NULL, NULL);
}
