/* postgres_url: takes our own options out, lets libpq parse the rest, and divides the hosts. */
#include "broker/postgres_url.h"

#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

enum { PORT = 5432, POLL_MS_MIN = 10, POLL_MS_MAX = 10000 };

static const char forms[] = "expected postgres://[user[:password]@]host[:port][,...][/database][?options]";

static bool poll_read(struct postgres_url *url, struct span value)
{
    uint64_t ms = 0, unit = 1;
    if (span_ends_with(value, SPAN_LIT("ms")))
        value.len -= 2;
    else if (span_ends_with(value, SPAN_LIT("s")))
        value.len -= 1, unit = 1000;
    if (!span_to_u64(value, &ms) || ms > POLL_MS_MAX || ms * unit < POLL_MS_MIN || ms * unit > POLL_MS_MAX)
        return false;
    url->poll_ms = (uint32_t)(ms * unit);
    return true;
}

/* Reads an option of ours. `*known` is false for one of libpq's. */
static bool option_read(struct postgres_url *url, struct span option, bool *known, struct err *err)
{
    *known = true;
    if (span_equal(option, SPAN_LIT("listen=off")) || span_equal(option, SPAN_LIT("listen=on"))) {
        url->listen = option.len == 9;
        return true;
    }
    if (span_starts_with(option, SPAN_LIT("listen=")))
        return err_set(err, "listen=: expected on or off");
    if (span_starts_with(option, SPAN_LIT("poll=")))
        return poll_read(url, span_from(option, 5)) ||
               err_set(err, "poll=: expected a duration from %dms to %ds", POLL_MS_MIN, POLL_MS_MAX / 1000);
    *known = false;
    return true;
}

/* The URL without our options, for libpq. */
static bool ours_take(struct postgres_url *url, const char *text, struct buf *rest, struct err *err)
{
    const char *query = strchr(text, '?');
    struct span options = query != NULL ? span_str(query + 1) : SPAN_LIT(""), option;
    char before = '?';
    buf_append(rest, query != NULL ? span_of(text, (size_t)(query - text)) : span_str(text));
    while (options.len > 0 && span_next(&options, '&', &option)) {
        bool known;
        if (!option_read(url, option, &known, err))
            return false;
        if (known)
            continue;
        buf_append_char(rest, before);
        buf_append(rest, option);
        before = '&';
    }
    buf_append_char(rest, '\0');
    return true;
}

static bool port_read(struct span text, uint16_t *port)
{
    uint64_t number = PORT;
    if (text.len > 0 && (!span_to_u64(text, &number) || number < 1 || number > 65535))
        return false;
    *port = (uint16_t)number;
    return true;
}

/* Hosts and ports are lists of the same length, or one port is for all. */
static bool places_read(struct postgres_url *url, const char *hosts, const char *ports, struct err *err)
{
    struct span host_list = span_str(hosts != NULL ? hosts : ""), host;
    struct span port_list = span_str(ports != NULL ? ports : ""), port = {"", 0};
    bool one_port = span_find(port_list, ',') < 0;
    while (span_next(&host_list, ',', &host)) {
        if (one_port || !span_next(&port_list, ',', &port))
            port = port_list;
        struct postgres_place *place = &url->places[url->place_count];
        if (url->place_count == POSTGRES_HOSTS_MAX)
            return err_set(err, "more than %d hosts", POSTGRES_HOSTS_MAX);
        if (host.len == 0)
            return err_set(err, "%s", forms);
        if (!port_read(port, &place->port))
            return err_set(err, "expected a port from 1 to 65535");
        place->host = mem_text(host);
        url->place_count++;
    }
    return true;
}

static bool options_keep(struct postgres_url *url, const PQconninfoOption *options, struct err *err)
{
    const char *hosts = NULL, *ports = NULL;
    for (; options->keyword != NULL; options++) {
        if (options->val == NULL)
            continue;
        if (strcmp(options->keyword, "host") == 0) {
            hosts = options->val;
        } else if (strcmp(options->keyword, "port") == 0) {
            ports = options->val;
        } else if (strcmp(options->keyword, "hostaddr") == 0) {
            return err_set(err, "hostaddr= is not taken: put the address in the place of the host");
        } else if (url->option_count < POSTGRES_OPTIONS_MAX) {
            url->keywords[url->option_count] = mem_text(span_str(options->keyword));
            url->values[url->option_count++] = mem_text(span_str(options->val));
        }
    }
    return places_read(url, hosts, ports, err);
}

bool postgres_url_parse(struct postgres_url *url, const char *text, struct err *err)
{
    struct buf rest = {0};
    char *why = NULL;
    PQconninfoOption *options = NULL;
    bool ok = false;
    url->listen = true;
    url->poll_ms = POSTGRES_POLL_MS;
    if (strncmp(text, "postgres://", 11) != 0 && strncmp(text, "postgresql://", 13) != 0) {
        err_set(err, "%s", forms);
    } else if (ours_take(url, text, &rest, err)) {
        options = PQconninfoParse(rest.data + rest.off, &why);
        if (options != NULL)
            ok = options_keep(url, options, err);
        else
            err_set(err, "libpq does not understand it: an option behind ? is unknown or wrong, or %s", forms);
    }
    PQconninfoFree(options);
    PQfreemem(why);
    if (rest.data != NULL)
        explicit_bzero(rest.data, rest.cap);
    buf_finish(&rest);
    return ok;
}

void postgres_url_finish(struct postgres_url *url)
{
    for (size_t i = 0; i < url->place_count; i++)
        free(url->places[i].host);
    for (size_t i = 0; i < url->option_count; i++) {
        explicit_bzero(url->values[i], strlen(url->values[i]));
        free(url->keywords[i]);
        free(url->values[i]);
    }
    url->place_count = url->option_count = 0;
}
