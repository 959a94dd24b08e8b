/* plain: reads the messages of a client. A wrong one is answered with an error that names its field, and the connection
 * goes on. */
#include "session/plain.h"

#include "session/call.h"
#include "session/plain_parts.h"
#include "wire/json.h"
#include "wire/payload.h"

enum { FIELD_BYTES_MAX = 6 * TOKEN_BYTES_MAX }; /* of ns, resume and at, if each character is escaped */

static const struct span none = {NULL, 0};

/* A message taken apart. */
struct message {
    struct session *session;
    struct span text; /* the object */
    struct span ref;  /* raw JSON; empty: no answer is asked for */
    uint32_t depth;   /* levels of the object */
};

static void refuse(const struct message *message, enum refusal refusal, const char *field)
{
    struct session *session = message->session;
    char peer[ADDR_TEXT_MAX];
    addr_ip_print(session->transport->type->peer(session->transport), peer);
    refusals_note(&session->sessions->refusals, refusal, span_str(peer), span_str(field));
    plain_error_send(session, refusal, message->ref, field);
}

/* A member of the message; empty for one that is absent or null. */
static struct span field(const struct message *message, const char *name)
{
    struct span value = json_object_get(message->text, span_str(name));
    return value.data != NULL && json_type(value) != JSON_NULL ? value : none;
}

/* Refuses a member that is there and has another type. */
static bool check_type(const struct message *message, const char *name, struct span value, enum json_type type)
{
    if (value.len == 0 || json_type(value) == type)
        return true;
    refuse(message, REFUSAL_FIELD_INVALID, name);
    return false;
}

/* Reads a text; if it is absent, `to` stays empty. */
static bool read_text(const struct message *message, const char *name, struct buf *to)
{
    struct span value = field(message, name);
    if (value.len == 0 || (value.len <= FIELD_BYTES_MAX && json_string_decode(value, to)))
        return true;
    refuse(message, REFUSAL_FIELD_INVALID, name);
    return false;
}

static void connect_to(const struct message *message, const struct plain_connect *connect)
{
    struct session *session = message->session;
    struct session_app *app = session->sessions->app;
    const struct nsp *nsp = app->nsp_find(app, connect->nsp);
    struct subscriber_start start = {.offset = connect->at};
    if (nsp == NULL) {
        refuse(message, REFUSAL_NAMESPACE_UNKNOWN, "ns");
        return;
    }
    if (engineio_sid_is_valid(connect->resume))
        start.pid = connect->resume;
    if (nsp->presence_key != NULL && connect->auth.len != 0)
        start.presence_data = json_object_get(connect->auth, span_str(nsp->presence_key));
    session_joined(session);
    session_hold(session, true);
    subscriber_begin(session, nsp, &start);
}

void plain_connect(struct session *session, const struct plain_connect *connect)
{
    struct message message = {.session = session, .ref = connect->ref};
    struct plain_connect good = *connect;
    good.auth = json_trim(connect->auth);
    if (good.auth.len != 0 && (!json_is_valid(good.auth) || json_type(good.auth) != JSON_OBJECT))
        refuse(&message, REFUSAL_FIELD_INVALID, "auth");
    else
        connect_to(&message, &good);
}

static void connect_received(const struct message *message)
{
    struct buf nsp = {0}, resume = {0}, at = {0};
    struct plain_connect connect = {.auth = field(message, "auth"), .ref = message->ref};
    if (message->session->socket_count > 0) {
        refuse(message, REFUSAL_CONNECTED_ALREADY, "type");
        return;
    }
    if (read_text(message, "ns", &nsp) && read_text(message, "resume", &resume) && read_text(message, "at", &at) &&
        check_type(message, "auth", connect.auth, JSON_OBJECT)) {
        connect.nsp = nsp.len > 0 ? buf_span(&nsp) : SPAN_LIT("/");
        connect.resume = buf_span(&resume);
        connect.at = buf_span(&at);
        connect_to(message, &connect);
    }
    buf_finish(&nsp);
    buf_finish(&resume);
    buf_finish(&at);
}

/* Attachments of a message, decoded. */
struct attachments {
    struct buf bytes;
    size_t ends[CONTENT_ATTACHMENTS_MAX];
    uint32_t count;
};

