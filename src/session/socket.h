/* socket: a Socket.IO socket: the side of a subscriber that only Socket.IO has. Its packets, the CONNECT reply,
 * acknowledgements, and the token as the last argument of an event. Sessions have this protocol. */
#ifndef SENNIT_SESSION_SOCKET_H
#define SENNIT_SESSION_SOCKET_H

#include "session/protocol.h"

extern const struct protocol socket_protocol;
/* The same with MessagePack on the wire: npm's socket.io-msgpack-parser. */
extern const struct protocol socket_msgpack_protocol;

#endif
