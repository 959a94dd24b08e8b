/* jwt: a token, and rules by its claims. The input is a header, claims and a room, with a NUL between them; it is also
 * taken as a token as it is. A token signed by us with what the input says is good only if it names our algorithm; one
 * with another signature never is. A room is a client's own exactly if a plain matcher says so. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/access.h"
#include "app/jwt.h"
#include "base/mem.h"
#include "unit/app/tokens.h"
#include "wire/json.h"
#include "wire/jws.h"

#define SECRET "0123456789abcdef0123456789abcdef"

enum { ROOM_BYTES_MAX = 24, VALUES_MAX = 64 };
static const int64_t now_ms = 1800000000000;

static const char rules[] = "rooms: {\"a{x}*{y}b\": {join: own}, \"*{x}{x}\": {join: own}}";
static const char *const patterns[] = {"a{x}*{y}b", "*{x}{x}"}, *const shapes[] = {"a***b", "***"};

static struct jwt jwt;
static struct access access_rules;

static void begin(void)
{
    static const char config[] = "keys: [{file: key, alg: HS256}]";
    char directory[] = "/tmp/sennit-jwt-XXXXXX", file[64], place[64];
    struct err err;
    if (jwt.is_set)
        return;
    struct loop *loop = loop_create(&err);
    char *made = mkdtemp(directory);
    assert(loop != NULL && made != NULL);
    snprintf(file, sizeof file, "%s/key", directory);
    snprintf(place, sizeof place, "%s/serve.yaml", directory);
    text_write(file, SECRET);
    struct yaml_node *node = yaml_parse(place, span_str(config), &err);
    bool ok = jwt_read(&jwt, loop, node, &err);
    yaml_destroy(node);
    unlink(file);
    rmdir(directory);
    /* The loop's time stands still, so the file is not looked at again. */
    node = yaml_parse("rules", span_str(rules), &err);
    access_init(&access_rules);
    ok = ok && access_rules_read(&access_rules, node, &err);
    yaml_destroy(node);
    assert(ok);
}

static bool plain_match(const char *pattern, struct span room, const struct identity *identity);

static bool plain_match_value(const char *rest, struct span room, const struct identity *identity, struct span value)
{
    struct buf text = {0};
    enum json_type type = json_type(value);
    bool is_text = type == JSON_STRING && json_string_decode(value, &text);
    if (type == JSON_NUMBER || type == JSON_TRUE || type == JSON_FALSE)
        buf_append(&text, value);
    bool fits = (is_text || text.len > 0) && text.len > 0 && span_starts_with(room, buf_span(&text)) &&
                plain_match(rest, span_from(room, text.len), identity);
    buf_finish(&text);
    return fits;
}

/* Tries one division after the other. */
static bool plain_match(const char *pattern, struct span room, const struct identity *identity)
{
    if (*pattern == '\0')
        return room.len == 0;
    if (*pattern == '*')
        return plain_match(pattern + 1, room, identity) ||
               (room.len > 0 && plain_match(pattern, span_from(room, 1), identity));
    if (*pattern != '{')
        return room.len > 0 && room.data[0] == *pattern && plain_match(pattern + 1, span_from(room, 1), identity);
    struct span value = identity_claim(identity, span_of(pattern + 1, 1)), one;
    if (json_type(value) != JSON_ARRAY)
        return plain_match_value(pattern + 3, room, identity, value);
    for (int i = 0; i < VALUES_MAX && json_array_next(&value, &one); i++)
        if (plain_match_value(pattern + 3, room, identity, one))
            return true;
    return false;
}

static bool shape_fits(const char *shape, struct span room)
{
    if (*shape == '\0')
        return room.len == 0;
    if (*shape == '*')
        return shape_fits(shape + 1, room) || (room.len > 0 && shape_fits(shape, span_from(room, 1)));
    return room.len > 0 && room.data[0] == *shape && shape_fits(shape + 1, span_from(room, 1));
}

static void rooms_try(const struct identity *identity, struct span room)
{
    struct span x = identity_claim(identity, SPAN_LIT("x")), y = identity_claim(identity, SPAN_LIT("y")), one;
    size_t values = 0;
    while (json_array_next(&x, &one) || json_array_next(&y, &one))
        values++;
    if (room.len == 0 || room.len > ROOM_BYTES_MAX || values > VALUES_MAX)
        return;
    int rule = shape_fits(shapes[0], room) ? 0 : shape_fits(shapes[1], room) ? 1 : -1;
    bool expected = rule >= 0 && plain_match(patterns[rule], room, identity);
    assert(access_allows(&access_rules, identity, DEED_JOIN, room) == expected);
    access_allows(&access_rules, identity, DEED_HISTORY, room);
}

static void signed_try(struct span header, struct span claims, struct span room)
{
    char *header_text = mem_text(header), *claims_text = mem_text(claims);
    struct span token = token_sign("HS256", NULL, SECRET, header_text, claims_text), algorithm = {NULL, 0};
    struct identity *identity = NULL;
    struct buf name = {0};
    if (jwt_check(&jwt, token, now_ms, &identity) == REFUSAL_COUNT) {
        algorithm = json_object_get(json_trim(span_str(header_text)), SPAN_LIT("alg"));
        assert(json_string_decode(algorithm, &name) && span_equal(buf_span(&name), SPAN_LIT("HS256")));
        assert(identity->expires_ms > now_ms && json_is_valid(identity_claims(identity)));
        rooms_try(identity, room);
        identity_destroy(identity);
        /* Another signature of the same length. */
        char *forged = mem_text(token);
        forged[token.len - 20] = forged[token.len - 20] == 'A' ? 'B' : 'A';
        assert(jwt_check(&jwt, span_of(forged, token.len), now_ms, &identity) == REFUSAL_TOKEN_SIGNATURE);
        free(forged);
    }
    buf_finish(&name);
    free(header_text);
    free(claims_text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span rest = span_of(data, len), header, claims, room;
    struct identity *identity = NULL;
    struct jws jws;
    begin();
    if (jws_decode(&jws, rest))
        assert(json_is_valid(buf_span(&jws.header)) && json_is_valid(buf_span(&jws.payload)));
    jws_finish(&jws);
    jwt_check(&jwt, rest, now_ms, &identity);
    identity_destroy(identity);
    if (span_next(&rest, '\0', &header) && span_next(&rest, '\0', &claims) && span_next(&rest, '\0', &room))
        signed_try(header, claims, room);
    return 0;
}
