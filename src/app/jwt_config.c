/* jwt_config: reads `jwt:` of the configuration. */
#include <stdlib.h>

#include "app/jwt.h"
#include "base/mem.h"
#include "base/shown.h"

enum { LEEWAY_MS = 10000, LEEWAY_MS_MAX = 600000, NOTICE_MS = 60000, NOTICE_MS_MAX = 3600000, WORD_BYTES_MAX = 256 };

/* One text, or a list of them. */
static bool names_read(struct jwt_names *names, const struct yaml_node *node, struct err *err)
{
    bool is_list = node != NULL && node->type == YAML_LIST;
    size_t count = node == NULL ? 0 : is_list ? node->count : 1;
    if (node != NULL && (count == 0 || count > JWT_NAMES_MAX))
        return yaml_error(err, node, "expected a text, or a list of 1 to %d, found %zu", JWT_NAMES_MAX, count);
    for (size_t i = 0; i < count; i++) {
        const struct yaml_node *one = is_list ? node->items[i] : node;
        struct span text;
        if (!yaml_string(one, &text, err))
            return false;
        if (text.len == 0 || text.len > WORD_BYTES_MAX || span_find(text, '\0') >= 0)
            return yaml_error(err, one, "expected 1 to %d bytes, found %s", WORD_BYTES_MAX, SHOWN_FOUND(text));
        names->names[names->count++] = mem_text(text);
    }
    return true;
}

static bool word_read(char **word, const struct yaml_node *node, const char *allowed_besides, struct err *err)
{
    struct span text;
    if (node == NULL)
        return true;
    if (!yaml_string(node, &text, err))
        return false;
    bool fits = text.len > 0 && text.len <= WORD_BYTES_MAX;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        fits = fits && c != '\0' &&
               ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                strchr(allowed_besides, c) != NULL);
    }
    if (!fits)
        return yaml_error(err, node, "expected a name of letters, digits and %s, found %s", allowed_besides,
                          SHOWN_FOUND(text));
    free(*word);
    *word = mem_text(text);
    return true;
}

bool jwt_read(struct jwt *jwt, struct loop *loop, const struct yaml_node *node, struct err *err)
{
    static const char *const names[] = {"keys",   "issuer", "audience", "leeway", "notice",
                                        "member", "header", "cookie",   NULL};
    *jwt = (struct jwt){.leeway_ms = LEEWAY_MS, .notice_ms = NOTICE_MS, .header = true};
    if (node == NULL)
        return true;
    jwt->is_set = true;
    if (!yaml_expect(node, YAML_MAPPING, err) || !yaml_only(node, names, err))
        return false;
    const struct yaml_node *keys = yaml_get(node, "keys"), *leeway = yaml_get(node, "leeway"),
                           *notice = yaml_get(node, "notice"), *header = yaml_get(node, "header");
    jwt->member = mem_text(SPAN_LIT("token"));
    yaml_keep_secret(yaml_get(node, "keys")); /* who takes it for the key itself is not repeated */
    if (leeway != NULL && !yaml_duration_ms(leeway, 0, LEEWAY_MS_MAX, &jwt->leeway_ms, err))
        return false;
    if (notice != NULL && !yaml_duration_ms(notice, 0, NOTICE_MS_MAX, &jwt->notice_ms, err))
        return false;
    if (keys == NULL)
        return yaml_error(err, node, "needs `keys:`, like keys: [{file: public.pem, alg: RS256}]");
    return (header == NULL || yaml_bool(header, &jwt->header, err)) &&
           word_read(&jwt->member, yaml_get(node, "member"), "_-", err) &&
           word_read(&jwt->cookie, yaml_get(node, "cookie"), "_-.", err) &&
           names_read(&jwt->issuers, yaml_get(node, "issuer"), err) &&
           names_read(&jwt->audiences, yaml_get(node, "audience"), err) && keys_read(&jwt->keys, loop, keys, err);
}

static void names_finish(struct jwt_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->names[i]);
    names->count = 0;
}

void jwt_finish(struct jwt *jwt)
{
    keys_finish(&jwt->keys);
    names_finish(&jwt->issuers);
    names_finish(&jwt->audiences);
    free(jwt->member);
    free(jwt->cookie);
    jwt->member = jwt->cookie = NULL;
}
