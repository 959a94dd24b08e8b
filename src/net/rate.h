/* rate: token buckets: so many events for each second, sustained, and so many at once. A bucket stands in its owner, or
 * in a table by address (struct rates).
 *
 * A bucket is one number: the time at which it will be full again. So it needs no timer, and a zeroed one is full. The
 * table counts an IPv6 address by its first 64 bits, because one customer gets that many. It forgets addresses whose
 * buckets are full again, and when it has RATES_ADDRESSES_MAX, the one that was asked for longest ago. */
#ifndef SENNIT_NET_RATE_H
#define SENNIT_NET_RATE_H

#include "base/list.h"
#include "base/map.h"
#include "loop/io.h"

enum { RATES_ADDRESSES_MAX = 1 << 16 };

struct rate {
    uint32_t per_second; /* 1 to 1000000; 0: no bound */
    uint32_t at_once;    /* at least 1; the size of the bucket */
};

struct bucket {
    uint64_t full_ns; /* on the loop's clock; in the past: it is full */
};

/* Whether one more event keeps to the rate. */
bool bucket_has(const struct bucket *bucket, const struct rate *rate, uint64_t now_us);
/* Counts one event, also where bucket_has is false. */
void bucket_take(struct bucket *bucket, const struct rate *rate, uint64_t now_us);
/* The time until bucket_has is true; 0: it is. */
uint64_t bucket_wait_us(const struct bucket *bucket, const struct rate *rate, uint64_t now_us);

/* The buckets of one address. A user takes one kind or both. */
enum rates_kind { RATES_CONNECTS, RATES_MESSAGES, RATES_KINDS };

struct rates {
    struct map addresses;
    struct list in_order; /* the one that was asked for longest ago first */
    struct rate rates[RATES_KINDS];
};

/* `seed`: random, because peers choose their addresses. */
void rates_init(struct rates *rates, const uint64_t seed[2]);
void rates_finish(struct rates *rates); /* accepts zeroed memory */
/* Counts one event of this kind from `ip`. Nothing for a kind without a bound, and for unix sockets. */
void rates_take(struct rates *rates, enum rates_kind kind, const struct addr_ip *ip, uint64_t now_us);
/* The time until one more event keeps to the rate; 0: it does now. */
uint64_t rates_wait_us(const struct rates *rates, enum rates_kind kind, const struct addr_ip *ip, uint64_t now_us);

#endif
