/* postgres: the broker on a Postgres server, version 13 or later. A log is rows of one table; the counter is a row that
 * a publishing transaction locks, so that entries are seen in the order of their numbers. NOTIFY wakes the instances,
 * and each of them polls, so that none depends on it.
 *
 * `sennit schema postgres` prints the tables and functions that it needs (broker/postgres_schema.h). */
#ifndef SENNIT_BROKER_POSTGRES_H
#define SENNIT_BROKER_POSTGRES_H

#include "broker/broker.h"
#include "net/net.h"

struct broker_postgres_config {
    const char *url;      /* its forms: broker/postgres_url.h */
    const char *schema;   /* of all tables and functions */
    const char *instance; /* this instance's id, unique in the fleet: publisher and inbox */
    struct broker_bounds bounds;
};

/* NULL with `err` set if the URL is wrong, or this program was built without libpq. Connects from the loop, and
 * reconnects without end, with backoff (100 ms doubling to 2 s, jittered). Logs changes of state. */
struct broker *broker_postgres_create(struct net *net, const struct broker_postgres_config *config, struct err *err);

#endif
