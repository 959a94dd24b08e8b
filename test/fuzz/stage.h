/* stage: a whole instance on the simulated loop, with a few clients and, if wanted, a Redis, for the targets above the
 * codecs. Input bytes are read as steps: a client's message, a passing of time, a cut, a change that another program
 * makes in Redis.
 *
 * After every step, the bounds of sessions and hub are checked, and everything that clients were sent: frames, packets
 * and JSON must be valid, and nothing may come from a namespace that a client never asked for. At the end, when all is
 * quiet, no call may count as under way. */
#ifndef SENNIT_FUZZ_STAGE_H
#define SENNIT_FUZZ_STAGE_H

#include "base/buf.h"
#include "base/err.h"

struct stage;

/* Starts an instance with this configuration. NULL, with `err` set, when it is refused. */
struct stage *stage_create(struct span config, bool redis, struct err *err);
/* Takes the steps of `input`, to its end or up to a maximum. */
void stage_play(struct stage *stage, struct span input);
/* Repairs everything that was broken, checks the conditions of a quiet instance, and ends it. */
void stage_destroy(struct stage *stage);

/* A configuration, of which the bits choose the parts. */
enum { STAGE_CONFIG_BYTES = 2 };
void stage_config(struct buf *to, const uint8_t bits[STAGE_CONFIG_BYTES]);

/* One input of a target, from creation to destruction: its first STAGE_CONFIG_BYTES choose the configuration, the rest
 * are steps. A shorter input does nothing. */
void stage_run(const uint8_t *data, size_t len, bool redis);
/* The same for polling clients (stage_session.h); the first byte also says whether there is a Redis. */
void stage_run_sessions(const uint8_t *data, size_t len);

#endif
