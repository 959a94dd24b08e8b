/* keys: the files of keys, read again when they change; and the choice of the key for a token. */
#include "net/keys.h"

#include <cjose/cjose.h>
#include <openssl/err.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/shown.h"

struct keys_file {
    struct list node; /* of struct keys */
    struct list keys;
    char *path; /* NULL: its keys are in no file */
    char *kid;
    enum key_algorithm algorithm;
    struct file_about about; /* of the version that was read last, or could not be read */
};

/* Its keys, instead of those it had. With `err` set, those stay. */
static bool file_load(struct keys_file *file, struct err *err)
{
    struct key_terms terms = {.file = file->path, .algorithm = file->algorithm, .kid = file->kid};
    struct buf text = {0};
    struct list keys;
    list_init(&keys);
    bool ok = file_read(file->path, KEYS_FILE_BYTES_MAX, &text, err) && keys_parse(&keys, &terms, buf_span(&text), err);
    if (text.data != NULL)
        explicit_bzero(text.data, text.cap);
    buf_finish(&text);
    if (ok)
        keys_destroy(&file->keys);
    struct list *node;
    while (ok && (node = list_take(&keys)) != NULL)
        list_append(&file->keys, node);
    keys_destroy(&keys);
    return ok;
}

static void file_look(struct keys_file *file)
{
    struct file_about about = {0};
    struct err err;
    if (file->path == NULL)
        return;
    bool is_there = file_about_get(file->path, &about);
    if (file_about_equal(&about, &file->about))
        return;
    file->about = about; /* of a version that cannot be read, too: it is told once */
    if (!is_there)
        log_event(LOG_WARNING, "a file of keys is gone: its last keys stay in force", LOG_C("file", file->path));
    else if (file_load(file, &err))
        log_event(LOG_INFO, "a file of keys has changed, and was read again", LOG_C("file", file->path));
    else
        log_event(LOG_WARNING, "a file of keys has changed and cannot be used: its last keys stay in force",
                  LOG_C("why", err.text));
}

static void look(struct keys *keys)
{
    uint64_t now = loop_now_us(keys->loop);
    if (now - keys->looked_us < LOOP_MS(KEYS_LOOK_MS))
        return;
    keys->looked_us = now;
    list_each (node, &keys->files)
        file_look(container_of(node, struct keys_file, node));
}

static bool algorithm_read(struct keys_file *file, const struct yaml_node *node, struct err *err)
{
    struct span text;
    file->algorithm = KEY_ALGORITHMS_COUNT;
    if (node == NULL)
        return true;
    if (!yaml_string(node, &text, err))
        return false;
    file->algorithm = key_algorithm_find(text);
    return file->algorithm != KEY_ALGORITHMS_COUNT ||
           yaml_error(err, node, "expected one of HS256, HS384, HS512, the same with RS, PS or ES, found %s",
                      SHOWN_FOUND(text));
}

/* True, with `err` set: the keys are to be fetched, under any of the names that other servers have for that. */
static bool is_fetched(const struct yaml_node *node, struct err *err)
{
    static const char *const names[] = {"url", "uri", "jwks", "jwks_url", "jwks_uri"};
    const struct yaml_node *found = NULL, *file = yaml_get(node, "file");
    struct span text;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && found == NULL; i++)
        found = yaml_get(node, names[i]);
    if (found == NULL && file != NULL && file->type == YAML_SCALAR && yaml_string(file, &text, err) &&
        (span_starts_with(text, SPAN_LIT("https://")) || span_starts_with(text, SPAN_LIT("http://"))))
        found = file;
    if (found == NULL)
        return false;
    yaml_error(
        err, found,
        "keys are not fetched from a URL: let a job, a sidecar or a mounted secret write the issuer's JWK set to a "
        "file, and name it in `file:`; a changed file is read again within a second");
    return true;
}

static struct keys_file *file_create_in(struct keys *keys)
{
    struct keys_file *file = mem_zero(1, sizeof *file);
    file->algorithm = KEY_ALGORITHMS_COUNT;
    list_init(&file->keys);
    list_init(&file->node);
    list_append(&keys->files, &file->node);
    return file;
}

