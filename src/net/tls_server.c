/* tls_server: the settings of incoming TLS streams: our certificate, the protocol that follows; and an authority of our
 * own making, which certifies this machine's names as they are asked for. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "loop/file.h"
#include "loop/loop.h"
#include "net/tls_parts.h"

enum {
    CERTIFICATE_BYTES_MAX = 1 << 20,
    SERIAL_BYTES = 16,
    DAY_S = 86400,
    LEAF_DAYS = 397, /* browsers take none that is valid for longer */
    AUTHORITY_DAYS = 3650,
    TLS_HOST_BYTES_MAX = 253, /* of a host name (RFC 1035 section 2.3.4) */
};

struct tls_authority {
    X509 *certificate;
    EVP_PKEY *key;
    EVP_PKEY *leaf_key; /* of all that it certifies in this life */
};

/* HTTP/1.1 if the client offers it. One that offers other protocols alone learns that there is none for it (RFC 7301
 * section 3.2). */
static int choose_protocol(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_len,
                           const unsigned char *offered, unsigned offered_len, void *arg)
{
    static const unsigned char http11[] = "\x08http/1.1";
    unsigned char *found;
    if (SSL_select_next_proto(&found, chosen_len, http11, sizeof http11 - 1, offered, offered_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *chosen = found;
    return SSL_TLSEXT_ERR_OK;
}

static struct tls_server *server_create(struct err *err)
{
    struct tls_server *server = mem_zero(1, sizeof *server);
    server->context = tls_context_create(TLS_server_method(), err);
    server->bytes = tls_bytes_create();
    if (server->context == NULL || server->bytes == NULL) {
        tls_server_destroy(server);
        return NULL;
    }
    SSL_CTX_set_alpn_select_cb(server->context, choose_protocol, NULL);
    return server;
}

struct tls_server *tls_server_create(const char *cert, const char *key, struct err *err)
{
    struct tls_server *server = server_create(err);
    if (server == NULL || tls_context_certify(server->context, cert, key, err))
        return server;
    tls_server_destroy(server);
    return NULL;
}

static bool extension_add(X509 *certificate, X509V3_CTX *context, int kind, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, context, kind, value);
    bool added = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added;
}

/* What both kinds of our certificates have: a random number, their names, and the time from yesterday on. */
static bool certificate_begin(X509 *certificate, X509_NAME *issuer, EVP_PKEY *key, const char *name, unsigned days)
{
    unsigned char serial[SERIAL_BYTES];
    if (certificate == NULL || key == NULL || RAND_bytes(serial, sizeof serial) != 1)
        return false;
    serial[0] &= 0x7f;
    X509_NAME *subject = X509_get_subject_name(certificate);
    BIGNUM *number = BN_bin2bn(serial, sizeof serial, NULL);
    bool ok = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
    BN_free(number);
    return ok && X509_set_version(certificate, X509_VERSION_3) == 1 &&
           X509_gmtime_adj(X509_getm_notBefore(certificate), -DAY_S) != NULL &&
           X509_gmtime_adj(X509_getm_notAfter(certificate), (long)days * DAY_S) != NULL &&
           X509_set_pubkey(certificate, key) == 1 &&
           X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0) == 1 &&
           X509_set_issuer_name(certificate, issuer != NULL ? issuer : subject) == 1;
}

/* To trust it is to trust it for this machine's names alone: it may sign no others. */
static bool authority_fill(X509 *certificate, EVP_PKEY *key, unsigned days)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    return certificate_begin(certificate, NULL, key, "sennit up: authority for localhost", days) &&
           extension_add(certificate, &context, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
           extension_add(certificate, &context, NID_key_usage, "critical,keyCertSign") &&
           extension_add(certificate, &context, NID_subject_key_identifier, "hash") &&
           extension_add(certificate, &context, NID_name_constraints,
                         "critical,permitted;DNS:localhost,permitted;IP:127.0.0.0/255.0.0.0,"
                         "permitted;IP:0:0:0:0:0:0:0:1/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff") &&
           X509_sign(certificate, key, EVP_sha256()) > 0;
}

/* A certificate for a name, or for this machine's own names where there is none. NULL: OpenSSL refuses. */
static X509 *leaf_make(const struct tls_authority *authority, const char *name)
{
    char names[sizeof "DNS:" + TLS_HOST_BYTES_MAX];
    X509 *leaf = X509_new();
    X509V3_CTX context;
    snprintf(names, sizeof names, "DNS:%s", name != NULL ? name : "");
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, authority->certificate, leaf, NULL, NULL, 0);
    if (certificate_begin(leaf, X509_get_subject_name(authority->certificate), authority->leaf_key, "sennit up",
                          LEAF_DAYS) &&
        extension_add(leaf, &context, NID_basic_constraints, "critical,CA:FALSE") &&
        extension_add(leaf, &context, NID_subject_alt_name,
                      name != NULL ? names : "DNS:localhost,DNS:*.localhost,IP:127.0.0.1,IP:::1") &&
        extension_add(leaf, &context, NID_ext_key_usage, "serverAuth") &&
        extension_add(leaf, &context, NID_authority_key_identifier, "keyid") &&
        X509_sign(leaf, authority->key, EVP_sha256()) > 0)
        return leaf;
    X509_free(leaf);
    return NULL;
}

