/* byte_proxy: stands between one broker and Redis, on the test's loop, and does to their two links what networks do:
 * cuts them at a byte, holds them, loses a push.
 *
 * A link is the feed when its first bytes hold a SUBSCRIBE, else it is the one for commands. What Redis sends goes on
 * message by message, so that one of them can be left out or replaced. Before Postgres it knows no messages: its links
 * are all for commands, and can be cut and held. */
#ifndef SENNIT_TEST_BYTE_PROXY_H
#define SENNIT_TEST_BYTE_PROXY_H

#include "base/buf.h"
#include "net/listener.h"

enum { PROXY_FOR_EVER = -1, PROXY_ACCEPTED_MAX = 64 };
enum proxy_link { PROXY_COMMANDS, PROXY_FEED };

struct byte_proxy {
    struct list of_all;
    struct listener listener;
    struct net *net;
    uint16_t to_port;
    struct list pairs;
    /* Orders; may be changed at any time. */
    const char *swallow;    /* the next message of the feed that holds this text is lost; then it is NULL again */
    long long cut_after[2]; /* so many more bytes of answers on that link, then both links are cut, once;
                             * PROXY_FOR_EVER: never */
    const char *instead; /* an error that takes the place of the next array that answers a command; then NULL again */
    const char *lie[2];  /* where a bulk holds the first text, the second, equally long one, takes its place */
    uint32_t lies;       /* one in so many texts, numbers and arrays of what Redis says is another; 0: none */
    uint64_t lie_seed;   /* which, and how */
    bool held[2];        /* nothing of what Redis says on that link goes on; let go, it comes in order */
    bool delaying;       /* what the broker asks on the link for commands is kept, also when the broker cuts that link,
                          * until byte_proxy_deliver */
    bool refusing;       /* connections are accepted and closed at once */
    /* Observations. */
    size_t accepted;
    uint64_t accepted_at_ms[PROXY_ACCEPTED_MAX];
    size_t cuts;
    size_t passed[2]; /* bytes of answers */
};

/* Listens on a free port of the loopback. It lasts until the test's end, which closes it. */
struct byte_proxy *byte_proxy_open(struct net *net, uint16_t to_port);
/* The URL of a broker that is to go through it; lasts until the next call. */
const char *byte_proxy_url(const struct byte_proxy *proxy);
/* Lets held bytes go on. */
void byte_proxy_release(struct byte_proxy *proxy, enum proxy_link link);
/* Redis gets what was kept of links that are gone, late. */
void byte_proxy_deliver(struct byte_proxy *proxy);
/* Cuts what stands, at once. */
void byte_proxy_cut(struct byte_proxy *proxy);
/* Cuts it, and nobody is accepted any more. Harmless when closed. */
void byte_proxy_close(struct byte_proxy *proxy);
void byte_proxies_finish(void);

#endif
