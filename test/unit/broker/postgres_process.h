/* postgres_process: a real Postgres server of the test's own, on a free port of the loopback and in a directory that is
 * gone afterwards; and a blocking link to it, for what the test wants behind the brokers' backs.
 *
 * Postgres refuses to run as root, so for root it runs as `nobody`. It does not sync: the tests kill processes, not the
 * machine. */
#ifndef SENNIT_TEST_POSTGRES_PROCESS_H
#define SENNIT_TEST_POSTGRES_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { POSTGRES_SETTINGS_MAX = 12 };

struct postgres_process {
    pid_t pid; /* 0: not running */
    uint16_t port;
    char *directory;
    const char *options[POSTGRES_SETTINGS_MAX + 1]; /* `name=value`, NULL-terminated */
    void *conn;                                     /* the blocking link; NULL: closed */
    char *said;                                     /* the last answer */
};

/* False when this build has no libpq, or this machine no Postgres server. */
bool postgres_process_is_installed(void);
/* Makes a new database and starts its server. `options` ends in NULL and may be NULL. Fails the test when it does not
 * come up. It is finished with the program at the latest: `postgres` is static. */
void postgres_process_start(struct postgres_process *postgres, const char *const *options);
/* The same for a streaming replica of a server that runs. */
void postgres_process_follow(struct postgres_process *replica, struct postgres_process *primary);
/* Ends it as a crash of the machine would end it, but that what was written is on the disk. */
void postgres_process_kill(struct postgres_process *postgres);
/* Starts it again on its port and in its directory. */
void postgres_process_restart(struct postgres_process *postgres);
/* Ends it and removes its directory. Accepts zeroed. */
void postgres_process_finish(struct postgres_process *postgres);

/* Another link of libpq's (PGconn), to be finished by the test. */
void *postgres_process_link(const struct postgres_process *postgres);

/* Makes the schema, for this role besides its owner (NULL: none). */
void postgres_process_schema(struct postgres_process *postgres, const char *name, const char *role);
/* Runs SQL and returns the first field of the answer as text ("" without one), until the next call. `try`: an error is
 * an answer, too, with a '-' in front; `ask`: it fails the test. `format` is printf's. */
const char *postgres_try(struct postgres_process *postgres, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
const char *postgres_ask(struct postgres_process *postgres, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
long long postgres_ask_number(struct postgres_process *postgres, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
