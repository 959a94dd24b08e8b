/* plain: acts on the messages of a client: connect, publish, and what asks for rooms. A wrong message is answered with
 * an error that names its field, and the connection goes on. */
#include "session/plain.h"

#include "session/plain_message.h"
#include "session/plain_parts.h"
#include "wire/payload.h"

/* With a secret, but a position that is none of ours, nobody knows what the client has: it starts anew, and is told. */
static void resume_read(struct subscriber_start *start, const struct plain_connect *connect)
{
    struct token token;
    if (connect->at.len != 0 && !token_decode(connect->at, &token))
        return;
    start->offset = connect->at;
    if (engineio_sid_is_valid(connect->resume))
        start->pid = connect->resume;
}

static void connect_to(const struct plain_message *message, const struct plain_connect *connect)
{
    struct session *session = message->session;
    struct session_app *app = session->sessions->app;
    enum refusal refusal = REFUSAL_COUNT;
    const struct nsp *nsp = app->nsp_find(app, connect->nsp, &refusal);
    struct subscriber_start start = {.pid = {NULL, 0}};
    if (nsp == NULL) {
        plain_refuse(message, refusal, PLAIN_NS);
        return;
    }
    resume_read(&start, connect);
    if (nsp->presence_key != NULL && connect->auth.len != 0)
        start.presence_data = json_object_get(connect->auth, span_str(nsp->presence_key));
    start.auth = connect->auth;
    session_hold(session, true);
    refusal = subscriber_begin(session, nsp, &start);
    nsp_unref(app, nsp);
    if (refusal == REFUSAL_COUNT)
        return;
    session_hold(session, false);
    plain_refuse(message, refusal, PLAIN_AUTH);
}

void plain_connect(struct session *session, const struct plain_connect *connect)
{
    struct plain_message message = {.session = session};
    struct plain_connect good = *connect;
    good.auth = json_trim(connect->auth);
    if (good.auth.len != 0 && (!json_is_valid(good.auth) || json_type(good.auth) != JSON_OBJECT))
        plain_refuse(&message, REFUSAL_FIELD_INVALID, PLAIN_AUTH);
    else
        connect_to(&message, &good);
}

