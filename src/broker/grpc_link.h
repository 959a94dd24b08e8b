/* grpc_link: one HTTP/2 connection to a gRPC server, and the calls on it (https://grpc.io: "gRPC over HTTP2").
 *
 * A call sends one message or several, gets messages, and ends once with a status: the server's, or GRPC_UNAVAILABLE if
 * the connection ends first. nghttp2 speaks HTTP/2; net/conn carries its bytes. A server that sends GOAWAY is left at
 * once: what is under way ends as unavailable, and every caller here may repeat what it asked.
 *
 * Its owner (firestore_link.c) embeds the link, opens it, and opens it again after `closed`. */
#ifndef SENNIT_BROKER_GRPC_LINK_H
#define SENNIT_BROKER_GRPC_LINK_H

#include "net/conn.h"

enum grpc_status {
    GRPC_OK = 0,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_NOT_FOUND = 5,
    GRPC_ALREADY_EXISTS = 6,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_FAILED_PRECONDITION = 9,
    GRPC_ABORTED = 10,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_UNAUTHENTICATED = 16,
};

enum {
    GRPC_MESSAGE_BYTES_MAX = 16 << 20, /* that the server sends */
    GRPC_TEXT_BYTES_MAX = 256,         /* of a status */
    GRPC_QUEUE_BYTES_MAX = 32 << 20,
};

struct grpc_link;
struct grpc_call;

struct grpc_link_events {
    void (*opened)(struct grpc_link *link);
    /* Once for each opening, at the end of the turn; all calls have ended before. `why` is borrowed. */
    void (*closed)(struct grpc_link *link, const char *why);
};

/* Called from the loop, never within a function of this file. Spans are borrowed. */
struct grpc_call_events {
    /* False: it makes no sense; the call ends with GRPC_INTERNAL. */
    bool (*message)(void *arg, struct span message);
    /* The call is over and its memory gone. */
    void (*ended)(void *arg, enum grpc_status status, struct span text);
};

struct grpc_link {
    struct conn conn;
    const struct grpc_link_events *events;
    struct nghttp2_session *session; /* NULL: closed */
    struct list calls;
    struct task pump;
    struct timer sign; /* the server owes a sign of life until then */
    char *authority;
    bool secure;
    bool busy;     /* from opening to `closed` */
    bool is_going; /* the server has sent GOAWAY */
};

/* What a call is made with; all is copied. */
struct grpc_method {
    const char *path;     /* "/package.Service/Method" */
    struct span token;    /* of `authorization: Bearer`; empty: none */
    struct span resource; /* of `google-cloud-resource-prefix`; empty: none */
    uint32_t deadline_ms; /* 0: none */
};

void grpc_link_init(struct grpc_link *link, struct net *net, const struct grpc_link_events *events);
void grpc_link_finish(struct grpc_link *link);
/* Connects; with TLS if `tls`, which outlives the link, is not NULL. `authority` is copied. */
void grpc_link_open(struct grpc_link *link, const struct addr *addr, const char *authority,
                    const struct tls_client *tls);
/* Harmless when closed. */
void grpc_link_close(struct grpc_link *link, enum close_reason reason);
static inline bool grpc_link_is_open(const struct grpc_link *link)
{
    return link->session != NULL && conn_is_open(&link->conn) && !link->is_going;
}

/* Asks the server for a sign of life: if it says nothing at all within `ms`, the connection is closed. While one is
 * awaited this does nothing. */
void grpc_link_probe(struct grpc_link *link, uint32_t ms);

/* Begins a call on an open link. */
struct grpc_call *grpc_call_begin(struct grpc_link *link, const struct grpc_method *method,
                                  const struct grpc_call_events *events, void *arg);
/* Sends a copy of a message; behind the `last` one nothing may be sent. */
void grpc_call_send(struct grpc_call *call, struct span message, bool last);

#endif
