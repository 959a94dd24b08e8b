/* redis_server: the server that C tests start: the one that SENNIT_REDIS_SERVER names, else redis-server, else
 * valkey-server. tools/redis_server.mjs does the same for tests and benches on Node. */
#ifndef SENNIT_TEST_REDIS_SERVER_H
#define SENNIT_TEST_REDIS_SERVER_H

#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"

enum { REDIS_SERVERS = 2 };

/* The names to try, in their order; the second may be NULL. */
static inline void redis_server_names(const char *names[REDIS_SERVERS])
{
    const char *set = getenv("SENNIT_REDIS_SERVER");
    bool named = set != NULL && *set != '\0';
    names[0] = named ? set : "redis-server";
    names[1] = named ? NULL : "valkey-server";
}

static inline bool redis_server_is_in_path(const char *name)
{
    const char *path = getenv("PATH");
    struct span rest = span_str(path != NULL ? path : "/usr/bin:/bin"), folder;
    while (span_next(&rest, ':', &folder)) {
        char *file = mem_printf(SPAN_FMT "/%s", SPAN_ARG(folder), name);
        bool found = access(file, X_OK) == 0;
        free(file);
        if (found)
            return true;
    }
    return false;
}

static inline bool redis_server_is_installed(void)
{
    const char *names[REDIS_SERVERS];
    redis_server_names(names);
    for (int i = 0; i < REDIS_SERVERS && names[i] != NULL; i++)
        if (strchr(names[i], '/') != NULL ? access(names[i], X_OK) == 0 : redis_server_is_in_path(names[i]))
            return true;
    return false;
}

/* Becomes the server, or returns if there is none; `argv` ends in NULL, and its first word is set here. */
static inline void redis_server_exec(const char **argv)
{
    const char *names[REDIS_SERVERS];
    redis_server_names(names);
    for (int i = 0; i < REDIS_SERVERS && names[i] != NULL; i++) {
        argv[0] = names[i];
        execvp(argv[0], (char *const *)(uintptr_t)argv);
    }
}

#endif
