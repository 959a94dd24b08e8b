/* tls: one stream: handshake, records in both directions, faults. tls_client.c makes the settings that streams share.
 */
#include "net/tls.h"

#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/tls_parts.h"

/* The BIO under an SSL: reads from `in`, writes to `out`, never blocks and never ends. */
static int bytes_read(BIO *bio, char *to, int size)
{
    struct tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (tls->in.len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t got = (size_t)size < tls->in.len ? (size_t)size : tls->in.len;
    memcpy(to, tls->in.data + tls->in.off, got);
    buf_consume(&tls->in, got);
    return (int)got;
}

static int bytes_write(BIO *bio, const char *from, int size)
{
    struct tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    buf_append(&tls->out, span_of(from, (size_t)size));
    return size;
}

static long bytes_control(BIO *bio, int command, long number, void *pointer)
{
    return command == BIO_CTRL_FLUSH;
}

static int bytes_created(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

BIO_METHOD *tls_bytes_create(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "bytes");
    if (method == NULL)
        return NULL;
    BIO_meth_set_read(method, bytes_read);
    BIO_meth_set_write(method, bytes_write);
    BIO_meth_set_ctrl(method, bytes_control);
    BIO_meth_set_create(method, bytes_created);
    return method;
}

static struct tls *stream_create(SSL_CTX *context, const BIO_METHOD *method)
{
    struct tls *tls = mem_zero(1, sizeof *tls);
    tls->ssl = SSL_new(context);
    BIO *bytes = BIO_new(method);
    /* Small allocations, like ours. */
    if (tls->ssl == NULL || bytes == NULL)
        abort();
    BIO_set_data(bytes, tls);
    SSL_set_bio(tls->ssl, bytes, bytes);
    return tls;
}

struct tls *tls_accept(const struct tls_server *server)
{
    struct tls *tls = stream_create(server->context, server->bytes);
    SSL_set_accept_state(tls->ssl);
    tls->begun = true;
    return tls;
}

struct tls *tls_create(const struct tls_client *client)
{
    struct tls *tls = stream_create(client->context, client->bytes);
    SSL_set_connect_state(tls->ssl);
    if (!client->name_is_ip && SSL_set_tlsext_host_name(tls->ssl, client->name) != 1)
        abort();
    return tls;
}

void tls_destroy(struct tls *tls)
{
    if (tls == NULL)
        return;
    SSL_free(tls->ssl);
    buf_finish(&tls->in);
    buf_finish(&tls->out);
    free(tls);
}

void tls_set_problem(struct tls *tls, enum tls_fault fault, const char *text)
{
    if (tls->problem.fault != TLS_FAULT_NONE)
        return;
    tls->problem.fault = fault;
    snprintf(tls->problem.text, sizeof tls->problem.text, "%s", text);
}

static enum tls_fault fault_of_verify(long result)
{
    switch (result) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_UNTRUSTED:
        return TLS_FAULT_UNTRUSTED;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return TLS_FAULT_NAME;
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return TLS_FAULT_DATE;
    default:
        return TLS_FAULT_OTHER;
    }
}

/* What OpenSSL complains about, in our words where its own would mislead. */
static void note_problem(struct tls *tls)
{
    char text[sizeof tls->problem.text];
    int reason = ERR_GET_REASON(ERR_peek_error());
    long verify = SSL_get_verify_result(tls->ssl);
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        snprintf(text, sizeof text, "certificate verify failed: %s", X509_verify_cert_error_string(verify));
        tls_set_problem(tls, fault_of_verify(verify), text);
    } else if (reason >= SSL_AD_REASON_OFFSET) {
        int alert = reason - SSL_AD_REASON_OFFSET;
        bool wants_cert = alert == SSL_AD_CERTIFICATE_REQUIRED;
        snprintf(text, sizeof text, "the peer refuses: %s",
                 wants_cert ? "certificate required" : SSL_alert_desc_string_long(alert));
        tls_set_problem(tls, wants_cert ? TLS_FAULT_WANTS_CERT : TLS_FAULT_OTHER, text);
    } else {
        const char *why = ERR_reason_error_string(ERR_peek_error());
        tls_set_problem(tls, TLS_FAULT_OTHER, why != NULL ? why : "the peer breaks the protocol");
    }
}

/* `done` is what an SSL function has returned. */
static int result_of(struct tls *tls, int done)
{
    if (done > 0)
        return done;
    switch (SSL_get_error(tls->ssl, done)) {
    case SSL_ERROR_WANT_READ:
        return TLS_MORE;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        note_problem(tls);
        return TLS_FAILED;
    }
}

/* Every TLS record that may come first is a handshake or an alert (RFC 8446 section 5.1): what begins otherwise is
 * another protocol, and saying so is clearer than what OpenSSL makes of it. */
static bool is_not_tls(struct tls *tls)
{
    enum { RECORD_ALERT = 21, RECORD_HANDSHAKE = 22 };
    if (tls->heard || tls->in.len == 0)
        return false;
    tls->heard = true;
    char first = tls->in.data[tls->in.off];
    return first != RECORD_ALERT && first != RECORD_HANDSHAKE;
}

int tls_handshake(struct tls *tls)
{
    tls->begun = true;
    if (tls->problem.fault != TLS_FAULT_NONE)
        return TLS_FAILED;
    if (is_not_tls(tls)) {
        tls_set_problem(tls, TLS_FAULT_NOT_TLS, "the peer does not speak TLS");
        return TLS_FAILED;
    }
    ERR_clear_error();
    int result = result_of(tls, SSL_do_handshake(tls->ssl));
    if (tls->in.len == 0) /* the peer may take its time */
        buf_finish(&tls->in);
    if (result > 0)
        tls->established = true;
    else if (result == 0) {
        tls_set_problem(tls, TLS_FAULT_OTHER, "the peer said goodbye during the handshake");
        result = TLS_FAILED;
    }
    return result > 0 ? 0 : result;
}

ssize_t tls_read(struct tls *tls, void *to, size_t size)
{
    if (tls->problem.fault != TLS_FAULT_NONE)
        return TLS_FAILED;
    ERR_clear_error();
    ssize_t got = result_of(tls, SSL_read(tls->ssl, to, size < INT32_MAX ? (int)size : INT32_MAX));
    if (tls->in.len == 0)
        buf_finish(&tls->in);
    return got;
}

bool tls_write(struct tls *tls, struct span plain)
{
    size_t written;
    if (tls->problem.fault != TLS_FAULT_NONE)
        return false;
    if (plain.len == 0)
        return true;
    ERR_clear_error();
    /* `out` takes everything, so it is all or a fault. */
    if (SSL_write_ex(tls->ssl, plain.data, plain.len, &written) == 1 && written == plain.len)
        return true;
    note_problem(tls);
    return false;
}

void tls_goodbye(struct tls *tls)
{
    if (!tls->established || tls->said_goodbye || tls->problem.fault != TLS_FAULT_NONE)
        return;
    tls->said_goodbye = true;
    ERR_clear_error();
    SSL_shutdown(tls->ssl);
}

bool tls_has_input(const struct tls *tls)
{
    return tls->in.len != 0 || SSL_has_pending(tls->ssl) == 1;
}
