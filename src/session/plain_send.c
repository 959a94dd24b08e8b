/* plain_send: encodes each message of the server. */
#include "session/plain_parts.h"
#include "wire/json.h"
#include "wire/payload.h"

enum {
    /* Clients that are closed together come back spread over a time that grows with their number. */
    RECONNECT_MIN_MS = 100,
    RECONNECT_MAX_MS = 1000,
    RECONNECT_MAX_MS_MAX = 30000,
    RECONNECTS_PER_MS = 2,
};

static void send_text(struct session *session, struct buf *text)
{
    transport_send_packet(session->transport, buf_span(text));
    buf_finish(text);
}

/* The last member of a message: how long a client is to wait, at random, before it opens another connection. */
static void reconnect_append(struct buf *to, const struct sessions *sessions)
{
    size_t max = RECONNECT_MAX_MS + sessions->count / RECONNECTS_PER_MS;
    if (max > RECONNECT_MAX_MS_MAX)
        max = RECONNECT_MAX_MS_MAX;
    buf_printf(to, ",\"reconnect\":{\"min_ms\":%d,\"max_ms\":%zu}}", RECONNECT_MIN_MS, max);
}

void plain_opened(struct session *session, const char *sid)
{
    const struct sessions *sessions = session->sessions;
    struct buf text = {0};
    /* A client resumes by the secret of its subscriber, not by its session: it needs no sid. */
    buf_append(&text, SPAN_LIT("{\"type\":\"welcome\",\"protocol\":\"" PLAIN_SUBPROTOCOL "\",\"instance\":\""));
    buf_append_json(&text, span_str(sessions->instance));
    buf_append(&text, SPAN_LIT("\",\"deadline_ms\":"));
    if (sessions->request_timeout_ms != 0)
        buf_append_u64(&text, sessions->request_timeout_ms);
    else
        buf_append(&text, SPAN_LIT("null"));
    buf_printf(&text, ",\"max_payload\":%u,\"ping_interval_ms\":%u,\"ping_timeout_ms\":%u",
               sessions->limits.payload_bytes_max, sessions->limits.ping_interval_ms, sessions->limits.ping_timeout_ms);
    reconnect_append(&text, sessions);
    send_text(session, &text);
}

void plain_ending_soon(struct session *session, uint64_t in_ms)
{
    struct buf text = {0};
    buf_printf(&text, "{\"type\":\"closing\",\"in_ms\":%llu", (unsigned long long)in_ms);
    reconnect_append(&text, session->sessions);
    send_text(session, &text);
}

void plain_error_send(struct session *session, enum refusal refusal, struct span ref, const char *field)
{
    struct buf text = {0};
    buf_append(&text, SPAN_LIT("{\"type\":\"error\""));
    if (ref.len != 0) {
        buf_append(&text, SPAN_LIT(",\"ref\":"));
        buf_append(&text, ref);
    }
    buf_printf(&text, ",\"reason\":\"%s\"", refusal_name(refusal));
    if (field != NULL)
        buf_printf(&text, ",\"field\":\"%s\"", field);
    buf_printf(&text, ",\"error\":\"%s\"}", refusal_text(refusal));
    send_text(session, &text);
}

/* The field of a request that this refusal is about, or NULL. */
static const char *field_of(enum refusal refusal)
{
    switch (refusal) {
    case REFUSAL_EVENT_UNKNOWN:
        return "event";
    case REFUSAL_ROOM_NOT_JOINED:
    case REFUSAL_ROOM_INVALID:
    case REFUSAL_ROOM_IS_SOCKET:
    case REFUSAL_ROOM_UNASKED:
        return "room";
    case REFUSAL_ID_INVALID:
    case REFUSAL_ID_TAKEN:
        return "id";
    case REFUSAL_EXCEPT_INVALID:
    case REFUSAL_SOCKET_INVALID:
    case REFUSAL_TOO_DEEP:
        return "args";
    case REFUSAL_ATTACHMENTS:
        return "attachments";
    case REFUSAL_VERB_UNKNOWN:
        return "type";
    case REFUSAL_PRESENCE_DATA:
        return "auth";
    default:
        return NULL;
    }
}

