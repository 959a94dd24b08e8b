/* redis_url: gives the parts of a Redis URL (wire/uri.h) their meaning, and checks options. No error repeats the URL,
 * which may hold a password. */
#include "broker/redis_url.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "wire/uri.h"

enum { DB_MAX = 65535, REDIS_PORT = 6379, SENTINEL_PORT = 26379 };

/* With one slip, whatever stands behind the scheme may be a password. So no text quotes it. */
#define NO_QUOTE " (not shown: it may be part of a password, in which @ / ? are %%40 %%2F %%3F)"

static bool db_read(struct redis_url *url, struct span text, struct err *err)
{
    uint64_t db = 0;
    if (text.len != 0 && (!span_to_u64(text, &db) || db > DB_MAX))
        return url->path != NULL
                   ? err_set(err, "REDIS_URL: expected the number of a database (0 to 65535) behind db=" NO_QUOTE)
                   : err_set(err, "REDIS_URL: expected the number of a database (0 to 65535), or nothing, behind the "
                                  "slash" NO_QUOTE);
    url->db = (uint32_t)db;
    return true;
}

static bool login_read(struct redis_url *url, struct span login, struct err *err)
{
    struct span user;
    span_next(&login, ':', &user);
    if (user.len != 0)
        url->user = uri_decode(user);
    if (login.data != NULL)
        url->password = uri_decode(login);
    if ((user.len != 0 && url->user == NULL) || url->password == NULL)
        return err_set(err, "REDIS_URL: expected user:password@ or :password@, percent-encoded where needed");
    return true;
}

/* A name or an address. */
static bool is_host(struct span name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' ||
              c == '_' || c == ':' || c == '%'))
            return false;
    }
    return true;
}

static bool fault_tell(enum uri_fault fault, struct err *err)
{
    switch (fault) {
    case URI_BRACKET_OPEN:
        return err_set(err, "REDIS_URL: the IPv6 address has no closing bracket");
    case URI_BAD_PORT:
        return err_set(err, "REDIS_URL: expected a port (1 to 65535) behind the colon" NO_QUOTE);
    case URI_BAD_HOST:
        return err_set(err, "REDIS_URL: the host has a character that no name or address has" NO_QUOTE);
    case URI_TOO_LONG:
        return err_set(err, "REDIS_URL: it is longer than %d bytes", URI_BYTES_MAX);
    default:
        return err_set(err,
                       "REDIS_URL: expected redis://[user:password@]host[:port][/db], rediss:// (TLS), unix:///path or "
                       "redis+sentinel://host[:port],.../NAME or redis+cluster://host[:port],...");
    }
}

static bool place_read(struct redis_place *place, const struct uri *uri, uint16_t port_default, struct err *err)
{
    uint16_t port = port_default;
    if (uri->port.len != 0 && !span_to_port(uri->port, &port))
        return fault_tell(URI_BAD_PORT, err);
    if (uri->host.len == 0)
        return err_set(err, "REDIS_URL: names no host; expected redis://HOST:PORT");
    if (!is_host(uri->host))
        return fault_tell(URI_BAD_HOST, err);
    *place = (struct redis_place){mem_text(uri->host), port};
    return true;
}

static bool host_read(struct redis_url *url, const struct uri *uri, struct err *err)
{
    struct redis_place place = {0};
    bool ok = place_read(&place, uri, REDIS_PORT, err);
    url->host = place.host;
    url->port = place.port;
    return ok;
}

/* One of the hosts between the commas. */
static bool seed_read(struct redis_url *url, struct span text, struct err *err)
{
    struct uri uri;
    enum uri_fault fault;
    if (url->seed_count == REDIS_SEEDS_MAX)
        return err_set(err, "REDIS_URL: more than %d hosts; a few are enough, they know each other", REDIS_SEEDS_MAX);
    char *one = mem_printf("redis://" SPAN_FMT, SPAN_ARG(text));
    bool ok = uri_split(&uri, span_str(one), &fault)
                  ? place_read(&url->seeds[url->seed_count], &uri,
                               url->kind == REDIS_URL_SENTINEL ? SENTINEL_PORT : REDIS_PORT, err)
                  : fault_tell(fault, err);
    free(one);
    url->seed_count += ok;
    return ok;
}

/* `/NAME` or `/NAME/db`. */
static bool primary_read(struct redis_url *url, struct span path, struct err *err)
{
    struct span rest = span_from(path, 1), name;
    span_next(&rest, '/', &name);
    url->primary = name.len == 0 ? mem_text(SPAN_LIT("mymaster")) : uri_decode(name);
    if (url->primary == NULL)
        return err_set(err, "REDIS_URL: the primary's name is not percent-encoded well: %% is written as %%25");
    return rest.data == NULL || db_read(url, rest, err);
}

