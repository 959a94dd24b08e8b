/* publish: declarations that the ways of publishing share; see publish.c. */
#ifndef SENNIT_BENCH_PUBLISH_H
#define SENNIT_BENCH_PUBLISH_H

#include "base/buf.h"
#include "follower.h"

enum { PUBLISH_AGE_MS = 3600000 /* the age up to which a room keeps its entries */ };

struct publish;

/* One way to get messages into a Redis. */
struct publish_way {
    const char *name;
    /* Connects; publish_ready follows. */
    void (*start)(struct publish *publish);
    /* Sends one message to a room; publish_done follows when Redis has answered. */
    void (*send)(struct publish *publish, uint32_t room);
};

struct publish {
    struct loop *loop;
    struct net net;
    const struct publish_way *way;
    uint64_t port, pid, rooms, bytes, messages, publishers, subscribed;
    uint64_t keep;    /* entries of a room, in every way that keeps any */
    uint64_t in_turn; /* room after room, not one of them at random */
    struct span body;
    uint32_t *order;            /* the rooms that the messages go to, in turn */
    uint64_t sent, done, ready; /* ready: of the rooms, if they are subscribed to */
    uint64_t warm;              /* messages before the measurement begins */
    uint64_t began_us, redis_us, own_us;
    /* publish_broker.c */
    struct follower follower;
    /* publish_raw.c */
    struct raw *raw;
};

/* "/,bench-17": the room as the broker knows it, in `to`, which is cleared first. */
void publish_room(struct buf *to, uint32_t room);
/* The way is up. */
void publish_ready(struct publish *publish);
/* One message was taken. */
void publish_done(struct publish *publish);

extern const struct publish_way publish_way_broker;
/* The same, on a cluster to all of its nodes. */
extern const struct publish_way publish_way_everywhere;
/* publish_raw.c: by name, NULL when there is none. */
const struct publish_way *publish_way_raw(const char *name);

#endif
