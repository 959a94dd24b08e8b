/* managed_postgres: Debian's Postgres beside a service, for `sennit.dev/postgres: managed`. It listens on a unix socket
 * and on no port. The service has a database there, in which `sennit serve` finds its schema. Once the server answers,
 * a child makes both (`prepare`), before the service starts.
 *
 * Postgres refuses to run as root: root runs it as the user `postgres`. */
#ifndef SENNIT_PLATFORM_MANAGED_POSTGRES_H
#define SENNIT_PLATFORM_MANAGED_POSTGRES_H

#include "platform/managed.h"

/* Zeroed memory is OFF. */
struct managed_postgres {
    struct managed managed;
    struct child prepare;
    struct child_user user; /* as whom it runs, if this process is root's */
    char *programs;         /* the directory of its programs */
    char *database;         /* the service's */
    bool prepared;
};

/* The directory of the programs of that version below `top` (/usr/lib/postgresql, in which there is one for each
 * version), or of the newest if `version` is NULL. The caller frees it. NULL with `err` set, which says what to
 * install. */
char *managed_postgres_programs(const char *top, const char *version, struct err *err);

/* `directory` is that of its data; it is created if missing. The database gets the service's name. The owner has set
 * the callbacks in `managed`. False with `err` set; if there is no Postgres, the text names the package to install.
 * Call managed_postgres_finish in either case. */
bool managed_postgres_start(struct managed_postgres *postgres, struct programs *programs, const char *directory,
                            const char *service, struct err *err);
/* Sets the variables by which a program finds it: DATABASE_URL, and libpq's PGHOST, PGPORT, PGDATABASE and PGUSER; and
 * SENNIT_BROKER, unless that or REDIS_URL is there: then the broker is chosen already. */
void managed_postgres_tell(const struct managed_postgres *postgres, struct words *environment);
/* The process is gone. Accepts zeroed memory. */
void managed_postgres_finish(struct managed_postgres *postgres);

#endif
