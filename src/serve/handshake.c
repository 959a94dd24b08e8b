/* handshake: reads the field, and encodes what is kept, with the members and names of Socket.IO's own server. */
#include "serve/handshake.h"

#include <ctype.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "wire/uri.h"

bool handshake_header_is_kept(const struct handshake_config *config, struct span name)
{
    for (size_t i = 0; i < config->header_count; i++)
        if (span_equal_nocase(span_str(config->headers[i]), name))
            return true;
    return false;
}

bool handshake_header_keep(struct handshake_config *config, struct span name)
{
    if (!http1_name_is_valid(name))
        return false;
    if (handshake_header_is_kept(config, name))
        return true;
    if (config->header_count == HANDSHAKE_HEADERS_MAX)
        return false;
    config->on = true;
    char *text = config->headers[config->header_count++] = mem_text(name);
    for (; *text != '\0'; text++)
        *text = (char)tolower((unsigned char)*text);
    return true;
}

static bool headers_read(struct handshake_config *config, const struct yaml_node *node, struct err *err)
{
    if (node == NULL)
        return true;
    if (!yaml_expect(node, YAML_LIST, err))
        return false;
    if (node->count > HANDSHAKE_HEADERS_MAX)
        return yaml_error(err, node, "expected %d names at most, found %zu", HANDSHAKE_HEADERS_MAX, node->count);
    for (size_t i = 0; i < node->count; i++) {
        struct span name;
        if (!yaml_string(node->items[i], &name, err))
            return false;
        if (!handshake_header_keep(config, name))
            return yaml_error(err, node->items[i], "expected the name of a header, like User-Agent");
    }
    return true;
}

bool handshake_config_read(struct handshake_config *config, const struct yaml_node *node, struct err *err)
{
    static const char *const fields[] = {"headers", "query", "auth", NULL};
    if (node == NULL)
        return true;
    if (!yaml_expect(node, YAML_MAPPING, err) || !yaml_only(node, fields, err))
        return false;
    const struct yaml_node *query = yaml_get(node, "query"), *auth = yaml_get(node, "auth");
    config->on = true;
    return headers_read(config, yaml_get(node, "headers"), err) &&
           (query == NULL || yaml_bool(query, &config->query, err)) &&
           (auth == NULL || yaml_bool(auth, &config->auth, err));
}

void handshake_config_finish(struct handshake_config *config)
{
    for (size_t i = 0; i < config->header_count; i++)
        free(config->headers[i]);
    *config = (struct handshake_config){.on = false};
}

static void text_append(struct buf *to, struct span text)
{
    buf_append_char(to, '"');
    buf_append_json(to, text);
    buf_append_char(to, '"');
}

static void member_append(struct buf *to, struct span name, struct span value)
{
    if (to->len > 0)
        buf_append_char(to, ',');
    text_append(to, name);
    buf_append_char(to, ':');
    text_append(to, value);
}

static void headers_append(struct buf *to, const struct handshake_config *config, const struct http1_head *head)
{
    struct buf members = {0};
    for (size_t i = 0; i < config->header_count; i++) {
        struct span name = span_str(config->headers[i]), value = http1_field_get(head, name);
        if (value.data != NULL)
            member_append(&members, name, value);
    }
    buf_append(to, SPAN_LIT("{\"headers\":{"));
    buf_append(to, buf_span(&members));
    buf_finish(&members);
}

/* A name or a value of the query, where a plus is a space; as it came if it cannot be decoded. */
static char *query_decode(struct span text)
{
    char *decoded = uri_form_decode(text);
    return decoded != NULL ? decoded : mem_text(text);
}

/* Of a name that comes twice, the last value counts, as in an object of JavaScript. */
static bool comes_again(struct span rest, struct span name)
{
    struct span pair, other;
    while (rest.data != NULL && span_next(&rest, '&', &pair))
        if (span_next(&pair, '=', &other) && span_equal(other, name))
            return true;
    return false;
}

static void query_append(struct buf *to, struct span query)
{
    struct buf members = {0};
    struct span pair, name;
    while (query.data != NULL && span_next(&query, '&', &pair)) {
        if (!span_next(&pair, '=', &name) || name.len == 0 || comes_again(query, name))
            continue;
        char *key = query_decode(name), *value = query_decode(pair.data != NULL ? pair : SPAN_LIT(""));
        member_append(&members, span_str(key), span_str(value));
        free(key);
        free(value);
    }
    buf_append(to, buf_span(&members));
    buf_finish(&members);
}

/* The last proxy, which is believed, has written the last word. */
static bool is_secure(const struct http1_head *head)
{
    struct span rest = http1_field_get(head, SPAN_LIT("X-Forwarded-Proto")), word = SPAN_LIT("");
    while (rest.data != NULL && span_next(&rest, ',', &word))
        continue;
    word = span_trim(word);
    return span_equal(word, SPAN_LIT("https")) || span_equal(word, SPAN_LIT("wss"));
}

static void time_append(struct buf *to, int64_t now_ms)
{
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm when;
    char text[32] = "";
    if (gmtime_r(&seconds, &when) != NULL)
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &when);
    buf_printf(to, "},\"time\":\"%s.%03dZ\",\"issued\":%lld", text, (int)(now_ms % 1000), (long long)now_ms);
}

void handshake_encode(struct buf *to, const struct handshake_config *config, const struct http1_head *head,
                      const struct addr_ip *peer, int64_t now_ms, bool trusted)
{
    char address[ADDR_TEXT_MAX];
    struct span query = head->target, path, origin = http1_field_get(head, SPAN_LIT("Origin"));
    bool is_foreign = origin.data != NULL;
    if (!config->on)
        return;
    span_next(&query, '?', &path);
    addr_ip_print(peer, address);
    headers_append(to, config, head);
    time_append(to, now_ms);
    buf_printf(to, ",\"address\":\"%s\",\"xdomain\":%s,\"secure\":%s,\"url\":", address, is_foreign ? "true" : "false",
               trusted && is_secure(head) ? "true" : "false");
    text_append(to, config->query ? head->target : path);
    buf_append(to, SPAN_LIT(",\"query\":{"));
    if (config->query)
        query_append(to, query);
    buf_append(to, SPAN_LIT("}}"));
}
