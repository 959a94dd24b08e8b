/* fixture: an HTTP server whose handler does what the path says, and a client that is a bare socket. For the tests of
 * src/http. Every call of the handler is written down in `story`, one line each. */
#ifndef SENNIT_TEST_HTTP_FIXTURE_H
#define SENNIT_TEST_HTTP_FIXTURE_H

#include "http/http.h"

enum { SOURCE_BYTES = 3 << 20, WHOLE_BYTES_MAX = 1000, BODY_BYTES_MAX = 1 << 20 };

/* The server's side of one connection. */
struct visitor {
    struct http http;
    struct list of_fixture;
};

struct fixture {
    struct loop *loop;
    struct net net;
    struct http_server server;
    struct http_rules rules;
    struct conn_limits limits;
    uint32_t head_ms;
    size_t kept_max;   /* of `keeps` */
    struct http *held; /* the request that /later, /stream or /body left to the test; NULL: none */
    struct buf story;
    int client;     /* the socket */
    struct buf got; /* what came on it */
    bool ended;     /* the server has ended its half, or the connection */
    bool deaf;      /* the client does not read */
    uint32_t released;
};
extern struct fixture fixture;

/* cmocka's rules. The client is connected. */
int fixture_set_up(void **state);
int fixture_tear_down(void **state);
/* Another client in place of the first, which goes. */
void client_connect(void);
void client_send(struct span bytes);
#define client_say(text) client_send(span_str(text))
/* The client ends its half. */
void client_shutdown(void);
/* The client is gone; with a reset when bytes wait for it. */
void client_leave(void);
/* Lets the server work for so long. */
void pass_ms(uint32_t ms);
/* Lets it work until the client has got this, `times` times in all; fails when it does not. */
void await_got(const char *text, int times);
/* The same until the server ends the connection. */
void await_end(void);
/* The same until the story has this. */
void await_story(const char *text);
/* How often it stands in what the client got, or in the story. */
int got_times(const char *text);
int story_times(const char *text);

#endif
