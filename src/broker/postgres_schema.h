/* postgres_schema: what the broker on Postgres needs in its database, as SQL. */
#ifndef SENNIT_BROKER_POSTGRES_SCHEMA_H
#define SENNIT_BROKER_POSTGRES_SCHEMA_H

#include "base/buf.h"
#include "base/err.h"

enum { POSTGRES_SCHEMA_VERSION = 2, POSTGRES_SCHEMA_BYTES_MAX = 48 };

/* Whether this can name the schema: 1 to POSTGRES_SCHEMA_BYTES_MAX letters, digits, `_` and `-`. */
bool postgres_schema_name_check(const char *name, struct err *err);
/* Appends the script for psql, to be run by the owner-to-be: it makes the schema, or brings one of an earlier version
 * up to date, in one transaction. `role` (NULL: none) is allowed what an instance needs, and nothing else. */
void postgres_schema_print(struct buf *to, const char *name, const char *role);

#endif
