/* redis_process: a real Redis or Valkey of the test's own (../redis_server.h), on a free port of the loopback and in a
 * directory that is gone afterwards; and a blocking link to it, for what the test wants behind the brokers' backs. */
#ifndef SENNIT_TEST_REDIS_PROCESS_H
#define SENNIT_TEST_REDIS_PROCESS_H

#include <sys/types.h>

#include "base/buf.h"
#include "wire/resp.h"

enum { REDIS_OPTIONS_MAX = 16 };

struct redis_process {
    pid_t pid; /* 0: not running */
    uint16_t port;
    char *directory;
    const char *options[REDIS_OPTIONS_MAX + 1]; /* of its command line, NULL-terminated */
    int fd;                                     /* of the blocking link, -1 when closed */
    struct resp_reader *reader;
    struct buf said; /* the last answer, as text */
};

/* False when there is no redis-server on this machine. */
bool redis_process_is_installed(void);
/* Starts it and waits until it answers; `options` ends in NULL and may be NULL. Fails the test when it does not come
 * up. It is finished with the program at the latest: `redis` is static. */
void redis_process_start(struct redis_process *redis, const char *const *options);
/* The same as a Cluster of one node, which has all slots and sharded Pub/Sub. */
void redis_process_start_cluster(struct redis_process *redis);
/* Ends it without a goodbye; its directory stays. */
void redis_process_kill(struct redis_process *redis);
/* Starts it again on its port and in its directory. With `loading`, returns as soon as it answers at all. */
void redis_process_restart(struct redis_process *redis, bool loading);
/* Holds it, or lets it go on: to whoever asks it is slow. */
void redis_process_pause(struct redis_process *redis, bool paused);
/* Its data directory is copied aside, or put back in its place (while it does not run). */
void redis_process_save(struct redis_process *redis);
void redis_process_restore(struct redis_process *redis);
/* Ends it and removes its directory. Accepts zeroed. */
void redis_process_finish(struct redis_process *redis);

/* Asks and returns the answer as text, which lasts until the next call: numbers in decimal, nil as "(nil)", arrays with
 * a newline between their items, errors with a '-' in front. The arguments end in NULL. */
const char *redis_try(struct redis_process *redis, ...) __attribute__((sentinel));
/* The same, for what must not be an error. */
const char *redis_ask(struct redis_process *redis, ...) __attribute__((sentinel));
/* An error is an answer, too. */
const char *redis_try_words(struct redis_process *redis, const char *const *words);
const char *redis_ask_words(struct redis_process *redis, const char *const *words);
long long redis_ask_number(struct redis_process *redis, ...) __attribute__((sentinel));

#endif
