/* admin: reads the token and its settings, and checks a request's peer, Host, proxy fields and bearer token. */
#include "serve/admin.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "serve/config.h"

enum { LOOK_MS = 1000 };

static bool token_set(struct admin *admin, struct span token, const char *where, struct err *err)
{
    bool plain = token.len >= ADMIN_TOKEN_BYTES_MIN && token.len <= ADMIN_TOKEN_BYTES_MAX;
    for (size_t i = 0; i < token.len; i++)
        plain = plain && token.data[i] > ' ' && token.data[i] < 0x7f;
    if (!plain)
        return err_set(
            err, "%s: expected a token of %d to %d visible ASCII characters, like the output of `openssl rand -hex 24`",
            where, ADMIN_TOKEN_BYTES_MIN, ADMIN_TOKEN_BYTES_MAX);
    free(admin->token);
    admin->token = mem_text(token);
    return true;
}

static bool token_file_read(struct admin *admin, struct err *err)
{
    struct buf text = {0};
    file_about_get(admin->token_path, &admin->token_about); /* before it is read, so that no change goes unseen */
    bool ok = file_read(admin->token_path, ADMIN_TOKEN_BYTES_MAX + 2, &text, err);
    struct span token = buf_span(&text);
    while (token.len > 0 && (token.data[token.len - 1] == '\n' || token.data[token.len - 1] == '\r'))
        token.len--;
    ok = ok && token_set(admin, token, admin->token_path, err);
    if (text.data != NULL)
        explicit_bzero(text.data, text.cap);
    buf_finish(&text);
    return ok;
}

static bool token_file_find(struct admin *admin, const struct yaml_node *node, struct err *err)
{
    struct span path;
    if (!yaml_string(node, &path, err))
        return false;
    admin->token_path = file_beside(node->file, path);
    return token_file_read(admin, err);
}

bool admin_read_as(struct admin *admin, const struct yaml_node *node, const char *const *fields, const char *variable,
                   const char *environment, struct err *err)
{
    bool loopback = true;
    if (node != NULL) {
        if (!yaml_expect(node, YAML_MAPPING, err) || !yaml_only(node, fields, err))
            return false;
        const struct yaml_node *file = yaml_get(node, "token_file"), *local = yaml_get(node, "loopback");
        if (file != NULL && environment == NULL && !token_file_find(admin, file, err))
            return false;
        if (local != NULL && !yaml_bool(local, &loopback, err))
            return false;
    }
    admin->not_loopback = !loopback;
    return environment == NULL || token_set(admin, span_str(environment), variable, err);
}

bool admin_read(struct admin *admin, const struct yaml_node *node, const char *environment, struct err *err)
{
    static const char *const fields[] = {"token_file", "loopback", NULL};
    return admin_read_as(admin, node, fields, "SENNIT_ADMIN_TOKEN", environment, err);
}

void admin_refresh(struct admin *admin, struct loop *loop)
{
    struct file_about about = admin->token_about;
    uint64_t now = loop_now_us(loop);
    struct err err;
    if (admin->token_path == NULL || now - admin->looked_us < LOOP_MS(LOOK_MS))
        return;
    admin->looked_us = now;
    file_about_get(admin->token_path, &about);
    if (!file_about_equal(&about, &admin->token_about) && !token_file_read(admin, &err))
        log_event(LOG_ERROR, "a token file has changed and cannot be read: the former token stays",
                  LOG_C("why", err.text));
}

void admin_finish(struct admin *admin)
{
    if (admin->token != NULL)
        explicit_bzero(admin->token, strlen(admin->token));
    free(admin->token);
    free(admin->token_path);
    admin->token = admin->token_path = NULL;
}

/* Takes as long for a token that is nearly right as for any other of its length. */
static bool token_equal(struct span a, struct span b)
{
    volatile unsigned char differs = a.len != b.len;
    for (size_t i = 0; i < a.len; i++)
        differs |= (unsigned char)(a.data[i] ^ b.data[i % b.len]);
    return differs == 0;
}

bool admin_has_token(const struct admin *admin, const struct http1_head *head)
{
    struct span value = http1_field_get(head, SPAN_LIT("Authorization"));
    if (admin->token == NULL || value.data == NULL || !span_equal_nocase(span_sub(value, 0, 7), SPAN_LIT("Bearer ")))
        return false;
    return token_equal(span_trim(span_from(value, 7)), span_str(admin->token));
}

static bool ip_is_loopback(const struct addr_ip *ip)
{
    static const uint8_t v6[16] = {[15] = 1}, v4[13] = {[10] = 0xff, [11] = 0xff, [12] = 127};
    return !ip->is_unix && (memcmp(ip->bytes, v6, sizeof v6) == 0 || memcmp(ip->bytes, v4, sizeof v4) == 0);
}

/* The Host is an address of this machine or the name that every machine has for itself. */
static bool host_is_loopback(struct span host)
{
    static const struct span names[] = {SPAN_LIT("localhost"), SPAN_LIT("127.0.0.1"), SPAN_LIT("[::1]")};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct span rest = span_from(host, names[i].len);
        if (span_equal_nocase(span_sub(host, 0, names[i].len), names[i]) && (rest.len == 0 || rest.data[0] == ':'))
            return true;
    }
    return host.len == 0; /* HTTP/1.0 */
}

static bool is_forwarded(const struct http1_head *head)
{
    static const struct span names[] = {SPAN_LIT("X-Forwarded-For"),  SPAN_LIT("Forwarded"),
                                        SPAN_LIT("X-Forwarded-Host"), SPAN_LIT("X-Forwarded-Proto"),
                                        SPAN_LIT("X-Real-IP"),        SPAN_LIT("Via")};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (http1_field_get(head, names[i]).data != NULL)
            return true;
    return false;
}

bool admin_allows(const struct admin *admin, const struct addr_ip *peer, const struct http1_head *head)
{
    if (admin_has_token(admin, head))
        return true;
    return !admin->not_loopback && ip_is_loopback(peer) && host_is_loopback(head->host) && !is_forwarded(head);
}
