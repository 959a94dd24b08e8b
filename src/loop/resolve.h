/* resolve: names to addresses without blocking (c-ares). */
#ifndef SENNIT_LOOP_RESOLVE_H
#define SENNIT_LOOP_RESOLVE_H

#include "loop/io.h"

struct resolve;
/* `count` addresses, borrowed; 0 when there is none, and then `why` says what failed. */
typedef void resolve_fn(void *arg, const struct addr *addrs, size_t count, const char *why);

/* Starts a look-up of `host` (a name or an IP) for `port`; `done` is called from the loop, never before this returns,
 * unless it is cancelled first. */
struct resolve *resolve_start(struct loop *loop, const char *host, uint16_t port, resolve_fn *done, void *arg);
/* Forgets a look-up that has not answered; accepts NULL. After `done` was called the object is gone. */
void resolve_cancel(struct resolve *resolve);

#endif