void plain_refused(struct subscriber *subscriber, enum refusal refusal, struct span ref)
{
    plain_error_send(subscriber->session, refusal, ref, field_of(refusal));
}

void plain_connected(struct subscriber *subscriber, bool recovered)
{
    struct buf text = {0};
    buf_append(&text, SPAN_LIT("{\"type\":\"connected\",\"ns\":\""));
    buf_append_json(&text, subscriber->nsp->name);
    buf_printf(&text, "\",\"id\":\"" SPAN_FMT "\",\"resume\":", SPAN_ARG(subscriber_sid(subscriber)));
    if (subscriber->nsp->recoverable)
        buf_printf(&text, "\"%.*s\"", ENGINEIO_SID_BYTES, subscriber->lease->name);
    else
        buf_append(&text, SPAN_LIT("null"));
    buf_printf(&text, ",\"recovered\":%s,\"at\":", recovered ? "true" : "false");
    if (recovered && subscriber->lease != NULL && subscriber->lease->offset != NULL) {
        buf_append_char(&text, '"');
        buf_append_json(&text, span_str(subscriber->lease->offset));
        buf_append_char(&text, '"');
    } else {
        buf_append(&text, SPAN_LIT("null"));
    }
    buf_append_char(&text, '}');
    send_text(subscriber->session, &text);
    session_joined(subscriber->session);
    session_hold(subscriber->session, false);
}

/* `,"attachments":["<base64>",...]`, or nothing. */
static void attachments_append(struct buf *to, const struct content *content)
{
    for (uint32_t i = 0; i < content->count; i++) {
        buf_append(to, i == 0 ? SPAN_LIT(",\"attachments\":[\"") : SPAN_LIT(",\""));
        payload_base64_encode(to, content->attachments[i]);
        buf_append_char(to, '"');
    }
    if (content->count > 0)
        buf_append_char(to, ']');
}

/* `["name",a,b]` as `"event":"name","args":[a,b]`. Arguments pass through the log unread, so another program may have
 * damaged them. */
static void event_append(struct buf *to, struct span args)
{
    bool is_good = json_is_valid(args);
    struct span name = is_good ? json_array_at(args, 0) : (struct span){NULL, 0};
    if (name.data == NULL) {
        buf_append(to, SPAN_LIT("\"event\":\"sennit\",\"args\":[{\"damaged\":true}]"));
        return;
    }
    struct span rest = json_trim(span_from(args, (size_t)(name.data + name.len - args.data)));
    buf_append(to, SPAN_LIT("\"event\":"));
    buf_append(to, name);
    buf_append(to, SPAN_LIT(",\"args\":["));
    buf_append(to, span_starts_with(rest, SPAN_LIT(",")) ? span_from(rest, 1) : rest);
}

struct frame *plain_event_encode(const struct subscriber *subscriber, const struct content *content,
                                 const struct token *token)
{
    const struct transport *transport = subscriber->session->transport;
    struct buf text = {0};
    buf_append(&text, SPAN_LIT("{\"type\":\"event\","));
    event_append(&text, content->args);
    attachments_append(&text, content);
    if (subscriber->nsp->recoverable) {
        buf_append(&text, SPAN_LIT(",\"at\":\""));
        token_encode(&text, token);
        buf_append_char(&text, '"');
    }
    buf_append_char(&text, '}');
    struct span message = buf_span(&text);
    struct frame *frame = transport->type->encode(transport, &message, 1);
    buf_finish(&text);
    return frame;
}

void plain_answer(struct subscriber *subscriber, struct span ref, const struct content *content)
{
    struct span result = json_array_at(content->args, 0);
    struct buf text = {0};
    buf_append(&text, SPAN_LIT("{\"type\":\"answer\",\"ref\":"));
    buf_append(&text, ref);
    buf_append(&text, SPAN_LIT(",\"result\":"));
    buf_append(&text, result.data != NULL ? result : SPAN_LIT("null"));
    attachments_append(&text, content);
    buf_append_char(&text, '}');
    send_text(subscriber->session, &text);
}
