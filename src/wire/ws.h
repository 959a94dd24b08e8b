/* ws: WebSocket framing (RFC 6455), both roles: handshake keys, frames out, messages in. Pure.
 *
 * The decoder takes all bytes it is given, and keeps incomplete messages. They are bounded by message_bytes_max, which
 * is compared with the announced length before anything is allocated. A message that lies whole in the input is
 * unmasked in place and handed out without a copy; an idle decoder holds no memory. */
#ifndef SENNIT_WIRE_WS_H
#define SENNIT_WIRE_WS_H

#include "base/buf.h"
#include "base/frame.h"
#include "wire/utf8.h"

enum ws_opcode { WS_CONTINUATION = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };
enum { WS_HEADER_BYTES_MAX = 14, WS_KEY_BYTES = 24, WS_ACCEPT_BYTES = 28 };

/* An event of the decoder. */
struct ws_event {
    enum ws_opcode opcode; /* TEXT and BINARY: a whole message; PING, PONG: payload; CLOSE: code and reason */
    struct span payload;   /* valid until the next call; for CLOSE the reason text */
    uint16_t close_code;   /* CLOSE: as received, 1005 when there was none */
    bool compressed;       /* TEXT and BINARY: the payload is to be decompressed, and a text then to be checked */
};

struct ws_decoder {
    struct buf message; /* fragments so far, and behind them the start of the frame under way, if it came in pieces */
    uint32_t message_bytes_max;
    uint32_t payload_len, payload_at; /* of the frame under way, and how much of it has come */
    uint32_t handed;                  /* bytes at the end of `message` that the last event showed */
    uint32_t frames, frames_max;      /* of the message under way; and how many it may have, set by the owner; 0: any */
    uint16_t bad_code;                /* after -1: the close code to send: 1002, 1007, 1008 (too many frames) or 1009 */
    union {
        uint8_t header[WS_HEADER_BYTES_MAX]; /* so far, if it comes in pieces */
        uint8_t mask[4];                     /* in_payload */
    };
    uint8_t header_len;
    uint8_t opcode;            /* of the frame under way */
    uint8_t message_opcode;    /* of the message under way, 0: none */
    struct utf8 utf8;          /* of the text message under way */
    bool expect_masked : 1;    /* true on the server's side */
    bool takes_compressed : 1; /* permessage-deflate is agreed on (RFC 7692 section 6); set by the owner, at first false
                                */
    bool compressed : 1;       /* the message under way is */
    bool in_payload : 1, fin : 1, closed : 1;
};

/* `message_bytes_max`: 1 to 1 GiB, of a message's payload, all fragments together, as it comes: compressed or not. */
void ws_decoder_init(struct ws_decoder *decoder, bool expect_masked, uint32_t message_bytes_max);
void ws_decoder_finish(struct ws_decoder *decoder); /* accepts NULL and zeroed */
/* True between two messages, with nothing kept: a fresh decoder could take its place. */
static inline bool ws_decoder_is_idle(const struct ws_decoder *decoder)
{
    return decoder->header_len == 0 && !decoder->in_payload && decoder->message_opcode == 0 &&
           decoder->message.len == 0 && !decoder->closed && decoder->bad_code == 0;
}

/* Takes from the front of `bytes`, changing them in place. Returns how many were consumed. `*got` is true when `event`
 * was filled. Call again with the rest, even an empty one, until everything is consumed and `*got` is false; that last
 * call frees the memory of the last message. Returns -1 when the peer broke the protocol (bad_code says how), and from
 * then on. After a CLOSE event the rest is ignored and counted as consumed. */
ptrdiff_t ws_decode(struct ws_decoder *decoder, char *bytes, size_t len, struct ws_event *event, bool *got);

/* Writes a header for a final, unmasked frame into `to` (WS_HEADER_BYTES_MAX bytes); returns its length. */
size_t ws_header_encode(char *to, enum ws_opcode opcode, uint64_t payload_len);
/* A final, unmasked frame with a copy of `payload`, as a server sends it. */
struct frame *ws_frame_create(enum ws_opcode opcode, struct span payload);
/* One frame object with several messages: a text, unless it has no data, then `count` - 1 binary ones. */
struct frame *ws_frames_create(const struct span *parts, size_t count);
/* The same of a payload that is compressed (RSV1). */
struct frame *ws_compressed_frame_create(enum ws_opcode opcode, struct span payload);
/* Takes the first frame from `rest`, which holds whole frames as the two functions above make them. Returns its opcode.
 */
enum ws_opcode ws_frame_next(struct span *rest, struct span *whole, struct span *payload);
/* Appends a final frame masked with `mask`, as a client sends it. */
void ws_masked_encode(struct buf *to, enum ws_opcode opcode, struct span payload, const uint8_t mask[4]);
/* The same of a payload that is compressed (RSV1). */
void ws_masked_compressed_encode(struct buf *to, enum ws_opcode opcode, struct span payload, const uint8_t mask[4]);
/* A server's Close frame; code 1005 (or 0) makes an empty body. `reason`, valid UTF-8, is cut at a character's end so
 * that it has 123 bytes at most. */
struct frame *ws_close_create(uint16_t code, struct span reason);

/* XORs in place; `offset` is the position of bytes[0] in the payload. */
void ws_mask(char *bytes, size_t len, const uint8_t mask[4], uint64_t offset);

/* True for 24 characters that are the base64 of 16 bytes (RFC 6455 section 4.2.1). The four bits of padding in the last
 * character may be anything: clients exist that make keys up. */
bool ws_key_is_valid(struct span key);
/* Sec-WebSocket-Accept for a key (section 4.2.2); `to` has room for WS_ACCEPT_BYTES, no NUL. */
void ws_accept_compute(struct span key, char to[WS_ACCEPT_BYTES]);
/* True for a close code a peer may send (section 7.4 and the IANA registry): 1000 to 1003, 1007 to 1014, 3000 to 4999.
 */
bool ws_close_code_is_valid(uint16_t code);

#endif
