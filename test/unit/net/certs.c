/* certs: see certs.h. Elliptic keys, because they are made quickly. */
#include "certs.h"

#include <assert.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

static void extension_add(X509 *x509, const struct cert *issuer, int kind, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer != NULL ? issuer->x509 : x509, x509, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
    assert(extension != NULL);
    X509_add_ext(x509, extension, -1);
    X509_EXTENSION_free(extension);
}

static struct cert create(const char *name, const struct cert *ca, long from_s, long to_s)
{
    static long serial = 1;
    struct cert cert = {.key = EVP_EC_gen("P-256"), .x509 = X509_new()};
    assert(cert.key != NULL && cert.x509 != NULL);
    X509_set_version(cert.x509, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert.x509), serial++);
    X509_gmtime_adj(X509_getm_notBefore(cert.x509), from_s);
    X509_gmtime_adj(X509_getm_notAfter(cert.x509), to_s);
    X509_set_pubkey(cert.x509, cert.key);
    X509_NAME *subject = X509_get_subject_name(cert.x509);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(cert.x509, ca != NULL ? X509_get_subject_name(ca->x509) : subject);
    return cert;
}

struct cert cert_ca(const char *name)
{
    struct cert cert = create(name, NULL, -3600, 86400);
    extension_add(cert.x509, NULL, NID_basic_constraints, "critical,CA:TRUE");
    extension_add(cert.x509, NULL, NID_subject_key_identifier, "hash");
    X509_sign(cert.x509, cert.key, EVP_sha256());
    return cert;
}

struct cert cert_signed(const struct cert *ca, const char *names, long from_s, long to_s)
{
    struct cert cert = create("a test", ca, from_s, to_s);
    extension_add(cert.x509, ca, NID_subject_alt_name, names);
    X509_sign(cert.x509, ca->key, EVP_sha256());
    return cert;
}

void cert_finish(struct cert *cert)
{
    EVP_PKEY_free(cert->key);
    X509_free(cert->x509);
}

void cert_write(const struct cert *cert, const char *path)
{
    FILE *file = fopen(path, "w");
    assert(file != NULL && PEM_write_X509(file, cert->x509) == 1);
    fclose(file);
}

void cert_write_key(const struct cert *cert, const char *path, const char *passphrase)
{
    FILE *file = fopen(path, "w");
    int len = passphrase != NULL ? (int)strlen(passphrase) : 0;
    assert(file != NULL);
    int written = PEM_write_PKCS8PrivateKey(file, cert->key, passphrase != NULL ? EVP_aes_128_cbc() : NULL, passphrase,
                                            len, NULL, NULL);
    assert(written == 1);
    fclose(file);
}
