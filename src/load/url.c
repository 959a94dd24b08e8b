/* url: gives the parts of the URL (wire/uri.h) their meaning. No error repeats it, because it may hold a password or a
 * token. */
#include "load/url.h"

#include <stdlib.h>

#include "base/mem.h"
#include "wire/uri.h"

enum { PORT_DEFAULT = 80 };

/* Only characters that a Host field and a request line can carry. */
static bool is_visible(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] <= ' ' || text.data[i] >= 0x7f)
            return false;
    return true;
}

static bool fault_tell(enum uri_fault fault, struct err *err)
{
    switch (fault) {
    case URI_BRACKET_OPEN:
        return err_set(err, "the URL's host: expected \"]\" behind the IPv6 address");
    case URI_BAD_HOST:
        return err_set(err, "the URL's host: expected a name, or an IPv6 address between \"[\" and \"]\"");
    case URI_BAD_PORT:
        return err_set(err, "the URL's port: expected 1 to 65535 behind the host's \":\"");
    case URI_TOO_LONG:
        return err_set(err, "the URL is longer than %d bytes", URI_BYTES_MAX);
    default:
        return err_set(err, "expected a URL like http://127.0.0.1:8080 or ws://127.0.0.1:8080/path");
    }
}

static bool scheme_check(struct span text, struct err *err)
{
    if (span_starts_with(text, SPAN_LIT("https://")) || span_starts_with(text, SPAN_LIT("wss://")))
        return err_set(err, "the URL: TLS is not spoken here: load the server behind it, with http:// or ws://");
    if (!span_starts_with(text, SPAN_LIT("http://")) && !span_starts_with(text, SPAN_LIT("ws://")))
        return fault_tell(URI_NO_SCHEME, err);
    if (!is_visible(text) || span_find(text, '#') >= 0)
        return err_set(err, "the URL: no spaces, no control characters and, here, no \"#\"");
    return true;
}

static bool place_read(struct url *url, const struct uri *uri, struct err *err)
{
    uint16_t port = PORT_DEFAULT;
    if (uri->host.len == 0 || uri->login.data != NULL)
        return err_set(err, "the URL needs a host (and no user), like http://127.0.0.1:8080");
    if (uri->port.data != NULL && !span_to_port(uri->port, &port))
        return fault_tell(URI_BAD_PORT, err);
    url->host = mem_text(uri->host);
    url->authority = mem_text(uri->place);
    url->port = port;
    return true;
}

bool url_parse(struct url *url, const char *text, struct err *err)
{
    struct uri uri;
    enum uri_fault fault;
    *url = (struct url){0};
    if (!scheme_check(span_str(text), err))
        return false;
    if (!uri_split(&uri, span_str(text), &fault))
        return fault_tell(fault, err);
    const char *slash = uri.path.len > 0 ? "" : "/", *mark = uri.query.data != NULL ? "?" : "";
    url->path = mem_printf("%s" SPAN_FMT "%s" SPAN_FMT, slash, SPAN_ARG(uri.path), mark, SPAN_ARG(uri.query));
    url->shown = mem_text(span_sub(span_str(text), 0, strcspn(text, "?")));
    return place_read(url, &uri, err);
}

void url_finish(struct url *url)
{
    free(url->host);
    free(url->authority);
    free(url->path);
    free(url->shown);
    *url = (struct url){0};
}
