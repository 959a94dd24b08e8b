/* test_jwt: tokens that are good, and every way in which one is not; keys in every form. Keys are made here, and tokens
 * are signed by OpenSSL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/jwt.h"
#include "tokens.h"
#include "wire/jws.h"

#define SECRET "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER_SECRET "a123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

enum { NOW_S = 1800000000 };
static const int64_t now_ms = (int64_t)NOW_S * 1000;

static struct loop *loop;
static char directory[] = "/tmp/test_jwt_XXXXXX";
static EVP_PKEY *rsa, *other_rsa, *p256, *p384, *p521;
static struct jwt jwt;

static const char *in_directory(const char *name)
{
    static char paths[4][256];
    static unsigned at;
    char *path = paths[at++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", directory, name);
    return path;
}

/* Reads this `jwt:`; its files lie in the directory. */
static bool reads(const char *config, struct err *err)
{
    static char file[300];
    snprintf(file, sizeof file, "%s/serve.yaml", directory);
    jwt_finish(&jwt);
    struct yaml_node *node = yaml_parse(file, span_str(config), err);
    if (node == NULL)
        fail_msg("%s", err->text);
    bool ok = jwt_read(&jwt, loop, node, err);
    yaml_destroy(node);
    return ok;
}

static void configured(const char *config)
{
    struct err err;
    if (!reads(config, &err))
        fail_msg("%s", err.text);
}

static void expect_at(struct span token, enum refusal expected, int64_t at_ms)
{
    struct identity *identity = NULL;
    enum refusal got = jwt_check(&jwt, token, at_ms, &identity);
    if (got != expected)
        fail_msg("expected %s, got %s", expected == REFUSAL_COUNT ? "good" : refusal_name(expected),
                 got == REFUSAL_COUNT ? "good" : refusal_name(got));
    assert_int_equal(identity != NULL, got == REFUSAL_COUNT);
    identity_destroy(identity);
}

static void good(struct span token)
{
    expect_at(token, REFUSAL_COUNT, now_ms);
}

static void bad(struct span token, enum refusal refusal)
{
    expect_at(token, refusal, now_ms);
}

static int make_all(void **state)
{
    struct err err;
    loop = loop_create(&err);
    if (mkdtemp(directory) == NULL)
        return -1;
    rsa = key_make("RSA");
    other_rsa = key_make("RSA");
    p256 = key_make("P-256");
    p384 = key_make("P-384");
    p521 = key_make("P-521");
    key_write(rsa, in_directory("rsa.pem"), false);
    key_write(rsa, in_directory("private.pem"), true);
    key_write(other_rsa, in_directory("other.pem"), false);
    key_write(p256, in_directory("256.pem"), false);
    key_write(p384, in_directory("384.pem"), false);
    key_write(p521, in_directory("512.pem"), false);
    text_write(in_directory("secret"), SECRET "\n");
    text_write(in_directory("short"), "hunter2");
    return 0;
}

