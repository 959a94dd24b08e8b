/* denials: one table of all responses that the ingress makes itself. The table makes the enum, the responses, the
 * counters in /status, the log lines and the table in docs/up.md. Where Cloud Run has the same limit, status and first
 * line are Cloud Run's. X-Sennit-Reason and the second line add the limit and its cure, which Cloud Run does not name.
 *
 *   X(NAME, "X-Sennit-Reason", status (0: given by the fault), log level, "first line", "the fault: the cure") */
#ifndef SENNIT_PLATFORM_DENIALS_H
#define SENNIT_PLATFORM_DENIALS_H

#include "base/buf.h"
#include "base/log.h"
#include "loop/loop.h"

#define DENIALS(X) \
    X(NO_SERVICE, "no-service", 404, LOG_INFO, "Not Found", \
      "this host names no service, or none of its tags: ask for NAME.localhost, or TAG---NAME.localhost; `sennit " \
      "services` lists the names") \
    X(TOKEN_MISSING, "token-missing", 403, LOG_INFO, \
      "Your client does not have permission to get this URL from this server.", \
      "the service takes no unauthenticated requests: send `Authorization: Bearer` with the token that `sennit token " \
      "--audience URL` prints, or set sennit.dev/allow-unauthenticated") \
    X(TOKEN_INVALID, "token-invalid", 401, LOG_INFO, "Your client does not have permission to the requested URL.", \
      "the token could not be verified, and the request log says why: get one from `sennit token`, from the " \
      "metadata server, or from the issuer of --identity-keys") \
    X(TOKEN_EXPIRED, "token-expired", 401, LOG_INFO, "Your client does not have permission to the requested URL.", \
      "the token has expired: get a new one") \
    X(TOKEN_AUDIENCE, "token-audience", 401, LOG_INFO, "Your client does not have permission to the requested URL.", \
      "the token is for another audience: ask for one for the service's URL, which `sennit services` lists, or add " \
      "yours to run.googleapis.com/custom-audiences") \
    X(NOT_INVOKER, "not-an-invoker", 403, LOG_INFO, \
      "Your client does not have permission to get this URL from this server.", \
      "the token is good, and its caller may not call this service: add the e-mail address to sennit.dev/invokers") \
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
    X(MEMORY, "memory-limit", 500, LOG_WARNING, \
      "While handling this request, the container instance was found to be using too much memory and was terminated.", \
      "the instance used more memory than resources.limits.memory: raise it, or use less") \
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
    X(MALFORMED_PROXY, "malformed-proxy-header", 400, LOG_WARNING, "Bad Request", \
      "connections from this address begin with a header of the PROXY protocol (--proxy-protocol), and this one is " \
      "malformed or late: let the load balancer send it, or take its address from the list") \
    X(TLS_FAILED, "tls-failed", 400, LOG_INFO, "Bad Request", \
      "the TLS handshake failed: use https:// and TLS 1.2 or later, and trust the certificate") \
    X(MALFORMED_HANDSHAKE, "malformed-handshake", 400, LOG_INFO, "Bad Request", \
      "a WebSocket handshake needs Sec-WebSocket-Version: 13 and a key of 16 bytes in base64 (RFC 6455)") \
    X(REQUEST_TOO_LARGE, "request-too-large", 413, LOG_INFO, "Request Entity Too Large", \
      "a request's body is at most 32 MiB, as with Cloud Run over HTTP/1") \
    X(RESPONSE_TOO_LARGE, "response-too-large", 500, LOG_WARNING, \
      "Response size was too large. Please consider reducing response size.", \
      "a response with Content-Length has at most 32 MiB, as with Cloud Run over HTTP/1: send it chunked")

enum denial {
#define X(constant, reason, status, level, line, cure) DENIAL_##constant,
    DENIALS(X)
#undef X
        DENIAL_COUNT
};

/* Counts denials and writes log lines: the first of each kind at once, then one in DENIALS_LOG_MS at most, with the
 * number since the last. So refused clients cannot fill the log. */
struct denials {
    struct loop *loop;
    uint64_t counts[DENIAL_COUNT];
    uint64_t logged[DENIAL_COUNT];    /* the count at the last log line */
    uint64_t logged_us[DENIAL_COUNT]; /* the time of that line; 0: none */
};

enum { DENIALS_LOG_MS = 10000 };

void denials_init(struct denials *denials, struct loop *loop);
/* Counts one denial. `peer` is the client's address, `what` a detail (an instance's id); both may be empty. */
void denials_note(struct denials *denials, enum denial denial, const char *peer, const char *what);
/* Appends the response. `status` is used if the table has none. Without `with_body` it answers HEAD. */
void denial_encode(struct buf *to, enum denial denial, int status, bool keep_alive, bool with_body);
/* The status of its response; `status` if the table has none. */
int denial_status(enum denial denial, int status);
const char *denial_reason(enum denial denial);
/* A sentence for the log: Cloud Run's own, where it documents one; else the fault and its cure. */
const char *denial_text(enum denial denial);

#endif
