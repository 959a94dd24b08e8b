/* limits: one table of all bounds that the operator may set. The table makes the fields, the defaults, the parser, and
 * the rows of docs/configuration.md.
 *
 *   X(name, unit, default, least, most, "the bounded quantity", "the effect beyond the bound (`where it is counted`)")
 *
 * It is counted as a reason of sennit_refusals_total or sennit_closes_total, or as a metric of its own.
 * A default of LIMIT_DERIVED is computed at the start. */
#ifndef SENNIT_SERVE_LIMITS_H
#define SENNIT_SERVE_LIMITS_H

#include "base/buf.h"
#include "session/session.h"
#include "wire/http1.h"
#include "wire/json.h"
#include "wire/yaml.h"

#define LIMIT_DERIVED UINT64_MAX

/* Fields of the configuration itself: Socket.IO has options of these names. */
#define LIMITS_TOP(X) \
    X(ping_interval, LIMIT_MS, 25000, 100, 3600000, "time from a pong to the next ping (Engine.IO's pingInterval)", \
      "the next ping") \
    X(ping_timeout, LIMIT_MS, 20000, 100, 3600000, "time for the pong (pingTimeout)", "closed, 1008 (`ping_timeout`)") \
    X(connect_timeout, LIMIT_MS, 45000, 100, 3600000, "time until a client joins a namespace (connectTimeout)", \
      "closed, 1008 (`connect_packet_timeout`)") \
    X(upgrade_timeout, LIMIT_MS, 10000, 100, 600000, \
      "time for a WebSocket that takes over a polling session (upgradeTimeout)", \
      "the WebSocket is closed, 1008 (`probe_failed`); polling goes on") \
    X(max_payload, LIMIT_BYTES, 1000000, 128, 16 << 20, \
      "one message, before and after decompression; an event with its attachments; the body of a polling request " \
      "(maxPayload)", \
      "closed, 1009 (`ws_too_big`); the event is refused (`event_too_large`); 413 (`body_too_large`)")

