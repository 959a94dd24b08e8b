/* tokens: keys of each kind, and signatures by OpenSSL. See tokens.h. */
#include "tokens.h"

#include <assert.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>

EVP_PKEY *key_make(const char *kind)
{
    EVP_PKEY *key = strcmp(kind, "RSA") == 0 ? EVP_RSA_gen(2048) : EVP_EC_gen(kind);
    assert(key != NULL);
    return key;
}

void key_write(EVP_PKEY *key, const char *path, bool is_private)
{
    FILE *file = fopen(path, "w");
    assert(file != NULL);
    if (is_private)
        PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
    else
        PEM_write_PUBKEY(file, key);
    fclose(file);
}

void text_write(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert(file != NULL);
    fputs(text, file);
    fclose(file);
}

void base64url_text(struct buf *to, struct span bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint32_t bits = 0;
    unsigned held = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        bits = bits << 8 | (uint8_t)bytes.data[i];
        for (held += 8; held >= 6; held -= 6)
            buf_append_char(to, digits[bits >> (held - 6) & 63]);
    }
    if (held > 0)
        buf_append_char(to, digits[bits << (6 - held) & 63]);
}

static void number_add(struct buf *to, EVP_PKEY *key, const char *name, int width, const char *member)
{
    BIGNUM *number = NULL;
    unsigned char bytes[1024];
    int got = EVP_PKEY_get_bn_param(key, name, &number);
    assert(got == 1);
    int len = width > 0 ? BN_bn2binpad(number, bytes, width) : BN_bn2bin(number, bytes);
    buf_printf(to, ",\"%s\":\"", member);
    base64url_text(to, span_of(bytes, (size_t)len));
    buf_append_char(to, '"');
    BN_free(number);
}

void key_jwk(struct buf *to, EVP_PKEY *key, const char *members)
{
    if (EVP_PKEY_is_a(key, "RSA")) {
        buf_append(to, SPAN_LIT("{\"kty\":\"RSA\""));
        number_add(to, key, OSSL_PKEY_PARAM_RSA_N, 0, "n");
        number_add(to, key, OSSL_PKEY_PARAM_RSA_E, 0, "e");
    } else {
        int width = (EVP_PKEY_get_bits(key) + 7) / 8;
        buf_printf(to, "{\"kty\":\"EC\",\"crv\":\"P-%d\"", EVP_PKEY_get_bits(key));
        number_add(to, key, OSSL_PKEY_PARAM_EC_PUB_X, width, "x");
        number_add(to, key, OSSL_PKEY_PARAM_EC_PUB_Y, width, "y");
    }
    buf_printf(to, "%s}", members);
}

/* JWA wants the two numbers one behind the other (RFC 7518 section 3.4). */
static size_t numbers_of(const unsigned char *der, size_t len, int width, unsigned char *to)
{
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)len);
    BN_bn2binpad(ECDSA_SIG_get0_r(pair), to, width);
    BN_bn2binpad(ECDSA_SIG_get0_s(pair), to + width, width);
    ECDSA_SIG_free(pair);
    return 2 * (size_t)width;
}

static size_t sign(const char *algorithm, EVP_PKEY *key, const char *secret, struct span text, unsigned char *to)
{
    const char *bits = algorithm + 2;
    const EVP_MD *hash = strcmp(bits, "256") == 0   ? EVP_sha256()
                         : strcmp(bits, "384") == 0 ? EVP_sha384()
                                                    : EVP_sha512();
    unsigned char signature[1024];
    unsigned hmac_len;
    size_t len = sizeof signature;
    if (algorithm[0] == 'H') {
        HMAC(hash, secret, (int)strlen(secret), (const unsigned char *)text.data, text.len, to, &hmac_len);
        return hmac_len;
    }
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *key_context = NULL;
    int ok = EVP_DigestSignInit(context, &key_context, hash, NULL, key);
    if (algorithm[0] == 'P') {
        EVP_PKEY_CTX_set_rsa_padding(key_context, RSA_PKCS1_PSS_PADDING);
        EVP_PKEY_CTX_set_rsa_pss_saltlen(key_context, RSA_PSS_SALTLEN_DIGEST);
    }
    ok &= EVP_DigestSign(context, signature, &len, (const unsigned char *)text.data, text.len);
    assert(ok == 1);
    EVP_MD_CTX_free(context);
    if (algorithm[0] == 'E')
        return numbers_of(signature, len, (EVP_PKEY_get_bits(key) + 7) / 8, to);
    memcpy(to, signature, len);
    return len;
}

struct span token_sign(const char *algorithm, EVP_PKEY *key, const char *secret, const char *header, const char *claims)
{
    static struct buf text;
    unsigned char signature[1024];
    buf_clear(&text);
    base64url_text(&text, span_str(header));
    buf_append_char(&text, '.');
    base64url_text(&text, span_str(claims));
    size_t len = sign(algorithm, key, secret, buf_span(&text), signature);
    buf_append_char(&text, '.');
    base64url_text(&text, span_of(signature, len));
    return buf_span(&text);
}

struct span token_make(const char *algorithm, EVP_PKEY *key, const char *secret, const char *claims)
{
    char header[64];
    snprintf(header, sizeof header, "{\"alg\":\"%s\",\"typ\":\"JWT\"}", algorithm);
    return token_sign(algorithm, key, secret, header, claims);
}
