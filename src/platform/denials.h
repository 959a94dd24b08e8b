/* denials: every answer of the ingress' own, in one table, which makes the enum, the answers, the counters in /status,
 * the log lines and the table in docs/up.md. Status and first line of an answer are Cloud Run's where it has such a
 * limit; X-Sennit-Reason and the second line say which limit it was and what changes it, which Cloud Run does not.
 *
 *   X(NAME, "X-Sennit-Reason", status (0: as the fault has it), log level, "first line", "what is wrong: the cure") */
#ifndef SENNIT_PLATFORM_DENIALS_H
#define SENNIT_PLATFORM_DENIALS_H

#include "base/buf.h"
#include "base/log.h"
#include "loop/loop.h"

#define DENIALS(X) \
    X(CONNECTIONS_FULL, "connections-full", 503, LOG_WARNING, "Service Unavailable", \
      "the ingress holds the most connections allowed: come back later, or raise --connections and ulimit -n") \
    X(ADDRESS_FULL, "connections-per-address", 429, LOG_WARNING, "Rate exceeded.", \
      "this address holds the most connections allowed: close some, or raise --connections-per-address") \
    X(QUEUE_FULL, "queue-full", 429, LOG_WARNING, "Rate exceeded.", \
      "10000 requests already wait for an instance: come back later, or raise maxScale or containerConcurrency") \
    X(MAX_INSTANCES, "max-instances", 429, LOG_WARNING, "Rate exceeded.", \
      "all slots of all instances stayed taken: come back later, or raise maxScale or containerConcurrency") \
    X(COLD_START, "cold-start-timeout", 500, LOG_WARNING, \
      "The request was aborted because there was no available instance.", \
      "no instance came up in time: see the log for why, or keep one with minScale") \
    X(START_FAILED, "instance-start-failed", 500, LOG_WARNING, \
      "The request failed because the instance could not start successfully.", \
      "the command ended before it listened on $PORT: its last output is in the log") \
    X(STOPPING, "stopping", 503, LOG_INFO, "Service Unavailable", "the service is being stopped: come back later") \
    X(INSTANCE_FAILED, "instance-failed", 503, LOG_WARNING, "Service Unavailable", \
      "the instance ended or closed the connection before it answered: see its output in the log") \
    X(MALFORMED_RESPONSE, "malformed-response", 503, LOG_WARNING, "Service Unavailable", \
      "the instance's response is not valid HTTP/1.1: fix the program") \
    X(REQUEST_TIMEOUT, "request-timeout", 504, LOG_INFO, "upstream request timeout", \
      "no response came within the service's timeoutSeconds: raise it, or respond sooner") \
    X(SLOW_HEAD, "slow-head", 408, LOG_INFO, "Request Timeout", \
      "the request's head took too long: send it within 60 s, or within 3 s while connections are scarce") \
    X(SLOW_BODY, "slow-body", 408, LOG_INFO, "Request Timeout", \
      "less than 1 KiB of the request's body arrived in 30 s: send it faster") \
    X(MALFORMED_REQUEST, "malformed-request", 0, LOG_INFO, "", \
      "the bytes are not a valid HTTP/1.1 request, or two parsers could read them differently: fix the client") \
    X(MALFORMED_HANDSHAKE, "malformed-handshake", 400, LOG_INFO, "Bad Request", \
      "a WebSocket handshake needs Sec-WebSocket-Version: 13 and a key of 16 bytes in base64 (RFC 6455)") \
    X(REQUEST_TOO_LARGE, "request-too-large", 413, LOG_INFO, "Request Entity Too Large", \
      "a request's body is at most 32 MiB, as with Cloud Run over HTTP/1")

enum denial {
#define X(constant, reason, status, level, line, cure) DENIAL_##constant,
    DENIALS(X)
#undef X
        DENIAL_COUNT
};

/* Counts, and writes log lines: the first of each kind at once, then one in DENIALS_LOG_MS at most, with how many there
 * were: nobody fills the log by being refused. */
struct denials {
    struct loop *loop;
    uint64_t counts[DENIAL_COUNT];
    uint64_t logged[DENIAL_COUNT];    /* of these, when the last line was written */
    uint64_t logged_us[DENIAL_COUNT]; /* and when that was; 0: never */
};

enum { DENIALS_LOG_MS = 10000 };

void denials_init(struct denials *denials, struct loop *loop);
/* `peer` is the client's address, `what` says more (an instance's id); both may be empty. */
void denials_note(struct denials *denials, enum denial denial, const char *peer, const char *what);
/* Appends the answer. `status` counts where the table has none; without `with_body` it is one to HEAD. */
void denial_encode(struct buf *to, enum denial denial, int status, bool keep_alive, bool with_body);
const char *denial_reason(enum denial denial);

#endif
