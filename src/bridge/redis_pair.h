/* redis_pair: two connections to a Redis server for Pub/Sub alone: one publishes, the other one is subscribed. They
 * come up together and break together, and are made again without end, with a backoff.
 *
 * PAIR_MOVES:
 *
 *     DOWN --the address is known--> CONNECTING --both are open--> GREETING --everything is subscribed--> UP
 *     CONNECTING, GREETING, UP --either broke--> DOWN
 */
#ifndef SENNIT_BRIDGE_REDIS_PAIR_H
#define SENNIT_BRIDGE_REDIS_PAIR_H

#include "broker/redis_link.h"
#include "broker/redis_url.h"
#include "loop/resolve.h"
#include "net/tls.h"

enum pair_state { PAIR_DOWN, PAIR_CONNECTING, PAIR_GREETING, PAIR_UP, PAIR_STATES };

/* Called from the loop. The owner must not finish the pair within one. */
struct redis_pair_events {
    /* Both connections are open: subscribe now. */
    void (*subscribe)(void *arg);
    /* Everything that was subscribed so far is confirmed. Called for each time that it becomes true, in the order of
     * the messages; the first time, the pair is up. */
    void (*confirmed)(void *arg);
    /* It was up, and broke: messages are lost from now on, until everything is confirmed again. */
    void (*down)(void *arg);
    /* `channel` and `payload` are borrowed. */
    void (*received)(void *arg, struct span channel, struct span payload);
};

struct redis_pair {
    struct net *net;
    const struct redis_pair_events *events;
    void *arg;
    struct redis_url url;
    struct tls_client *tls; /* NULL: plain */
    struct redis_link commands, feed;
    struct resolve *resolve;
    struct timer backoff, pulse;
    uint64_t backoff_ms, heard_us;
    size_t unconfirmed, address;
    enum pair_state state;
    bool stopped, complained;
};

/* Prepares a pair that connects from the loop. False with `err` set: the URL, or a file that it names, is wrong; then
 * it needs not be finished. `net`, `events` and `arg` are borrowed. */
bool redis_pair_init(struct redis_pair *pair, struct net *net, const char *url, const struct redis_pair_events *events,
                     void *arg, struct err *err);
/* Ends both connections without an event. */
void redis_pair_finish(struct redis_pair *pair);
/* Subscribes to a channel, or a pattern, with this command; ignored while the pair is down. The confirmation is
 * awaited, see `confirmed`. */
void redis_pair_subscribe(struct redis_pair *pair, struct span command, struct span channel);
/* The same with a command that ends a subscription. */
void redis_pair_unsubscribe(struct redis_pair *pair, struct span command, struct span channel);
/* Publishes with this command. False: the pair is not up, and the message is lost. */
bool redis_pair_publish(struct redis_pair *pair, struct span command, struct span channel, struct span payload);
/* Asks for the number of a channel's subscribers: PUBSUB with this word. `done` gets the answer, or NULL when the link
 * broke, before the pair is finished at the latest. False, without `done`: the pair is not up. */
bool redis_pair_count(struct redis_pair *pair, struct span word, struct span channel, redis_reply_fn *done, void *arg);
static inline bool redis_pair_is_up(const struct redis_pair *pair)
{
    return pair->state == PAIR_UP;
}

#endif
