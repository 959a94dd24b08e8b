/* http: one HTTP/1.1 server (RFC 9112) on the connections of `net`. `serve` and `platform` embed a struct http in what
 * they keep for each client, and act on its requests in their struct http_events.
 *
 *             a request's head           a stream begins
 *      IDLE ------------------> ASKED --------------------> ANSWERING
 *       ^                         | answered whole              | the stream ends
 *       |                         v                             v
 *       +--- yes --- does the connection stay? -----------------+
 *                                 | no
 *                                 v
 *                               OVER     the last answer goes out, then the connection ends
 *
 * One exchange is under way at a time; pipelined requests wait in the connection's bounded input. A handler answers at
 * once, or later from any other event: nothing needs to be said for that. The body of a request waits until the handler
 * asks for it (http_read_body); a request that is answered before its body was read is the connection's last.
 *
 * What a connection needs only while it speaks HTTP is one struct http_exchange. An upgrade frees it, and gives the
 * connection with all its unread bytes to the owner (http_hand_over). */
#ifndef SENNIT_HTTP_HTTP_H
#define SENNIT_HTTP_HTTP_H

#include "net/conn.h"
#include "wire/http1.h"

struct http;
struct http_exchange;

/* Faults of a request for which this layer refuses it: the status, and a text with the cure for servers that have none
 * of their own.
 *
 *   X(NAME, status (0: given by the fault), "the fault: the cure") */
#define HTTP_FAULTS(X) \
    X(INVALID, 0, \
      "the bytes are not a valid HTTP/1.1 request, or two parsers could read them differently: fix the client") \
    X(HEAD_LATE, 408, "no whole request came in time: connect again, and send it faster") \
    X(BODY_LATE, 408, "too little of the request's body came in time: send it faster") \
    X(BODY_TOO_LARGE, 413, "the request's body is larger than this path takes: send less at a time") \
    X(REQUESTS_FULL, 503, "unfinished and waiting requests take too much memory: send smaller ones, or come back later")

enum http_fault {
#define X(constant, status, text) HTTP_FAULT_##constant,
    HTTP_FAULTS(X)
#undef X
        HTTP_FAULT_COUNT
};

/* The owner's callbacks. Each may call any function below. */
struct http_events {
    /* A request: answer it now, or keep `http` and answer later. `head` and its spans are valid during the call. */
    void (*request)(struct http *http, const struct http1_head *head);
    /* Bytes of the body, in order, after http_read_body; `last` is true once. NULL if no body is ever read. */
    void (*body)(struct http *http, struct span bytes, bool last);
    /* The queue of a streamed answer is empty again, after http_stream_send returned false. May be NULL. */
    void (*drained)(struct http *http);
    /* The client has gone, or was cut, before its answer was complete: forget the request. May be NULL. A client that
     * goes by itself is told of at once, before any other connection is read. */
    void (*aborted)(struct http *http);
    /* A request is refused for a fault (for INVALID, the server's `head` has `rule` and `culprit`): count it, forget
     * the request if it was under way, and answer with this status; the connection ends behind the answer. Status 0: an
     * answer is under way or has been given, so only count. NULL, or no answer within the call: the client gets the
     * text of the table. */
    void (*refused)(struct http *http, enum http_fault fault, int status);
    /* The connection keeps `bytes` of requests that are incomplete or wait. Returns false if that is too much for all
     * connections together: REQUESTS_FULL. NULL: no bound but that of each connection. */
    bool (*keeps)(struct http *http, size_t bytes);
    /* The connection is over. Called once, behind `aborted`; the owner may free `http`. Not called after a hand-over.
     */
    void (*closed)(struct http *http, enum close_reason reason);
};

struct http_rules {
    uint64_t body_bytes_max; /* of a request's body; announced or sent, more is BODY_TOO_LARGE */
    uint32_t body_ms;        /* while a body is read, BODY_BYTES of it must arrive in each such time */
    uint32_t head_bytes_max; /* of a request's head, HTTP1_HEAD_BYTES_MAX at most; more is INVALID with 431; 0: that */
    uint32_t idle_ms;        /* between one answer and the end of the next head; 0: the time of the first head */
    uint32_t linger_ms;      /* wait for the client's end behind the last answer, */
    uint32_t linger_body_ms; /* and if it may still be sending its request */
};

enum {
    HTTP_BACKLOG_BYTES = 256 << 10, /* of unsent answers; above it, the next request waits */
    HTTP_KEPT_BYTES = 16 << 10,     /* of requests that wait; above it, the connection is not read */
    HTTP_STREAM_BYTES = 64 << 10,   /* of a streamed answer in the queue; above it, the handler is to wait */
    HTTP_BODY_BYTES = 1024,         /* see http_rules.body_ms */
};

/* What the connections of one listener share. The owner embeds it and keeps it until all are closed. */
struct http_server {
    struct net *net;
    const struct http_events *events;
    const struct conn_limits *limits;
    struct http_rules rules;
    const struct tls_server *tls; /* every connection begins with its handshake; NULL: plain */
    struct span fields;           /* complete lines for every answer that is made here, or empty */
    struct list exchanges;        /* of connections that speak HTTP */
    size_t count;                 /* of connections, also of those handed over to other events */
    struct http1_head head;       /* of the request that is being read: large, and used by one call at a time */
    bool stopping;
};

/* A client's connection, embedded in the owner's. */
struct http {
    struct conn conn;
    struct http_server *server;
    struct http_exchange *exchange; /* NULL once it was handed over */
};

