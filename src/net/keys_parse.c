/* keys_parse: makes keys of PEM (through OpenSSL), of JWK and JWK sets (through cjose), and of the bytes of a secret;
 * and pins each to its algorithm. */
#include <cjose/cjose.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/shown.h"
#include "net/keys.h"
#include "wire/json.h"
#include "wire/jws.h"

enum { RSA_BITS_MIN = 2048, RSA_BITS_MAX = 8192, NUMBER_BYTES_MAX = RSA_BITS_MAX / 8 };

/* What an algorithm takes (RFC 7518 sections 3.2 to 3.5). */
static const struct {
    const char *name;
    cjose_jwk_kty_t type;
    cjose_jwk_ec_curve curve; /* of ES */
    const char *group;        /* the same, as OpenSSL calls it */
    size_t secret_bytes_min;  /* of HS: as many as its hash has */
} algorithms[] = {
    [KEY_HS256] = {"HS256", CJOSE_JWK_KTY_OCT, 0, NULL, 32},
    [KEY_HS384] = {"HS384", CJOSE_JWK_KTY_OCT, 0, NULL, 48},
    [KEY_HS512] = {"HS512", CJOSE_JWK_KTY_OCT, 0, NULL, 64},
    [KEY_RS256] = {"RS256", CJOSE_JWK_KTY_RSA, 0, NULL, 0},
    [KEY_RS384] = {"RS384", CJOSE_JWK_KTY_RSA, 0, NULL, 0},
    [KEY_RS512] = {"RS512", CJOSE_JWK_KTY_RSA, 0, NULL, 0},
    [KEY_PS256] = {"PS256", CJOSE_JWK_KTY_RSA, 0, NULL, 0},
    [KEY_PS384] = {"PS384", CJOSE_JWK_KTY_RSA, 0, NULL, 0},
    [KEY_PS512] = {"PS512", CJOSE_JWK_KTY_RSA, 0, NULL, 0},
    [KEY_ES256] = {"ES256", CJOSE_JWK_KTY_EC, CJOSE_JWK_EC_P_256, "prime256v1", 0},
    [KEY_ES384] = {"ES384", CJOSE_JWK_KTY_EC, CJOSE_JWK_EC_P_384, "secp384r1", 0},
    [KEY_ES512] = {"ES512", CJOSE_JWK_KTY_EC, CJOSE_JWK_EC_P_521, "secp521r1", 0},
};

enum key_algorithm key_algorithm_find(struct span name)
{
    enum key_algorithm at = 0;
    while (at < KEY_ALGORITHMS_COUNT && !span_equal(name, span_str(algorithms[at].name)))
        at++;
    return at;
}

void keys_destroy(struct list *keys)
{
    struct list *node;
    while ((node = list_take(keys)) != NULL) {
        struct key *key = container_of(node, struct key, node);
        cjose_jwk_release(key->form);
        free(key->kid);
        free(key);
    }
}

/* Takes over `form`. */
static void key_add(struct list *keys, enum key_algorithm algorithm, char *kid, cjose_jwk_t *form)
{
    struct key *key = mem_zero(1, sizeof *key);
    key->algorithm = algorithm;
    key->kid = kid;
    key->form = form;
    list_append(keys, &key->node);
}

/* A secret. */

static bool secret_parse(struct list *keys, const struct key_terms *terms, struct span secret, struct err *err)
{
    while (secret.len > 0 && (secret.data[secret.len - 1] == '\n' || secret.data[secret.len - 1] == '\r'))
        secret.len--;
    if (algorithms[terms->algorithm].type != CJOSE_JWK_KTY_OCT)
        return err_set(err, "%s: %s needs a public key in PEM (-----BEGIN PUBLIC KEY-----), a JWK or a JWK set",
                       terms->file, algorithms[terms->algorithm].name);
    if (secret.len < algorithms[terms->algorithm].secret_bytes_min)
        return err_set(err,
                       "%s: a secret for %s has %zu bytes at least (RFC 7518), this one %zu: make one with "
                       "`openssl rand -hex %zu`",
                       terms->file, algorithms[terms->algorithm].name, algorithms[terms->algorithm].secret_bytes_min,
                       secret.len, algorithms[terms->algorithm].secret_bytes_min);
    cjose_err fault;
    cjose_jwk_t *form = cjose_jwk_create_oct_spec((const uint8_t *)secret.data, secret.len, &fault);
    if (form == NULL)
        return err_set(err, "%s: not usable as a secret", terms->file);
    key_add(keys, terms->algorithm, terms->kid != NULL ? mem_text(span_str(terms->kid)) : NULL, form);
    return true;
}

