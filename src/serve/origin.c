/* origin: parses and compares origins: scheme, host and port of the list, of Origin, and of Host. */
#include "serve/origin.h"

#include <stdlib.h>

#include "base/mem.h"

enum { ORIGINS_MAX = 256, ORIGIN_BYTES_MAX = 512 };

/* The parts of "https://board.example.com:8443". */
struct parts {
    struct span scheme, host, port; /* no port: the scheme's own, empty when that is not known */
};

/* Cuts the port off an authority; one in brackets is an IPv6 address. */
static void authority_split(struct span authority, struct span *host, struct span *port)
{
    size_t at = authority.len;
    while (at > 0 && authority.data[at - 1] >= '0' && authority.data[at - 1] <= '9')
        at--;
    bool has_port = at > 0 && authority.data[at - 1] == ':';
    *host = has_port ? span_sub(authority, 0, at - 1) : authority;
    *port = has_port ? span_from(authority, at) : SPAN_LIT("");
}

static struct span default_port(struct span scheme)
{
    if (span_equal_nocase(scheme, SPAN_LIT("https")))
        return SPAN_LIT("443");
    return span_equal_nocase(scheme, SPAN_LIT("http")) ? SPAN_LIT("80") : SPAN_LIT("");
}

static bool origin_split(struct span origin, struct parts *parts)
{
    ptrdiff_t colon = span_find(origin, ':');
    if (colon <= 0 || !span_equal(span_sub(origin, (size_t)colon, 3), SPAN_LIT("://")))
        return false;
    parts->scheme = span_sub(origin, 0, (size_t)colon);
    struct span authority = span_from(origin, (size_t)colon + 3);
    if (authority.len == 0 || span_find(authority, '/') >= 0)
        return false;
    authority_split(authority, &parts->host, &parts->port);
    if (parts->port.len == 0)
        parts->port = default_port(parts->scheme);
    return parts->host.len > 0;
}

/* The schemes are not compared: TLS may end in front of us, and then the page's scheme is not ours. So a Host without a
 * port stands for the default port of either. */
static bool is_same_site(const struct parts *origin, struct span authority)
{
    struct span host, port;
    if (authority.len == 0)
        return false;
    authority_split(authority, &host, &port);
    if (!span_equal_nocase(host, origin->host))
        return false;
    return span_equal(port.len > 0 ? port : default_port(origin->scheme), origin->port);
}

static bool is_listed(const struct origins *origins, struct span origin)
{
    struct parts asked, listed;
    bool whole = origin_split(origin, &asked);
    for (size_t i = 0; i < origins->count; i++) {
        struct span one = span_str(origins->allowed[i]);
        if (span_equal_nocase(one, origin))
            return true;
        if (whole && origin_split(one, &listed) && span_equal_nocase(listed.scheme, asked.scheme) &&
            span_equal_nocase(listed.host, asked.host) && span_equal(listed.port, asked.port))
            return true;
    }
    return false;
}

/* False if there are several, because it is unknown which one counts. */
static bool one_field(const struct http1_head *head, struct span name, struct span *value)
{
    *value = (struct span){NULL, 0};
    for (size_t i = 0; i < head->field_count; i++) {
        if (!span_equal_nocase(head->fields[i].name, name))
            continue;
        if (value->data != NULL)
            return false;
        *value = head->fields[i].value;
    }
    return true;
}

bool origin_is_ours(const struct http1_head *head)
{
    struct span origin, forwarded, first;
    struct parts parts;
    if (!one_field(head, SPAN_LIT("Origin"), &origin) || !origin_split(origin, &parts))
        return false;
    if (is_same_site(&parts, head->host))
        return true;
    /* A proxy that names another Host says here what the client asked for. No page can set this field, and whatever is
     * not a browser can say any Origin. */
    return one_field(head, SPAN_LIT("X-Forwarded-Host"), &forwarded) && span_next(&forwarded, ',', &first) &&
           is_same_site(&parts, span_trim(first));
}

bool origins_allow(const struct origins *origins, const struct http1_head *head)
{
    struct span origin;
    if (origins->any)
        return true;
    if (!one_field(head, SPAN_LIT("Origin"), &origin))
        return false;
    return origin.data == NULL || is_listed(origins, origin) || origin_is_ours(head);
}

static bool origin_is_valid(struct span text)
{
    struct parts parts;
    if (span_equal(text, SPAN_LIT("*")) || span_equal(text, SPAN_LIT("null")))
        return true;
    return text.len <= ORIGIN_BYTES_MAX && http1_value_is_valid(text) && span_find(text, ' ') < 0 &&
           span_find(text, '*') < 0 && origin_split(text, &parts) && http1_name_is_valid(parts.scheme);
}

bool origins_read(struct origins *origins, const struct yaml_node *node, struct err *err)
{
    if (node == NULL)
        return true;
    if (!yaml_expect(node, YAML_LIST, err))
        return false;
    if (node->count > ORIGINS_MAX)
        return yaml_error(err, node, "expected %d origins at most, found %zu", ORIGINS_MAX, node->count);
    origins->allowed = mem_zero(node->count > 0 ? node->count : 1, sizeof(char *));
    for (size_t i = 0; i < node->count; i++) {
        struct span text;
        if (!yaml_string(node->items[i], &text, err))
            return false;
        if (!origin_is_valid(text))
            return yaml_error(err, node->items[i],
                              "expected an origin like https://board.example.com, without a path, or \"null\", or "
                              "\"*\" for every page of the web, found \"" SPAN_FMT "\"",
                              SPAN_ARG(text));
        origins->any |= span_equal(text, SPAN_LIT("*"));
        origins->allowed[origins->count++] = mem_text(text);
    }
    return true;
}

void origins_finish(struct origins *origins)
{
    for (size_t i = 0; i < origins->count; i++)
        free(origins->allowed[i]);
    free(origins->allowed);
    *origins = (struct origins){0};
}