static int unmake_all(void **state)
{
    static const char *const files[] = {"rsa.pem", "private.pem", "other.pem", "256.pem", "384.pem",
                                        "512.pem", "secret",      "short",     "jwks",    "moving"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        unlink(in_directory(files[i]));
    rmdir(directory);
    jwt_finish(&jwt);
    loop_destroy(loop);
    EVP_PKEY *keys[] = {rsa, other_rsa, p256, p384, p521};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        EVP_PKEY_free(keys[i]);
    return 0;
}

static void test_every_algorithm(void **state)
{
    static const struct {
        const char *algorithm, *file;
    } cases[] = {
        {"HS256", "secret"},  {"HS384", "secret"},  {"HS512", "secret"},  {"RS256", "rsa.pem"},
        {"RS384", "rsa.pem"}, {"RS512", "rsa.pem"}, {"PS256", "rsa.pem"}, {"PS384", "rsa.pem"},
        {"PS512", "rsa.pem"}, {"ES256", "256.pem"}, {"ES384", "384.pem"}, {"ES512", "512.pem"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *algorithm = cases[i].algorithm;
        EVP_PKEY *own = strcmp(algorithm, "ES256") == 0   ? p256
                        : strcmp(algorithm, "ES384") == 0 ? p384
                        : strcmp(algorithm, "ES512") == 0 ? p521
                                                          : rsa;
        EVP_PKEY *wrong = algorithm[0] == 'E' ? key_make(own == p256   ? "P-256"
                                                         : own == p384 ? "P-384"
                                                                       : "P-521")
                                              : NULL;
        char config[200];
        snprintf(config, sizeof config, "keys: [{file: %s, alg: %s}]", cases[i].file, algorithm);
        configured(config);
        good(token_make(algorithm, own, SECRET, "{\"sub\":\"ada\"}"));
        bad(token_make(algorithm, wrong != NULL ? wrong : other_rsa, OTHER_SECRET, "{\"sub\":\"ada\"}"),
            REFUSAL_TOKEN_SIGNATURE);
        EVP_PKEY_free(wrong);
    }
}

/* A signature stands for these very bytes, in their one spelling. (The last character has bits that stand for nothing:
 * two of 86, or four of 342.) */
static void nothing_can_be_changed(const char *algorithm, const char *claims)
{
    struct span token = token_make(algorithm, rsa, SECRET, claims);
    char *changed = malloc(token.len + 1);
    size_t taken = 0;
    for (size_t i = 0; i < token.len; i++) {
        struct identity *identity = NULL;
        memcpy(changed, token.data, token.len);
        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        taken += jwt_check(&jwt, span_of(changed, token.len), now_ms, &identity) == REFUSAL_COUNT;
        identity_destroy(identity);
    }
    assert_int_equal(taken, 0);
    for (size_t len = 0; len < token.len; len++) {
        struct identity *identity = NULL;
        assert_true(jwt_check(&jwt, span_sub(token, 0, len), now_ms, &identity) != REFUSAL_COUNT);
    }
    /* The same bytes in other spellings of the last character. */
    for (char last = 'A'; last <= 'Z'; last++) {
        struct identity *identity = NULL;
        memcpy(changed, token.data, token.len);
        changed[token.len - 1] = last;
        taken += last != token.data[token.len - 1] &&
                 jwt_check(&jwt, span_of(changed, token.len), now_ms, &identity) == REFUSAL_COUNT;
        identity_destroy(identity);
    }
    assert_int_equal(taken, 0);
    free(changed);
    good(token);
}

static void test_nothing_can_be_changed(void **state)
{
    char claims[64];
    configured("keys: [{file: rsa.pem, alg: RS256}, {file: secret, alg: HS512}]");
    for (int i = 0; i < 4; i++) {
        snprintf(claims, sizeof claims, "{\"sub\":\"ada\",\"n\":%d}", i);
        nothing_can_be_changed("RS256", claims);
        nothing_can_be_changed("HS512", claims);
    }
}

static void test_the_algorithm_is_the_keys(void **state)
{
    configured("keys: [{file: rsa.pem, alg: RS256}]");
    bad(token_make("PS256", rsa, NULL, "{}"), REFUSAL_TOKEN_ALGORITHM);
    bad(token_make("RS512", rsa, NULL, "{}"), REFUSAL_TOKEN_ALGORITHM);
    /* The public key as the secret of an HMAC, in the form that is known to everybody. */
    struct buf pem = {0};
    struct err err;
    assert_true(file_read(in_directory("rsa.pem"), 10000, &pem, &err));
    buf_append_char(&pem, '\0');
    bad(token_make("HS256", NULL, pem.data, "{}"), REFUSAL_TOKEN_ALGORITHM);
    buf_finish(&pem);
    /* No algorithm at all. */
    static const char *const names[] = {"none", "None", "NONE", "nOnE", "", "HS1", "rs256", "RS256 ", "EdDSA", "dir"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char header[64];
        struct buf token = {0};
        snprintf(header, sizeof header, "{\"alg\":\"%s\"}", names[i]);
        base64url_text(&token, span_str(header));
        buf_append(&token, SPAN_LIT(".e30."));
        bad(buf_span(&token), REFUSAL_TOKEN_ALGORITHM);
        buf_finish(&token);
        bad(token_sign("RS256", rsa, NULL, header, "{}"), REFUSAL_TOKEN_ALGORITHM);
    }
    /* Two readers of one header must see one algorithm: the last one named counts for both. */
    bad(token_sign("RS256", rsa, NULL, "{\"alg\":\"RS256\",\"alg\":\"none\"}", "{}"), REFUSAL_TOKEN_ALGORITHM);
    bad(token_sign("HS256", NULL, SECRET, "{\"alg\":\"HS256\",\"\\u0061lg\":\"RS256\"}", "{}"),
        REFUSAL_TOKEN_SIGNATURE);
}

static void test_headers(void **state)
{
    configured("keys: [{file: rsa.pem, alg: RS256, kid: one}, {file: other.pem, alg: RS256, kid: two}]");
    good(token_sign("RS256", rsa, NULL, "{\"alg\":\"RS256\",\"kid\":\"one\"}", "{}"));
    good(token_sign("RS256", other_rsa, NULL, "{\"alg\":\"RS256\",\"kid\":\"two\"}", "{}"));
    good(token_sign("RS256", other_rsa, NULL, "{\"alg\":\"RS256\"}", "{}"));
    good(token_sign("RS256", rsa, NULL, " {\"alg\":\"RS256\",\"kid\":\"\\u006fne\",\"typ\":\"at+jwt\"}\n", " {}\t"));
    bad(token_sign("RS256", rsa, NULL, "{\"alg\":\"RS256\",\"kid\":\"two\"}", "{}"), REFUSAL_TOKEN_SIGNATURE);
    static const char *const kids[] = {"three",      "",    "one ",     "../one",     "/etc/passwd",
                                       "one\\u0000", "%00", "' or 1=1", "file:///one"};
    for (size_t i = 0; i < sizeof kids / sizeof kids[0]; i++) {
        char header[100];
        snprintf(header, sizeof header, "{\"alg\":\"RS256\",\"kid\":\"%s\"}", kids[i]);
        bad(token_sign("RS256", rsa, NULL, header, "{}"), REFUSAL_TOKEN_KEY);
    }
    bad(token_sign("RS256", rsa, NULL, "{\"alg\":\"RS256\",\"kid\":1}", "{}"), REFUSAL_TOKEN_MALFORMED);
    bad(token_sign("RS256", rsa, NULL, "{\"alg\":[\"RS256\"]}", "{}"), REFUSAL_TOKEN_MALFORMED);
    bad(token_sign("RS256", rsa, NULL, "{}", "{}"), REFUSAL_TOKEN_MALFORMED);
    bad(token_sign("RS256", rsa, NULL, "[]", "{}"), REFUSAL_TOKEN_MALFORMED);
    bad(token_sign("RS256", rsa, NULL, "{\"alg\":\"RS256\",\"crit\":[\"exp\"]}", "{}"), REFUSAL_TOKEN_MALFORMED);
    bad(token_sign("RS256", rsa, NULL, "{\"alg\":\"RS256\"}", "[]"), REFUSAL_TOKEN_MALFORMED);
    bad(token_sign("RS256", rsa, NULL, "{\"alg\":\"RS256\"}", "\"ada\""), REFUSAL_TOKEN_MALFORMED);
    bad(token_sign("RS256", rsa, NULL, "{\"alg\":\"RS256\"}", "{\"sub\":\"\xff\"}"), REFUSAL_TOKEN_MALFORMED);
}

/* A token brings no key of its own, and names none. */
static void test_no_key_of_the_tokens_own(void **state)
{
    EVP_PKEY *own = key_make("RSA");
    struct buf header = {0};
    configured("keys: [{file: rsa.pem, alg: RS256}]");
    buf_append(&header, SPAN_LIT("{\"alg\":\"RS256\",\"jwk\":"));
    key_jwk(&header, own, "");
    buf_append(&header, SPAN_LIT(",\"jku\":\"http://127.0.0.1/keys\",\"x5u\":\"http://127.0.0.1/\"}"));
    buf_append_char(&header, '\0');
    bad(token_sign("RS256", own, NULL, header.data, "{}"), REFUSAL_TOKEN_SIGNATURE);
    buf_finish(&header);
    EVP_PKEY_free(own);
}

static void test_forms(void **state)
{
    static const char *const texts[] = {
        "",  ".",       "..",          "...",       "a",           "a.b",    "a.b.c",
        "=", "e30.e30", "e30.e30.a.b", "e30=.e30.", "e30 .e30.YQ", "{}.{}.", "eyJhbGciOiJIUzI1NiJ9..",
    };
    configured("keys: [{file: secret, alg: HS256}]");
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        bad(span_str(texts[i]), REFUSAL_TOKEN_MALFORMED);
    char *claims = malloc(20000);
    snprintf(claims, 20000, "{\"sub\":\"%0*d\"}", 9000, 1);
    bad(token_make("HS256", NULL, SECRET, claims), REFUSAL_TOKEN_MALFORMED);
    snprintf(claims, 20000, "{\"sub\":\"%0*d\"}", 5000, 1);
    good(token_make("HS256", NULL, SECRET, claims));
    free(claims);
    /* A signature, and more behind it. */
    struct buf more = {0};
    buf_append(&more, token_make("HS256", NULL, SECRET, "{}"));
    good(buf_span(&more));
    buf_append_char(&more, 'A'); /* 33 bytes in place of 32 */
    bad(buf_span(&more), REFUSAL_TOKEN_SIGNATURE);
    buf_append_char(&more, 'A'); /* no number of bytes */
    bad(buf_span(&more), REFUSAL_TOKEN_MALFORMED);
    buf_finish(&more);
}

static struct span timed(const char *claims, ...)
{
    static char text[300];
    va_list args;
    va_start(args, claims);
    vsnprintf(text, sizeof text, claims, args);
    va_end(args);
    return token_make("HS256", NULL, SECRET, text);
}

static void test_times(void **state)
{
    configured("leeway: 0\nkeys: [{file: secret, alg: HS256}]");
    good(timed("{\"exp\":%d}", NOW_S + 1));
    bad(timed("{\"exp\":%d}", NOW_S), REFUSAL_TOKEN_EXPIRED);
    bad(timed("{\"exp\":%d.9}", NOW_S - 1), REFUSAL_TOKEN_EXPIRED);
    good(timed("{\"exp\":%d.5}", NOW_S + 1));
    bad(timed("{\"exp\":0}"), REFUSAL_TOKEN_EXPIRED);
    good(timed("{\"exp\":18446744073709551615}"));
    good(timed("{\"nbf\":%d,\"iat\":%d}", NOW_S, NOW_S));
    bad(timed("{\"nbf\":%d}", NOW_S + 1), REFUSAL_TOKEN_EARLY);
    bad(timed("{\"iat\":%d}", NOW_S + 1), REFUSAL_TOKEN_EARLY);
    /* A value that is no time never counts as one in the future. */
    static const char *const wrong[] = {
        "\"1900000000\"", "null", "true", "[]", "{}", "-1", "1e12", "1.9e9", "-0", "1.5e10", "18446744073709551616"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        bad(timed("{\"exp\":%s}", wrong[i]), REFUSAL_TOKEN_MALFORMED);
        bad(timed("{\"nbf\":%s}", wrong[i]), REFUSAL_TOKEN_MALFORMED);
    }
    configured("leeway: 30s\nkeys: [{file: secret, alg: HS256}]");
    struct span token = timed("{\"exp\":%d}", NOW_S);
    expect_at(token, REFUSAL_COUNT, now_ms + 29999);
    expect_at(token, REFUSAL_TOKEN_EXPIRED, now_ms + 30000);
    token = timed("{\"nbf\":%d}", NOW_S);
    expect_at(token, REFUSAL_TOKEN_EARLY, now_ms - 30001);
    expect_at(token, REFUSAL_COUNT, now_ms - 30000);
}

static void test_issuer_and_audience(void **state)
{
    configured("issuer: https://a\naudience: [board, chat]\nkeys: [{file: secret, alg: HS256}]");
    good(timed("{\"iss\":\"https://a\",\"aud\":\"board\"}"));
    good(timed("{\"iss\":\"https:\\/\\/a\",\"aud\":[\"x\",\"chat\"]}"));
    bad(timed("{\"aud\":\"board\"}"), REFUSAL_TOKEN_ISSUER);
    bad(timed("{\"iss\":\"https://a/\",\"aud\":\"board\"}"), REFUSAL_TOKEN_ISSUER);
    bad(timed("{\"iss\":[\"https://a\"],\"aud\":\"board\"}"), REFUSAL_TOKEN_ISSUER);
    bad(timed("{\"iss\":\"https://a\"}"), REFUSAL_TOKEN_AUDIENCE);
    bad(timed("{\"iss\":\"https://a\",\"aud\":\"boards\"}"), REFUSAL_TOKEN_AUDIENCE);
    bad(timed("{\"iss\":\"https://a\",\"aud\":[]}"), REFUSAL_TOKEN_AUDIENCE);
    bad(timed("{\"iss\":\"https://a\",\"aud\":{\"board\":1}}"), REFUSAL_TOKEN_AUDIENCE);
    configured("keys: [{file: secret, alg: HS256}]");
    good(timed("{\"iss\":\"https://b\"}"));
    bad(timed("{\"aud\":\"anything\"}"), REFUSAL_TOKEN_AUDIENCE);
}

static void test_a_set_of_keys(void **state)
{
    struct buf set = {0};
    buf_append(&set, SPAN_LIT("{\"keys\":["));
    key_jwk(&set, rsa, ",\"kid\":\"r\",\"alg\":\"RS256\",\"use\":\"sig\"");
    buf_append_char(&set, ',');
    key_jwk(&set, p256, ",\"kid\":\"e\",\"alg\":\"ES256\"");
    buf_append_char(&set, ',');
    key_jwk(&set, p384, ",\"kid\":\"e3\",\"alg\":\"ES384\"");
    buf_append_char(&set, ',');
    key_jwk(&set, other_rsa, ",\"kid\":\"enc\",\"alg\":\"RS256\",\"use\":\"enc\"");
    buf_append(&set, SPAN_LIT(",{\"kty\":\"OKP\",\"alg\":\"EdDSA\",\"crv\":\"Ed25519\",\"x\":\"AA\"},7,"
                              "{\"kty\":\"oct\",\"kid\":\"h\",\"alg\":\"HS256\",\"k\":\""));
    base64url_text(&set, span_str(SECRET));
    buf_append(&set, SPAN_LIT("\"}]}"));
    buf_append_char(&set, '\0');
    text_write(in_directory("jwks"), set.data);
    buf_finish(&set);
    configured("keys: [{file: jwks}]");
    good(token_sign("RS256", rsa, NULL, "{\"alg\":\"RS256\",\"kid\":\"r\"}", "{}"));
    good(token_sign("ES256", p256, NULL, "{\"alg\":\"ES256\",\"kid\":\"e\"}", "{}"));
    good(token_sign("ES384", p384, NULL, "{\"alg\":\"ES384\",\"kid\":\"e3\"}", "{}"));
    good(token_sign("HS256", NULL, SECRET, "{\"alg\":\"HS256\",\"kid\":\"h\"}", "{}"));
    bad(token_sign("RS256", other_rsa, NULL, "{\"alg\":\"RS256\",\"kid\":\"enc\"}", "{}"), REFUSAL_TOKEN_KEY);
    bad(token_sign("ES256", p256, NULL, "{\"alg\":\"ES256\",\"kid\":\"r\"}", "{}"), REFUSAL_TOKEN_ALGORITHM);
}

/* A file that somebody else writes must not end the process. */
static void test_a_jwk_that_is_no_base64url(void **state)
{
    static const char *const wrong[] = {"A",    "AAAAA", "AA=A", "A=AA", "AAAAA=AA", "MDAwM=AwMDA",
                                        "AA+A", "A A",   "=",    "",     "\\u0000"};
    struct err err;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct buf text = {0};
        buf_printf(&text, "{\"kty\":\"oct\",\"alg\":\"HS256\",\"k\":\"%s\"}", wrong[i]);
        buf_append_char(&text, '\0');
        text_write(in_directory("jwk"), text.data);
        assert_false(reads("keys: [{file: jwk}]", &err));
        assert_non_null(strstr(err.text, "the key cannot be used"));
        buf_clear(&text);
        buf_printf(&text, "{\"kty\":\"RSA\",\"alg\":\"RS256\",\"e\":\"AQAB\",\"n\":\"%s\"}", wrong[i]);
        buf_append_char(&text, '\0');
        text_write(in_directory("jwk"), text.data);
        assert_false(reads("keys: [{file: jwk}]", &err));
        buf_finish(&text);
    }
    unlink(in_directory("jwk"));
    /* Padding at the end is no part of base64url; some issuers write it. */
    struct buf padded = {0};
    buf_append(&padded, SPAN_LIT("{\"kty\":\"oct\",\"alg\":\"HS256\",\"k\":\""));
    base64url_text(&padded, span_str(SECRET));
    buf_append(&padded, SPAN_LIT("=\"}"));
    buf_append_char(&padded, '\0');
    text_write(in_directory("jwks"), padded.data);
    buf_finish(&padded);
    configured("keys: [{file: jwks}]");
    good(token_sign("HS256", NULL, SECRET, "{\"alg\":\"HS256\"}", "{}"));
}

static void test_a_file_is_read_again(void **state)
{
    key_write(rsa, in_directory("moving"), false);
    configured("keys: [{file: moving, alg: RS256}]");
    good(token_make("RS256", rsa, NULL, "{}"));
    key_write(other_rsa, in_directory("moving"), false);
    jwt.keys.looked_us -= LOOP_MS(KEYS_LOOK_MS);
    good(token_make("RS256", other_rsa, NULL, "{}"));
    bad(token_make("RS256", rsa, NULL, "{}"), REFUSAL_TOKEN_SIGNATURE);
    /* Broken or gone: the last ones count. */
    text_write(in_directory("moving"), "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n");
    jwt.keys.looked_us -= LOOP_MS(KEYS_LOOK_MS);
    good(token_make("RS256", other_rsa, NULL, "{}"));
    unlink(in_directory("moving"));
    jwt.keys.looked_us -= LOOP_MS(KEYS_LOOK_MS);
    good(token_make("RS256", other_rsa, NULL, "{}"));
    key_write(rsa, in_directory("moving"), false);
    jwt.keys.looked_us -= LOOP_MS(KEYS_LOOK_MS);
    good(token_make("RS256", rsa, NULL, "{}"));
}

static void test_wrong_configurations(void **state)
{
    static const struct {
        const char *config, *expected;
    } cases[] = {
        {"{}", "needs `keys:`"},
        {"keys: []", "expected 1 to 16 keys"},
        {"keys: [{alg: RS256}]", "needs `file:`"},
        {"keys: [hunter2]", "expected a mapping"},
        {"keys: hunter2", "expected a list"},
        {"keys: [{secret: hunter2, alg: HS256}]", "unknown field"},
        {"keys: [{file: [hunter2], alg: HS256}]", "keys[0].file"},
        {"keys: [{jwks_uri: https://issuer.example.com/keys}]", "not fetched from a URL: let a job"},
        {"keys: [{file: \"https://issuer.example.com/keys\", alg: RS256}]", "not fetched from a URL"},
        {"keys: [{file: rsa.pem}]", "say which algorithm"},
        {"keys: [{file: rsa.pem, alg: none}]", "expected one of HS256"},
        {"keys: [{file: rsa.pem, alg: HS256}]", "cannot be the secret of HS256"},
        {"keys: [{file: 256.pem, alg: RS256}]", "RS256 needs an RSA key"},
        {"keys: [{file: rsa.pem, alg: ES256}]", "ES256 needs an elliptic key on the curve prime256v1"},
        {"keys: [{file: 384.pem, alg: ES256}]", "ES256 needs an elliptic key on the curve prime256v1"},
        {"keys: [{file: private.pem, alg: RS256}]", "this is a private key"},
        {"keys: [{file: secret, alg: RS256}]", "RS256 needs a public key"},
        {"keys: [{file: short, alg: HS256}]", "32 bytes at least"},
        {"keys: [{file: absent, alg: HS256}]", "absent"},
        {"keys: [{file: secret, alg: HS256}]\nleeway: 11m", "leeway"},
        {"keys: [{file: secret, alg: HS256}]\ncookie: \"a b\"", "expected a name"},
        {"keys: [{file: secret, alg: HS256}]\naudience: [a, \"\"]", "expected 1 to 256 bytes"},
        {"keys: [{file: secret, alg: HS256}]\nissuers: a", "issuer"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err;
        if (reads(cases[i].config, &err))
            fail_msg("%s was taken", cases[i].config);
        if (strstr(err.text, cases[i].expected) == NULL || strstr(err.text, "serve.yaml:") == NULL)
            fail_msg("%s: %s", cases[i].config, err.text);
        if (strstr(err.text, "hunter2") != NULL)
            fail_msg("a secret is told: %s", err.text);
    }
}

static const struct http1_head *head_of(const char *target, const char *fields)
{
    static struct http1_head head;
    static char text[4096];
    int status;
    snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: a.com\r\n%s\r\n", target, fields);
    assert_true(http1_request_decode(span_str(text), 0, &head, &status) > 0);
    return &head;
}

static void test_where_tokens_are_found(void **state)
{
    static const struct {
        const char *target, *fields, *token;
    } cases[] = {
        {"/", "Authorization: Bearer a.b.c\r\n", "a.b.c"},
        {"/", "authorization: bearer   a.b.c  \r\n", "a.b.c"},
        {"/", "Authorization: Basic a.b.c\r\n", ""},
        {"/", "Authorization: Bearera.b.c\r\n", ""},
        {"/", "Cookie: other=1; session=a.b.c; x=2\r\n", "a.b.c"},
        {"/", "Cookie: xsession=1;session=a=b\r\n", "a=b"},
        {"/", "Cookie: other=1\r\nCookie: session=a.b.c\r\n", "a.b.c"},
        {"/", "Cookie: Session=a.b.c\r\n", ""},
        {"/", "Authorization: Bearer h.h.h\r\nCookie: session=a.b.c\r\n", "h.h.h"},
        {"/?token=a.b.c&access_token=a.b.c&session=a.b.c", "", ""},
    };
    configured("cookie: session\nkeys: [{file: secret, alg: HS256}]");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct span token = jwt_of_head(&jwt, head_of(cases[i].target, cases[i].fields));
        if (!span_equal(token, span_str(cases[i].token)))
            fail_msg("%s %s: " SPAN_FMT, cases[i].target, cases[i].fields, SPAN_ARG(token));
    }
    configured("header: false\nkeys: [{file: secret, alg: HS256}]");
    assert_int_equal(jwt_of_head(&jwt, head_of("/", "Authorization: Bearer a\r\nCookie: session=a\r\n")).len, 0);
}

static void test_the_payload_comes_first(void **state)
{
    static const struct {
        const char *auth, *of_head, *token;
        enum refusal refusal;
    } cases[] = {
        {"{\"token\":\"a.b.c\"}", "h", "a.b.c", REFUSAL_COUNT},
        {"{\"token\":null}", "h", "h", REFUSAL_COUNT},
        {"{}", "h", "h", REFUSAL_COUNT},
        {"", "h", "h", REFUSAL_COUNT},
        {"{\"token\":7}", "h", "", REFUSAL_TOKEN_MALFORMED},
        {"{\"token\":\"\"}", "h", "", REFUSAL_COUNT},
        {"{\"Token\":\"a\"}", "", "", REFUSAL_TOKEN_MISSING},
        {"", "", "", REFUSAL_TOKEN_MISSING},
    };
    configured("keys: [{file: secret, alg: HS256}]");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf to = {0};
        enum refusal got = jwt_take(&jwt, span_str(cases[i].auth), span_str(cases[i].of_head), &to);
        assert_int_equal(got, cases[i].refusal);
        if (got == REFUSAL_COUNT)
            assert_true(span_equal(buf_span(&to), span_str(cases[i].token)));
        buf_finish(&to);
    }
}

