/* redis_url: where a Redis is, from its URL. */
#ifndef SENNIT_BROKER_REDIS_URL_H
#define SENNIT_BROKER_REDIS_URL_H

#include "base/err.h"
#include "base/span.h"

struct redis_url {
    char *host;            /* a name or an IP; NULL with a path */
    uint16_t port;         /* default 6379 */
    char *path;            /* of a unix socket */
    char *user, *password; /* NULL: none */
    uint32_t db;
};

/* redis://[user:password@]host[:port][/db], redis://:password@host, unix:///path[?db=N]; user and password
 * percent-encoded. False with `err` set; the text never holds the password. */
bool redis_url_parse(struct redis_url *url, const char *text, struct err *err);
void redis_url_finish(struct redis_url *url); /* accepts zeroed */

#endif
