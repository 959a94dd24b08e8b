/* postgres_url: where Postgres is and how to connect to it.
 *
 *     postgres://[user[:password]@]host[:port][,host[:port]...][/database][?option=value&...]
 *
 * The options are libpq's (sslmode, sslrootcert, ...) and two of ours: `listen=off`, for a pooler that passes no
 * notifications on, and `poll=250ms`, how often to look without them (10ms to 10s). What is not said, libpq takes from
 * its own variables (PGPASSWORD, ...) and files. */
#ifndef SENNIT_BROKER_POSTGRES_URL_H
#define SENNIT_BROKER_POSTGRES_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { POSTGRES_HOSTS_MAX = 16, POSTGRES_OPTIONS_MAX = 64, POSTGRES_POLL_MS = 200 };

struct postgres_place {
    char *host; /* a name, an IP, or the directory of a unix socket */
    uint16_t port;
};

struct postgres_url {
    struct postgres_place places[POSTGRES_HOSTS_MAX];
    size_t place_count; /* at least one */
    /* All other options, for libpq. */
    char *keywords[POSTGRES_OPTIONS_MAX], *values[POSTGRES_OPTIONS_MAX];
    size_t option_count;
    bool listen;
    uint32_t poll_ms;
};

/* False with `err` set, which repeats nothing of the URL. `url` is zeroed before, and to be finished in either case. */
bool postgres_url_parse(struct postgres_url *url, const char *text, struct err *err);
void postgres_url_finish(struct postgres_url *url);

#endif
