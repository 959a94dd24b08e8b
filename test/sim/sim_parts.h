/* sim_parts: declarations that the files of the simulated world share. */
#ifndef SENNIT_SIM_SIM_PARTS_H
#define SENNIT_SIM_SIM_PARTS_H

#include "sim.h"

enum { SIM_WINDOW_BYTES = 96 * 1024, SIM_PORTS_MAX = 64, SIM_PIECE_MAX = 16 * 1024 };

/* Bytes, or an ending, on their way to an end. */
struct sim_piece {
    struct list node;
    uint64_t due_us;
    enum { PIECE_OPEN, PIECE_BYTES, PIECE_FIN, PIECE_RESET } kind;
    size_t len;
    char bytes[];
};

struct sim_end {
    struct sim *sim;
    struct sim_end *other; /* NULL once that side is gone */
    struct list of_sim;
    int fd;
    uint16_t port; /* the one that was connected to */
    bool dials;    /* the side that connected */
    struct list pieces;
    struct timer arrival;
    size_t on_the_way;
    uint64_t last_due_us;
    struct buf in;
    bool opened, refused, held, in_fin, in_reset;
    uint64_t silent_from_us; /* nothing arrives here any more; 0: never */
    bool sent_fin;
    struct loop *loop; /* of a host */
    struct io *io;
    struct list ready;           /* in the loop's list of those that may be ready */
    const struct sim_peer *peer; /* of a model */
    void *owner;
};

struct sim_port {
    uint16_t port;
    bool paused;
    struct loop *loop; /* of a host, with the listening io */
    struct io *io;
    struct list waiting;         /* ends not accepted yet, by of_sim */
    const struct sim_peer *peer; /* of a model */
    sim_accept_fn *accept;
    void *arg;
};

struct sim {
    uint64_t now_us, random[2];
    struct timer_heap events;
    struct list hosts, ends;
    struct sim_end **by_fd;
    size_t fd_cap;
    struct sim_port ports[SIM_PORTS_MAX];
    struct sim_delays delays;
};

struct loop {
    struct sim *sim;
    struct list of_sim;
    struct timer_heap timers;
    struct list flush, reap, watches;
    struct list ready; /* ends to look at */
    uint64_t now_us;
    int64_t clock_ms;
    uint64_t random[2];
    bool firing, paused, dirty, stopped;
    int signal;
};

uint64_t sim_random_next(uint64_t state[2]);
struct sim_port *sim_port_find(struct sim *sim, uint16_t port);
struct sim_end *sim_end_of(const struct io *io);
/* Two ends of a new stream from a dialler to `port`; NULL when nobody listens there. */
struct sim_end *sim_dial(struct sim *sim, uint16_t port);
void sim_end_send(struct sim_end *end, const struct iovec *parts, int count, size_t bytes);
void sim_end_close(struct sim_end *end, bool reset);
/* Its loop, if it has one, looks at it in its next turn. */
void sim_end_wake(struct sim_end *end);
size_t sim_end_space(const struct sim_end *end);
void loop_turn(struct loop *loop);

#endif
