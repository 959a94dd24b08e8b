/* http1_target: the request target and the authority it is for (RFC 9112 section 3.2, 3.3).
 *
 * One request names one authority. Where the target and Host disagree, or either could be read in two ways, it is
 * refused: a name that the front reads as one host and the back as another is how requests are smuggled. */
#include "wire/http1_parts.h"

enum { PORT_DIGITS_MAX = 5, PORT_MAX = 65535, HOST_BYTES_MAX = 255 };

/* The port with its colon, at the end of an authority; empty when there is none. */
static struct span authority_port(struct span authority)
{
    for (size_t at = authority.len; at > 0; at--) {
        char c = authority.data[at - 1];
        if (c == ':')
            return span_from(authority, at - 1);
        if (c == ']')
            break;
    }
    return span_from(authority, authority.len);
}

static bool port_is_valid(struct span port)
{
    uint64_t number;
    if (port.len == 0)
        return true;
    /* RFC 3986 lets the digits be absent; no client sends a name with a bare colon behind it, and it compares badly. */
    struct span digits = span_from(port, 1);
    return digits.len <= PORT_DIGITS_MAX && span_to_u64(digits, &number) && number >= 1 && number <= PORT_MAX;
}

static bool authority_is_valid(struct span authority)
{
    struct span port = authority_port(authority);
    struct span name = span_sub(authority, 0, authority.len - port.len);
    if (!port_is_valid(port) || name.len == 0 || name.len > HOST_BYTES_MAX)
        return false;
    if (name.data[0] != '[')
        return http1_chars_are(name, HTTP1_CHAR_HOST);
    /* An IPv6 address. Whether it is valid shows when somebody connects to it. */
    if (name.len < 4 || name.data[name.len - 1] != ']')
        return false;
    for (size_t i = 1; i < name.len - 1; i++)
        if (!http1_char_is(name.data[i], HTTP1_CHAR_HEX) && name.data[i] != ':' && name.data[i] != '.')
            return false;
    return true;
}

/* Equal except for case and for a port that is the scheme's default. */
static bool authority_equal(struct span a, struct span b, struct span default_port)
{
    if (span_equal(authority_port(a), default_port))
        a.len -= default_port.len;
    if (span_equal(authority_port(b), default_port))
        b.len -= default_port.len;
    return span_equal_nocase(a, b);
}

/* absolute-form: scheme "://" authority path-abempty [ "?" query ]. */
static int absolute_decode(struct http1_head *head, struct span target, struct span *authority,
                           struct span *default_port)
{
    struct span rest;
    if (span_equal_nocase(span_sub(target, 0, 7), SPAN_LIT("http://"))) {
        *default_port = SPAN_LIT(":80");
        rest = span_from(target, 7);
    } else if (span_equal_nocase(span_sub(target, 0, 8), SPAN_LIT("https://"))) {
        *default_port = SPAN_LIT(":443");
        rest = span_from(target, 8);
    } else {
        return http1_fault(head, 400, "a target is a path, a URL of http or https, or * for OPTIONS", target);
    }
    ptrdiff_t slash = span_find(rest, '/');
    *authority = slash < 0 ? rest : span_sub(rest, 0, (size_t)slash);
    /* A query right behind the authority would leave nothing in the bytes that starts with '/'; its '?' is no host
     * character, so it is refused here. */
    if (!authority_is_valid(*authority))
        return http1_fault(head, 400, "the host of a target is a name or an address, with or without a port", target);
    if (slash >= 0)
        head->target = span_from(rest, (size_t)slash);
    else if (span_equal(head->method, SPAN_LIT("OPTIONS")))
        head->target = SPAN_LIT("*");
    else
        head->target = SPAN_LIT("/");
    return 0;
}

int http1_target_decode(struct http1_head *head, struct span target, struct span *authority, struct span *default_port)
{
    *authority = *default_port = SPAN_LIT("");
    if (target.len == 0 || !http1_chars_are(target, HTTP1_CHAR_TARGET))
        return http1_fault(head, 400, "a target has visible ASCII characters only, and no #", target);
    head->target = target;
    if (target.data[0] == '/')
        return 0;
    if (span_equal(target, SPAN_LIT("*")))
        return span_equal(head->method, SPAN_LIT("OPTIONS"))
                   ? 0
                   : http1_fault(head, 400, "the target * is for OPTIONS", head->method);
    return absolute_decode(head, target, authority, default_port);
}

int http1_host_decode(struct http1_head *head, struct span authority, struct span default_port)
{
    const struct span *host = NULL;
    for (size_t i = 0; i < head->field_count; i++) {
        if (!span_equal_nocase(head->fields[i].name, SPAN_LIT("Host")))
            continue;
        if (host != NULL)
            return http1_fault(head, 400, "Host stands once", head->fields[i].value);
        host = &head->fields[i].value;
    }
    head->host = authority.len != 0 ? authority : (struct span){NULL, 0};
    if (host == NULL)
        return head->minor == 0 ? 0 : http1_fault(head, 400, "a request of HTTP/1.1 has a Host", head->target);
    if (!authority_is_valid(*host))
        return http1_fault(head, 400, "Host is a name or an address, with or without a port", *host);
    if (authority.len == 0)
        head->host = *host;
    else if (!authority_equal(authority, *host, default_port))
        return http1_fault(head, 400, "Host is the host of the target", *host);
    return 0;
}