static void connect_received(const struct plain_message *message)
{
    struct buf nsp = {0}, resume = {0}, at = {0};
    struct plain_connect connect = {.auth = message->fields[PLAIN_AUTH]};
    if (message->session->socket_count > 0) {
        plain_refuse(message, REFUSAL_CONNECTED_ALREADY, PLAIN_TYPE);
        return;
    }
    if (plain_read_text(message, PLAIN_NS, &nsp) && plain_read_text(message, PLAIN_RESUME, &resume) &&
        plain_read_text(message, PLAIN_AT, &at) && plain_check_type(message, PLAIN_AUTH, JSON_OBJECT)) {
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
static bool read_attachments(const struct plain_message *message, struct attachments *attachments,
                             struct content *content)
{
    struct span list = message->fields[PLAIN_ATTACHMENTS], value;
    uint32_t most = message->session->sessions->limits.attachments_max;
    if (!plain_check_type(message, PLAIN_ATTACHMENTS, JSON_ARRAY))
        return false;
    while (list.len != 0 && json_array_next(&list, &value)) {
        if (attachments->count == most || attachments->count == CONTENT_ATTACHMENTS_MAX) {
            plain_refuse(message, REFUSAL_ATTACHMENTS, PLAIN_ATTACHMENTS);
            return false;
        }
        if (!read_attachment(attachments, value)) {
            plain_refuse(message, REFUSAL_FIELD_INVALID, PLAIN_ATTACHMENTS);
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
    struct span inside = args.len != 0 ? json_trim(span_sub(args, 1, args.len - 2)) : args;
    buf_append_char(to, '[');
    buf_append(to, name);
    if (inside.len > 0)
        buf_append_char(to, ',');
    buf_append(to, inside);
    buf_append_char(to, ']');
}

static void publish(struct subscriber *subscriber, const struct plain_message *message, bool except_self)
{
    struct session_app *app = subscriber_sessions(subscriber)->app;
    struct attachments attachments = {.count = 0};
    struct buf args = {0};
    struct client_event event = {.name = message->fields[PLAIN_EVENT],
                                 .id = message->ref,
                                 .room = message->fields[PLAIN_ROOM],
                                 .message_id = message->fields[PLAIN_ID],
                                 .except_self = except_self};
    args_append(&args, event.name, message->fields[PLAIN_ARGS]);
    event.content.args = buf_span(&args);
    if (read_attachments(message, &attachments, &event.content)) {
        if (event.content.count > 0 && !socketio_placeholders_valid(event.content.args, event.content.count))
            plain_refuse(message, REFUSAL_FIELD_INVALID, PLAIN_ARGS);
        else
            app->event(app, subscriber, &event);
    }
    buf_finish(&attachments.bytes);
    buf_finish(&args);
}

static void publish_received(struct subscriber *subscriber, const struct plain_message *message)
{
    bool except_self;
    subscriber_sessions(subscriber)->counters.events_in++;
    if (message->fields[PLAIN_EVENT].len == 0)
        plain_refuse(message, REFUSAL_FIELD_INVALID, PLAIN_EVENT);
    else if (message->depth >
             subscriber_sessions(subscriber)->limits.nesting_max + 1) /* the message is a level itself */
        plain_refuse(message, REFUSAL_TOO_DEEP, PLAIN_ARGS);
    else if (plain_check_type(message, PLAIN_EVENT, JSON_STRING) && plain_check_type(message, PLAIN_ARGS, JSON_ARRAY) &&
             plain_read_bool(message, PLAIN_EXCEPT_SELF, &except_self))
        publish(subscriber, message, except_self);
}

static void request(struct subscriber *subscriber, const struct plain_message *message, enum client_verb verb)
{
    struct session_app *app = subscriber_sessions(subscriber)->app;
    bool asks = verb == CLIENT_PRESENCE || verb == CLIENT_HISTORY; /* for an answer, and nothing else */
    struct client_request asked = {
        .verb = verb,
        .room = message->fields[PLAIN_ROOM],
        .before = message->fields[PLAIN_BEFORE],
        .after = message->fields[PLAIN_AFTER],
        .limit = message->fields[PLAIN_LIMIT],
        .cursor = message->fields[PLAIN_CURSOR],
        .id = message->ref,
    };
    if (asked.room.len == 0 && !asks)
        asked.room = message->fields[PLAIN_ROOMS];
    if (asks && message->ref.len == 0)
        plain_refuse(message, REFUSAL_FIELD_INVALID, PLAIN_REF);
    else if (!asks && asked.room.len == 0)
        plain_refuse(message, REFUSAL_FIELD_INVALID, PLAIN_ROOM);
    else if (!asks || plain_check_options(message))
        app->request(app, subscriber, &asked);
}

/* A message of a connected client. */
static void request_received(struct subscriber *subscriber, const struct plain_message *message)
{
    static const char *const verbs[] = {
        [CLIENT_JOIN] = "join",
        [CLIENT_LEAVE] = "leave",
        [CLIENT_PRESENCE] = "presence",
        [CLIENT_HISTORY] = "history",
    };
    struct span type = message->fields[PLAIN_TYPE];
    if (json_string_equal(type, SPAN_LIT("publish"))) {
        publish_received(subscriber, message);
        return;
    }
    for (size_t verb = 0; verb < sizeof verbs / sizeof verbs[0]; verb++) {
        if (json_string_equal(type, span_str(verbs[verb]))) {
            request(subscriber, message, (enum client_verb)verb);
            return;
        }
    }
    plain_refuse(message, REFUSAL_FIELD_INVALID, PLAIN_TYPE);
}

static void received(struct session *session, struct span text)
{
    struct subscriber *subscriber = session->sockets;
    struct plain_message message;
    session->moved = true;
    if (!plain_message_read(&message, session, text))
        return;
    struct span type = message.fields[PLAIN_TYPE];
    if (json_type(type) != JSON_STRING)
        plain_refuse(&message, REFUSAL_FIELD_INVALID, PLAIN_TYPE);
    else if (json_string_equal(type, SPAN_LIT("connect")))
        connect_received(&message);
    else if (subscriber == NULL || !subscriber_is_connected(subscriber))
        plain_refuse(&message, REFUSAL_NOT_CONNECTED, PLAIN_TYPE);
    else
        request_received(subscriber, &message);
}

static void received_binary(struct session *session, struct span bytes)
{
    struct plain_message message = {.session = session};
    plain_refuse(&message, REFUSAL_MESSAGE_INVALID, PLAIN_FIELD_COUNT);
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
