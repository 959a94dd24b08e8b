/* polling: the transport of a session over HTTP long-polling (Engine.IO v4). `serve` gives it requests, each embedded
 * in what serve keeps of the connection, and gets each answered once.
 *
 * A GET takes everything that waits, or is held until something comes. A POST brings packets. One of each may be under
 * way; a second one ends the session, as the protocol has it. What serve needs to know of HTTP is in `outcome` alone.
 *
 * With a broker that keeps records (broker/record.h) a session is here only while a request of it is: see
 * polling_moves.c. With any other it is LIVE from its handshake on.
 *
 * POLLING_MOVES:
 *
 *     ASKING --the broker gives it--> LIVE
 *     LIVE --to be answered, wanted elsewhere, or no request is left--> PASSING
 *     PASSING --passed, and a request still waits--> ASKING
 *     ASKING, PASSING --there is none, or no request is left--> GONE
 *     ASKING --it is on a WebSocket elsewhere--> GONE
 *     LIVE, ASKING --a WebSocket has taken it over--> GONE
 *     LIVE --closed, and the client is to be told--> ENDING
 *     LIVE, ENDING --told, cut off, or forgotten--> GONE
 *
 * Of a session that a WebSocket has taken over, only its id is kept (moved.h).
 *
 * https://socket.io/docs/v4/engine-io-protocol/ */
#ifndef SENNIT_SESSION_POLLING_H
#define SENNIT_SESSION_POLLING_H

#include "base/list.h"
#include "base/span.h"
#include "net/close_reasons.h"
#include "wire/engineio.h"

struct addr_ip;
struct conn;
struct polling;
struct polling_exchange;
struct protocol;
struct sessions;
struct websocket;

enum polling_outcome {
    POLLING_PAYLOAD,     /* 200, text/plain: the payload of a GET, or the handshake */
    POLLING_OK,          /* 200, text/html: `ok` */
    POLLING_UNKNOWN_SID, /* 400, code 1 */
    POLLING_BAD_REQUEST, /* 400, code 3: the session is on another transport */
    POLLING_REFUSED,     /* 400, empty: it is one request too many, and has ended the session */
};

/* One request. serve embeds it, sets the first three fields, and hands it to one of the functions below. Until `answer`
 * is called it belongs to the session; polling_aborted takes it back. */
struct polling_exchange {
    /* Called once, within the call that handed it over or later; the payload is borrowed. */
    void (*answer)(struct polling_exchange *exchange, enum polling_outcome outcome, struct span payload);
    const struct addr_ip *peer; /* of the connection; valid until the answer */
    uint32_t packets_max;       /* that the client takes in one answer; 0: any number */
    uint64_t mark; /* a digest of what tells the client's requests apart (`t`): one that is repeated, by a proxy that
                    * lost the answer, has the mark of the first; 0: nothing does */
    struct span token;            /* in a header or a cookie of the request; empty: none. Valid until the answer */
    struct span handshake;        /* of one that begins: see session_handshake_set. Valid until the call returns */
    char sid[ENGINEIO_SID_BYTES]; /* of the session; set when a handshake is answered */
    struct polling *polling;      /* private; NULL: nothing is under way */
};

/* Whether one more session may begin, of `sessions_max`; if so, it is counted. Sessions that move are not here between
 * their requests, so those count that began within the life of one which nobody polls. */
bool polling_admit(struct sessions *sessions, uint64_t sessions_max);
/* Whether GETs that wait take more slots than they may (session_limits.polls_max), so that no session is to begin. */
bool polling_is_crowded(const struct sessions *sessions);
/* Begins a session; the payload is its open packet. */
void polling_handshake(struct sessions *sessions, const struct protocol *protocol, struct polling_exchange *exchange);
/* `sid` as it came; it need not be valid. */
void polling_get(struct sessions *sessions, struct polling_exchange *exchange, struct span sid);
/* What is known of this session before a request is begun: OK, UNKNOWN_SID or BAD_REQUEST, as they would be answered.
 * Where sessions move, OK also stands for what is found out afterwards. */
enum polling_outcome polling_look(const struct sessions *sessions, struct span sid);
/* The head of a POST has come; its body follows with polling_post. From here on the session counts it as under way: a
 * second one, or the end of its connection (polling_aborted), ends the session. False: it has been answered. */
bool polling_post_begin(struct sessions *sessions, struct polling_exchange *exchange, struct span sid);
/* Its body is not taken, and the session goes on without it. */
void polling_post_forget(struct polling_exchange *exchange);
/* `body`: the whole of it, of payload_bytes_max at most; copied if it is needed later. */
void polling_post(struct sessions *sessions, struct polling_exchange *exchange, struct span sid, struct span body);
/* The connection of this exchange is gone: its session ends at once, unless the exchange was answered. */
void polling_aborted(struct polling_exchange *exchange);

/* Ends all of them now, after the connections of requests and WebSockets have been closed. */
void pollings_cut(struct sessions *sessions, enum close_reason reason);

/* How long a session that moves may be without a word of its client, with all that it waits for. */
uint64_t polling_hold_ms(const struct sessions *sessions);
/* Called by the sessions: a room is subscribed that one of them may wait for. */
void pollings_prepared(struct sessions *sessions);
/* Called by the sessions: the link is up again. What is held here is passed on and taken back at once: that finds out
 * whether it was ended meanwhile, and its client is told. What waits for the broker asks again. */
void pollings_link_up(struct sessions *sessions);

/* The connection of a WebSocket handshake that names a session, upgraded; the handshake is accepted unless polling_look
 * says UNKNOWN_SID. It takes the session over once it has proved itself: `2probe`, `3probe`, `5`. Anything else ends
 * the connection and leaves the session as it is. `token`: as in struct polling_exchange. The owner passes the
 * connection's events on as for websocket_open. */
void polling_upgrade(struct sessions *sessions, struct websocket *websocket, struct span sid, struct conn *conn,
                     struct span token);

#endif
