/* status: a page for programs of this machine, on its own listener on loopback. GET /status returns the instances,
 * their requests, and the counters, as JSON. It answers only requests for this machine's names, and no page of another
 * origin.
 */
#ifndef SENNIT_PLATFORM_STATUS_H
#define SENNIT_PLATFORM_STATUS_H

#include "http/http.h"
#include "platform/control.h"
#include "platform/ingress.h"

struct status {
    struct listener listener;
    struct http_server http;
    const struct catalog *catalog; /* of the services that it shows */
    const struct ingress *ingress;
    uint16_t ingress_port;
};

/* The caller must have set the other fields. */
bool status_open(struct status *status, struct net *net, uint16_t port, struct err *err);
/* Takes no new readers, and closes the present ones; harmless if it is not open. */
void status_close(struct status *status);
/* Appends the JSON. */
void status_encode(struct buf *to, const struct status *status);

#endif
