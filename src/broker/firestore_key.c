/* firestore_key: reads the key with OpenSSL and signs by RS256 (RFC 7518 section 3.3). */
#include "broker/firestore_key.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "loop/file.h"
#include "wire/json.h"
#include "wire/payload.h"

enum { KEY_BYTES_MAX = 64 << 10, SIGNATURE_BYTES_MAX = 1024 };

struct fs_key {
    EVP_PKEY *key;
    char *email, *id;
};

static EVP_PKEY *pem_read(struct span pem)
{
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)"");
    BIO_free(bio);
    if (key == NULL || EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA)
        return key;
    EVP_PKEY_free(key);
    return NULL;
}

static char *member(struct span object, const char *name)
{
    struct buf text = json_text_get(object, name);
    char *copy = mem_text(buf_span(&text));
    buf_finish(&text);
    return copy;
}

static struct fs_key *key_of(struct span json)
{
    struct fs_key *key = mem_zero(1, sizeof *key);
    struct buf pem = json_text_get(json, "private_key");
    key->email = member(json, "client_email");
    key->id = member(json, "private_key_id");
    key->key = pem.len > 0 && key->email[0] != '\0' ? pem_read(buf_span(&pem)) : NULL;
    if (pem.len > 0)
        OPENSSL_cleanse(pem.data + pem.off, pem.len);
    buf_finish(&pem);
    return key;
}

struct fs_key *fs_key_read(const char *path, struct err *err)
{
    struct buf text = {0};
    struct fs_key *key = NULL;
    if (!file_read(path, KEY_BYTES_MAX, &text, err)) {
        err_prefix(err, "GOOGLE_APPLICATION_CREDENTIALS: ");
        goto done;
    }
    struct span json = json_trim(buf_span(&text));
    if (json_is_valid(json) && json_type(json) == JSON_OBJECT)
        key = key_of(json);
    if (key == NULL || key->key == NULL) {
        fs_key_destroy(key);
        key = NULL;
        err_set(err,
                "GOOGLE_APPLICATION_CREDENTIALS: %s: is no service account's key: expected JSON with client_email and "
                "private_key (gcloud iam service-accounts keys create FILE --iam-account=NAME)",
                path);
    }
done:
    if (text.len > 0)
        OPENSSL_cleanse(text.data + text.off, text.len);
    buf_finish(&text);
    return key;
}

void fs_key_destroy(struct fs_key *key)
{
    if (key == NULL)
        return;
    EVP_PKEY_free(key->key);
    free(key->email);
    free(key->id);
    free(key);
}

/* Appends base64url without padding (RFC 4648 section 5). */
static void base64url_append(struct buf *to, struct span bytes)
{
    struct buf plain = {0};
    payload_base64_encode(&plain, bytes);
    struct span text = buf_span(&plain);
    for (size_t i = 0; i < text.len && text.data[i] != '='; i++)
        buf_append_char(to, text.data[i] == '+' ? '-' : text.data[i] == '/' ? '_' : text.data[i]);
    buf_finish(&plain);
}

static void part_append(struct buf *to, struct buf *json)
{
    base64url_append(to, buf_span(json));
    buf_finish(json);
}

static bool sign(const struct fs_key *key, struct buf *token)
{
    unsigned char signature[SIGNATURE_BYTES_MAX];
    size_t len = sizeof signature;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    struct span text = buf_span(token);
    bool ok = context != NULL && EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key->key) == 1 &&
              EVP_DigestSign(context, signature, &len, (const unsigned char *)text.data, text.len) == 1;
    EVP_MD_CTX_free(context);
    if (!ok)
        return false;
    buf_append_char(token, '.');
    base64url_append(token, span_of(signature, len));
    return true;
}

char *fs_key_sign(const struct fs_key *key, int64_t now_s)
{
    struct buf token = {0}, head = {0}, claims = {0};
    buf_append(&head, SPAN_LIT("{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\""));
    buf_append_json(&head, span_str(key->id));
    buf_append(&head, SPAN_LIT("\"}"));
    buf_append(&claims, SPAN_LIT("{\"iss\":\""));
    buf_append_json(&claims, span_str(key->email));
    buf_append(&claims, SPAN_LIT("\",\"sub\":\""));
    buf_append_json(&claims, span_str(key->email));
    buf_printf(&claims, "\",\"aud\":\"https://firestore.googleapis.com/\",\"iat\":%" PRId64 ",\"exp\":%" PRId64 "}",
               now_s, now_s + FIRESTORE_TOKEN_S);
    part_append(&token, &head);
    buf_append_char(&token, '.');
    part_append(&token, &claims);
    char *text = sign(key, &token) ? mem_text(buf_span(&token)) : NULL;
    buf_finish(&token);
    return text;
}
