/* tls_client: the settings of outgoing TLS streams to one peer: trusted CAs, the peer's name, our certificate. Files
 * are read once, here. */
#include <assert.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "base/mem.h"
#include "loop/file.h"
#include "loop/io.h"
#include "net/tls_parts.h"

enum { PEM_BYTES_MAX = 4 << 20 };

const char *tls_why(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());
    return text != NULL ? text : "OpenSSL does not say why";
}

/* A key that is encrypted is refused instead of asking the terminal. */
static int no_passphrase(char *to, int size, int writing, void *arg)
{
    return -1;
}

/* The next certificate in `pem`, or NULL: at the end, or with `*bad` set. */
static X509 *certificate_next(BIO *pem, bool *bad)
{
    ERR_clear_error();
    X509 *certificate = PEM_read_bio_X509(pem, NULL, no_passphrase, NULL);
    *bad = certificate == NULL && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE;
    return certificate;
}

typedef bool take_fn(SSL_CTX *context, X509 *certificate, size_t index);

/* Hands each certificate of a file to `take`. */
static bool certificates_read(SSL_CTX *context, const char *what, const char *path, take_fn *take, struct err *err)
{
    struct buf text = {0};
    size_t count = 0;
    bool bad = false, taken = true;
    X509 *certificate;
    if (!file_read(path, PEM_BYTES_MAX, &text, err)) {
        buf_finish(&text);
        return err_prefix(err, "%s: ", what);
    }
    BIO *pem = BIO_new_mem_buf(buf_span(&text).data, (int)text.len);
    assert(pem != NULL);
    while (taken && (certificate = certificate_next(pem, &bad)) != NULL) {
        taken = take(context, certificate, count++);
        X509_free(certificate);
    }
    BIO_free(pem);
    buf_finish(&text);
    if (bad || !taken)
        return err_set(err, "%s: %s: certificate %zu is broken: %s", what, path, bad ? count + 1 : count, tls_why());
    return count > 0 || err_set(err, "%s: %s: holds no certificate in PEM form", what, path);
}

static bool take_trusted(SSL_CTX *context, X509 *certificate, size_t index)
{
    return X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate) == 1;
}

/* The first is ours, the others lead to its CA. */
static bool take_own(SSL_CTX *context, X509 *certificate, size_t index)
{
    if (index == 0)
        return SSL_CTX_use_certificate(context, certificate) == 1;
    return SSL_CTX_add1_chain_cert(context, certificate) == 1;
}

static bool trust_read(SSL_CTX *context, const char *path, struct err *err)
{
    if (path == NULL)
        return SSL_CTX_set_default_verify_paths(context) == 1 ||
               err_set(err, "the system's CA certificates cannot be used: %s", tls_why());
    /* Whatever was named is believed, be it a root, what a root has signed, or the very certificate of the peer. */
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_PARTIAL_CHAIN);
    if (file_is_directory(path))
        return SSL_CTX_load_verify_dir(context, path) == 1 || err_set(err, "ca: %s: %s", path, tls_why());
    return certificates_read(context, "ca", path, take_trusted, err);
}

static bool key_read(SSL_CTX *context, const char *path, struct err *err)
{
    struct buf text = {0};
    if (!file_read(path, PEM_BYTES_MAX, &text, err)) {
        buf_finish(&text);
        return err_prefix(err, "key: ");
    }
    ERR_clear_error();
    BIO *pem = BIO_new_mem_buf(buf_span(&text).data, (int)text.len);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(pem, NULL, no_passphrase, NULL);
    if (key == NULL)
        err_set(err, "key: %s: holds no private key in PEM form that could be read without a passphrase", path);
    bool ok = key != NULL && SSL_CTX_use_PrivateKey(context, key) == 1 && SSL_CTX_check_private_key(context) == 1;
    if (key != NULL && !ok)
        err_set(err, "key: %s: is not the key of the certificate: %s", path, tls_why());
    EVP_PKEY_free(key);
    BIO_free(pem);
    buf_finish(&text);
    return ok;
}

SSL_CTX *tls_context_create(const SSL_METHOD *method, struct err *err)
{
    SSL_CTX *context = SSL_CTX_new(method);
    if (context == NULL) {
        err_set(err, "OpenSSL cannot start: %s", tls_why());
        return NULL;
    }
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    return context;
}

bool tls_context_certify(SSL_CTX *context, const char *cert, const char *key, struct err *err)
{
    return certificates_read(context, "cert", cert, take_own, err) && key_read(context, key, err);
}

/* The certificate must be for `name`. */
static bool name_set(struct tls_client *client, const char *name, struct err *err)
{
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(client->context);
    struct addr ignored;
    client->name = mem_text(span_str(name));
    client->name_is_ip = addr_from_ip(&ignored, span_str(name), 0);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    int set =
        client->name_is_ip ? X509_VERIFY_PARAM_set1_ip_asc(param, name) : X509_VERIFY_PARAM_set1_host(param, name, 0);
    return set == 1 || err_set(err, "\"%s\" cannot be the name in a certificate", name);
}

struct tls_client *tls_client_create(const struct tls_client_options *options, struct err *err)
{
    struct tls_client *client = mem_zero(1, sizeof *client);
    client->context = tls_context_create(TLS_client_method(), err);
    client->bytes = tls_bytes_create();
    if (client->context == NULL || client->bytes == NULL)
        goto fail;
    SSL_CTX_set_verify(client->context, options->verify_off ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    if (!name_set(client, options->name, err) ||
        (!options->verify_off && !trust_read(client->context, options->ca, err)))
        goto fail;
    if (options->cert != NULL && !tls_context_certify(client->context, options->cert, options->key, err))
        goto fail;
    if (options->http2)
        SSL_CTX_set_alpn_protos(client->context, (const unsigned char *)"\2h2", 3);
    return client;
fail:
    tls_client_destroy(client);
    return NULL;
}

void tls_client_destroy(struct tls_client *client)
{
    if (client == NULL)
        return;
    SSL_CTX_free(client->context);
    BIO_meth_free(client->bytes);
    free(client->name);
    free(client);
}
