/* fixture: clients on a real loop and real sockets, see fixture.c.
 *
 * Unless a test brings an application of its own, every event is logged and goes to the whole namespace, its sender
 * included, but for `join` and `leave`, which name a room, `past`, which reads the namespace's log, and `both`, which
 * is for the rooms a and b, `ask`, which asks the socket of this id for an answer, and `later`, whose answer
 * is promised (fixture_promise). Namespaces are "/" and "/other". */
#ifndef SENNIT_TEST_SESSION_FIXTURE_H
#define SENNIT_TEST_SESSION_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/conn.h"
#include "session/polling.h"
#include "session/subscriber.h"

enum { BROWSERS = 4, PID_BYTES = 24, TOKEN_BYTES = 64 };

/* A client: it reads only when it is asked to. */
struct browser {
    struct conn conn;
    struct websocket websocket;
    int fd;
    struct buf in;             /* frames as they came */
    struct buf messages;       /* those that were taken apart, each with a newline behind */
    struct inflater *inflater; /* of messages that come compressed; NULL: none may */
    bool closed;
};

extern struct loop *loop;
extern struct broker *broker;
extern struct hub *hub;
extern struct sessions sessions;
extern struct nsp nsp, other;
extern struct conn_limits limits;
extern struct browser browsers[BROWSERS];
extern struct room_policy policy;
/* While set, connections that are dialled are to take over this polling session, and open none. */
extern struct span fixture_probe_sid;
/* How long `ask` awaits an answer. */
extern uint32_t fixture_ask_ms;

/* With an application of the test's, or NULL. */
void fixture_open(struct session_app *of);
int set_up(void **state);
int tear_down(void **state);

/* Under which the last `later` is to be answered. */
extern char fixture_promise[CALL_ID_BYTES_MAX + 1];

/* Lets the loop run for a moment. */
void turn(uint64_t ms);
/* One masked frame, the mask all zero; up to 125 bytes. */
void say(struct browser *browser, const char *text);
/* The same for a binary message. */
void say_binary(struct browser *browser, const char *text);
/* Splits the received bytes into messages; a binary one has `b:` in front. */
void look(struct browser *browser);
/* How many messages begin so. */
size_t count(const struct browser *browser, const char *start);
/* Runs the loop, and reads, until one came that begins so. */
void expect(struct browser *browser, const char *start);
/* The text between `before` and the next quote in the last message that begins with `start`. */
void quoted(const struct browser *browser, const char *start, const char *before, char *to, size_t size);
struct browser *dial(int number);
/* Dials, and sends this CONNECT packet, to "/". */
struct browser *enter(int number, const char *connect);
void cut(struct browser *browser);
/* Comes back with this pid and, unless empty, offset; is it the same socket? */
bool is_resumed(int number, const char *pid, const char *offset);

#endif
