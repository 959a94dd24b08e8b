/* tls_server: the settings of incoming TLS streams: our certificate, the protocol that follows; and a certificate of
 * our own making for this machine's names. */
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "base/mem.h"
#include "loop/file.h"
#include "loop/loop.h"
#include "net/tls_parts.h"

enum { CERTIFICATE_BYTES_MAX = 1 << 20, SERIAL_BYTES = 16, DAY_S = 86400 };

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

struct tls_server *tls_server_create(const char *cert, const char *key, struct err *err)
{
    struct tls_server *server = mem_zero(1, sizeof *server);
    server->context = tls_context_create(TLS_server_method(), err);
    server->bytes = tls_bytes_create();
    if (server->context == NULL || server->bytes == NULL || !tls_context_certify(server->context, cert, key, err)) {
        tls_server_destroy(server);
        return NULL;
    }
    SSL_CTX_set_alpn_select_cb(server->context, choose_protocol, NULL);
    return server;
}

void tls_server_destroy(struct tls_server *server)
{
    if (server == NULL)
        return;
    SSL_CTX_free(server->context);
    BIO_meth_free(server->bytes);
    free(server);
}

bool tls_certificate_is_good(const char *path, unsigned days, const char *const *hosts, size_t count)
{
    struct buf text = {0};
    struct err ignored;
    time_t then = (time_t)(loop_clock_ms() / 1000) + (time_t)days * DAY_S;
    X509 *certificate = NULL;
    if (file_read(path, CERTIFICATE_BYTES_MAX, &text, &ignored)) {
        BIO *pem = BIO_new_mem_buf(buf_span(&text).data, (int)text.len);
        certificate = PEM_read_bio_X509(pem, NULL, NULL, NULL);
        BIO_free(pem);
    }
    bool good = certificate != NULL && X509_cmp_time(X509_get0_notAfter(certificate), &then) > 0;
    for (size_t i = 0; good && i < count; i++)
        good = X509_check_host(certificate, hosts[i], 0, X509_CHECK_FLAG_NO_WILDCARDS, NULL) == 1;
    X509_free(certificate);
    buf_finish(&text);
    return good;
}

static bool extension_add(X509 *certificate, X509V3_CTX *context, int kind, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, context, kind, value);
    bool added = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added;
}

/* To trust it is to trust it for these names alone: it may not sign others. */
static bool certificate_fill(X509 *certificate, EVP_PKEY *key, unsigned days, const char *names)
{
    unsigned char serial[SERIAL_BYTES];
    X509V3_CTX context;
    X509_NAME *name = X509_get_subject_name(certificate);
    if (RAND_bytes(serial, sizeof serial) != 1)
        return false;
    serial[0] &= 0x7f;
    BIGNUM *number = BN_bin2bn(serial, sizeof serial, NULL);
    bool ok = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
    BN_free(number);
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    return ok && X509_set_version(certificate, X509_VERSION_3) == 1 &&
           X509_gmtime_adj(X509_getm_notBefore(certificate), -DAY_S) != NULL &&
           X509_gmtime_adj(X509_getm_notAfter(certificate), (long)days * DAY_S) != NULL &&
           X509_set_pubkey(certificate, key) == 1 &&
           X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost (sennit up)", -1, -1,
                                      0) == 1 &&
           X509_set_issuer_name(certificate, name) == 1 &&
           extension_add(certificate, &context, NID_basic_constraints, "critical,CA:FALSE") &&
           extension_add(certificate, &context, NID_subject_alt_name, names) &&
           extension_add(certificate, &context, NID_ext_key_usage, "serverAuth") &&
           X509_sign(certificate, key, EVP_sha256()) > 0;
}

static bool pem_write(BIO *pem, const char *path, struct err *err)
{
    char *text;
    long len = BIO_get_mem_data(pem, &text);
    return file_replace(path, span_of(text, (size_t)len), err);
}

bool tls_certificate_make(const char *cert, const char *key, unsigned days, const char *const *hosts, size_t count,
                          struct err *err)
{
    struct buf names = {0};
    buf_append(&names, SPAN_LIT("IP:127.0.0.1,IP:::1"));
    for (size_t i = 0; i < count; i++)
        buf_printf(&names, ",DNS:%s", hosts[i]);
    buf_append_char(&names, '\0');
    EVP_PKEY *pair = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    BIO *cert_pem = BIO_new(BIO_s_mem()), *key_pem = BIO_new(BIO_s_mem());
    bool ok = pair != NULL && certificate != NULL && cert_pem != NULL && key_pem != NULL &&
              certificate_fill(certificate, pair, days, buf_span(&names).data) &&
              PEM_write_bio_X509(cert_pem, certificate) == 1 &&
              PEM_write_bio_PrivateKey(key_pem, pair, NULL, NULL, 0, NULL, NULL) == 1;
    if (!ok)
        err_set(err, "cannot make a certificate: %s", tls_why());
    ok = ok && pem_write(key_pem, key, err) && pem_write(cert_pem, cert, err);
    buf_finish(&names);
    BIO_free(cert_pem);
    BIO_free(key_pem);
    X509_free(certificate);
    EVP_PKEY_free(pair);
    return ok;
}
