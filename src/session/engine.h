/* engine: Engine.IO v4, the envelope of Socket.IO's packets: the open packet, pings and pongs, messages, binary
 * messages in base64. https://socket.io/docs/v4/engine-io-protocol/ The protocols of socket.c speak it; others do not.
 */
#ifndef SENNIT_SESSION_ENGINE_H
#define SENNIT_SESSION_ENGINE_H

#include "session/session.h"

/* Appends the open packet of a session with this sid on a transport of this format. */
void engine_open_encode(struct buf *to, const struct sessions *sessions, enum transport_format format,
                        const char sid[ENGINEIO_SID_BYTES]);
/* For struct protocol: sends the open packet; sends a ping. */
void engine_opened(struct session *session, const char *sid);
void engine_ping(struct session *session);
/* Acts on one packet in text. True: it is a message, whose text is in `message` then, a part of `packet`. A binary
 * message in base64 goes to the protocol's received_binary. An invalid packet closes the session. */
bool engine_received(struct session *session, struct span packet, struct span *message);

#endif
