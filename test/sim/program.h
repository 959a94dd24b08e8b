/* program: a small application on sennit.h, as it runs on each instance of a fleet of the kind `program`.
 *
 * It keeps data for each socket and writes them with most events, asks clients, answers at once and later, relays, and
 * by a timer asks, makes sockets leave and join, and ends some. On "/" its handlers hand events to the rules of the
 * YAML file. All that it is told goes to the check. */
#ifndef SENNIT_SIM_PROGRAM_H
#define SENNIT_SIM_PROGRAM_H

#include <sennit.h>

#include "program_check.h"

enum { PROGRAM_WINDOW_MS = 4000, PROGRAM_SOCKETS_MAX = 64 };

struct program {
    struct sim *sim;
    struct program_check *check;
    int instance;
    sennit_server *server; /* NULL: it does not run */
    sennit_nsp *nsp;
    sennit_socket *sockets[PROGRAM_SOCKETS_MAX]; /* that came here; some have gone */
    size_t socket_count;
    struct list laters;                            /* events that it has kept: struct later */
    struct list asked;                             /* its questions: struct asked */
    uint64_t (*generation)(sennit_socket *socket); /* of its lease, on this instance */
    bool is_gone;  /* the process was killed: whatever is called now is not called in truth */
    bool is_quiet; /* does nothing by itself any more */
};

/* Sets handlers and timers on a server that was opened just now. `program` outlives the server. */
void program_start(struct program *program, struct sim *sim, struct program_check *check, int instance,
                   sennit_server *server);

/* Behind the end of its server. Accepts zeroed memory. */
void program_finish(struct program *program);

#endif
