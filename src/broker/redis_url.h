/* redis_url: parses a Redis URL into address, login and TLS options.
 *
 *     redis://[[user]:password@]host[:port][/db]
 *     rediss://[[user]:password@]host[:port][/db][?ca=PATH][&cert=FILE&key=FILE][&verify=no][&server_name=NAME]   TLS
 *     unix://[[user]:password@]/path[?db=N]
 *     redis+sentinel://[[user]:password@]host[:port][,host[:port]]...[/NAME[/db]][?sentinel_password=...]
 *     redis+cluster://[[user]:password@]host[:port][,host[:port]]...[?sharded=no]
 *     rediss+sentinel://..., rediss+cluster://...    the same with TLS, to the Sentinels too
 *
 * User, password, path and option values may be percent-encoded (RFC 3986 section 2.1). */
#ifndef SENNIT_BROKER_REDIS_URL_H
#define SENNIT_BROKER_REDIS_URL_H

#include "base/err.h"
#include "base/span.h"
#include "loop/io.h"
#include "net/tls.h"

enum { REDIS_SEEDS_MAX = 16 };

struct redis_place {
    char *host; /* a name or an IP */
    uint16_t port;
};

enum redis_url_kind { REDIS_URL_HOST, REDIS_URL_UNIX, REDIS_URL_SENTINEL, REDIS_URL_CLUSTER };

struct redis_url {
    enum redis_url_kind kind;
    char *host;            /* a name or an IP; NULL with a path, or with Sentinels */
    uint16_t port;         /* default 6379 */
    char *path;            /* of a unix socket; it fits into an address */
    char *user, *password; /* NULL: none */
    uint32_t db;
    bool tls;
    /* With TLS; NULL: not given. */
    char *ca, *cert, *key, *server_name;
    bool verify_off;
    bool sharded_off; /* with a cluster: its sharded Pub/Sub is not used */
    /* Sentinels, or nodes of a cluster; and the name that Sentinels know the primary by (without one in the URL:
     * mymaster, as in their own example). */
    struct redis_place seeds[REDIS_SEEDS_MAX];
    size_t seed_count;
    char *primary;
    char *sentinel_user, *sentinel_password; /* NULL: none */
};

/* False with `err` set; the text never holds the password. */
bool redis_url_parse(struct redis_url *url, const char *text, struct err *err);
void redis_url_finish(struct redis_url *url); /* accepts zeroed memory */
/* The TLS settings that it asks for, with its files read; the caller destroys them. False with `err` set: a file cannot
 * be used. `*tls` is NULL if it asks for none. */
bool redis_url_tls(const struct redis_url *url, struct tls_client **tls, struct err *err);

#endif