/* PEM. */

/* A number of a key, `width` bytes long, or as many as it needs for 0. The count of bytes, or 0. */
static size_t number_of(const EVP_PKEY *key, const char *name, size_t width, uint8_t bytes[NUMBER_BYTES_MAX])
{
    BIGNUM *number = NULL;
    if (!EVP_PKEY_get_bn_param(key, name, &number))
        return 0;
    size_t len = width != 0 ? width : (size_t)BN_num_bytes(number);
    if (len > NUMBER_BYTES_MAX || BN_bn2binpad(number, bytes, (int)len) < 0)
        len = 0;
    BN_free(number);
    return len;
}

static cjose_jwk_t *rsa_form(const EVP_PKEY *key)
{
    uint8_t n[NUMBER_BYTES_MAX], e[NUMBER_BYTES_MAX];
    cjose_jwk_rsa_keyspec spec = {.n = n, .e = e};
    cjose_err fault;
    spec.nlen = number_of(key, OSSL_PKEY_PARAM_RSA_N, 0, n);
    spec.elen = number_of(key, OSSL_PKEY_PARAM_RSA_E, 0, e);
    return spec.nlen > 0 && spec.elen > 0 ? cjose_jwk_create_RSA_spec(&spec, &fault) : NULL;
}

static cjose_jwk_t *ec_form(const EVP_PKEY *key, cjose_jwk_ec_curve curve)
{
    uint8_t x[NUMBER_BYTES_MAX], y[NUMBER_BYTES_MAX];
    size_t width = ((size_t)EVP_PKEY_get_bits(key) + 7) / 8;
    cjose_jwk_ec_keyspec spec = {.crv = curve, .x = x, .y = y};
    cjose_err fault;
    spec.xlen = number_of(key, OSSL_PKEY_PARAM_EC_PUB_X, width, x);
    spec.ylen = number_of(key, OSSL_PKEY_PARAM_EC_PUB_Y, width, y);
    return spec.xlen > 0 && spec.ylen > 0 ? cjose_jwk_create_EC_spec(&spec, &fault) : NULL;
}

/* The key fits its algorithm. */
static bool pkey_check(const EVP_PKEY *key, const struct key_terms *terms, struct err *err)
{
    const char *name = algorithms[terms->algorithm].name;
    char group[64] = "";
    int bits = EVP_PKEY_get_bits(key);
    EVP_PKEY_get_group_name(key, group, sizeof group, NULL);
    if (algorithms[terms->algorithm].type == CJOSE_JWK_KTY_OCT)
        return err_set(err,
                       "%s: a public key is known to everybody, so it cannot be the secret of %s: say `alg: RS256` or "
                       "what else the tokens are signed with",
                       terms->file, name);
    if (algorithms[terms->algorithm].type == CJOSE_JWK_KTY_EC)
        return strcmp(group, algorithms[terms->algorithm].group) == 0 ||
               err_set(err, "%s: %s needs an elliptic key on the curve %s", terms->file, name,
                       algorithms[terms->algorithm].group);
    if (!EVP_PKEY_is_a(key, "RSA"))
        return err_set(err, "%s: %s needs an RSA key", terms->file, name);
    return (bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX) ||
           err_set(err, "%s: an RSA key has %d to %d bits (RFC 7518), this one %d", terms->file, RSA_BITS_MIN,
                   RSA_BITS_MAX, bits);
}

