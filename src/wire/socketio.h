/* socketio: Socket.IO v5 packets, as they stand inside Engine.IO messages:
 *
 *     <type>[<n attachments>-][<namespace>,][<ack id>][JSON]
 *
 * https://socket.io/docs/v4/socket-io-protocol/ . The payload is validated JSON of the shape the type asks for. */
#ifndef SENNIT_WIRE_SOCKETIO_H
#define SENNIT_WIRE_SOCKETIO_H

#include "base/buf.h"
#include "base/span.h"

enum socketio_type {
    SOCKETIO_CONNECT,
    SOCKETIO_DISCONNECT,
    SOCKETIO_EVENT,
    SOCKETIO_ACK,
    SOCKETIO_CONNECT_ERROR,
    SOCKETIO_BINARY_EVENT,
    SOCKETIO_BINARY_ACK,
};
enum {
    SOCKETIO_ATTACHMENTS_MAX = 10,
    SOCKETIO_ACK_DIGITS_MAX = 20,
    SOCKETIO_ACK_DIGITS_EXACT = 15, /* an id of so many is shown as it came */
};

struct socketio_packet {
    enum socketio_type type;
    uint32_t attachments;
    struct span nsp;     /* "/" when the packet names none; the part behind a '?' is kept */
    struct span ack_id;  /* digits, without zeros in front; NULL data: none */
    struct span payload; /* JSON as it came; NULL data: none */
    uint32_t depth;      /* levels of the payload; above JSON_DEPTH_MAX: it was not read, and `payload` is empty */
    struct span event;   /* EVENT, BINARY_EVENT: first element of the payload, raw JSON; NULL data: no payload */
};

/* Decodes the data of one Engine.IO message: bytes consumed (all), or -1 where socket.io's parser closes the
 * connection: unknown type; a count of attachments that is missing, garbled, 0 or above the maximum; payload that is no
 * JSON or of the wrong shape (CONNECT: object; CONNECT_ERROR: object or string; DISCONNECT: none; EVENT: array whose
 * first element is a number, or a string that is no reserved name; ACK: array); placeholders beyond the attachments.
 * Also -1: an id longer than SOCKETIO_ACK_DIGITS_MAX. JSON deeper than JSON_DEPTH_MAX is not read, see `depth`. As
 * upstream does, it accepts an id on any type and any type without a payload (an EVENT without one is an empty event).
 */
ptrdiff_t socketio_decode(struct span text, struct socketio_packet *packet);

/* Appends an id as upstream writes it in an acknowledgement: it has read a number, which JavaScript keeps as a double.
 */
void socketio_ack_id_print(struct buf *to, struct span id);

/* Every placeholder, `{"_placeholder":true,"num":k}`, in this valid JSON has a k that is an integer below
 * `attachments`. */
bool socketio_placeholders_valid(struct span payload, uint32_t attachments);
/* Adds `by` to the k of every placeholder, in place. `json` is valid, its placeholders too, and no sum exceeds 9: a k
 * is one digit and stays one. */
void socketio_placeholders_shift(char *json, size_t len, uint32_t by);

/* Appends the prefix of a packet inside an Engine.IO message, `4` included: "42", "42/nsp,", "43/nsp,17". `ack_id` may
 * be empty. */
void socketio_prefix_encode(struct buf *to, enum socketio_type type, struct span nsp, struct span ack_id);
/* The same for BINARY_EVENT and BINARY_ACK, with the count: "451-", "462-/nsp,17". */
void socketio_binary_prefix_encode(struct buf *to, enum socketio_type type, uint32_t attachments, struct span nsp,
                                   struct span ack_id);

/* True for names that an event must not have: connect, connect_error, disconnect, disconnecting, newListener,
 * removeListener. `name` is text, not JSON. */
bool socketio_event_is_reserved(struct span name);

#endif
