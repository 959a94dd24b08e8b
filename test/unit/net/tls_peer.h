/* tls_peer: the other end of a TLS stream, on OpenSSL's server side and a real loopback socket, with bad manners on
 * request: it cuts its bytes anywhere, lies, falls silent. It runs on the loop of the test. */
#ifndef SENNIT_TEST_TLS_PEER_H
#define SENNIT_TEST_TLS_PEER_H

#include "base/buf.h"
#include "certs.h"
#include "net/listener.h"

struct tls_peer {
    struct listener listener;
    struct io io;
    SSL_CTX *context;
    SSL *ssl;
    struct buf out;      /* ciphertext not written yet */
    struct buf received; /* plaintext */
    struct buf to_send;  /* plaintext; taken once the handshake is complete */
    size_t cut_max;      /* writes between 1 and this many bytes a turn; 0: as many as it can */
    size_t hold_back;    /* keeps back this many bytes at the end of `out` */
    uint64_t seed;
    bool plain;   /* speaks no TLS: `to_send` is the answer to the first bytes */
    bool deaf;    /* reads nothing */
    bool goodbye; /* say close_notify when everything is sent, and end the stream */
    bool hang_up; /* end the stream when everything is sent, without close_notify */
    bool accepted, established, got_goodbye, got_end, failed;
    int alert; /* the last one received, -1: none */
    char sni[64];
};

/* Listens on a free port of the loopback, with `cert`; `client_ca` not NULL: wants a certificate of that CA. */
void tls_peer_open(struct tls_peer *peer, struct net *net, const struct cert *cert, const struct cert *client_ca);
void tls_peer_addr(const struct tls_peer *peer, struct addr *addr);
/* To be called after a change of these settings. */
void tls_peer_step(struct tls_peer *peer);
void tls_peer_close(struct tls_peer *peer);

#endif
