/* uri: a URI split and decoded: its parts put together are the text again; and the two readers built on it. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "broker/redis_url.h"
#include "load/url.h"
#include "wire/uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void split(struct span text)
{
    struct uri uri;
    enum uri_fault fault;
    struct buf again = {0};
    if (!uri_split(&uri, text, &fault))
        return;
    bool bracket = uri.place.len > 0 && uri.place.data[0] == '[';
    const struct span parts[] = {uri.login, uri.host, uri.path, uri.query};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        free(uri_decode(parts[i]));
    buf_printf(&again, SPAN_FMT "://", SPAN_ARG(uri.scheme));
    buf_append(&again, uri.login);
    buf_append(&again, uri.login.data != NULL ? SPAN_LIT("@") : SPAN_LIT(""));
    buf_append(&again, bracket ? SPAN_LIT("[") : SPAN_LIT(""));
    buf_append(&again, uri.host);
    buf_append(&again, bracket ? SPAN_LIT("]") : SPAN_LIT(""));
    buf_append(&again, uri.port.data != NULL ? SPAN_LIT(":") : SPAN_LIT(""));
    buf_append(&again, uri.port);
    buf_append(&again, uri.path);
    buf_append(&again, uri.query.data != NULL ? SPAN_LIT("?") : SPAN_LIT(""));
    buf_append(&again, uri.query);
    assert(span_equal(buf_span(&again), text));
    buf_finish(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *text = mem_text(span_of(data, len));
    struct redis_url redis_url;
    struct url url;
    struct err err;
    split(span_of(data, len));
    redis_url_parse(&redis_url, text, &err);
    redis_url_finish(&redis_url);
    url_parse(&url, text, &err);
    url_finish(&url);
    free(text);
    return 0;
}
