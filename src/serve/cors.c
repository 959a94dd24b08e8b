/* cors: the configuration, the match of an origin, and the lines. */
#include "serve/cors.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/pattern.h"

enum { ORIGINS_MAX = 256, VALUE_BYTES_MAX = 2048, MAX_AGE_MS_MAX = 7 * 86400000 };

static bool origin_is_valid(struct span text)
{
    return text.len > 0 && text.len <= VALUE_BYTES_MAX && http1_value_is_valid(text) && span_find(text, ' ') < 0 &&
           (span_equal(text, SPAN_LIT("null")) || span_find(text, ':') > 0);
}

static bool origin_add(struct cors *cors, const struct yaml_node *node, struct err *err)
{
    struct span text;
    if (!yaml_string(node, &text, err))
        return false;
    if (!origin_is_valid(text))
        return yaml_error(err, node,
                          "expected an origin like https://board.example.com, a pattern like https://*.example.com, or "
                          "\"null\", found \"" SPAN_FMT "\"",
                          SPAN_ARG(text));
    cors->listed[cors->listed_count++] = mem_text(text);
    return true;
}

static bool origin_list_read(struct cors *cors, const struct yaml_node *node, struct err *err)
{
    if (node->count > ORIGINS_MAX)
        return yaml_error(err, node, "expected %d origins at most, found %zu", ORIGINS_MAX, node->count);
    cors->origin = CORS_LISTED;
    cors->listed = mem_zero(node->count > 0 ? node->count : 1, sizeof(char *));
    for (size_t i = 0; i < node->count; i++)
        if (!origin_add(cors, node->items[i], err))
            return false;
    return true;
}

static bool origin_read(struct cors *cors, const struct yaml_node *node, struct err *err)
{
    struct span text;
    cors->origin = CORS_ANY;
    if (node == NULL)
        return true;
    if (node->type == YAML_LIST)
        return origin_list_read(cors, node, err);
    if (!yaml_string(node, &text, err))
        return false;
    if (span_equal(text, SPAN_LIT("*")))
        return true;
    cors->origin = CORS_REFLECT;
    if (span_equal(text, SPAN_LIT("reflect")))
        return true;
    cors->origin = CORS_FIXED;
    cors->listed = mem_zero(1, sizeof(char *));
    return origin_add(cors, node, err);
}

/* A text, or a list of texts, which becomes `a,b`. */
static bool names_read(const struct yaml_node *mapping, const char *key, char **to, struct err *err)
{
    const struct yaml_node *node = yaml_get(mapping, key);
    struct buf names = {0};
    bool ok = true;
    if (node == NULL)
        return true;
    bool is_list = node->type == YAML_LIST;
    for (size_t i = 0; ok && i < (is_list ? node->count : 1); i++) {
        struct span text;
        ok = yaml_string(is_list ? node->items[i] : node, &text, err);
        if (ok && i > 0)
            buf_append_char(&names, ',');
        if (ok)
            buf_append(&names, text);
    }
    if (ok && (names.len == 0 || names.len > VALUE_BYTES_MAX || !http1_value_is_valid(buf_span(&names))))
        ok = yaml_error(err, node, "expected names, like [GET, POST], of up to %d visible ASCII characters in all",
                        VALUE_BYTES_MAX);
    if (ok)
        *to = mem_text(buf_span(&names));
    buf_finish(&names);
    return ok;
}

static bool max_age_read(struct cors *cors, const struct yaml_node *node, struct err *err)
{
    uint64_t ms;
    if (node == NULL)
        return true;
    if (!yaml_duration_ms(node, 0, MAX_AGE_MS_MAX, &ms, err))
        return false;
    cors->max_age = mem_printf("%llu", (unsigned long long)ms / 1000);
    return true;
}

