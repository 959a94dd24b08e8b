/* cookie: the configuration, in the order in which npm's `cookie` writes the attributes. */
#include "serve/cookie.h"

#include <stdlib.h>

#include "base/mem.h"
#include "wire/http1.h"

enum { VALUE_BYTES_MAX = 256 };
#define MAX_AGE_MS_MAX (UINT64_C(400) * 86400000) /* browsers keep no cookie for longer */

static bool is_attribute(struct span text)
{
    return text.len > 0 && text.len <= VALUE_BYTES_MAX && http1_value_is_valid(text) && span_find(text, ';') < 0;
}

/* `key`, if it is given, as the attribute `name`; else the fallback, if there is one. */
static bool text_read(struct buf *to, const struct yaml_node *mapping, const char *key, const char *name,
                      const char *fallback, struct err *err)
{
    const struct yaml_node *node = mapping != NULL ? yaml_get(mapping, key) : NULL;
    struct span text = span_str(fallback);
    if (node != NULL && !yaml_string(node, &text, err))
        return false;
    if (node != NULL && !is_attribute(text))
        return yaml_error(err, node, "expected up to %d visible ASCII characters without a semicolon, or none",
                          VALUE_BYTES_MAX);
    if (text.len > 0 && !span_equal(text, SPAN_LIT("none")))
        buf_printf(to, "; %s=" SPAN_FMT, name, SPAN_ARG(text));
    return true;
}

static bool flag_read(struct buf *to, const struct yaml_node *mapping, const char *key, const char *name, bool fallback,
                      struct err *err)
{
    const struct yaml_node *node = mapping != NULL ? yaml_get(mapping, key) : NULL;
    if (node != NULL && !yaml_bool(node, &fallback, err))
        return false;
    if (fallback)
        buf_printf(to, "; %s", name);
    return true;
}

static bool max_age_read(struct buf *to, const struct yaml_node *mapping, struct err *err)
{
    const struct yaml_node *node = mapping != NULL ? yaml_get(mapping, "max_age") : NULL;
    uint64_t ms;
    if (node == NULL)
        return true;
    if (!yaml_duration_ms(node, 0, MAX_AGE_MS_MAX, &ms, err))
        return false;
    buf_printf(to, "; Max-Age=%llu", (unsigned long long)ms / 1000);
    return true;
}

static bool same_site_read(struct buf *to, const struct yaml_node *mapping, struct err *err)
{
    const struct yaml_node *node = mapping != NULL ? yaml_get(mapping, "same_site") : NULL;
    struct span text = SPAN_LIT("lax");
    if (node != NULL && !yaml_string(node, &text, err))
        return false;
    bool lax = span_equal(text, SPAN_LIT("lax")), strict = span_equal(text, SPAN_LIT("strict"));
    if (!lax && !strict && !span_equal(text, SPAN_LIT("none")))
        return yaml_error(err, node, "expected lax, strict or none, found \"" SPAN_FMT "\"", SPAN_ARG(text));
    buf_printf(to, "; SameSite=%s", lax ? "Lax" : strict ? "Strict" : "None");
    return true;
}

static bool name_read(struct cookie *cookie, const struct yaml_node *mapping, struct err *err)
{
    const struct yaml_node *node = mapping != NULL ? yaml_get(mapping, "name") : NULL;
    struct span name = SPAN_LIT("io");
    if (node != NULL && !yaml_string(node, &name, err))
        return false;
    if (name.len > VALUE_BYTES_MAX || !http1_name_is_valid(name))
        return yaml_error(err, node, "expected a cookie's name of 1 to %d characters, like io", VALUE_BYTES_MAX);
    cookie->name = mem_text(name);
    return true;
}

bool cookie_read(struct cookie *cookie, const struct yaml_node *node, struct err *err)
{
    static const char *const keys[] = {"name", "max_age", "domain", "path", "http_only", "secure", "same_site", NULL};
    const struct yaml_node *mapping = node != NULL && node->type == YAML_MAPPING ? node : NULL;
    struct buf attributes = {0};
    bool wanted = mapping != NULL;
    if (node == NULL)
        return true;
    if (mapping == NULL && !yaml_bool(node, &wanted, err))
        return false;
    if (!wanted)
        return true;
    bool ok =
        (mapping == NULL || yaml_only(mapping, keys, err)) && name_read(cookie, mapping, err) &&
        max_age_read(&attributes, mapping, err) && text_read(&attributes, mapping, "domain", "Domain", NULL, err) &&
        text_read(&attributes, mapping, "path", "Path", "/", err) &&
        flag_read(&attributes, mapping, "http_only", "HttpOnly", true, err) &&
        flag_read(&attributes, mapping, "secure", "Secure", false, err) && same_site_read(&attributes, mapping, err);
    cookie->attributes = mem_text(buf_span(&attributes));
    buf_finish(&attributes);
    return ok;
}

void cookie_finish(struct cookie *cookie)
{
    free(cookie->name);
    free(cookie->attributes);
    *cookie = (struct cookie){0};
}

void cookie_encode(struct buf *to, const struct cookie *cookie, struct span sid)
{
    if (cookie->name != NULL)
        buf_printf(to, "Set-Cookie: %s=" SPAN_FMT "%s\r\n", cookie->name, SPAN_ARG(sid), cookie->attributes);
}
