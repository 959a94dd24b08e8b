/* pieces: a peer's bytes on their way over the simulated loop, cut anywhere. */
#ifndef SENNIT_FUZZ_PIECES_H
#define SENNIT_FUZZ_PIECES_H

#include "sim/sim.h"

static inline void pieces_pass(struct sim *sim, uint64_t us)
{
    sim_run(sim, sim_now_us(sim) + us, NULL, NULL);
}

/* Sends pieces of up to `piece_max` bytes, less than `pause_us` apart, until `*end` is NULL, because it was closed. */
static inline void pieces_send(struct sim *sim, struct sim_end *const *end, struct span bytes, size_t piece_max,
                               uint64_t pause_us)
{
    while (bytes.len > 0 && *end != NULL) {
        struct span piece = span_sub(bytes, 0, 1 + sim_below(sim, piece_max));
        sim_send(*end, piece.data, piece.len);
        bytes = span_from(bytes, piece.len);
        pieces_pass(sim, sim_below(sim, pause_us));
    }
}

#endif