bool cors_read(struct cors *cors, const struct yaml_node *node, struct err *err)
{
    static const char *const keys[] = {"origin",          "credentials", "methods", "allowed_headers",
                                       "exposed_headers", "max_age",     NULL};
    if (node == NULL)
        return true;
    const struct yaml_node *credentials = yaml_get(node, "credentials");
    if (!yaml_expect(node, YAML_MAPPING, err) || !yaml_only(node, keys, err) ||
        !origin_read(cors, yaml_get(node, "origin"), err) ||
        (credentials != NULL && !yaml_bool(credentials, &cors->credentials, err)) ||
        !names_read(node, "methods", &cors->methods, err) ||
        !names_read(node, "allowed_headers", &cors->allowed_headers, err) ||
        !names_read(node, "exposed_headers", &cors->exposed_headers, err) ||
        !max_age_read(cors, yaml_get(node, "max_age"), err))
        return false;
    if (cors->origin == CORS_ANY && cors->credentials)
        log_event(LOG_WARNING, "cors: browsers send no credentials where every page is allowed by *: "
                               "list the origins, or use origin: reflect");
    return true;
}

void cors_finish(struct cors *cors)
{
    for (size_t i = 0; i < cors->listed_count; i++)
        free(cors->listed[i]);
    free(cors->listed);
    free(cors->methods);
    free(cors->allowed_headers);
    free(cors->exposed_headers);
    free(cors->max_age);
    *cors = (struct cors){0};
}

static bool is_listed(const struct cors *cors, struct span origin)
{
    for (size_t i = 0; i < cors->listed_count; i++)
        if (pattern_matches(span_str(cors->listed[i]), origin))
            return true;
    return false;
}

static bool allows(const struct cors *cors, struct span origin)
{
    switch (cors->origin) {
    case CORS_OFF:
        return false;
    case CORS_ANY:
    case CORS_REFLECT:
        return true;
    case CORS_FIXED:
        return span_equal(span_str(cors->listed[0]), origin);
    case CORS_LISTED:
        return is_listed(cors, origin);
    }
    return false;
}

bool cors_allows(const struct cors *cors, const struct http1_head *head)
{
    struct span origin = http1_field_get(head, SPAN_LIT("Origin"));
    return origin.len > 0 && allows(cors, origin);
}

static void line(struct buf *to, const char *name, struct span value)
{
    if (value.len > 0)
        buf_printf(to, "%s: " SPAN_FMT "\r\n", name, SPAN_ARG(value));
}

static void origin_encode(struct buf *to, const struct cors *cors, const struct http1_head *head)
{
    struct span origin = http1_field_get(head, SPAN_LIT("Origin"));
    if (cors->origin == CORS_ANY)
        origin = SPAN_LIT("*");
    else if (cors->origin == CORS_FIXED)
        origin = span_str(cors->listed[0]);
    else if (!allows(cors, origin))
        origin = SPAN_LIT("");
    line(to, "Access-Control-Allow-Origin", origin);
}

/* What a cache must tell answers apart by. */
static void vary_encode(struct buf *to, const struct cors *cors, bool by_asked_headers)
{
    bool by_origin = cors->origin != CORS_ANY;
    if (by_origin || by_asked_headers)
        buf_printf(to, "Vary: %s%s%s\r\n", by_origin ? "Origin" : "", by_origin && by_asked_headers ? ", " : "",
                   by_asked_headers ? "Access-Control-Request-Headers" : "");
}

static void credentials_encode(struct buf *to, const struct cors *cors)
{
    if (cors->credentials)
        buf_append(to, SPAN_LIT("Access-Control-Allow-Credentials: true\r\n"));
}

void cors_encode(struct buf *to, const struct cors *cors, const struct http1_head *head)
{
    if (cors->origin == CORS_OFF)
        return;
    origin_encode(to, cors, head);
    vary_encode(to, cors, false);
    credentials_encode(to, cors);
    line(to, "Access-Control-Expose-Headers", span_str(cors->exposed_headers));
}

void cors_preflight_encode(struct buf *to, const struct cors *cors, const struct http1_head *head)
{
    struct span asked = http1_field_get(head, SPAN_LIT("Access-Control-Request-Headers"));
    origin_encode(to, cors, head);
    vary_encode(to, cors, cors->allowed_headers == NULL);
    credentials_encode(to, cors);
    line(to, "Access-Control-Allow-Methods",
         cors->methods != NULL ? span_str(cors->methods) : SPAN_LIT("GET,HEAD,PUT,PATCH,POST,DELETE"));
    line(to, "Access-Control-Allow-Headers", cors->allowed_headers != NULL ? span_str(cors->allowed_headers) : asked);
    line(to, "Access-Control-Max-Age", span_str(cors->max_age));
    line(to, "Access-Control-Expose-Headers", span_str(cors->exposed_headers));
}
