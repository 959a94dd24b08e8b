/* parcel: a session as bytes, for the broker to keep while no instance has a request of it (broker/record.h).
 *
 * A parcel says where the heartbeat stands, which namespaces the client is in, by which lease and up to which position,
 * and what waits to be sent. What a socket has joined is in its lease. So opening a parcel is the resume that a client
 * would make, except that the client does not notice.
 *
 *     <bytes of the head> 4 <protocol> <joined> <awaits pong> <ms to heartbeat> <ms to join> <sockets>
 *     <mark of the last POST> <of the last GET> <bytes of its answer> <bytes that wait> <bytes unfinished>
 *     <ms since 1970 when it began> <bytes of address> <bytes of handshake>
 *
 * Then, also in the head: a line feed, the address and the handshake, and for each socket: <bytes of namespace> <bytes
 * of pid> <bytes of token> <bytes of presence data> <bytes of claims> <when they expire> <told> <bytes of questions>
 * <bytes of auth>, a line feed, and these texts. Behind the head: the answer to the last GET; what waits, as a payload;
 * and an event of which attachments are awaited, see assembly_park. */
#ifndef SENNIT_SESSION_PARCEL_H
#define SENNIT_SESSION_PARCEL_H

#include "session/session.h"

struct parcel {
    uint64_t protocol; /* enum protocol_kind */
    bool joined, awaiting_pong;
    uint64_t heartbeat_ms; /* until the next ping, or the deadline of its pong */
    uint64_t join_ms;      /* until the client must have joined a namespace */
    uint64_t socket_count;
    uint64_t done_post, done_get; /* marks of the last requests that were done, see struct polling */
    struct span done_answer;      /* to that GET; empty: none is known, or it was too long */
    int64_t begun_ms;             /* since 1970 */
    struct span address;          /* of its client, at the last request */
    struct span handshake;        /* see session_handshake_set; empty: none is kept */
    struct span sockets;          /* for parcel_socket_next */
    struct span waiting;          /* a payload; empty: nothing waits */
    struct span unfinished;       /* empty: no attachments are awaited */
};

struct parcel_socket {
    struct span nsp, pid, offset, presence_data;
    struct span claims;  /* of its identity; empty: it has none */
    uint64_t expires_ms; /* of the identity, as there */
    bool told;           /* likewise: else a polling client would be told with every poll */
    struct span asking;  /* see asking_park */
    struct span auth;    /* see struct subscriber_extra */
};

/* Appends a parcel. Its sockets are what parcel_socket_encode has made. */
void parcel_encode(struct buf *to, const struct parcel *parcel);
void parcel_socket_encode(struct buf *to, const struct parcel_socket *socket);
/* False for bytes that are not a parcel of ours: another program may write on the broker. Its spans point into
 * `text`. */
bool parcel_decode(struct span text, struct parcel *parcel);
/* The same for its head alone, without the number before it, as record_list tells it: perhaps cut off at its end, so
 * `sockets` may have fewer than their number. `done_answer`, `waiting` and `unfinished` stay empty. */
bool parcel_head_decode(struct span head, struct parcel *parcel);
/* Takes the next socket; parcel_decode has checked them. */
bool parcel_socket_next(struct span *sockets, struct parcel_socket *socket);

#endif
