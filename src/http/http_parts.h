/* http_parts: the state of a connection that speaks HTTP. For src/http/ only. */
#ifndef SENNIT_HTTP_HTTP_PARTS_H
#define SENNIT_HTTP_HTTP_PARTS_H

#include "http/http.h"
#include "http/http_coding.h"

enum http_state { HTTP_IDLE, HTTP_ASKED, HTTP_ANSWERING, HTTP_OVER };

struct http_exchange {
    struct http *http;
    struct list of_server;
    struct list waiter; /* the handler's */
    struct timer timer; /* IDLE: the deadline of the head; later: the next look at the body's progress */
    struct http1_body body;
    struct buf whole;    /* a body that is wanted in one piece, so far */
    struct buf trailers; /* of a relayed body, so far */
    uint64_t body_bytes, body_checked, body_bytes_max;
    size_t head_seen; /* bytes of an incomplete head that have been scanned */
    uint32_t head_ms;
    uint8_t state;  /* enum http_state */
    uint8_t use;    /* enum http_body_use */
    uint8_t reason; /* enum close_reason for the end behind the last answer; NONE: not decided */
    bool keep_alive, is_head, is_10;
    struct http_coding coding; /* of the answer, if it is coded */
    bool asked;                /* it has sent a complete head before */
    bool expects;              /* Expect: 100-continue, not answered yet */
    bool chunked;              /* the streamed answer */
    bool end_aborts, peer_ended;
    bool taking; /* input is being handed out: it goes on by itself */
    bool deaf;   /* what comes is dropped */
    /* Why the connection is not read: the handler takes no body, answers wait to be sent, requests wait. */
    bool held, backlogged, full;
};

void http_set_state(struct http_exchange *exchange, enum http_state state);
/* The answer is complete: the next request begins, or the end does. */
void http_answered(struct http *http);
/* An answer has been given: the time for the next request begins. */
void http_idle_begin(struct http *http);
/* Reads the connection, or not, as the exchange has it. */
void http_update_pause(struct http *http);
/* Hands out what the connection keeps, from the loop. */
void http_input_again(struct http *http);
void http_exchange_free(struct http *http);

#endif