static bool read_attachment(struct attachments *attachments, struct span value)
{
    struct buf text = {0};
    bool ok = json_string_decode(value, &text) && payload_base64_decode(&attachments->bytes, buf_span(&text));
    attachments->ends[attachments->count++] = attachments->bytes.len;
    buf_finish(&text);
    return ok;
}

/* Reads them, and lets the content point at them. */
static bool read_attachments(const struct message *message, struct attachments *attachments, struct content *content)
{
    struct span list = field(message, "attachments"), value;
    uint32_t most = message->session->sessions->limits.attachments_max;
    if (!check_type(message, "attachments", list, JSON_ARRAY))
        return false;
    while (list.len != 0 && json_array_next(&list, &value)) {
        if (attachments->count == most || attachments->count == CONTENT_ATTACHMENTS_MAX) {
            refuse(message, REFUSAL_ATTACHMENTS, "attachments");
            return false;
        }
        if (!read_attachment(attachments, value)) {
            refuse(message, REFUSAL_FIELD_INVALID, "attachments");
            return false;
        }
    }
    content->count = attachments->count;
    for (uint32_t i = 0; i < content->count; i++) {
        size_t begin = i > 0 ? attachments->ends[i - 1] : 0;
        content->attachments[i] = span_sub(buf_span(&attachments->bytes), begin, attachments->ends[i] - begin);
    }
    return true;
}

/* `{"event":"name","args":[a,b]}` as `["name",a,b]`. */
static void args_append(struct buf *to, struct span name, struct span args)
{
    struct span inside = args.len != 0 ? json_trim(span_sub(args, 1, args.len - 2)) : none;
    buf_append_char(to, '[');
    buf_append(to, name);
    if (inside.len > 0)
        buf_append_char(to, ',');
    buf_append(to, inside);
    buf_append_char(to, ']');
}

static bool read_except_self(const struct message *message, bool *except_self)
{
    struct span value = field(message, "except_self");
    *except_self = value.len != 0 && json_type(value) == JSON_TRUE;
    return *except_self || check_type(message, "except_self", value, JSON_FALSE);
}

static void publish(struct subscriber *subscriber, const struct message *message, struct client_event *event)
{
    struct sessions *sessions = subscriber->sessions;
    struct attachments attachments = {.count = 0};
    struct buf args = {0};
    args_append(&args, event->name, field(message, "args"));
    event->content.args = buf_span(&args);
    if (read_attachments(message, &attachments, &event->content)) {
        if (event->content.count > 0 && !socketio_placeholders_valid(event->content.args, event->content.count))
            refuse(message, REFUSAL_FIELD_INVALID, "args");
        else
            sessions->app->event(sessions->app, subscriber, event);
    }
    buf_finish(&attachments.bytes);
    buf_finish(&args);
}

static void publish_received(struct subscriber *subscriber, const struct message *message)
{
    struct client_event event = {.name = field(message, "event"),
                                 .id = message->ref,
                                 .room = field(message, "room"),
                                 .message_id = field(message, "id")};
    subscriber->sessions->counters.events_in++;
    if (event.name.len == 0)
        refuse(message, REFUSAL_FIELD_INVALID, "event");
    else if (message->depth > subscriber->sessions->limits.nesting_max + 1) /* the message is a level itself */
        refuse(message, REFUSAL_TOO_DEEP, "args");
    else if (check_type(message, "event", event.name, JSON_STRING) &&
             check_type(message, "args", field(message, "args"), JSON_ARRAY) &&
             read_except_self(message, &event.except_self))
        publish(subscriber, message, &event);
}

/* What asks for rooms, and whether its answer is all that it is for. */
static const struct {
    const char *type;
    enum client_verb verb;
    bool asks;
} verbs[] = {
    {"join", CLIENT_JOIN, false},
    {"leave", CLIENT_LEAVE, false},
    {"presence", CLIENT_PRESENCE, true},
    {"history", CLIENT_HISTORY, true},
};

static bool check_position(const struct message *message, const char *name)
{
    struct span value = field(message, name);
    struct buf text = {0};
    struct token token;
    bool ok = value.len == 0 || (value.len <= FIELD_BYTES_MAX && json_string_decode(value, &text) &&
                                 token_decode(buf_span(&text), &token));
    buf_finish(&text);
    if (!ok)
        refuse(message, REFUSAL_POSITION_INVALID, name);
    return ok;
}

