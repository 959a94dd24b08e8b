/* limits: every bound that the operator may set under `limits:`, in one table, which makes the fields, the defaults,
 * the reading, and the rows of docs/serve.md.
 *
 *   X(name, unit, default, least, most, "what is bounded", "what happens beyond it")
 *
 * A default of LIMIT_DERIVED is worked out at the start. */
#ifndef SENNIT_SERVE_LIMITS_H
#define SENNIT_SERVE_LIMITS_H

#include "base/buf.h"
#include "wire/yaml.h"

#define LIMIT_DERIVED UINT64_MAX

#define LIMITS(X) \
    X(connections, LIMIT_COUNT, LIMIT_DERIVED, 1, 1000000, "client connections", \
      "503 with Retry-After; `/health` is still answered") \
    X(connections_per_address, LIMIT_COUNT, LIMIT_DERIVED, 0, 1000000, \
      "client connections of one IPv4 address or IPv6 /64; 0: no bound", "429 with Retry-After") \
    X(request_bytes, LIMIT_BYTES, 4 << 20, 64 << 10, 1 << 30, \
      "unfinished and waiting HTTP requests of all connections; 2 KiB of each are free", "503, closed") \
    X(head_timeout, LIMIT_MS, 30000, 100, 600000, "until a request head is complete, and between requests", \
      "408, closed") \
    X(crowded_head_timeout, LIMIT_MS, 3000, 100, 600000, \
      "the same while more than 80 % of `connections` are taken, the oldest first", "408, closed") \
    X(crowded_connect_timeout, LIMIT_MS, 5000, 100, 600000, \
      "from the upgrade to a namespace while more than 80 % of `connections` are taken, the oldest first", \
      "closed, 1013") \
    X(crowded_response_timeout, LIMIT_MS, 30000, 1000, 3600000, \
      "of one HTTP response while more than 80 % of `connections` are taken, the oldest first", "closed")

enum limit_unit { LIMIT_COUNT, LIMIT_BYTES, LIMIT_MS };

enum limit {
#define X(name, unit, fallback, least, most, what, beyond) LIMIT_##name,
    LIMITS(X)
#undef X
        LIMITS_COUNT
};

/* The values by their names, or by enum limit. */
struct serve_limits {
    union {
        struct {
#define X(name, unit, fallback, least, most, what, beyond) uint64_t name;
            LIMITS(X)
#undef X
        };
        uint64_t values[LIMITS_COUNT];
    };
};

/* The defaults, LIMIT_DERIVED among them. */
void limits_init(struct serve_limits *limits);
/* What the mapping `limits:` says; NULL says nothing. False with `err` set. */
bool limits_read(struct serve_limits *limits, const struct yaml_node *node, struct err *err);
/* Rows for the manual: name, bound, default, and what happens beyond. */
void limits_describe(struct buf *to);

/* How the descriptors that this process may have are shared out. What clients may not have is kept back. */
struct limits_files {
    uint64_t connections; /* of clients, at most */
    uint64_t spare;       /* beyond the bound: connections that are told so, or get /health */
    uint64_t open;        /* files of `static` */
};
struct limits_files limits_files_share(uint64_t allowed);
/* Puts numbers where the defaults are derived. `on_platform`: connections come from the platform's ingress. False with
 * `err` set: there are too few descriptors for what was asked. */
bool limits_derive(struct serve_limits *limits, const struct limits_files *files, bool on_platform, struct err *err);

#endif
