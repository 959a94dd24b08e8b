/* protocol: what one kind of client differs in from another: its messages, and how events and answers look to it. A
 * session speaks one protocol, which its subscribers call: Socket.IO with either of its parsers (socket.h),
 * sennit.v1 (plain.h), or none at all (raw.h). */
#ifndef SENNIT_SESSION_PROTOCOL_H
#define SENNIT_SESSION_PROTOCOL_H

#include "base/frame.h"
#include "net/refusals.h"

struct content;
struct session;
struct subscriber;
struct token;

/* Protocols are numbered, because frames are kept by protocol and format. */
enum protocol_kind { PROTOCOL_SOCKETIO, PROTOCOL_SOCKETIO_MSGPACK, PROTOCOL_PLAIN, PROTOCOL_RAW, PROTOCOLS };

struct protocol {
    enum protocol_kind kind;
    /* The session begins: tells the client its id (ENGINEIO_SID_BYTES) and what it must know. */
    void (*opened)(struct session *session, const char *sid);
    /* Asks the client for a sign of life, which is reported by session_ponged. */
    void (*ping)(struct session *session);
    /* A message of the client, in text. It may begin subscribers, and end them. */
    void (*received)(struct session *session, struct span text);
    /* A binary message. */
    void (*received_binary)(struct session *session, struct span bytes);
    /* The server closes the session in `in_ms`: asks the client to move to another connection until then. NULL: clients
     * of this protocol come back afterwards. */
    void (*ending_soon)(struct session *session, uint64_t in_ms);
    /* Tells the client of a refusal, and of the request's id, which may be empty. NULL: a request with an id is
     * answered with the refusal, see subscriber_refuse. */
    void (*refused)(struct subscriber *subscriber, enum refusal refusal, struct span id);
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
    /* Sends an event whose answer the client is to give under this id (digits), see asking.h. No token goes with it.
     * NULL: clients of this protocol are asked nothing. */
    void (*ask)(struct subscriber *subscriber, struct span id, const struct content *content);
    /* Answers the request with this id (not empty). */
    void (*answer)(struct subscriber *subscriber, struct span id, const struct content *content);
};

#endif
