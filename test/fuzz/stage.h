/* stage: a whole instance on the simulated loop, with a few clients and, if wanted, a Redis, for the targets above the
 * codecs. Input bytes are read as steps: what a client sends, time, cuts, what another program does to Redis.
 *
 * After every step the bounds of sessions and hub are looked at, and so is all that clients were sent: frames, packets
 * and JSON of no fault, and nothing of a namespace that a client never asked for. At the end, in peace, nothing is
 * counted as under way. */
#ifndef SENNIT_FUZZ_STAGE_H
#define SENNIT_FUZZ_STAGE_H

#include "base/buf.h"
#include "base/err.h"

struct stage;

/* Starts an instance with this configuration. NULL, with `err` set, when it is refused. */
struct stage *stage_create(struct span config, bool redis, struct err *err);
/* Takes the steps that `input` says, to its end, or as many as there may be. */
void stage_play(struct stage *stage, struct span input);
/* Heals what was broken, checks what must be true in peace, and ends the instance. */
void stage_destroy(struct stage *stage);

/* A configuration, of which the bits choose the parts. */
enum { STAGE_CONFIG_BYTES = 2 };
void stage_config(struct buf *to, const uint8_t bits[STAGE_CONFIG_BYTES]);

/* One input of a target, from creation to destruction: its first STAGE_CONFIG_BYTES choose the configuration, the rest
 * is what happens. A shorter input does nothing. */
void stage_run(const uint8_t *data, size_t len, bool redis);

#endif