static bool pem_parse(struct list *keys, const struct key_terms *terms, struct span text, struct err *err)
{
    if (memmem(text.data, text.len, "PRIVATE KEY-----", 16) != NULL)
        return err_set(err,
                       "%s: this is a private key, and whoever holds it can make tokens: put its public half here "
                       "(openssl pkey -in PRIVATE.pem -pubout)",
                       terms->file);
    BIO *bio = BIO_new_mem_buf(text.data, (int)text.len);
    EVP_PKEY *key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
    BIO_free(bio);
    ERR_clear_error();
    if (key == NULL)
        return err_set(err, "%s: no public key in PEM: expected -----BEGIN PUBLIC KEY-----", terms->file);
    cjose_jwk_t *form = NULL;
    bool fits = pkey_check(key, terms, err);
    if (fits && algorithms[terms->algorithm].type == CJOSE_JWK_KTY_EC)
        form = ec_form(key, algorithms[terms->algorithm].curve);
    else if (fits)
        form = rsa_form(key);
    EVP_PKEY_free(key);
    if (form == NULL)
        return !fits ? false : err_set(err, "%s: the key cannot be used", terms->file);
    key_add(keys, terms->algorithm, terms->kid != NULL ? mem_text(span_str(terms->kid)) : NULL, form);
    return true;
}

/* JWK. */

/* The text of a string member; NULL: there is none. The caller frees it. */
static char *member_text(struct span object, const char *name)
{
    struct span value = json_object_get(object, span_str(name));
    struct buf text = {0};
    char *copy = NULL;
    if (value.data != NULL && json_string_decode(value, &text) && span_find(buf_span(&text), '\0') < 0)
        copy = mem_text(buf_span(&text));
    buf_finish(&text);
    return copy;
}

static bool form_fits(const cjose_jwk_t *form, enum key_algorithm algorithm)
{
    cjose_err fault;
    size_t bits = cjose_jwk_get_keysize(form, &fault);
    if (cjose_jwk_get_kty(form, &fault) != algorithms[algorithm].type)
        return false;
    if (algorithms[algorithm].type == CJOSE_JWK_KTY_EC)
        return cjose_jwk_EC_get_curve(form, &fault) == algorithms[algorithm].curve;
    if (algorithms[algorithm].type == CJOSE_JWK_KTY_RSA)
        return bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX;
    return bits / 8 >= algorithms[algorithm].secret_bytes_min;
}

/* Appends a member as cjose is to see it. False: it is there, and no base64url. Padding, which some issuers write, is
 * left out. */
static bool number_copy(struct buf *to, struct span jwk, const char *name)
{
    struct buf bytes = {0};
    char *text = member_text(jwk, name);
    struct span digits = span_str(text);
    while (digits.len > 0 && digits.data[digits.len - 1] == '=')
        digits.len--;
    bool ok = text == NULL || (digits.len > 0 && base64url_decode(&bytes, digits));
    if (text != NULL && ok)
        buf_printf(to, ",\"%s\":\"" SPAN_FMT "\"", name, SPAN_ARG(digits));
    if (bytes.data != NULL)
        explicit_bzero(bytes.data, bytes.cap);
    if (text != NULL)
        explicit_bzero(text, strlen(text));
    buf_finish(&bytes);
    free(text);
    return ok;
}

/* What cjose makes of the members that make a key, and of nothing else: an assertion in its base64 ends the process
 * for some texts. NULL: it is no valid JWK. */
static cjose_jwk_t *jwk_form(struct span jwk)
{
    static const char *const numbers[] = {"n", "e", "x", "y", "k"};
    char *type = member_text(jwk, "kty"), *curve = member_text(jwk, "crv");
    struct buf text = {0};
    cjose_jwk_t *form = NULL;
    cjose_err fault;
    bool ok = type != NULL;
    buf_append(&text, SPAN_LIT("{\"kty\":\""));
    buf_append_json(&text, span_str(type));
    buf_append(&text, SPAN_LIT("\",\"crv\":\""));
    buf_append_json(&text, span_str(curve));
    buf_append_char(&text, '"');
    for (size_t i = 0; ok && i < sizeof numbers / sizeof numbers[0]; i++)
        ok = number_copy(&text, jwk, numbers[i]);
    buf_append_char(&text, '}');
    if (ok)
        form = cjose_jwk_import(buf_span(&text).data, text.len, &fault);
    explicit_bzero(text.data, text.cap);
    buf_finish(&text);
    free(type);
    free(curve);
    return form;
}

