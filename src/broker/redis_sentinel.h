/* redis_sentinel: asks Sentinels which Redis is the primary, and listens for the news that another one is.
 * https://redis.io/docs/latest/develop/reference/sentinel-clients/
 *
 *     IDLE --ask--> ASKING --answer--> WATCHING --its connection ends, a pause--> ASKING
 *
 * The Sentinels of the URL are asked one after the other, beginning with the one that answered last. Behind the answer
 * the same connection subscribes to their news: after a failover the old primary may go on for ten seconds before it
 * becomes a replica, and everything that it takes meanwhile is lost. The new primary's run id is another, so the
 * greeting begins another epoch, and what the failover lost is known. */
#ifndef SENNIT_BROKER_REDIS_SENTINEL_H
#define SENNIT_BROKER_REDIS_SENTINEL_H

#include "broker/redis_link.h"
#include "broker/redis_url.h"
#include "loop/resolve.h"

struct redis_sentinel_events {
    /* Which Redis is the primary: behind redis_sentinel_ask, and whenever there is news. `host` is an address, or a
     * name if the Sentinels announce names; borrowed. */
    void (*found)(void *arg, const char *host, uint16_t port);
    /* No Sentinel of the URL could say, behind redis_sentinel_ask. `why` has the cure, and is borrowed. */
    void (*unknown)(void *arg, const char *why);
};

enum redis_sentinel_state { SENTINEL_IDLE, SENTINEL_ASKING, SENTINEL_WATCHING };

struct redis_sentinel {
    const struct redis_sentinel_events *events;
    void *arg;
    const struct redis_url *url;
    const struct tls_client *tls; /* NULL: plain */
    struct loop *loop;
    struct redis_link link;
    struct resolve *resolve;
    size_t next;        /* of the URL's Sentinels; only counts up */
    size_t tried;       /* in this round */
    struct timer timer; /* WATCHING: is the Sentinel still there? Without a connection: the pause */
    uint8_t state;      /* enum redis_sentinel_state */
    bool wanted;        /* the owner waits for an event */
    bool heard;         /* from the Sentinel, since the timer was started */
    char *why;          /* the last fault of this round; NULL: none */
};

/* Borrows `url` and `tls` for its life. */
void redis_sentinel_init(struct redis_sentinel *sentinel, struct net *net, const struct redis_url *url,
                         const struct redis_sentinel_events *events, void *arg);
/* Asks; one event follows, never before this returns. Not while another is awaited. */
void redis_sentinel_ask(struct redis_sentinel *sentinel, const struct tls_client *tls);
/* The Redis that was found is no primary: the next question goes to another Sentinel first. */
void redis_sentinel_was_wrong(struct redis_sentinel *sentinel);
/* Forgets a question that is under way; the connection is reaped by the loop. */
void redis_sentinel_stop(struct redis_sentinel *sentinel);
void redis_sentinel_finish(struct redis_sentinel *sentinel);

#endif