/* Fields under `limits:`. */
#define LIMITS_UNDER(X) \
    X(connections, LIMIT_COUNT, LIMIT_DERIVED, 1, 1000000, "client connections; also polling sessions", \
      "503 with Retry-After (`connections_full`); `/health` is still answered") \
    X(connections_per_address, LIMIT_COUNT, LIMIT_DERIVED, 0, 1000000, \
      "client connections of one IPv4 address or IPv6 /64; 0: no bound", "429 with Retry-After (`address_full`)") \
    X(connects_per_second_per_address, LIMIT_COUNT, 0, 0, 1000000, \
      "sessions that one address begins each second, sustained; 0: no bound", "429 with Retry-After (`address_rate`)") \
    X(connects_at_once_per_address, LIMIT_COUNT, 100, 1, 1000000, "the same in a burst", \
      "429 with Retry-After (`address_rate`)") \
    X(request_bytes, LIMIT_BYTES, 4 << 20, 64 << 10, 1 << 30, \
      "incomplete and waiting HTTP requests of all connections; 2 KiB of each are free", \
      "503, closed (`requests_full`)") \
    X(head_bytes, LIMIT_BYTES, HTTP1_HEAD_BYTES_MAX, 1 << 10, HTTP1_HEAD_BYTES_MAX, \
      "a request's head; it also has 128 fields and a line of 8 KiB at most", "431 or 414 (`head_too_large`)") \
    X(head_timeout, LIMIT_MS, 30000, 100, 600000, "time until a request's head is complete", \
      "408, closed (`head_late`)") \
    X(idle_timeout, LIMIT_MS, LIMIT_DERIVED, 100, 3600000, \
      "time from an answer to the next request's head; longer than a load balancer in front keeps its connections", \
      "closed without words (`done`)") \
    X(body_timeout, LIMIT_MS, 30000, 100, 600000, "time for each KiB of a request's body", \
      "408, closed (`body_late`)") \
    X(write_timeout, LIMIT_MS, 30000, 100, 3600000, "time in which a client reads nothing while bytes wait for it", \
      "closed (`write_timeout`)") \
    X(crowded_head_timeout, LIMIT_MS, 3000, 100, 600000, \
      "`head_timeout` while more than 80 % of `connections` are taken; the oldest is closed first", \
      "408, closed (`head_timeout_crowded`)") \
    X(crowded_connect_timeout, LIMIT_MS, 5000, 100, 600000, \
      "time from the upgrade to joining a namespace while more than 80 % of `connections` are taken; the oldest is " \
      "closed first", \
      "closed, 1013 (`connect_packet_timeout_crowded`)") \
    X(crowded_response_timeout, LIMIT_MS, 30000, 1000, 3600000, \
      "time for one HTTP response while more than 80 % of `connections` are taken; the oldest is closed first", \
      "closed (`response_timeout_crowded`)") \
    X(held_polls, LIMIT_COUNT, LIMIT_DERIVED, 1, 1000000, \
      "GETs of polling clients that wait for events at once: by default three quarters of `SENNIT_CONCURRENCY`, else " \
      "of `connections`; the rest stays free for POSTs and new clients", \
      "the one that has waited longest is answered without an event, after a second at least (`polls_shortened`); " \
      "until then handshakes get 503 with Retry-After (`polls_full`)") \
    X(api_requests, LIMIT_COUNT, 64, 1, 10000, "requests to the HTTP API that are under way", \
      "503 with Retry-After (`api_busy`)") \
    X(nesting, LIMIT_COUNT, 512, 1, JSON_DEPTH_MAX, "levels of arrays and objects in one event or CONNECT payload", \
      "the event is refused, or the namespace (`too_deep`)") \
    X(frames_per_message, LIMIT_COUNT, 100000, 1, 10000000, "WebSocket frames of one message", \
      "closed, 1008 (`ws_frames`)") \
    X(attachments, LIMIT_COUNT, 10, 0, 10, "binary attachments of one event; 0: none. (Clients take 10 at most.)", \
      "the event is refused (`attachments`)") \
    X(namespaces_per_session, LIMIT_COUNT, 16, 1, 1000, "namespaces that one session is in", \
      "CONNECT_ERROR (`namespaces_full`)") \
    X(instance_namespaces, LIMIT_COUNT, 10000, 0, 1000000, \
      "namespaces on this instance that patterns have made, see docs/namespaces.md", \
      "CONNECT_ERROR (`instance_namespaces_full`)") \
    X(rooms_per_socket, LIMIT_COUNT, 64, 1, 64, "rooms that one socket is in, beside the namespace", \
      "the join is refused (`rooms_full`)") \
    X(instance_rooms, LIMIT_COUNT, 200000, 1, 10000000, "rooms on this instance", \
      "a join that would add another is refused (`instance_rooms_full`)") \
    X(messages_per_second, LIMIT_COUNT, 0, 0, 1000000, \
      "messages of one client each second, sustained, pings and unasked packets among them; 0: no bound", \
      "its connection is not read for a while (`messages_rate`)") \
    X(messages_at_once, LIMIT_COUNT, 100, 1, 1000000, "the same in a burst", \
      "its connection is not read for a while (`messages_rate`)") \
    X(messages_per_second_per_address, LIMIT_COUNT, 0, 0, 1000000, \
      "messages of all clients of one address each second, sustained; 0: no bound", \
      "their connections are not read for a while (`address_messages_rate`)") \
    X(messages_at_once_per_address, LIMIT_COUNT, 1000, 1, 1000000, "the same in a burst", \
      "their connections are not read for a while (`address_messages_rate`)") \
    X(changes_at_once, LIMIT_COUNT, 1000, 1, 1000000, \
      "changes by one client that affect others, in a burst: rooms new to the instance, presence, connects, KiB of " \
      "its lease, 16 KiB of messages that decompress to more than 16 times their size", \
      "its connection is not read for a while (`changes_rate`)") \
    X(changes_per_second, LIMIT_COUNT, 100, 1, 100000, "such changes for each second, sustained", \
      "its connection is not read for a while (`changes_rate`)") \
    X(calls, LIMIT_COUNT, 256, 1, 1000000, \
      "unanswered calls of one client: publishes, joins, leaves, questions, connects", \
      "its connection is not read until half of them are answered (`calls_full`)") \
    X(call_bytes, LIMIT_BYTES, 512 << 10, 4 << 10, 24 << 20, \
      "bytes of these calls; also bounded by a quarter of the free part of `instance_call_bytes`", \
      "its connection is not read until half of them are answered (`calls_full`)") \
    X(instance_call_bytes, LIMIT_BYTES, 24 << 20, 64 << 10, 28 << 20, "bytes of the unanswered calls of all clients", \
      "clients with unanswered calls are not read (`calls_full`); any other client may begin one") \
    X(asks, LIMIT_COUNT, 1000, 0, 100000, \
      "answers of other sockets that one socket awaits, and that others await from it (`ack: receiver`)", \
      "the event is refused (`asks_full`, `asked_full`)") \
    X(instance_asks, LIMIT_COUNT, 100000, 0, 10000000, "both, of all sockets of this instance", \
      "the event is refused (`asks_full`, `asked_full`)") \
    X(unfinished_bytes, LIMIT_BYTES, 64 << 20, 1 << 20, UINT64_C(4) << 30, \
      "incomplete messages of all clients, and events that await attachments", \
      "the client whose message began first is closed, 1013 (`unfinished`)") \
    X(answer_bytes, LIMIT_BYTES, 32 << 20, 256 << 10, 1 << 30, "answers to questions that clients have not read yet", \
      "questions wait; clients that have read nothing for 2 s are closed in favour of those that wait " \
      "(`slow_consumer`)") \
    X(queue_soft, LIMIT_BYTES, 1 << 20, 16 << 10, 1 << 30, "output that waits for one client", \
      "what `slow:` of the namespace says (`sennit_slowed_total`, `slow_dropped`, `slow_consumer`)") \
    X(queue_hard, LIMIT_BYTES, 4 << 20, 64 << 10, 1 << 30, \
      "output that waits for one client, beside two messages of the largest size", "closed (`slow_consumer`)") \
    X(output_bytes, LIMIT_BYTES, 64 << 20, 1 << 20, UINT64_C(16) << 30, "output that all clients have not read yet", \
      "clients that do not read, and for whom more waits than `output_bytes` / connections, are closed " \
      "(`output_full`)") \
    X(lease_bytes, LIMIT_BYTES, 64 << 20, 64 << 10, 1 << 30, \
      "leases of clients that were cut off from this instance; one address may have at most as much as is free", \
      "a client that is cut off then starts anew (`recovered: false`, `leases_full`)") \
    X(rooms, LIMIT_COUNT, 100000, 1, 100000000, "rooms of the whole service that have a log", \
      "an event that would begin another log is refused (`broker_rooms_full`)") \
    X(log_bytes, LIMIT_BYTES, LIMIT_DERIVED, 64 << 10, UINT64_C(1) << 40, "all logs of the whole service", \
      "events to rooms that hold more than their share are refused (`broker_full`); other rooms go on")

