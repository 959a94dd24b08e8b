/* pgbouncer_process: PgBouncer in front of the test's Postgres, by transaction: each transaction of a broker runs on
 * any of a few connections, so nothing of a session is left for the next one, and notifications come by chance. It
 * refuses to run as root, too: for root it runs as `nobody`. */
#ifndef SENNIT_TEST_PGBOUNCER_PROCESS_H
#define SENNIT_TEST_PGBOUNCER_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct pgbouncer_process {
    pid_t pid; /* 0: not running */
    uint16_t port;
    char *directory;
};

bool pgbouncer_process_is_installed(void);
/* `port`: the server's. Fails the test when it does not come up. It is finished with the program at the latest. */
void pgbouncer_process_start(struct pgbouncer_process *pgbouncer, uint16_t port);
/* Accepts zeroed. */
void pgbouncer_process_finish(struct pgbouncer_process *pgbouncer);

#endif
