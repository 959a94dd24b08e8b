/* handshake: what is kept of a client's first request for lists of sockets (Socket.IO's `handshake`) and for programs
 * in C, from this field of the configuration, or as such a program asks:
 *
 *     handshake: {headers: [User-Agent], query: true, auth: true}
 *
 * Without the field nothing is kept: it takes memory in each session, and headers, query and payload may hold secrets.
 */
#ifndef SENNIT_SERVE_HANDSHAKE_H
#define SENNIT_SERVE_HANDSHAKE_H

#include "base/buf.h"
#include "net/conn.h"
#include "wire/http1.h"
#include "wire/yaml.h"

enum { HANDSHAKE_HEADERS_MAX = 32 };

struct handshake_config {
    char *headers[HANDSHAKE_HEADERS_MAX]; /* in lower case */
    size_t header_count;
    bool on, query, auth;
};

/* Reads the mapping; NULL: nothing is kept. False with `err` set. */
bool handshake_config_read(struct handshake_config *config, const struct yaml_node *node, struct err *err);
void handshake_config_finish(struct handshake_config *config); /* accepts zeroed memory */
/* This header is kept, too. False: the name is none, or there are HANDSHAKE_HEADERS_MAX others. */
bool handshake_header_keep(struct handshake_config *config, struct span name);
/* Whether it is kept; of any case. */
bool handshake_header_is_kept(const struct handshake_config *config, struct span name);

/* Appends a JSON object of what the head says, without `auth`; nothing if nothing is to be kept. `trusted`: a proxy in
 * front is believed, so X-Forwarded-Proto says whether the client came over TLS. */
void handshake_encode(struct buf *to, const struct handshake_config *config, const struct http1_head *head,
                      const struct addr_ip *peer, int64_t now_ms, bool trusted);

#endif
