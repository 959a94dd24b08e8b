/* tls: one stream's TLS on OpenSSL 3, as bytes in and bytes out: no descriptor, no loop.
 *
 *     from the kernel --> in  --[ ]--> tls_read           `in` and `out` hold ciphertext and no memory
 *       to the kernel <-- out <--[ ]-- tls_write          while they are empty
 *
 * TLS 1.2 and later; renegotiation is refused. After a fault nothing but `out`, which may hold the alert that tells the
 * peer, is of use. */
#ifndef SENNIT_NET_TLS_H
#define SENNIT_NET_TLS_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

/* Kinds of faults that an operator can correct. */
enum tls_fault {
    TLS_FAULT_NONE,
    TLS_FAULT_UNTRUSTED,  /* no trusted CA has signed the peer's certificate */
    TLS_FAULT_NAME,       /* the certificate is for another name */
    TLS_FAULT_DATE,       /* expired, or not valid yet */
    TLS_FAULT_NOT_TLS,    /* the peer answers, but not in TLS */
    TLS_FAULT_WANTS_CERT, /* the peer wants a certificate of ours */
    TLS_FAULT_OTHER,
};

struct tls_problem {
    enum tls_fault fault;
    char text[160]; /* "certificate verify failed: self-signed certificate" */
};

/* The settings that the outgoing streams to one peer share. */
struct tls_client;

struct tls_client_options {
    const char *name; /* the name of the certificate, and SNI: a host name or an IP */
    const char *ca;   /* file of PEM certificates, or a directory prepared with `openssl rehash`; NULL: the system's */
    const char *cert, *key; /* PEM files, both or neither; `cert` may hold the chain behind the certificate */
    bool verify_off;        /* accept any certificate */
    bool http2;             /* speaks HTTP/2, and says so (ALPN, RFC 7301) */
};

/* Reads the files. NULL with `err` set: "ca: /etc/ca.pem: No such file or directory". */
struct tls_client *tls_client_create(const struct tls_client_options *options, struct err *err);
/* All of its streams must have been destroyed. Accepts NULL. */
void tls_client_destroy(struct tls_client *client);

/* The settings that the incoming streams of one listener share: a certificate, and ALPN for HTTP/1.1. */
struct tls_server;
/* Reads the PEM files; `cert` may hold the chain behind the certificate. NULL with `err` set. */
struct tls_server *tls_server_create(const char *cert, const char *key, struct err *err);
/* The same with certificates for this machine's names: localhost, 127.0.0.1, ::1, and each name below `localhost` that
 * a client asks for (SNI). `cert` and `key` are the files of the authority that signs them, which clients have to trust
 * and which may sign nothing else (RFC 5280 section 4.2.1.10); it is made, for this user alone, where the files hold
 * none that is good for a year. NULL with `err` set. */
struct tls_server *tls_server_create_local(const char *cert, const char *key, struct err *err);
/* All of its streams must have been destroyed. Accepts NULL. */
void tls_server_destroy(struct tls_server *server);

struct tls {
    struct ssl_st *ssl;
    struct buf in, out;
    bool begun, established; /* the handshake has begun; it is complete */
    bool heard;              /* the peer's first byte has arrived */
    bool said_goodbye;
    size_t sealed; /* used by the owner: plaintext bytes of its queue whose records are in `out` */
    struct tls_problem problem;
};

/* A client's stream, not begun. */
struct tls *tls_create(const struct tls_client *client);
/* A server's stream, which waits for the client's first bytes. */
struct tls *tls_accept(const struct tls_server *server);
void tls_destroy(struct tls *tls); /* accepts NULL */

/* The negative results of tls_read. */
enum tls_result { TLS_MORE = -1, TLS_FAILED = -2 };

/* Goes on with the handshake: 0 when it is complete, TLS_MORE when the peer must speak first, TLS_FAILED. */
int tls_handshake(struct tls *tls);
/* Plaintext bytes (> 0, one record at most), 0 behind the peer's close_notify, TLS_MORE, or TLS_FAILED. */
ssize_t tls_read(struct tls *tls, void *to, size_t size);
/* Puts `plain` into records, all of it; false on a fault. */
bool tls_write(struct tls *tls, struct span plain);
/* Sends close_notify, once, if the handshake is complete; reading may go on. */
void tls_goodbye(struct tls *tls);
/* Whether tls_read may have plaintext without new bytes from the kernel. */
bool tls_has_input(const struct tls *tls);

/* Records a fault that its owner found; the first one stands. */
void tls_set_problem(struct tls *tls, enum tls_fault fault, const char *text);

#endif