/* The application reads the options of a question again, and knows only that one of them is wrong. */
static bool check_options(const struct message *message)
{
    struct span limit = field(message, "limit"), cursor = field(message, "cursor");
    uint64_t number = 1;
    if (!check_position(message, "before") || !check_position(message, "after"))
        return false;
    bool limits = limit.len == 0 || (span_to_u64(limit, &number) && number > 0);
    bool goes_on = cursor.len == 0 || json_type(cursor) == JSON_STRING;
    if (!limits || !goes_on || (field(message, "before").len > 0 && field(message, "after").len > 0)) {
        refuse(message, REFUSAL_RANGE_INVALID, !limits ? "limit" : !goes_on ? "cursor" : "after");
        return false;
    }
    return true;
}

static void request(struct subscriber *subscriber, const struct message *message, enum client_verb verb, bool asks)
{
    struct session_app *app = subscriber->sessions->app;
    struct client_request asked = {
        .verb = verb, .room = field(message, "room"), .options = message->text, .id = message->ref};
    if (asked.room.len == 0 && !asks)
        asked.room = field(message, "rooms");
    if (asks && message->ref.len == 0)
        refuse(message, REFUSAL_FIELD_INVALID, "ref");
    else if (!asks && asked.room.len == 0)
        refuse(message, REFUSAL_FIELD_INVALID, "room");
    else if (!asks || check_options(message))
        app->request(app, subscriber, &asked);
}

/* A message of a connected client. */
static void request_received(struct subscriber *subscriber, struct span type, const struct message *message)
{
    if (span_equal(type, SPAN_LIT("publish"))) {
        publish_received(subscriber, message);
        return;
    }
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (span_equal(type, span_str(verbs[i].type))) {
            request(subscriber, message, verbs[i].verb, verbs[i].asks);
            return;
        }
    }
    refuse(message, REFUSAL_FIELD_INVALID, "type");
}

/* A request is named by a number or a short string. */
static bool read_ref(struct message *message)
{
    struct span ref = field(message, "ref");
    bool ok = ref.len <= CALL_ID_BYTES_MAX &&
              (ref.len == 0 || json_type(ref) == JSON_NUMBER || json_type(ref) == JSON_STRING);
    if (ok)
        message->ref = ref;
    else
        refuse(message, REFUSAL_FIELD_INVALID, "ref");
    return ok;
}

static void message_received(const struct message *message, struct span type)
{
    struct list *sockets = &message->session->sockets;
    struct subscriber *subscriber =
        list_empty(sockets) ? NULL : container_of(sockets->next, struct subscriber, of_session);
    if (span_equal(type, SPAN_LIT("connect")))
        connect_received(message);
    else if (subscriber == NULL || !subscriber_is_connected(subscriber))
        refuse(message, REFUSAL_NOT_CONNECTED, "type");
    else
        request_received(subscriber, type, message);
}

static void received(struct session *session, struct span text)
{
    struct message message = {.session = session, .text = json_trim(text)};
    struct buf type = {0};
    bool is_valid = json_is_valid_to(text, &message.depth);
    session->moves++;
    if (message.depth > JSON_DEPTH_MAX)
        refuse(&message, REFUSAL_TOO_DEEP, NULL);
    else if (!is_valid || json_type(message.text) != JSON_OBJECT)
        refuse(&message, REFUSAL_MESSAGE_INVALID, NULL);
    else if (read_ref(&message) && read_text(&message, "type", &type))
        message_received(&message, buf_span(&type));
    buf_finish(&type);
}

static void received_binary(struct session *session, struct span bytes)
{
    struct message message = {.session = session};
    refuse(&message, REFUSAL_MESSAGE_INVALID, NULL);
}

const struct protocol plain_protocol = {
    .kind = PROTOCOL_PLAIN,
    .opened = plain_opened,
    .ping = session_transport_ping,
    .received = received,
    .received_binary = received_binary,
    .ending_soon = plain_ending_soon,
    .refused = plain_refused,
    .connected = plain_connected,
    .event_encode = plain_event_encode,
    .answer = plain_answer,
};
