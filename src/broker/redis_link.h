/* redis_link: one connection to a Redis server: commands out in one pipeline, replies back in order. */
#ifndef SENNIT_BROKER_REDIS_LINK_H
#define SENNIT_BROKER_REDIS_LINK_H

#include "net/conn.h"
#include "wire/resp.h"

enum {
    LINK_ANSWER_MS_MAX = 5000, /* a command without an answer for so long closes the link */
    LINK_QUEUE_BYTES_MAX = 64 << 20,
    LINK_BULK_BYTES_MAX = 64 << 20,
};

struct redis_link;
/* The reply, borrowed; NULL when the link broke before it came. */
typedef void redis_reply_fn(void *arg, const struct resp *reply);

struct redis_link_events {
    void (*opened)(struct redis_link *link);
    /* A subscriber's message, or anything else that answers no command. */
    void (*pushed)(struct redis_link *link, const struct resp *reply);
    /* Called once for each opening; every waiting command gets its NULL after it. */
    void (*closed)(struct redis_link *link);
};

struct redis_link {
    struct conn conn;
    const struct redis_link_events *events;
    struct resp_reader *reader;
    struct list waiting; /* commands without an answer */
    struct timer answer;
    bool subscriber; /* its replies are pushes once the greeting is done */
    bool busy;       /* from opening to closed */
};

void redis_link_init(struct redis_link *link, struct net *net, const struct redis_link_events *events);
void redis_link_finish(struct redis_link *link);
/* Connects; with TLS when `tls` is not NULL, which then outlives the link. */
void redis_link_open(struct redis_link *link, const struct addr *addr, const struct tls_client *tls);
/* Harmless when closed. */
void redis_link_close(struct redis_link *link, enum close_reason reason);
/* Queues a command. A NULL `done` expects no reply (a subscriber's commands). */
void redis_link_send(struct redis_link *link, const struct span *args, size_t count, redis_reply_fn *done, void *arg);
/* Queues bytes that were encoded already. */
void redis_link_send_encoded(struct redis_link *link, struct span command, redis_reply_fn *done, void *arg);

#endif
