/* grpc_server: a gRPC server for tests, on the loop of its client: HTTP/2 by nghttp2, messages as bytes.
 *
 * What the messages mean, and what is answered, is its owner's business (firestore_model.c). It also
 * does what servers do when something is wrong: reset a stream, say GOAWAY, cut the connection. */
#ifndef SENNIT_TEST_GRPC_SERVER_H
#define SENNIT_TEST_GRPC_SERVER_H

#include "base/list.h"
#include "broker/grpc_link.h"
#include "net/listener.h"

struct grpc_server;

/* One call of a client. */
struct grpc_stream {
    struct list of_all; /* of the server's */
    struct grpc_peer *peer;
    struct buf in, out;
    int32_t id;
    uint64_t number; /* of all calls that this server got, from 0 */
    bool deferred, begun, ending;
    enum grpc_status status;
    char text[GRPC_TEXT_BYTES_MAX];
    char method[64]; /* behind the last slash of its path */
    char bearer[128];
    void *arg; /* the owner's */
};

struct grpc_server_events {
    void (*message)(struct grpc_stream *stream, struct span message);
    /* The call is over; its memory goes. May be NULL. */
    void (*closed)(struct grpc_stream *stream);
};

struct grpc_server {
    struct listener listener;
    const struct grpc_server_events *events;
    struct list peers, streams;
    uint64_t calls;
    void *arg; /* the owner's */
};

void grpc_server_start(struct grpc_server *server, struct net *of, const struct grpc_server_events *events, void *arg);
void grpc_server_finish(struct grpc_server *server);
uint16_t grpc_server_port(const struct grpc_server *server);
struct grpc_server *grpc_stream_server(const struct grpc_stream *stream);

void grpc_stream_send(struct grpc_stream *stream, struct span message);
/* The status follows what was sent; nothing is sent behind it. */
void grpc_stream_end(struct grpc_stream *stream, enum grpc_status status, const char *text);
void grpc_stream_reset(struct grpc_stream *stream);
/* Ends the client's connection: with the word GOAWAY before, or without any. */
void grpc_server_leave(struct grpc_server *server);
void grpc_server_cut(struct grpc_server *server);
/* The connections that there are take nothing in, and give nothing out. */
void grpc_server_freeze(struct grpc_server *server);

#endif
