/* limits: one table of all bounds that the operator may set under `limits:`. The table makes the fields, the defaults,
 * the parser, and the rows of docs/serve.md.
 *
 *   X(name, unit, default, least, most, "the bounded quantity", "the effect beyond the bound")
 *
 * A default of LIMIT_DERIVED is computed at the start. */
#ifndef SENNIT_SERVE_LIMITS_H
#define SENNIT_SERVE_LIMITS_H

#include "base/buf.h"
#include "session/session.h"
#include "wire/json.h"
#include "wire/yaml.h"

#define LIMIT_DERIVED UINT64_MAX

#define LIMITS(X) \
    X(connections, LIMIT_COUNT, LIMIT_DERIVED, 1, 1000000, "client connections", \
      "503 with Retry-After; `/health` is still answered") \
    X(connections_per_address, LIMIT_COUNT, LIMIT_DERIVED, 0, 1000000, \
      "client connections of one IPv4 address or IPv6 /64; 0: no bound", "429 with Retry-After") \
    X(request_bytes, LIMIT_BYTES, 4 << 20, 64 << 10, 1 << 30, \
      "incomplete and waiting HTTP requests of all connections; 2 KiB of each are free", "503, closed") \
    X(head_timeout, LIMIT_MS, 30000, 100, 600000, "time until a request head is complete, and between requests", \
      "408, closed") \
    X(crowded_head_timeout, LIMIT_MS, 3000, 100, 600000, \
      "`head_timeout` while more than 80 % of `connections` are taken; the oldest is closed first", "408, closed") \
    X(crowded_connect_timeout, LIMIT_MS, 5000, 100, 600000, \
      "time from the upgrade to joining a namespace while more than 80 % of `connections` are taken; the oldest is " \
      "closed first", \
      "closed, 1013") \
    X(crowded_response_timeout, LIMIT_MS, 30000, 1000, 3600000, \
      "time for one HTTP response while more than 80 % of `connections` are taken; the oldest is closed first", \
      "closed") \
    X(api_requests, LIMIT_COUNT, 64, 1, 10000, "requests to the HTTP API that are under way", "503 with Retry-After") \
    X(nesting, LIMIT_COUNT, 512, 1, JSON_DEPTH_MAX, "levels of arrays and objects in one event or CONNECT payload", \
      "the event is refused (`too_deep`), or the namespace") \
    X(namespaces_per_session, LIMIT_COUNT, 16, 1, 1000, "namespaces that one session is in", "CONNECT_ERROR") \
    X(attachments, LIMIT_COUNT, 10, 0, 10, "binary attachments of one event; 0: none. (Clients take 10 at most.)", \
      "the event is refused") \
    X(rooms_per_socket, LIMIT_COUNT, 64, 1, 64, "rooms that one socket is in, beside the namespace", \
      "the join is refused") \
    X(instance_rooms, LIMIT_COUNT, 200000, 1, 10000000, "rooms on this instance", \
      "a join that would add another is refused") \
    X(calls, LIMIT_COUNT, 256, 1, 1000000, \
      "unanswered calls of one client: publishes, joins, leaves, questions, connects", \
      "its connection is not read until half of them are answered") \
    X(call_bytes, LIMIT_BYTES, 512 << 10, 4 << 10, 24 << 20, \
      "bytes of these calls; also bounded by a quarter of the free part of `instance_call_bytes`", \
      "its connection is not read until half of them are answered") \
    X(instance_call_bytes, LIMIT_BYTES, 24 << 20, 64 << 10, 28 << 20, "bytes of the unanswered calls of all clients", \
      "clients with unanswered calls are not read; any other client may begin one") \
    X(unfinished_bytes, LIMIT_BYTES, 64 << 20, 1 << 20, UINT64_C(4) << 30, \
      "incomplete messages of all clients, and events that await attachments", \
      "the client whose message began first is closed, 1013") \
    X(answer_bytes, LIMIT_BYTES, 32 << 20, 256 << 10, 1 << 30, "answers to questions that clients have not read yet", \
      "questions wait; clients that have read nothing for 2 s are closed in favour of those that wait") \
    X(output_bytes, LIMIT_BYTES, 64 << 20, 1 << 20, UINT64_C(16) << 30, "output that all clients have not read yet", \
      "clients that do not read, and for whom more waits than `output_bytes` / connections, are closed") \
    X(lease_bytes, LIMIT_BYTES, 64 << 20, 64 << 10, 1 << 30, \
      "leases of clients that were cut off from this instance; one address may have at most as much as is free", \
      "a client that is cut off then starts anew (`recovered: false`)") \
    X(changes_at_once, LIMIT_COUNT, 1000, 1, 1000000, \
      "changes by one client that affect others, in a burst: rooms new to the instance, presence, connects, KiB of " \
      "its lease, 16 KiB of messages that decompress to more than 16 times their size", \
      "its connection is not read for a while") \
    X(changes_per_second, LIMIT_COUNT, 100, 1, 100000, "such changes for each second, sustained", \
      "its connection is not read for a while") \
    X(rooms, LIMIT_COUNT, 100000, 1, 100000000, "rooms of the whole service that have a log", \
      "an event that would begin another log is refused") \
    X(log_bytes, LIMIT_BYTES, LIMIT_DERIVED, 64 << 10, UINT64_C(1) << 40, "all logs of the whole service", \
      "events to rooms that hold more than their share are refused; other rooms go on")

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
/* Reads the mapping `limits:`; NULL changes nothing. False with `err` set. */
bool limits_read(struct serve_limits *limits, const struct yaml_node *node, struct err *err);
/* Copies the session layer's bounds to `to`. */
void limits_give(const struct serve_limits *limits, struct session_limits *to);
/* Appends the rows of the manual: name, quantity, default, range, and the effect beyond. */
void limits_describe(struct buf *to);

/* The division of this process' descriptors; the rest is reserved. */
struct limits_files {
    uint64_t connections; /* of clients, at most */
    uint64_t spare;       /* connections beyond the bound, which get a refusal or /health */
    uint64_t open;        /* files of `static` */
};
struct limits_files limits_files_share(uint64_t allowed);
/* Computes the derived defaults. `on_platform`: connections come from the platform's ingress. False with `err` set: the
 * settings need more descriptors than there are. */
bool limits_derive(struct serve_limits *limits, const struct limits_files *files, bool on_platform, struct err *err);

#endif
