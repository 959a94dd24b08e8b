/* socket_packet: Socket.IO packets as a session's parser writes them: text with attachments behind it, or one binary
 * message in MessagePack. Beyond these functions, both are the same. */
#ifndef SENNIT_SESSION_SOCKET_PACKET_H
#define SENNIT_SESSION_SOCKET_PACKET_H

#include "base/frame.h"
#include "session/content.h"

struct session;

/* A frame of the session's transport, one reference for the caller. `type`: CONNECT, DISCONNECT, EVENT, ACK or
 * CONNECT_ERROR; with attachments the binary form is chosen here. `id`: digits, or empty. The content's arguments are
 * the packet's payload.
 */
struct frame *socket_packet_encode(const struct session *session, enum socketio_type type, struct span nsp,
                                   struct span id, const struct content *content);
/* The same, queued under no tag. */
void socket_packet_send(struct session *session, enum socketio_type type, struct span nsp, struct span id,
                        const struct content *content);

/* A packet in MessagePack, as npm's socket.io-msgpack-parser writes it: `{type, nsp, data, id}`, more members are
 * ignored. Appends it in the text form of the default parser, without a count of attachments, and lists up to
 * CONTENT_ATTACHMENTS_MAX of them in the content, whose count may be higher. False for any other value. */
bool socket_packet_read(struct span bytes, struct buf *text, struct content *content);

#endif