static bool path_read(struct redis_url *url, struct span path, struct err *err)
{
    struct addr ignored;
    if (path.len == 0)
        return err_set(err, "REDIS_URL: unix:// needs an absolute path, like unix:///run/redis.sock");
    url->path = uri_decode(path);
    if (url->path == NULL)
        return err_set(err, "REDIS_URL: the path is not percent-encoded well: %% is written as %%25");
    if (!addr_from_unix(&ignored, span_str(url->path)))
        return err_set(err, "REDIS_URL: the path of a unix socket is too long: the system takes 107 bytes");
    return true;
}

/* One `key=value` behind the question mark. */
static bool option_read(struct redis_url *url, struct span key, struct span value, struct err *err)
{
    const struct {
        const char *name;
        char **to;
        bool is_on;
    } texts[] = {{"ca", &url->ca, url->tls},
                 {"cert", &url->cert, url->tls},
                 {"key", &url->key, url->tls},
                 {"server_name", &url->server_name, url->tls},
                 {"sentinel_user", &url->sentinel_user, url->kind == REDIS_URL_SENTINEL},
                 {"sentinel_password", &url->sentinel_password, url->kind == REDIS_URL_SENTINEL}};
    if (value.len == 0)
        return err_set(err, "REDIS_URL: an option behind ? has no value; expected OPTION=VALUE" NO_QUOTE);
    if (url->path != NULL && span_equal(key, SPAN_LIT("db")))
        return db_read(url, value, err);
    if (url->tls && span_equal(key, SPAN_LIT("verify"))) {
        url->verify_off = span_equal(value, SPAN_LIT("no"));
        return url->verify_off || span_equal(value, SPAN_LIT("yes")) || err_set(err, "REDIS_URL: verify is yes or no");
    }
    if ((url->kind == REDIS_URL_CLUSTER || url->kind == REDIS_URL_HOST) && span_equal(key, SPAN_LIT("sharded"))) {
        url->sharded_off = span_equal(value, SPAN_LIT("no"));
        return url->sharded_off || span_equal(value, SPAN_LIT("auto")) ||
               err_set(err, "REDIS_URL: sharded is auto or no");
    }
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (!texts[i].is_on || !span_equal(key, span_str(texts[i].name)))
            continue;
        if (*texts[i].to != NULL)
            return err_set(err, "REDIS_URL: %s is given twice", texts[i].name);
        *texts[i].to = uri_decode(value);
        return *texts[i].to != NULL ||
               err_set(err, "REDIS_URL: the value of %s is not percent-encoded well: %% is written as %%25",
                       texts[i].name);
    }
    return err_set(err, "REDIS_URL: an option behind ? is unknown; %s" NO_QUOTE,
                   url->kind == REDIS_URL_SENTINEL
                       ? "redis+sentinel:// knows sentinel_user and sentinel_password; with TLS, rediss+sentinel:// "
                         "also knows ca, cert, key, verify and server_name"
                   : url->tls  ? "rediss:// knows ca, cert, key, verify, server_name and sharded"
                   : url->path ? "unix:// knows db"
                               : "redis:// knows sharded, and rediss:// (TLS) more");
}

static bool options_read(struct redis_url *url, struct span options, struct err *err)
{
    struct span value, key;
    while (span_next(&options, '&', &value)) {
        span_next(&value, '=', &key);
        if (!option_read(url, key, value, err))
            return false;
    }
    if ((url->cert == NULL) != (url->key == NULL))
        return err_set(err, "REDIS_URL: cert and key go together, %s is missing", url->cert == NULL ? "cert" : "key");
    if (url->verify_off && url->ca != NULL)
        return err_set(err, "REDIS_URL: verify=no believes anybody, so ca= says nothing: leave one of them out");
    if (url->sentinel_user != NULL && url->sentinel_password == NULL)
        return err_set(err, "REDIS_URL: sentinel_user needs sentinel_password");
    if (url->seed_count > 0 && url->tls && url->server_name == NULL && !url->verify_off)
        return err_set(
            err, "REDIS_URL: Sentinels and clusters name Redis by its address, which certificates rarely hold: give "
                 "the name that all certificates have with ?server_name=NAME");
    return true;
}

static bool scheme_read(struct redis_url *url, struct span text, struct err *err)
{
    static const struct {
        const char *text;
        enum redis_url_kind kind;
        bool tls;
    } schemes[] = {{"redis://", REDIS_URL_HOST, false},
                   {"rediss://", REDIS_URL_HOST, true},
                   {"unix://", REDIS_URL_UNIX, false},
                   {"redis+sentinel://", REDIS_URL_SENTINEL, false},
                   {"rediss+sentinel://", REDIS_URL_SENTINEL, true},
                   {"redis+cluster://", REDIS_URL_CLUSTER, false},
                   {"rediss+cluster://", REDIS_URL_CLUSTER, true}};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        if (!span_starts_with(text, span_str(schemes[i].text)))
            continue;
        url->kind = schemes[i].kind;
        url->tls = schemes[i].tls;
        return true;
    }
    return fault_tell(URI_NO_SCHEME, err);
}

