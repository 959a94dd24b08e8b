/* redis_link: one connection to a Redis server: it sends commands in one pipeline and matches replies in order. The
 * Redis broker owns two: for commands, and for subscriptions. */
#ifndef SENNIT_BROKER_REDIS_LINK_H
#define SENNIT_BROKER_REDIS_LINK_H

#include "net/conn.h"
#include "wire/resp.h"

enum {
    LINK_ANSWER_MS_MAX = 5000, /* a command without an answer for this long closes the link */
    LINK_QUEUE_BYTES_MAX = 64 << 20,
    LINK_BULK_BYTES_MAX = 64 << 20,
    LINK_FIRST_BYTES = 8,
};

struct redis_link;
/* The reply, borrowed; NULL if the link broke before it arrived. */
typedef void redis_reply_fn(void *arg, const struct resp *reply);

struct redis_link_events {
    void (*opened)(struct redis_link *link);
    /* A subscriber's message, or any other reply that answers no command. */
    void (*pushed)(struct redis_link *link, const struct resp *reply);
    /* Called once for each opening. After it, every waiting command gets NULL. */
    void (*closed)(struct redis_link *link);
};

struct redis_link {
    struct conn conn;
    const struct redis_link_events *events;
    struct resp_reader *reader;
    struct list waiting; /* commands without an answer */
    struct timer answer;
    char first[LINK_FIRST_BYTES]; /* that came on this connection */
    uint8_t first_len;
    bool subscriber; /* after the greeting its replies are pushes */
    bool busy;       /* from opening to closed */
};

void redis_link_init(struct redis_link *link, struct net *net, const struct redis_link_events *events);
void redis_link_finish(struct redis_link *link);
/* Connects; with TLS if `tls` is not NULL, which must then outlive the link. */
void redis_link_open(struct redis_link *link, const struct addr *addr, const struct tls_client *tls);
/* Harmless when closed. */
void redis_link_close(struct redis_link *link, enum close_reason reason);
/* Queues a command. A NULL `done` expects no reply (a subscriber's commands). */
void redis_link_send(struct redis_link *link, const struct span *args, size_t count, redis_reply_fn *done, void *arg);
/* A subscriber's message came in front of the answer: `done` gets the next reply, too. No other command waits. */
void redis_link_await(struct redis_link *link, redis_reply_fn *done, void *arg);
/* Queues AUTH, with a user or without; false: there is no password, so none is needed. */
bool redis_link_login(struct redis_link *link, const char *user, const char *password, redis_reply_fn *done, void *arg);
/* Queues an encoded command. */
void redis_link_send_encoded(struct redis_link *link, struct span command, redis_reply_fn *done, void *arg);

#endif