#define LIMITS(X) \
    LIMITS_TOP(X) \
    LIMITS_UNDER(X)

enum limit_unit { LIMIT_COUNT, LIMIT_BYTES, LIMIT_MS };

enum limit {
#define X(name, unit, fallback, least, most, what, beyond) LIMIT_##name,
    LIMITS(X)
#undef X
        LIMITS_COUNT
};
enum { LIMITS_UNDER_FIRST = LIMIT_connections }; /* those before it are fields of the configuration itself */

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
/* Reads the fields of the configuration, and those of its mapping `limits:`; of both, those that are absent keep their
 * values. False with `err` set. */
bool limits_read(struct serve_limits *limits, const struct yaml_node *root, struct err *err);
/* Copies the session layer's bounds to `to`. */
void limits_give(const struct serve_limits *limits, struct session_limits *to);
/* Appends rows of the manual: name, quantity, default, range, and the effect beyond. Those under `limits:`, or the
 * others. */
void limits_describe(struct buf *to, bool under);

/* The division of this process' descriptors; the rest is reserved. */
struct limits_files {
    uint64_t connections; /* of clients, at most */
    uint64_t spare;       /* connections beyond the bound, which get a refusal or /health */
    uint64_t open;        /* files of `static` */
};
struct limits_files limits_files_share(uint64_t allowed);
/* Computes the derived defaults. `on_platform`: connections come from the platform's ingress. `slots`: requests that
 * the platform sends to this instance at once; 0: unknown. False with `err` set: the settings need more descriptors
 * than there are. */
bool limits_derive(struct serve_limits *limits, const struct limits_files *files, bool on_platform, uint64_t slots,
                   struct err *err);

#endif
