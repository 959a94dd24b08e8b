/* config: the settings of `sennit serve`, from its YAML file, its environment and its flags. Flags take precedence over
 * the environment, and that over the file. */
#ifndef SENNIT_SERVE_CONFIG_H
#define SENNIT_SERVE_CONFIG_H

#include "app/relay.h"
#include "base/err.h"
#include "bridge/bridge.h"
#include "serve/admin.h"
#include "serve/api_config.h"
#include "serve/broker_config.h"
#include "serve/engine_config.h"
#include "serve/forwarded.h"
#include "serve/handshake.h"
#include "serve/limits.h"
#include "serve/origin.h"
#include "serve/plain_config.h"

/* From the command line; NULL or 0: not given. */
struct serve_options {
    const char *config_path;
    const char *port;
    struct broker_options broker;
    const char *request_timeout; /* seconds */
    const char *rotate;          /* "auto", "off", or a duration */
    const char *trusted_hops;    /* number of proxies */
    uint64_t files_allowed;      /* descriptor limit of this process; 0: unknown, taken as large */
    bool unsignalled;            /* a part of another program: no signal ends it */
};

struct serve_config {
    struct relay relay;
    struct session_limits limits;
    struct serve_limits bounds;
    struct compression_settings compression;
    bool bounds_address; /* `limits: connections_per_address` was set */
    uint64_t files_allowed;
    struct limits_files files;         /* the division of these descriptors */
    unsigned trusted_hops;             /* proxies in front whose X-Forwarded-For is believed; 0: none (forwarded.h) */
    struct origins origins;            /* origins whose pages may connect */
    struct engine_config engine;       /* paths, transports, CORS */
    struct plain_config plain;         /* paths of clients that speak no Socket.IO */
    struct admin admin;                /* access to /metrics */
    struct api_config api;             /* the HTTP API */
    struct handshake_config handshake; /* what is kept of a client's first request */
    struct bridge_config bridge;       /* to servers with Socket.IO's Redis adapter */
    char *headers;                     /* header lines of every response */
    bool msgpack;                      /* `parser: msgpack`: Socket.IO packets are MessagePack */
    bool is_built_in;                  /* no file names a namespace: there is one, which relays nothing */
    struct err lacks;                  /* there is a file, and that is wrong with it unless a program has namespaces */
    uint16_t port;                     /* PORT, default 8080; 0 picks a free one */
    struct broker_config broker;
    char *prefix;                /* of the broker's keys */
    char *static_dir;            /* NULL: none */
    char *client_dir;            /* socket.io-client's dist/; NULL: not found */
    char *client_version;        /* of these files; NULL: unknown */
    char *instance;              /* SENNIT_INSTANCE, or K_REVISION or "local", and random characters */
    uint64_t request_timeout_ms; /* SENNIT_REQUEST_TIMEOUT_SECONDS; 0: unknown */
};

/* Reads all settings. Without a file there is one namespace, "/", which relays nothing. False with `err` set: file,
 * line, field, remedy. */
bool serve_config_read(struct serve_config *config, struct loop *loop, const struct serve_options *options,
                       struct err *err);
void serve_config_finish(struct serve_config *config); /* accepts zeroed memory */

#endif