/* A name below `localhost` that may stand in a certificate. */
static bool is_local_name(const char *name)
{
    struct span s = span_str(name), top = SPAN_LIT(".localhost");
    if (s.len > TLS_HOST_BYTES_MAX || s.len <= top.len || !span_equal_nocase(span_from(s, s.len - top.len), top))
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_letter && c != '-' && (c != '.' || i == 0 || s.data[i - 1] == '.'))
            return false;
    }
    return true;
}

/* Each handshake that names a host below `localhost` gets a certificate for it: making one takes about as long as the
 * signature of a handshake, so none is kept. Others get the one for this machine's own names. */
static int name_asked(SSL *ssl, int *alert, void *arg)
{
    const struct tls_authority *authority = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    X509 *leaf = name != NULL && is_local_name(name) ? leaf_make(authority, name) : NULL;
    if (leaf != NULL)
        SSL_use_certificate(ssl, leaf); /* the key stays */
    X509_free(leaf);
    return SSL_TLSEXT_ERR_OK;
}

static bool pem_write(BIO *pem, const char *path, struct err *err)
{
    char *text;
    long len = BIO_get_mem_data(pem, &text);
    return file_replace(path, span_of(text, (size_t)len), err);
}

static bool authority_make(const char *cert, const char *key, struct err *err)
{
    EVP_PKEY *pair = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    BIO *cert_pem = BIO_new(BIO_s_mem()), *key_pem = BIO_new(BIO_s_mem());
    bool ok = cert_pem != NULL && key_pem != NULL && authority_fill(certificate, pair, AUTHORITY_DAYS) &&
              PEM_write_bio_X509(cert_pem, certificate) == 1 &&
              PEM_write_bio_PrivateKey(key_pem, pair, NULL, NULL, 0, NULL, NULL) == 1;
    if (!ok)
        err_set(err, "cannot make a certificate: %s", tls_why());
    ok = ok && pem_write(key_pem, key, err) && pem_write(cert_pem, cert, err);
    BIO_free(cert_pem);
    BIO_free(key_pem);
    X509_free(certificate);
    EVP_PKEY_free(pair);
    return ok;
}

/* An object of a PEM file; NULL: there is none. */
static BIO *pem_open(const char *path, struct buf *text)
{
    struct err ignored;
    return file_read(path, CERTIFICATE_BYTES_MAX, text, &ignored) ? BIO_new_mem_buf(buf_span(text).data, (int)text->len)
                                                                  : NULL;
}

static void authority_drop(struct tls_authority *authority)
{
    X509_free(authority->certificate);
    EVP_PKEY_free(authority->key);
    EVP_PKEY_free(authority->leaf_key);
    *authority = (struct tls_authority){0};
}

/* Reads an authority of ours that is good for a while. */
static bool authority_read(struct tls_authority *authority, const char *cert, const char *key)
{
    struct buf cert_text = {0}, key_text = {0};
    time_t then = (time_t)(loop_clock_ms() / 1000) + (time_t)LEAF_DAYS * DAY_S;
    BIO *cert_pem = pem_open(cert, &cert_text), *key_pem = pem_open(key, &key_text);
    if (cert_pem != NULL && key_pem != NULL) {
        authority->certificate = PEM_read_bio_X509(cert_pem, NULL, NULL, NULL);
        authority->key = PEM_read_bio_PrivateKey(key_pem, NULL, NULL, NULL);
    }
    BIO_free(cert_pem);
    BIO_free(key_pem);
    buf_finish(&cert_text);
    buf_finish(&key_text);
    bool good = authority->certificate != NULL && authority->key != NULL &&
                X509_check_ca(authority->certificate) == 1 &&
                X509_check_private_key(authority->certificate, authority->key) == 1 &&
                X509_cmp_time(X509_get0_notAfter(authority->certificate), &then) > 0;
    ERR_clear_error();
    if (!good)
        authority_drop(authority);
    return good;
}

struct tls_server *tls_server_create_local(const char *cert, const char *key, struct err *err)
{
    struct tls_authority found = {0}, *authority;
    if (!authority_read(&found, cert, key) && (!authority_make(cert, key, err) || !authority_read(&found, cert, key))) {
        return NULL;
    }
    struct tls_server *server = server_create(err);
    if (server == NULL) {
        authority_drop(&found);
        return NULL;
    }
    authority = server->authority = mem_zero(1, sizeof found);
    *authority = found;
    authority->leaf_key = EVP_EC_gen("P-256");
    X509 *leaf = leaf_make(authority, NULL);
    bool ok = leaf != NULL && SSL_CTX_use_certificate(server->context, leaf) == 1 &&
              SSL_CTX_use_PrivateKey(server->context, authority->leaf_key) == 1;
    X509_free(leaf);
    if (!ok) {
        err_set(err, "cannot make a certificate: %s", tls_why());
        tls_server_destroy(server);
        return NULL;
    }
    SSL_CTX_set_tlsext_servername_callback(server->context, name_asked);
    SSL_CTX_set_tlsext_servername_arg(server->context, authority);
    return server;
}

void tls_server_destroy(struct tls_server *server)
{
    if (server == NULL)
        return;
    SSL_CTX_free(server->context);
    BIO_meth_free(server->bytes);
    if (server->authority != NULL)
        authority_drop(server->authority);
    free(server->authority);
    free(server);
}