/* `events`, `limits` and the bytes of `fields` outlive the server. */
void http_server_init(struct http_server *server, struct net *net, const struct http_events *events,
                      const struct conn_limits *limits, const struct http_rules *rules);
/* Every answer from now on is the last of its connection. Connections without a request end now, others with their
 * answer. Those handed over are the owner's to end. */
void http_server_stop(struct http_server *server);
/* Ends every connection now, but for those handed over. */
void http_server_cut(struct http_server *server, enum close_reason reason);

/* Takes over an accepted stream; `http` is the owner's memory, and zeroed. The client has `head_ms` for its first
 * request's head; the rules say how long it then has for the next one. */
void http_accept(struct http_server *server, struct http *http, struct io *io, const struct addr *peer,
                 uint32_t head_ms);
/* Whether a request waits for its answer, or an answer waits to be sent. */
bool http_is_answering(const struct http *http);
/* Whether a request is under way, its answer not complete. */
bool http_is_asked(const struct http *http);
/* Bytes of a request's head that is not complete yet. */
size_t http_head_bytes(const struct http *http);
/* No whole request came soon enough: refuses it with HEAD_LATE and ends the connection for `reason`. Between requests
 * it just ends, because words might be taken for the answer to a request that is on its way. */
void http_time_out(struct http *http, enum close_reason reason);

/* How a body is handed to `body`: in one piece, or as it comes. RELAYED is for proxies: as it comes, and an `Expect:
 * 100-continue` is the handler's to answer. */
enum http_body_use { HTTP_BODY_UNREAD, HTTP_BODY_WHOLE, HTTP_BODY_STREAMED, HTTP_BODY_RELAYED };
/* Asks for the body of the request under way, of `bytes_max` at most; within or after `request`, once. A request
 * without a body gets `body` at once, before this returns. Answers `Expect: 100-continue`. False: it is larger, and has
 * been refused. */
bool http_read_body(struct http *http, uint64_t bytes_max, enum http_body_use use);
/* The trailers of a relayed body, whole lines (http1_trailer_next), while `body` gets the last of it. */
struct span http_trailers(const struct http *http);
/* Back-pressure: `body` is not called while it is paused, and the client cannot send. */
void http_body_pause(struct http *http, bool paused);
/* Whether all of the body has been handed out, or there was none. */
bool http_body_is_done(const struct http *http);

/* Each request gets one answer: http_respond, http_respond_source, or a stream from begin to end. `type` may be empty;
 * `fields` are complete lines, or empty. To HEAD, all of them send the head alone; to HTTP/1.0 each answer is the last.
 * Without a request, an answer is the connection's last. On a connection that has ended they do nothing. */

/* The whole answer, in one write. */
void http_respond(struct http *http, int status, struct span type, struct span fields, struct span body);
/* The same with the bytes from `from` to `end` of a source, which it releases in any case. */
void http_respond_source(struct http *http, int status, struct span type, struct span fields,
                         struct conn_source *source, uint64_t from, uint64_t end);
/* An answer whose length is not known: chunked, or to HTTP/1.0 until the end of the connection. */
void http_stream_begin(struct http *http, int status, struct span type, struct span fields);
/* The same with a head of the caller's, complete; it has asked http_stays. `chunked`: the body is to be chunked here;
 * else what is sent is passed on as it is. */
void http_stream_begin_head(struct http *http, struct span head, bool chunked);
/* Queues a copy. False: enough waits; more is to be sent after `drained`. */
bool http_stream_send(struct http *http, struct span bytes);
void http_stream_end(struct http *http);
/* The same with trailers: complete lines that may stand there (RFC 9110 section 6.5.1), or empty. An answer that is not
 * chunked leaves them out. */
void http_stream_end_with(struct http *http, struct span trailers);
/* An interim response (1xx), complete; to HTTP/1.0 nothing. */
void http_interim(struct http *http, struct span head);
/* Whether the connection stays open behind the answer that is given now; for heads of the caller's. */
bool http_stays(const struct http *http);
/* The answer will be the connection's last, and ends it for `reason`. The first reason stands. */
void http_last(struct http *http, enum close_reason reason);
bool http_is_head(const struct http *http);
bool http_is_10(const struct http *http);

/* A client that ends its half of the stream counts as gone. For requests that are held for long: without it, a client
 * that has asked and says no more still gets its answer. */
void http_end_aborts(struct http *http);
/* A node for a list of the handler's, of requests that it will answer later; the exchange's end takes it out. */
struct list *http_waiter(struct http *http);
struct http *http_of_waiter(struct list *waiter);

/* The connection speaks another protocol from now on. Frees all that HTTP needed. Bytes that were read and not used go
 * to `events`, as does everything later. `events->closed` calls http_forget. */
void http_hand_over(struct http *http, const struct conn_events *events);
/* The same, and the connection goes to other memory (conn_move): the owner frees that of `http`, for which no event
 * follows, nor `closed`. Not from an event of `http`. */
void http_hand_over_to(struct http *http, struct conn *conn, const struct conn_events *events);
/* Sends 101 for a handshake that the caller has checked (RFC 6455 section 4.2.2), and hands over. `protocol`: the
 * subprotocol; NULL data: the first one offered, if any. `fields`: further complete lines, or empty. */
void http_upgrade_websocket(struct http *http, const struct http1_head *head, struct span protocol, struct span fields,
                            const struct conn_events *events);
/* A connection that was handed over is closed: the server counts it no more. */
void http_forget(struct http *http);

#endif