static bool entry_read(struct keys *keys, const struct yaml_node *node, struct err *err)
{
    static const char *const names[] = {"file", "alg", "kid", NULL};
    struct span path, kid;
    if (!yaml_expect(node, YAML_MAPPING, err) || is_fetched(node, err) || !yaml_only(node, names, err))
        return false;
    const struct yaml_node *path_node = yaml_get(node, "file"), *kid_node = yaml_get(node, "kid");
    if (path_node == NULL)
        return yaml_error(err, node, "needs `file:`, a file with a public key in PEM, a JWK, a JWK set, or a secret");
    if (!yaml_string(path_node, &path, err) || (kid_node != NULL && !yaml_string(kid_node, &kid, err)))
        return false;
    struct keys_file *file = file_create_in(keys);
    file->path = file_beside(node->file, path);
    if (kid_node != NULL)
        file->kid = mem_text(kid);
    if (!algorithm_read(file, yaml_get(node, "alg"), err))
        return false;
    file_about_get(file->path, &file->about);
    return file_load(file, err) || err_prefix(err, "%s:%u: ", node->file, node->line);
}

void keys_init(struct keys *keys, struct loop *loop)
{
    *keys = (struct keys){.loop = loop, .looked_us = loop_now_us(loop)};
    list_init(&keys->files);
}

bool keys_add_file(struct keys *keys, const char *path, enum key_algorithm algorithm, struct err *err)
{
    struct keys_file *file = file_create_in(keys);
    file->path = mem_text(span_str(path));
    file->algorithm = algorithm;
    file_about_get(path, &file->about);
    return file_load(file, err);
}

bool keys_add_text(struct keys *keys, const char *name, enum key_algorithm algorithm, const char *kid, struct span text,
                   struct err *err)
{
    struct key_terms terms = {.file = name, .algorithm = algorithm, .kid = kid};
    return keys_parse(&file_create_in(keys)->keys, &terms, text, err);
}

bool keys_read(struct keys *keys, struct loop *loop, const struct yaml_node *list, struct err *err)
{
    keys_init(keys, loop);
    if (!yaml_expect(list, YAML_LIST, err))
        return false;
    if (list->count == 0 || list->count > KEYS_FILES_MAX)
        return yaml_error(err, list, "expected 1 to %d keys, like [{file: public.pem, alg: RS256}], found %zu",
                          KEYS_FILES_MAX, list->count);
    for (size_t i = 0; i < list->count; i++)
        if (!entry_read(keys, list->items[i], err))
            return false;
    return true;
}

void keys_finish(struct keys *keys)
{
    struct list *node;
    if (keys->loop == NULL)
        return;
    while ((node = list_take(&keys->files)) != NULL) {
        struct keys_file *file = container_of(node, struct keys_file, node);
        keys_destroy(&file->keys);
        free(file->path);
        free(file->kid);
        free(file);
    }
    keys->loop = NULL;
}

/* The header was read by us, and the signature is verified by another reader of it: they must have read one algorithm.
 */
static bool signature_holds(const struct key *key, struct span token, struct span algorithm)
{
    cjose_err fault;
    cjose_jws_t *jws = cjose_jws_import(token.data, token.len, &fault);
    if (jws == NULL)
        return false;
    const char *read = cjose_header_get(cjose_jws_get_protected(jws), CJOSE_HDR_ALG, &fault);
    bool holds = read != NULL && span_equal(span_str(read), algorithm) && cjose_jws_verify(jws, key->form, &fault);
    cjose_jws_release(jws);
    ERR_clear_error();
    return holds;
}

enum keys_result keys_verify(struct keys *keys, struct span token, struct span algorithm, struct span kid)
{
    enum key_algorithm wanted = key_algorithm_find(algorithm);
    enum keys_result result = KEYS_UNKNOWN;
    unsigned tries = 0;
    look(keys);
    list_each (node, &keys->files) {
        struct keys_file *file = container_of(node, struct keys_file, node);
        list_each (inner, &file->keys) {
            const struct key *key = container_of(inner, struct key, node);
            if (kid.data != NULL && key->kid != NULL && !span_equal(kid, span_str(key->kid)))
                continue;
            if (key->algorithm != wanted) {
                result = result == KEYS_UNKNOWN ? KEYS_ALGORITHM : result;
                continue;
            }
            if (signature_holds(key, token, algorithm))
                return KEYS_OK;
            result = KEYS_SIGNATURE;
            if (++tries == KEYS_TRIES_MAX)
                return result;
        }
    }
    return result;
}
