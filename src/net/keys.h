/* keys: the keys that tokens are verified with (RFC 7515, 7517, 7518). Each is for one algorithm, which its file or the
 * configuration says, and never the token: so nobody presents a public key as the secret of an HMAC, and `none` is no
 * algorithm. A token cannot bring or name a key of its own (jwk, jku, x5u, x5c are not read).
 *
 * Keys come from files, which are read again when they have changed. A file that has become unreadable leaves its last
 * keys in force, and the log says so. */
#ifndef SENNIT_NET_KEYS_H
#define SENNIT_NET_KEYS_H

#include "base/list.h"
#include "base/span.h"
#include "loop/file.h"
#include "loop/loop.h"
#include "wire/yaml.h"

enum {
    KEYS_FILES_MAX = 16,
    KEYS_MAX = 64,                 /* of one file */
    KEYS_FILE_BYTES_MAX = 1 << 18, /* of one file */
    KEYS_LOOK_MS = 1000,           /* files are looked at so often at most */
    KEYS_TRIES_MAX = 8,            /* signatures verified for one token, which costs time: of keys with the same id */
};

/* Of JWA (RFC 7518 section 3.1). */
#define KEY_ALGORITHMS(X) \
    X(HS256) X(HS384) X(HS512) X(RS256) X(RS384) X(RS512) X(PS256) X(PS384) X(PS512) X(ES256) X(ES384) X(ES512)

enum key_algorithm {
#define X(name) KEY_##name,
    KEY_ALGORITHMS(X)
#undef X
        KEY_ALGORITHMS_COUNT /* none of them */
};

struct keys {
    struct loop *loop;
    struct list files; /* struct keys_file */
    size_t file_count;
    uint64_t looked_us;
};

/* Reads the list `[{file: PATH, alg: RS256, kid: NAME}]` and the files; a relative path starts at the directory of the
 * configuration file. False with `err` set; finish it in either case. */
bool keys_read(struct keys *keys, struct loop *loop, const struct yaml_node *list, struct err *err);
void keys_init(struct keys *keys, struct loop *loop); /* without a key yet */
/* The same as an entry of the list: a file. `algorithm` KEY_ALGORITHMS_COUNT: each key of it must say its own. */
bool keys_add_file(struct keys *keys, const char *path, enum key_algorithm algorithm, struct err *err);
/* Adds keys that are in no file. `name` is for messages. */
bool keys_add_text(struct keys *keys, const char *name, enum key_algorithm algorithm, const char *kid, struct span text,
                   struct err *err);
void keys_finish(struct keys *keys); /* accepts zeroed */

enum keys_result {
    KEYS_OK,
    KEYS_UNKNOWN,   /* no key has this id */
    KEYS_ALGORITHM, /* the key with this id is for another algorithm */
    KEYS_SIGNATURE, /* no such key made this signature */
};
/* Verifies a JWS in its compact form. `algorithm` and `kid` are what its header says; no data: it says nothing. A key
 * without an id of its own serves every id. Reads changed files first. */
enum keys_result keys_verify(struct keys *keys, struct span token, struct span algorithm, struct span kid);

/* keys_parse.c, for this layer: one key of a file. */
struct key {
    struct list node;
    enum key_algorithm algorithm;
    char *kid;  /* NULL: none */
    void *form; /* what cjose keeps */
};
/* What the configuration says of a file's keys. */
struct key_terms {
    const char *file;
    enum key_algorithm algorithm; /* KEY_ALGORITHMS_COUNT: it says nothing */
    const char *kid;              /* NULL: it says nothing */
};
/* Appends the keys of a file's text: PEM, a JWK, a JWK set, or else the bytes of a secret. False with `err` set. */
bool keys_parse(struct list *keys, const struct key_terms *terms, struct span text, struct err *err);
void keys_destroy(struct list *keys);
enum key_algorithm key_algorithm_find(struct span name);

#endif
