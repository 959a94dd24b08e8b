/* postgres_absent: stands in the place of the broker on Postgres in a program that was built without libpq. */
#include "broker/postgres.h"

struct broker *broker_postgres_create(struct net *net, const struct broker_postgres_config *config, struct err *err)
{
    err_set(err, "this sennit was built without Postgres: install libpq-dev and build it again");
    return NULL;
}
