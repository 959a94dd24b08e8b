/* tls_peer: the handshake, and each of the bad manners. See tls_peer.h. */
#include "tls_peer.h"

#include <assert.h>
#include <openssl/err.h>
#include <stdio.h>

#include "../own_ip.h"

static uint64_t next_random(struct tls_peer *peer)
{
    peer->seed = peer->seed * 6364136223846793005u + 1442695040888963407u;
    return peer->seed >> 33;
}

static void take_ciphertext(struct tls_peer *peer)
{
    BIO *from = SSL_get_wbio(peer->ssl);
    size_t waiting = (size_t)BIO_pending(from);
    if (waiting == 0)
        return;
    int got = BIO_read(from, buf_reserve(&peer->out, waiting), (int)waiting);
    buf_added(&peer->out, (size_t)got);
}

static void end_stream(struct tls_peer *peer)
{
    io_close(&peer->io, false);
}

static void write_some(struct tls_peer *peer)
{
    size_t len = peer->out.len > peer->hold_back ? peer->out.len - peer->hold_back : 0;
    if (peer->cut_max != 0 && len > peer->cut_max)
        len = 1 + next_random(peer) % peer->cut_max;
    if (len > 0) {
        struct iovec part = {peer->out.data + peer->out.off, len};
        ssize_t written = io_writev(&peer->io, &part, 1);
        if (written == IO_ERROR) {
            end_stream(peer);
            return;
        }
        if (written > 0)
            buf_consume(&peer->out, (size_t)written);
    }
    bool more = peer->out.len > peer->hold_back;
    if (!more && (peer->hang_up || peer->goodbye) && peer->to_send.len == 0 && (peer->established || peer->plain)) {
        end_stream(peer);
        return;
    }
    io_want(&peer->io, (peer->deaf || peer->got_end ? 0 : IO_READ) | (more ? IO_WRITE : 0));
}

static void read_plain(struct tls_peer *peer)
{
    char plain[16384];
    int got;
    while ((got = SSL_read(peer->ssl, plain, sizeof plain)) > 0)
        buf_append(&peer->received, span_of(plain, (size_t)got));
    int error = SSL_get_error(peer->ssl, got);
    if (error == SSL_ERROR_ZERO_RETURN)
        peer->got_goodbye = true;
    else if (error == SSL_ERROR_SSL)
        peer->failed = true;
}

static void work(struct tls_peer *peer)
{
    ERR_clear_error();
    if (!peer->established && !peer->failed) {
        int done = SSL_do_handshake(peer->ssl);
        peer->established = done == 1;
        peer->failed = done != 1 && SSL_get_error(peer->ssl, done) != SSL_ERROR_WANT_READ;
    }
    if (peer->established && !peer->failed) {
        read_plain(peer);
        if (peer->to_send.len > 0 && !peer->failed) {
            int put = SSL_write(peer->ssl, buf_span(&peer->to_send).data, (int)peer->to_send.len);
            assert(put == (int)peer->to_send.len);
            buf_clear(&peer->to_send);
        }
        if (peer->goodbye && !peer->failed)
            SSL_shutdown(peer->ssl);
    }
    take_ciphertext(peer);
}

void tls_peer_step(struct tls_peer *peer)
{
    if (!io_is_open(&peer->io))
        return;
    if (!peer->plain)
        work(peer);
    write_some(peer);
}

static void read_some(struct tls_peer *peer)
{
    char bytes[65536];
    size_t size = peer->cut_max != 0 && peer->cut_max < sizeof bytes ? peer->cut_max : sizeof bytes;
    ssize_t got = io_read(&peer->io, bytes, size);
    if (got == 0)
        peer->got_end = true;
    if (got == IO_ERROR) {
        end_stream(peer);
        return;
    }
    if (got > 0 && peer->plain) {
        buf_append(&peer->out, buf_span(&peer->to_send));
        buf_clear(&peer->to_send);
    } else if (got > 0) {
        BIO_write(SSL_get_rbio(peer->ssl), bytes, (int)got);
    }
}

static void on_ready(struct io *io, unsigned ready)
{
    struct tls_peer *peer = container_of(io, struct tls_peer, io);
    if (ready & IO_READ)
        read_some(peer);
    tls_peer_step(peer);
}

static void on_accepted(struct listener *listener, struct io *io, const struct addr *addr)
{
    struct tls_peer *peer = container_of(listener, struct tls_peer, listener);
    assert(!peer->accepted);
    peer->accepted = true;
    io_move(&peer->io, io);
    tls_peer_step(peer);
}

static void on_info(const SSL *ssl, int where, int value)
{
    struct tls_peer *peer = SSL_get_app_data(ssl);
    if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT && (value & 0xff) != SSL_AD_CLOSE_NOTIFY)
        peer->alert = value & 0xff;
}

static int on_sni(SSL *ssl, int *alert, void *arg)
{
    struct tls_peer *peer = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    snprintf(peer->sni, sizeof peer->sni, "%s", name != NULL ? name : "");
    return SSL_TLSEXT_ERR_OK;
}

void tls_peer_open(struct tls_peer *peer, struct net *net, const struct cert *cert, const struct cert *client_ca)
{
    struct addr addr;
    struct err err;
    *peer = (struct tls_peer){.alert = -1, .seed = 1};
    addr_from_ip(&addr, SPAN_LIT(OWN_IP), 0);
    io_init(&peer->io, net->loop, on_ready);
    bool listens = listener_open(&peer->listener, net, &addr, on_accepted, &err);
    assert(listens);
    peer->context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(peer->context, cert->x509);
    SSL_CTX_use_PrivateKey(peer->context, cert->key);
    SSL_CTX_set_tlsext_servername_callback(peer->context, on_sni);
    SSL_CTX_set_tlsext_servername_arg(peer->context, peer);
    if (client_ca != NULL) {
        X509_STORE_add_cert(SSL_CTX_get_cert_store(peer->context), client_ca->x509);
        SSL_CTX_set_verify(peer->context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    peer->ssl = SSL_new(peer->context);
    SSL_set_app_data(peer->ssl, peer);
    SSL_set_info_callback(peer->ssl, on_info);
    SSL_set_bio(peer->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_accept_state(peer->ssl);
}

void tls_peer_addr(const struct tls_peer *peer, struct addr *addr)
{
    addr_from_ip(addr, SPAN_LIT(OWN_IP), listener_port(&peer->listener));
}

void tls_peer_close(struct tls_peer *peer)
{
    listener_close(&peer->listener);
    io_close(&peer->io, false);
    SSL_free(peer->ssl);
    SSL_CTX_free(peer->context);
    buf_finish(&peer->out);
    buf_finish(&peer->received);
    buf_finish(&peer->to_send);
}
