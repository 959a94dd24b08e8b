/* firestore_key: reads the file of a service account's key, and makes the claims that its key signs. */
#include "broker/firestore_key.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "loop/file.h"
#include "net/signer.h"
#include "wire/json.h"

enum { KEY_BYTES_MAX = 64 << 10 };

struct fs_key {
    struct signer *signer;
    char *email;
};

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
    char *id = member(json, "private_key_id");
    key->email = member(json, "client_email");
    key->signer = pem.len > 0 && key->email[0] != '\0' ? signer_of(buf_span(&pem), id) : NULL;
    free(id);
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
    if (key == NULL || key->signer == NULL) {
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
    signer_destroy(key->signer);
    free(key->email);
    free(key);
}

char *fs_key_sign(const struct fs_key *key, int64_t now_s)
{
    struct buf token = {0}, claims = {0};
    buf_append_char(&claims, '{');
    json_text_append(&claims, "iss", span_str(key->email));
    json_text_append(&claims, "sub", span_str(key->email));
    buf_printf(&claims, "\"aud\":\"https://firestore.googleapis.com/\",\"iat\":%" PRId64 ",\"exp\":%" PRId64 "}", now_s,
               now_s + FIRESTORE_TOKEN_S);
    signer_sign(key->signer, &token, buf_span(&claims));
    char *text = mem_text(buf_span(&token));
    buf_finish(&claims);
    buf_finish(&token);
    return text;
}
