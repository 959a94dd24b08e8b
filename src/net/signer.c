/* signer: the key's file, and RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 section 3.3) by OpenSSL. */
#include "net/signer.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "wire/jws.h"

enum { PEM_BYTES_MAX = 16 << 10 };

struct signer {
    EVP_PKEY *key;
    char *kid;
};

/* A passphrase is never asked for. */
static int no_passphrase(char *to, int size, int writes, void *context)
{
    return -1;
}

static EVP_PKEY *pem_read(struct span pem, int bits_min)
{
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    BIO_free(bio);
    ERR_clear_error();
    if (key == NULL ||
        (EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_get_bits(key) >= bits_min && EVP_PKEY_get_bits(key) <= SIGNER_BITS_MAX))
        return key;
    EVP_PKEY_free(key);
    return NULL;
}

static EVP_PKEY *key_read(const char *path, struct err *err)
{
    struct buf text = {0};
    EVP_PKEY *key = NULL;
    if (!file_read(path, PEM_BYTES_MAX, &text, err))
        goto done;
    key = pem_read(buf_span(&text), SIGNER_BITS);
    if (key == NULL)
        err_set(err, "%.300s: no RSA key of %d to %d bits in PEM: remove the file, and another one is made", path,
                SIGNER_BITS, SIGNER_BITS_MAX);
done:
    if (text.data != NULL)
        OPENSSL_cleanse(text.data, text.cap);
    buf_finish(&text);
    return key;
}

static bool key_write(const EVP_PKEY *key, const char *path, struct err *err)
{
    BIO *pem = BIO_new(BIO_s_secmem());
    char *text;
    if (pem == NULL || PEM_write_bio_PrivateKey(pem, key, NULL, NULL, 0, NULL, NULL) != 1) {
        BIO_free(pem);
        return err_set(err, "%.300s: the key cannot be written as PEM", path);
    }
    long len = BIO_get_mem_data(pem, &text);
    bool ok = file_keep(path, span_of(text, (size_t)len), err);
    BIO_free(pem);
    return ok;
}

/* Another process may make one at the same time: the one in the file is everybody's. */
static EVP_PKEY *key_find(const char *path, struct err *err)
{
    if (path != NULL && file_exists(path))
        return key_read(path, err);
    EVP_PKEY *made = EVP_RSA_gen(SIGNER_BITS);
    if (made == NULL)
        err_set(err, "no key could be made: %s", ERR_reason_error_string(ERR_peek_error()));
    if (made == NULL || path == NULL)
        return made;
    bool ok = key_write(made, path, err);
    EVP_PKEY_free(made);
    return ok ? key_read(path, err) : NULL;
}

/* Of the public key's hash, so that another key has another name. */
static char *name_of(const EVP_PKEY *key)
{
    char *kid = mem_zero(1, SIGNER_KID_BYTES + 1);
    unsigned char *der = NULL, hash[EVP_MAX_MD_SIZE];
    int len = i2d_PUBKEY(key, &der);
    if (len <= 0 || EVP_Digest(der, (size_t)len, hash, NULL, EVP_sha256(), NULL) != 1)
        abort();
    for (size_t i = 0; i < SIGNER_KID_BYTES / 2; i++)
        snprintf(kid + i * 2, 3, "%02x", hash[i]);
    OPENSSL_free(der);
    return kid;
}

static struct signer *signer_create(EVP_PKEY *key, char *kid)
{
    struct signer *signer = mem_zero(1, sizeof *signer);
    *signer = (struct signer){key, kid};
    return signer;
}

struct signer *signer_open(const char *path, struct err *err)
{
    EVP_PKEY *key = key_find(path, err);
    ERR_clear_error();
    if (key == NULL)
        return NULL;
    return signer_create(key, name_of(key));
}

struct signer *signer_of(struct span pem, const char *kid)
{
    EVP_PKEY *key = pem_read(pem, 0);
    return key != NULL ? signer_create(key, mem_text(span_str(kid))) : NULL;
}

void signer_destroy(struct signer *signer)
{
    if (signer == NULL)
        return;
    EVP_PKEY_free(signer->key);
    free(signer->kid);
    free(signer);
}

void signer_sign(const struct signer *signer, struct buf *to, struct span claims)
{
    struct buf token = {0}, header = {0};
    unsigned char signature[SIGNER_BITS_MAX / 8];
    size_t len = sizeof signature;
    buf_append(&header, SPAN_LIT("{\"alg\":\"RS256\",\"kid\":\""));
    buf_append_json(&header, span_str(signer->kid));
    buf_append(&header, SPAN_LIT("\",\"typ\":\"JWT\"}"));
    base64url_encode(&token, buf_span(&header));
    buf_append_char(&token, '.');
    base64url_encode(&token, claims);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    /* It fails for want of memory alone. */
    if (context == NULL || EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, signer->key) != 1 ||
        EVP_DigestSign(context, signature, &len, (const unsigned char *)buf_span(&token).data, token.len) != 1)
        abort();
    EVP_MD_CTX_free(context);
    buf_append_char(&token, '.');
    base64url_encode(&token, span_of((const char *)signature, len));
    buf_append(to, buf_span(&token));
    buf_finish(&header);
    buf_finish(&token);
}

bool signer_trust(const struct signer *signer, struct keys *keys, struct err *err)
{
    BIO *pem = BIO_new(BIO_s_mem());
    char *text;
    if (pem == NULL || PEM_write_bio_PUBKEY(pem, signer->key) != 1)
        abort();
    long len = BIO_get_mem_data(pem, &text);
    bool ok = keys_add_text(keys, "the key of this machine", KEY_RS256, signer->kid, span_of(text, (size_t)len), err);
    BIO_free(pem);
    return ok;
}
