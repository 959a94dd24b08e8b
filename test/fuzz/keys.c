/* keys: any bytes as a file of keys: PEM, a JWK, a JWK set, or a secret. The first byte says which algorithm the
 * configuration names, if any. It is refused with one line, or its keys have an algorithm and judge a token; and no
 * token is good, for nobody has signed one. */
#include <assert.h>
#include <string.h>

#include "net/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char token[] = "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjE5MDAwMDAwMDB9.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

static struct loop *loop_get(void)
{
    static struct loop *loop;
    struct err err;
    if (loop == NULL)
        loop = loop_create(&err);
    assert(loop != NULL);
    return loop;
}

static void keys_check(const struct list *all)
{
    size_t count = 0;
    for (const struct list *node = all->next; node != all; node = node->next) {
        const struct key *key = container_of(node, struct key, node);
        assert(key->algorithm < KEY_ALGORITHMS_COUNT && key->form != NULL);
        count++;
    }
    assert(count >= 1 && count <= KEYS_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char *const algorithms[] = {"HS256", "RS256", "PS512", "ES256", "ES512", "none"};
    struct list parsed;
    struct keys keys;
    struct err err = {{0}};
    if (len == 0)
        return 0;
    struct span text = span_of(data + 1, len - 1);
    const char *kid = data[0] & 64 ? "one" : NULL;
    enum key_algorithm algorithm =
        data[0] & 128 ? key_algorithm_find(span_str(algorithms[data[0] % 6])) : KEY_ALGORITHMS_COUNT;
    const struct key_terms terms = {.file = "keys.json", .algorithm = algorithm, .kid = kid};
    list_init(&parsed);
    bool good = keys_parse(&parsed, &terms, text, &err);
    if (good)
        keys_check(&parsed);
    else
        assert(err.text[0] != '\0' && strchr(err.text, '\n') == NULL);
    keys_destroy(&parsed);
    keys_init(&keys, loop_get());
    assert(keys_add_text(&keys, "keys.json", algorithm, kid, text, &err) == good);
    if (good)
        for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++)
            assert(keys_verify(&keys, span_str(token), span_str(algorithms[i]), span_str(kid)) != KEYS_OK);
    keys_finish(&keys);
    return 0;
}
