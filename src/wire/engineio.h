/* engineio: Engine.IO v4 packets and the handshake.
 * https://socket.io/docs/v4/engine-io-protocol/ */
#ifndef SENNIT_WIRE_ENGINEIO_H
#define SENNIT_WIRE_ENGINEIO_H

#include "base/buf.h"
#include "base/span.h"

enum engineio_type {
    ENGINEIO_OPEN = '0',
    ENGINEIO_CLOSE = '1',
    ENGINEIO_PING = '2',
    ENGINEIO_PONG = '3',
    ENGINEIO_MESSAGE = '4',
    ENGINEIO_UPGRADE = '5',
    ENGINEIO_NOOP = '6',
};
enum { ENGINEIO_SID_BYTES = 20 };

struct engineio_packet {
    enum engineio_type type;
    struct span data; /* behind the type character */
};
/* One packet from a WebSocket text message: consumed (all of it), or -1 for an empty one or an unknown type. (`b` and
 * base64 are wire/payload's, also on a WebSocket: a client with `forceBase64` sends them there.) */
ptrdiff_t engineio_decode(struct span text, struct engineio_packet *packet);

/* The query of a request: `?EIO=4&transport=websocket&sid=...`. Spans into the query; NULL data where absent; the first
 * of each name counts. No percent-decoding: no valid value here has a '%'. */
struct engineio_query {
    struct span eio, transport, sid, j, b64, t;
};
void engineio_query_decode(struct span query, struct engineio_query *out);

struct engineio_handshake {
    struct span sid;
    bool upgrade_websocket; /* lists "websocket" under upgrades */
    uint32_t ping_interval_ms, ping_timeout_ms, payload_bytes_max;
};
/* Appends `0{"sid":...}` with exactly the five keys, in order. */
void engineio_handshake_encode(struct buf *to, const struct engineio_handshake *handshake);
/* For clients (the load generator): reads an open packet's data, behind the `0`. False unless all five keys are there.
 * `sid` points into `data`. */
bool engineio_handshake_decode(struct span data, struct engineio_handshake *out);

/* 20 characters of [A-Za-z0-9_-] from 15 random bytes (base64url). */
void engineio_sid_encode(const uint8_t random[15], char to[ENGINEIO_SID_BYTES]);
/* True for a text of that form. */
bool engineio_sid_is_valid(struct span sid);

enum engineio_error {
    ENGINEIO_UNKNOWN_TRANSPORT = 0,
    ENGINEIO_UNKNOWN_SID = 1,
    ENGINEIO_BAD_METHOD = 2,
    ENGINEIO_BAD_REQUEST = 3,
    ENGINEIO_FORBIDDEN = 4,
    ENGINEIO_UNSUPPORTED_VERSION = 5,
};
/* The documented message ("Session ID unknown"), for the body `{"code":N,"message":"..."}`. */
const char *engineio_error_text(enum engineio_error error);

#endif
