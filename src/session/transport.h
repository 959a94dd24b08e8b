/* transport: what carries a session's packets: a WebSocket now (websocket.h); the tests have one that follows a script.
 *
 * The session layer calls the functions below and knows nothing else of the connection. The transport calls
 * session_received for each packet, session_ending, session_drained and session_closed. A transport is embedded in its
 * implementation, which its owner opens and which begins the session; it lives until session_closed has returned.
 *
 * Packets are queued, never written at once. Each goes out under a tag that says whose event it is and at which
 * position, so that events of a slow client can be found in the queue, and dropped, without reading them back. */
#ifndef SENNIT_SESSION_TRANSPORT_H
#define SENNIT_SESSION_TRANSPORT_H

#include "base/frame.h"
#include "loop/io.h"
#include "net/close_reasons.h"

struct session;
struct transport;

/* How messages are encoded for the wire. Frames of one protocol and format are shared by all sessions that have both.
 */
enum transport_format {
    TRANSPORT_WEBSOCKET,
    TRANSPORT_POLLING,
    /* WebSockets with compressed messages, by the window (compression.h). */
    TRANSPORT_DEFLATE_LARGE,
    TRANSPORT_DEFLATE_MIDDLE,
    TRANSPORT_DEFLATE_SMALL,
    TRANSPORT_FORMATS
};

/* True for a tag whose frame stays in the queue. */
typedef bool transport_keep_fn(void *arg, const struct frame_tag *tag);

struct transport_type {
    /* A frame of one message, with one reference for the caller: a text, as the protocol wants it on a WebSocket, and
     * `count` - 1 binary attachments that follow it without interruption. `count` >= 1. Without data in the first
     * part there is no text, but one binary message, and `count` is 2. */
    struct frame *(*encode)(const struct transport *transport, const struct span *parts, size_t count);
    /* Queues a frame of this format, taking a reference of its own. Dropped silently once the transport ends. */
    void (*send)(struct transport *transport, struct frame *frame, struct frame_tag tag);
    /* Bytes that wait. */
    size_t (*queued)(const struct transport *transport);
    /* A frame that is sent now goes out now: the peer has taken all that went before, and a polling client's GET is
     * held. */
    bool (*is_writable)(const struct transport *transport);
    /* Whether frames are still taken. */
    bool (*is_open)(const struct transport *transport);
    /* Asks for session_drained once nothing waits, also if that is so already. */
    void (*await_drained)(struct transport *transport);
    /* Shows the tag of each waiting frame to `keep`, first to go first, and drops those for which it returns false. A
     * frame of which a part is out stays in any case. Of the frames with one tag's `whose`, those behind one that is
     * dropped are dropped, too, because they may be compressed by reference to it. */
    void (*filter)(struct transport *transport, transport_keep_fn *keep, void *arg);
    /* Stops and resumes reading; meanwhile session_received is not called. */
    void (*pause)(struct transport *transport, bool paused);
    /* Ends the transport with what the reason asks for (a Close frame with its code). Packets are received until the
     * peer ends its side too. Once. */
    void (*close)(struct transport *transport, enum close_reason reason);
    /* Ends it without a farewell, also after `close`. */
    void (*abort)(struct transport *transport, enum close_reason reason);
    /* Asks the peer for a sign of life without a message, and reports it by session_transport_ponged with the same
     * number. NULL: protocols ask by messages. */
    void (*ping)(struct transport *transport, uint32_t number);
    /* Something under way in the session has ended (session_is_calm). NULL: the transport does not care. */
    void (*stirred)(struct transport *transport);
    /* The peer has ended its half, or is gone, and what it sent before is not read yet: reading is paused. NULL: that
     * is never known. */
    bool (*peer_left)(const struct transport *transport);
    /* The peer's address, valid as long as the transport. */
    const struct addr_ip *(*peer)(const struct transport *transport);
};

struct transport {
    const struct transport_type *type;
    struct session *session;      /* NULL: over */
    enum transport_format format; /* of its frames, once the session has begun */
};

/* Encodes a message and queues it, under no tag. */
static inline void transport_send_parts(struct transport *transport, const struct span *parts, size_t count)
{
    struct frame *frame = transport->type->encode(transport, parts, count);
    transport->type->send(transport, frame, (struct frame_tag){0});
    frame_unref(frame);
}

/* The same for a text alone. */
static inline void transport_send_packet(struct transport *transport, struct span text)
{
    transport_send_parts(transport, &text, 1);
}

static inline size_t transport_queued(const struct transport *transport)
{
    return transport->type->queued(transport);
}

static inline bool transport_is_open(const struct transport *transport)
{
    return transport->type->is_open(transport);
}

static inline bool transport_peer_left(const struct transport *transport)
{
    return transport->type->peer_left != NULL && transport->type->peer_left(transport);
}

static inline void transport_await_drained(struct transport *transport)
{
    transport->type->await_drained(transport);
}

#endif
