/* compression: permessage-deflate (RFC 7692) for the WebSockets of one instance. `struct sessions` embeds it, `serve`
 * sets it up, and websocket.c uses it.
 *
 * What this server sends is compressed without a context, once for all receivers with the same window: the window is
 * the format of their transports. Where the operator allows it, a connection keeps contexts of its own, up to a bound
 * of such connections; the others agree on none. A connection without the extension has nothing here. */
#ifndef SENNIT_SESSION_COMPRESSION_H
#define SENNIT_SESSION_COMPRESSION_H

#include "net/close_reasons.h"
#include "session/protocol.h"
#include "session/transport.h"
#include "wire/deflate.h"
#include "wire/deflate_offer.h"

struct compression_settings {
    bool socketio;         /* agreed on with Socket.IO clients that offer it */
    bool plain;            /* and with others */
    bool context_takeover; /* both sides may keep a context, */
    uint32_t contexts_max; /* on so many connections; about 85 KiB of each at most */
    uint32_t threshold;    /* messages of fewer bytes are sent as they are */
};
extern const struct compression_settings compression_settings_default;

enum { COMPRESSION_WINDOWS = TRANSPORT_DEFLATE_SMALL - TRANSPORT_DEFLATE_LARGE + 1 };

struct compression {
    struct compression_settings settings;
    /* Shared, without context; made when they are first needed. */
    struct deflater *deflaters[COMPRESSION_WINDOWS];
    struct inflater *inflater;
    uint32_t contexts; /* connections that keep some */
    struct {
        uint64_t agreed, contexts_declined, compressed, bytes_out, bytes_out_saved, decompressed, bytes_in,
            bytes_in_made, refused;
    } counters;
};

/* The contexts of one connection. */
struct compression_context {
    struct deflater *deflater; /* NULL: keeps none */
    struct inflater *inflater; /* NULL: keeps none */
    uint32_t whose;            /* the tag of the frames that the deflater's context is made of */
};

void compression_init(struct compression *compression);
void compression_finish(struct compression *compression);

/* Negotiates with a client that will speak this protocol. If both agree, `*line` gets the field's line of the answer,
 * and `*terms` what to open the WebSocket with (websocket_compress). */
enum deflate_offer compression_agree(struct compression *compression, enum protocol_kind protocol,
                                     const struct http1_head *head, struct deflate_terms *terms, struct buf *line);
/* The format of messages for a client with these terms. */
enum transport_format compression_format(const struct deflate_terms *terms);
/* Whether messages in this format are compressed. */
static inline bool compression_is_format(enum transport_format format)
{
    return format >= TRANSPORT_DEFLATE_LARGE && format <= TRANSPORT_DEFLATE_SMALL;
}
/* The contexts that the terms ask for; NULL: none. */
struct compression_context *compression_context_create(struct compression *compression,
                                                       const struct deflate_terms *terms);
void compression_context_destroy(struct compression *compression, struct compression_context *context);

/* A frame with this message, text or binary, compressed if the format says so and it pays. One reference for the
 * caller. */
struct frame *compression_frame_create(struct compression *compression, enum transport_format format, bool is_text,
                                       struct span message);
/* The plain frames in `frame`, compressed with the connection's own context (deflater not NULL). One reference for the
 * caller. No frame that may be dropped from the queue is referred to by one that may stay: frames with another tag's
 * `whose` begin a context anew, and so do those behind compression_context_forget. */
struct frame *compression_reframe(struct compression *compression, struct compression_context *context,
                                  struct frame *frame, uint32_t whose);
/* Frames were dropped from the queue. */
void compression_context_forget(struct compression_context *context);
/* What a message that became so much larger counts for in its session's rate of changes (session_change): a client can
 * make the instance work a thousand times as much as it sends. Text of the usual kind counts nothing. */
size_t compression_changes(size_t payload_bytes, size_t message_bytes);
/* Appends the message of a compressed payload, text or binary, of `bytes_max` at most. Returns CLOSE_NONE, or why the
 * connection must end. `context` may be NULL. */
enum close_reason compression_inflate(struct compression *compression, struct compression_context *context,
                                      struct span payload, bool is_text, uint32_t bytes_max, struct buf *to);

#endif
