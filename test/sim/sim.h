/* sim: a whole fleet's world in one process: virtual time, hosts, streams between them, faults; all of it from a seed.
 *
 * Instances run on loops made here (loop_sim.c stands behind loop/loop.h and loop/io.h); clients and Redis are models
 * that hold ends of streams directly. Time moves from event to event. Bytes on a stream arrive in order, late, and cut
 * into pieces anywhere; a stream may be reset in the middle of its bytes, or go silent without a notice to either
 * side. */
#ifndef SENNIT_SIM_SIM_H
#define SENNIT_SIM_SIM_H

#include "base/buf.h"
#include "base/list.h"
#include "loop/io.h"
#include "loop/timer_heap.h"

struct sim;
struct sim_end;

struct sim *sim_create(uint64_t seed);
/* Every host and end is gone before. */
void sim_destroy(struct sim *sim);

uint64_t sim_now_us(const struct sim *sim);
uint64_t sim_random(struct sim *sim);
uint64_t sim_below(struct sim *sim, uint64_t below);
static inline bool sim_chance(struct sim *sim, uint64_t per_mille)
{
    return sim_below(sim, 1000) < per_mille;
}

/* Timers of the models, on virtual time. */
void sim_timer_start(struct sim *sim, struct timer *timer, uint64_t delay_us);
void sim_timer_stop(struct sim *sim, struct timer *timer);

/* Lets time pass up to `until_us`; `after` (may be NULL) is called after every step. */
void sim_run(struct sim *sim, uint64_t until_us, void (*after)(void *arg), void *arg);

/* How slow streams are, in microseconds, each way; `spike_per_mille` of the pieces take up to `spike_us`. */
struct sim_delays {
    uint64_t min_us, max_us, spike_us, spike_per_mille;
};
void sim_delays_set(struct sim *sim, const struct sim_delays *delays);

/* A host with a loop: one instance. */
struct loop *sim_host_create(struct sim *sim);
/* Its streams are reset, and nothing it closes now sends anything: kill -9. */
void sim_host_sever(struct loop *loop);
/* Every timer and io has been stopped. */
void sim_host_destroy(struct loop *loop);
/* SIGSTOP and SIGCONT. */
void sim_host_pause(struct loop *loop, bool paused);
/* The wall clock jumps. */
void sim_host_clock(struct loop *loop, int64_t offset_ms);
void sim_host_signal(struct loop *loop, int number);

/* An end held by a model. */
struct sim_peer {
    void (*opened)(struct sim_end *end, void *owner);
    void (*received)(struct sim_end *end, void *owner, const char *bytes, size_t len);
    /* The other side ended or reset it, or it was refused. The end is gone afterwards. */
    void (*closed)(struct sim_end *end, void *owner);
};
/* Connects to the host or model that listens on `port`. */
struct sim_end *sim_connect(struct sim *sim, uint16_t port, const struct sim_peer *peer, void *owner);
/* A model that listens: `accept` gets each new end and gives its owner, or NULL to refuse. */
typedef void *sim_accept_fn(void *arg, struct sim_end *end);
void sim_listen(struct sim *sim, uint16_t port, const struct sim_peer *peer, sim_accept_fn *accept, void *arg);
void sim_unlisten(struct sim *sim, uint16_t port);
void sim_send(struct sim_end *end, const char *bytes, size_t len);
/* Ends it from the model's side; `closed` is not called. */
void sim_close(struct sim_end *end, bool reset);
/* The model reads nothing while it is held; bytes under way fill the window. */
void sim_hold(struct sim_end *end, bool held);
/* While paused, bytes for models on this port wait. */
void sim_listen_pause(struct sim *sim, uint16_t port, bool paused);

/* Faults. One of the streams open to `port` (0: any), or NULL. */
struct sim_end *sim_pick(struct sim *sim, uint16_t port);
/* Reset, anywhere in the bytes that are on their way. */
void sim_cut(struct sim_end *end);
/* Goes silent both ways, or first only towards `end` and within a second the other way too: both ends believe that it
 * lives. */
void sim_silence(struct sim_end *end, bool one_way);
/* At the very end: drops bytes that are still under way. */
void sim_drop_loose_ends(struct sim *sim);
/* The loop of the host at the other end of a model's stream; NULL: it is gone. */
struct loop *sim_host_of(const struct sim_end *end);
/* Ends of streams that hosts hold now. */
size_t sim_streams(const struct sim *sim);

#endif
