/* protocol: what one kind of client differs in from another: its messages, and how events and answers look to it. A
 * session speaks one protocol, which its subscribers call. Socket.IO is one, with either of its parsers (socket.h). */
#ifndef SENNIT_SESSION_PROTOCOL_H
#define SENNIT_SESSION_PROTOCOL_H

#include "base/frame.h"

struct content;
struct session;
struct subscriber;
struct token;

/* Protocols are numbered, because frames are kept by protocol and format. */
enum protocol_kind { PROTOCOL_SOCKETIO, PROTOCOL_SOCKETIO_MSGPACK, PROTOCOLS };

struct protocol {
    enum protocol_kind kind;
    /* A message of the client, in text. It may begin subscribers, and end them. */
    void (*received)(struct session *session, struct span text);
    /* A binary message. */
    void (*received_binary)(struct session *session, struct span bytes);
    /* The subscriber is connected, by a lease of its own or one that it resumes (`recovered`). Tells the client, before
     * anything else is sent. */
    void (*connected)(struct subscriber *subscriber, bool recovered);
    /* A frame of the session's transport with this event, one reference for the caller. Its arguments have the name
     * first. The client is to remember `token` with it if the namespace is recoverable. */
    struct frame *(*event_encode)(const struct subscriber *subscriber, const struct content *content,
                                  const struct token *token);
    /* The subscriber is ended by us, and its session goes on: tells the client, which may connect again. NULL: in this
     * protocol a session is one subscriber, and ends with it (CLOSE_EXPELLED). */
    void (*disconnected)(struct subscriber *subscriber);
    /* Answers the request with this id (not empty). */
    void (*answer)(struct subscriber *subscriber, struct span id, const struct content *content);
};

#endif
