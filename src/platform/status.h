/* status: a small page for programs of this machine, on a listener of its own on loopback: GET /status says which
 * instances there are, what they hold, and what was counted, as JSON. It answers by the names of this machine alone,
 * and no page of another origin. */
#ifndef SENNIT_PLATFORM_STATUS_H
#define SENNIT_PLATFORM_STATUS_H

#include "platform/ingress.h"
#include "platform/managed_redis.h"

struct status {
    struct net *net;
    struct listener listener;
    struct list readers;
    uint32_t reader_count;
    const struct fleet *fleet;
    const struct ingress *ingress;
    const struct managed_redis *redis;
    uint16_t ingress_port;
};

/* The other fields are set before. */
bool status_open(struct status *status, struct net *net, uint16_t port, struct err *err);
/* No new readers, and those that there are are cut; harmless when it was not opened. */
void status_close(struct status *status);
/* Appends the JSON. */
void status_encode(struct buf *to, const struct status *status);

#endif