/* An `@` behind the authority would be the end of a password that has a raw `/` or `?`. */
static bool password_is_whole(struct span text)
{
    struct span rest = text, scheme;
    span_next(&rest, ':', &scheme);
    rest = span_from(rest, 2); /* the slashes */
    size_t end = 0;
    while (end < rest.len && rest.data[end] != '/' && rest.data[end] != '?')
        end++;
    return span_find(span_from(rest, end), '@') < 0;
}

/* Reads the hosts between the commas, and leaves one in `single`, for the parser of URIs, which knows no lists. */
static bool seeds_read(struct redis_url *url, struct span text, struct buf *single, struct err *err)
{
    struct span rest = text, scheme, host;
    span_next(&rest, ':', &scheme);
    rest = span_from(rest, 2);
    size_t begin = 0, end = 0;
    while (end < rest.len && rest.data[end] != '/' && rest.data[end] != '?')
        end++;
    for (size_t i = 0; i < end; i++)
        begin = rest.data[i] == '@' ? i + 1 : begin;
    struct span hosts = span_sub(rest, begin, end - begin);
    while (span_next(&hosts, ',', &host)) {
        if (!seed_read(url, host, err))
            return false;
    }
    if (url->seed_count == 0)
        return err_set(err, "REDIS_URL: names no host; expected redis+sentinel://HOST:PORT,HOST:PORT/NAME or "
                            "redis+cluster://HOST:PORT,HOST:PORT");
    buf_printf(single, "redis://" SPAN_FMT "sentinel" SPAN_FMT, SPAN_ARG(span_sub(rest, 0, begin)),
               SPAN_ARG(span_from(rest, end)));
    return true;
}

static bool place_and_path_read(struct redis_url *url, const struct uri *uri, struct err *err)
{
    switch (url->kind) {
    case REDIS_URL_UNIX:
        return uri->place.len == 0
                   ? path_read(url, uri->path, err)
                   : err_set(err, "REDIS_URL: unix:// needs an absolute path, like unix:///run/redis.sock");
    case REDIS_URL_SENTINEL:
        return primary_read(url, uri->path, err);
    case REDIS_URL_CLUSTER:
        return uri->path.len <= 1 || err_set(err, "REDIS_URL: a cluster has no numbered databases: expected nothing "
                                                  "behind the hosts" NO_QUOTE);
    case REDIS_URL_HOST:
        break;
    }
    return host_read(url, uri, err) && db_read(url, span_from(uri->path, 1), err);
}

static bool parts_read(struct redis_url *url, struct span text, struct err *err)
{
    struct uri uri;
    enum uri_fault fault;
    if (!uri_split(&uri, text, &fault))
        return fault_tell(fault, err);
    if (uri.login.data != NULL && !login_read(url, uri.login, err))
        return false;
    return place_and_path_read(url, &uri, err) && options_read(url, uri.query, err);
}

bool redis_url_parse(struct redis_url *url, const char *text, struct err *err)
{
    struct buf single = {0};
    struct span parsed = span_str(text);
    *url = (struct redis_url){0};
    if (!scheme_read(url, parsed, err))
        return false;
    if (!password_is_whole(parsed))
        return err_set(err, "REDIS_URL: in user, password and path, / is written as %%2F (not in a path), ? as %%3F, "
                            "@ as %%40");
    bool has_seeds = url->kind == REDIS_URL_SENTINEL || url->kind == REDIS_URL_CLUSTER;
    bool ok = !has_seeds || seeds_read(url, parsed, &single, err);
    if (ok && has_seeds)
        parsed = buf_span(&single);
    ok = ok && parts_read(url, parsed, err);
    buf_finish(&single);
    return ok;
}

void redis_url_finish(struct redis_url *url)
{
    char *const texts[] = {
        url->host,        url->path,    url->user,          url->password,         url->ca, url->cert, url->key,
        url->server_name, url->primary, url->sentinel_user, url->sentinel_password};
    for (size_t i = 0; i < url->seed_count; i++)
        free(url->seeds[i].host);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        free(texts[i]);
    *url = (struct redis_url){0};
}

bool redis_url_tls(const struct redis_url *url, struct tls_client **tls, struct err *err)
{
    const struct tls_client_options options = {
        .name = url->server_name != NULL ? url->server_name : url->host,
        .ca = url->ca,
        .cert = url->cert,
        .key = url->key,
        .verify_off = url->verify_off,
    };
    *tls = url->tls ? tls_client_create(&options, err) : NULL;
    return !url->tls || *tls != NULL;
}
