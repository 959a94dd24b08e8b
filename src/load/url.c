/* url: splits the URL. No error repeats it, because it may hold a password or a token. */
#include "load/url.h"

#include <stdlib.h>

#include "base/mem.h"

enum { PORT_DEFAULT = 80 };

/* Only characters that a Host field and a request line can carry. */
static bool is_visible(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] <= ' ' || text.data[i] >= 0x7f)
            return false;
    return true;
}

static bool port_read(struct url *url, struct span text, struct err *err)
{
    uint64_t port;
    if (!span_to_u64(text, &port) || port == 0 || port > 65535)
        return err_set(err, "the URL's port: expected 1 to 65535 behind the host's \":\"");
    url->port = (uint16_t)port;
    return true;
}

/* host, host:port, [v6] or [v6]:port */
static bool authority_read(struct url *url, struct span text, struct err *err)
{
    struct span host = text, port = {NULL, 0};
    ptrdiff_t at;
    if (text.len > 0 && text.data[0] == '[') {
        at = span_find(text, ']');
        if (at < 0)
            return err_set(err, "the URL's host: expected \"]\" behind the IPv6 address");
        host = span_sub(text, 1, (size_t)at - 1);
        struct span rest = span_from(text, (size_t)at + 1);
        if (rest.len > 0 && rest.data[0] != ':')
            return err_set(err, "the URL's host: expected \":\" and a port behind the IPv6 address");
        if (rest.len > 0)
            port = span_from(rest, 1);
    } else if ((at = span_find(text, ':')) >= 0) {
        host = span_sub(text, 0, (size_t)at);
        port = span_from(text, (size_t)at + 1);
    }
    if (host.len == 0 || span_find(text, '@') >= 0)
        return err_set(err, "the URL needs a host (and no user), like http://127.0.0.1:8080");
    url->host = mem_text(host);
    url->authority = mem_text(text);
    return port.data == NULL || port_read(url, port, err);
}

bool url_parse(struct url *url, const char *text, struct err *err)
{
    struct span rest = span_str(text);
    *url = (struct url){.port = PORT_DEFAULT};
    if (span_starts_with(rest, SPAN_LIT("https://")) || span_starts_with(rest, SPAN_LIT("wss://")))
        return err_set(err, "the URL: TLS is not spoken here: load the server behind it, with http:// or ws://");
    if (span_starts_with(rest, SPAN_LIT("http://")))
        rest = span_from(rest, strlen("http://"));
    else if (span_starts_with(rest, SPAN_LIT("ws://")))
        rest = span_from(rest, strlen("ws://"));
    else
        return err_set(err, "expected a URL like http://127.0.0.1:8080 or ws://127.0.0.1:8080/path");
    if (!is_visible(rest) || span_find(rest, '#') >= 0)
        return err_set(err, "the URL: no spaces, no control characters and, here, no \"#\"");
    size_t end = 0;
    while (end < rest.len && rest.data[end] != '/' && rest.data[end] != '?')
        end++;
    struct span path = span_from(rest, end);
    url->path = mem_printf("%s" SPAN_FMT, path.len > 0 && path.data[0] == '/' ? "" : "/", SPAN_ARG(path));
    url->shown = mem_text(span_sub(span_str(text), 0, strcspn(text, "?")));
    return authority_read(url, span_sub(rest, 0, end), err);
}

void url_finish(struct url *url)
{
    free(url->host);
    free(url->authority);
    free(url->path);
    free(url->shown);
    *url = (struct url){0};
}