/* Why a JWK is no key for us; NULL: it has been added. */
static const char *jwk_parse(struct list *keys, const struct key_terms *terms, struct span jwk)
{
    struct span use = json_object_get(jwk, SPAN_LIT("use"));
    char *named = member_text(jwk, "alg");
    enum key_algorithm algorithm = named != NULL ? key_algorithm_find(span_str(named)) : terms->algorithm;
    bool says_none = named == NULL && algorithm == KEY_ALGORITHMS_COUNT;
    free(named);
    if (use.data != NULL && !json_string_equal(use, SPAN_LIT("sig")))
        return "it is not for signatures (use)";
    if (says_none)
        return "it says no algorithm: add `alg:` to the entry in the configuration";
    if (algorithm == KEY_ALGORITHMS_COUNT)
        return "its algorithm is none of HS, RS, PS and ES with 256, 384 and 512";
    if (algorithms[algorithm].type != CJOSE_JWK_KTY_OCT && json_object_get(jwk, SPAN_LIT("d")).data != NULL)
        return "it is a private key, and whoever holds it can make tokens: take its private members out";
    cjose_jwk_t *form = jwk_form(jwk);
    if (form == NULL)
        return "it is no valid JWK";
    if (!form_fits(form, algorithm)) {
        cjose_jwk_release(form);
        return "its type, curve or size does not fit its algorithm (RFC 7518)";
    }
    char *kid = member_text(jwk, "kid");
    key_add(keys, algorithm, kid == NULL && terms->kid != NULL ? mem_text(span_str(terms->kid)) : kid, form);
    return NULL;
}

/* Keys of a set that are not for us are left out: an issuer has others, too. */
static bool jwks_parse(struct list *keys, const struct key_terms *terms, struct span list, struct err *err)
{
    struct span jwk;
    const char *why = "the set is empty";
    size_t count = 0;
    while (json_array_next(&list, &jwk)) {
        if (++count > KEYS_MAX)
            return err_set(err, "%s: a set has %d keys at most", terms->file, KEYS_MAX);
        const char *fault = json_type(jwk) == JSON_OBJECT ? jwk_parse(keys, terms, jwk) : "it is no valid JWK";
        if (fault != NULL)
            log_event(LOG_NOTICE, "a key of a set is left out", LOG_C("file", terms->file), LOG_N("number", count),
                      LOG_C("why", fault));
        why = fault != NULL ? fault : why;
    }
    return !list_empty(keys) ||
           err_set(err, "%s: no key of this set can be used; the last one because %s", terms->file, why);
}

static bool json_parse(struct list *keys, const struct key_terms *terms, struct span text, struct err *err)
{
    if (!json_is_valid(text))
        return err_set(err, "%s: begins like JSON, and is not valid", terms->file);
    struct span list = json_object_get(text, SPAN_LIT("keys"));
    if (json_type(list) == JSON_ARRAY)
        return jwks_parse(keys, terms, list, err);
    const char *why = jwk_parse(keys, terms, text);
    return why == NULL || err_set(err, "%s: the key cannot be used: %s", terms->file, why);
}

bool keys_parse(struct list *keys, const struct key_terms *terms, struct span text, struct err *err)
{
    struct span trimmed = json_trim(text);
    if (trimmed.len > 0 && trimmed.data[0] == '{')
        return json_parse(keys, terms, trimmed, err);
    if (terms->algorithm == KEY_ALGORITHMS_COUNT)
        return err_set(err, "%s: say which algorithm the key is for, like `alg: RS256` (only a JWK may say it itself)",
                       terms->file);
    if (memmem(text.data, text.len, "-----BEGIN ", 11) != NULL)
        return pem_parse(keys, terms, text, err);
    return secret_parse(keys, terms, text, err);
}
