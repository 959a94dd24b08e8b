/* leftover: a request that an instance has whole, and whose client has left. As on Cloud Run with HTTP/1.1, the
 * instance is not told: it goes on, and what it answers is read and dropped. Until then the request holds its slot, and
 * the client's place at the door, so there are no more of these than connections.
 *
 * The ingress lists leftovers; each owns the connection to the instance, and frees itself when the response is
 * complete, that connection ends, or the request timeout is over. */
#ifndef SENNIT_PLATFORM_LEFTOVER_H
#define SENNIT_PLATFORM_LEFTOVER_H

#include "platform/exchange.h"

/* Takes an exchange's connection to the instance, its slot, its place at the door and its record. The request timeout
 * goes on. The exchange is WAITING or in its BODY, and has nothing more to send. */
void leftover_begin(struct exchange *exchange);
/* Ends all of them. */
void leftovers_cut(struct ingress *ingress);

#endif