static struct identity *identity_of(const char *claims)
{
    return identity_create(span_str(claims), IDENTITY_FOREVER);
}

static void test_identities(void **state)
{
    struct identity *one = identity_of("{\"sub\":\"ada\",\"org\":{\"id\":7},\"https://a.b/role\":\"x\"}");
    assert_true(span_equal(identity_claim(one, SPAN_LIT("org.id")), SPAN_LIT("7")));
    assert_true(span_equal(identity_claim(one, SPAN_LIT("https://a.b/role")), SPAN_LIT("\"x\"")));
    assert_null(identity_claim(one, SPAN_LIT("org.name")).data);
    assert_null(identity_claim(one, SPAN_LIT("sub.x")).data);
    struct identity *same = identity_of("{\"role\":1,\"sub\":\"\\u0061da\"}"),
                    *other = identity_of("{\"sub\":\"bob\"}"),
                    *elsewhere = identity_of("{\"iss\":\"b\",\"sub\":\"ada\"}"), *nobody = identity_of("{\"sub\":7}");
    assert_true(span_equal(identity_subject(one), identity_subject(same)));
    assert_false(span_equal(identity_subject(one), identity_subject(other)));
    assert_false(span_equal(identity_subject(one), identity_subject(elsewhere)));
    assert_int_equal(identity_subject(one).len, IDENTITY_SUBJECT_BYTES);
    assert_int_equal(identity_subject(nobody).len, 0);
    struct identity *all[] = {one, same, other, elsewhere, nobody};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        identity_destroy(all[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_algorithm),
        cmocka_unit_test(test_nothing_can_be_changed),
        cmocka_unit_test(test_the_algorithm_is_the_keys),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_no_key_of_the_tokens_own),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_issuer_and_audience),
        cmocka_unit_test(test_a_set_of_keys),
        cmocka_unit_test(test_a_jwk_that_is_no_base64url),
        cmocka_unit_test(test_a_file_is_read_again),
        cmocka_unit_test(test_wrong_configurations),
        cmocka_unit_test(test_where_tokens_are_found),
        cmocka_unit_test(test_the_payload_comes_first),
        cmocka_unit_test(test_identities),
    };
    return cmocka_run_group_tests(tests, make_all, unmake_all);
}
