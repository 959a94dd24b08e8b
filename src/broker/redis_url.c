/* redis_url: see redis_url.h. */
#include "broker/redis_url.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"

enum { DB_MAX = 65535 };

static int hex_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* NULL for a broken escape or a NUL. */
static char *decode(struct span s)
{
    struct buf to = {0};
    bool ok = true;
    for (size_t i = 0; i < s.len && ok; i++) {
        if (s.data[i] != '%') {
            buf_append_char(&to, s.data[i]);
            continue;
        }
        bool both = i + 2 < s.len;
        int high = both ? hex_value(s.data[i + 1]) : -1, low = both ? hex_value(s.data[i + 2]) : -1;
        ok = high >= 0 && low >= 0 && high + low > 0;
        if (ok)
            buf_append_char(&to, (char)(high << 4 | low));
        i += 2;
    }
    char *text = ok ? mem_text(buf_span(&to)) : NULL;
    buf_finish(&to);
    return text;
}

static bool db_read(struct redis_url *url, struct span text, struct err *err)
{
    uint64_t db = 0;
    if (text.len != 0 && (!span_to_u64(text, &db) || db > DB_MAX))
        return err_set(err, "REDIS_URL: expected the number of a database, found \"" SPAN_FMT "\"", SPAN_ARG(text));
    url->db = (uint32_t)db;
    return true;
}

static bool unix_read(struct redis_url *url, struct span rest, struct err *err)
{
    struct span path;
    span_next(&rest, '?', &path);
    if (path.len == 0 || path.data[0] != '/')
        return err_set(err, "REDIS_URL: unix:// needs an absolute path, like unix:///run/redis.sock");
    url->path = mem_text(path);
    if (rest.data == NULL)
        return true;
    if (!span_starts_with(rest, SPAN_LIT("db=")))
        return err_set(err, "REDIS_URL: behind the path, only ?db=N is understood");
    return db_read(url, span_from(rest, 3), err);
}

static bool login_read(struct redis_url *url, struct span login, struct err *err)
{
    struct span user;
    span_next(&login, ':', &user);
    if (user.len != 0)
        url->user = decode(user);
    if (login.data != NULL)
        url->password = decode(login);
    if ((user.len != 0 && url->user == NULL) || url->password == NULL)
        return err_set(err, "REDIS_URL: expected user:password@ or :password@, percent-encoded where needed");
    return true;
}

static bool host_read(struct redis_url *url, struct span host, struct err *err)
{
    uint64_t port = 6379;
    struct span name = host, number = {NULL, 0};
    if (host.len > 0 && host.data[0] == '[') {
        ptrdiff_t end = span_find(host, ']');
        if (end < 0)
            return err_set(err, "REDIS_URL: the IPv6 address has no closing bracket");
        name = span_sub(host, 1, (size_t)end - 1);
        number = span_from(host, (size_t)end + 1);
        if (number.len > 0 && number.data[0] == ':')
            number = span_from(number, 1);
    } else if (span_find(host, ':') >= 0) {
        number = host;
        span_next(&number, ':', &name);
    }
    if (number.len != 0 && (!span_to_u64(number, &port) || port == 0 || port > 65535))
        return err_set(err, "REDIS_URL: expected a port, found \"" SPAN_FMT "\"", SPAN_ARG(number));
    if (name.len == 0)
        return err_set(err, "REDIS_URL: names no host; expected redis://HOST:PORT");
    url->host = mem_text(name);
    url->port = (uint16_t)port;
    return true;
}

bool redis_url_parse(struct redis_url *url, const char *text, struct err *err)
{
    struct span rest = span_str(text), authority;
    *url = (struct redis_url){0};
    if (span_starts_with(rest, SPAN_LIT("unix://")))
        return unix_read(url, span_from(rest, 7), err);
    if (span_starts_with(rest, SPAN_LIT("rediss://")))
        return err_set(err, "REDIS_URL: TLS (rediss://) is not supported by this version; use redis:// or unix://");
    if (!span_starts_with(rest, SPAN_LIT("redis://")))
        return err_set(err, "REDIS_URL: expected redis://[user:password@]host[:port][/db] or unix:///path");
    rest = span_from(rest, 8);
    if (!span_next(&rest, '/', &authority))
        authority = SPAN_LIT("");
    ptrdiff_t at = -1;
    for (size_t i = 0; i < authority.len; i++)
        if (authority.data[i] == '@')
            at = (ptrdiff_t)i;
    if (at >= 0 && !login_read(url, span_sub(authority, 0, (size_t)at), err))
        return false;
    return host_read(url, span_from(authority, (size_t)(at + 1)), err) && db_read(url, rest, err);
}

void redis_url_finish(struct redis_url *url)
{
    free(url->host);
    free(url->path);
    free(url->user);
    free(url->password);
    *url = (struct redis_url){0};
}
