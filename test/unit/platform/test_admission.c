/* test_admission: who may call a service that asks for tokens, and what its program gets to see of them. Tokens are
 * signed by OpenSSL alone (test/unit/app/tokens), but for those that only our own key can make. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../app/tokens.h"
#include "base/mem.h"
#include "loop/file.h"
#include "platform/admission.h"
#include "platform/forward.h"

enum { PORT = 8080 };
static const int64_t now_ms = 1790000000000;

static struct loop *loop;
static struct net net;
static struct programs programs;
static struct route route;
static struct identities identities;
static struct admission_door door;
static const struct up_options options;
static struct err err;
static char folder[] = "/tmp/sennit-admission-XXXXXX";
static EVP_PKEY *others;

static void on_stopped(struct service *service)
{
}

static struct service *add(const char *name, const char *annotations)
{
    struct service_spec spec;
    struct buf text = {0};
    struct service *service = service_create(&programs, &options, on_stopped);
    buf_printf(&text,
               "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata:\n  name: %s\n  annotations:\n    a: b\n"
               "%sspec: {template: {spec: {containers: [{image: 'file:///bin/true'}]}}}\n",
               name, annotations);
    if (!service_spec_parse(&spec, "/service.yaml", buf_span(&text), &err))
        fail_msg("%s", err.text);
    service_add(service, revision_create(service, &spec, &programs, &options), NULL);
    route_add(&route, service);
    service_spec_finish(&spec);
    buf_finish(&text);
    return service;
}

static int begin(void **state)
{
    char path[128];
    struct buf jwks = {0};
    loop = loop_create(&err);
    assert_non_null(loop);
    net_init(&net, loop);
    programs_init(&programs, &net);
    route_init(&route);
    if (others == NULL) {
        assert_non_null(mkdtemp(folder));
        others = key_make("RSA");
    }
    buf_append(&jwks, SPAN_LIT("{\"keys\":["));
    key_jwk(&jwks, others, ",\"alg\":\"RS256\",\"kid\":\"theirs\",\"use\":\"sig\"");
    buf_append(&jwks, SPAN_LIT("]}"));
    buf_append_char(&jwks, '\0');
    snprintf(path, sizeof path, "%s/jwks.json", folder);
    text_write(path, buf_span(&jwks).data);
    buf_finish(&jwks);
    assert_true(identities_open(&identities, loop, folder, path, NULL, &err));
    door = (struct admission_door){.identities = &identities, .route = &route, .scheme = "http", .port = PORT};
    return 0;
}

static int end(void **state)
{
    list_each (node, &route.services) {
        service_destroy(container_of(node, struct service, of_route));
    }
    identities_finish(&identities);
    net_finish(&net);
    loop_destroy(loop);
    return 0;
}

/* A token of ours. */
static char *own(const char *audience, const char *email, int64_t made_ms)
{
    struct buf token = {0};
    struct identity_claims claims = {
        .audience = span_str(audience), .email = span_str(email), .now_s = made_ms / 1000, .lifetime_s = 600};
    identity_token_make(&token, identities_signer(&identities), &claims);
    char *text = mem_text(buf_span(&token));
    buf_finish(&token);
    return text;
}

static char *theirs(const char *claims)
{
    return mem_text(token_sign("RS256", others, NULL, "{\"alg\":\"RS256\",\"kid\":\"theirs\"}", claims));
}

static struct http1_head head;
static struct buf request;

/* What becomes of a request with these fields; frees `token`. */
static enum denial ask(const struct service *service, const char *fields, char *token, struct buf *forwarded)
{
    struct admission admission;
    buf_clear(&request);
    buf_printf(&request, "GET / HTTP/1.1\r\nHost: x\r\n");
    buf_printf(&request, fields, token != NULL ? token : "");
    buf_printf(&request, "\r\n");
    int status;
    assert_true(http1_request_decode(buf_span(&request), 0, &head, &status) > 0);
    admission_check(&admission, &door, service, &head, now_ms);
    if (forwarded != NULL) {
        struct forward_context context = {.client_ip = "::1", .checked = admission.field};
        forward_request(forwarded, &head, &context);
        buf_append_char(forwarded, '\0');
    }
    enum denial denial = admission.denial;
    admission_finish(&admission);
    free(token);
    return denial;
}
#define BEARER "Authorization: Bearer %s\r\n"

static enum denial bearer(const struct service *service, char *token)
{
    return ask(service, BEARER, token, NULL);
}

#define CLOSED "    sennit.dev/allow-unauthenticated: \"false\"\n"

static void test_services_say_who_may_call(void **state)
{
    struct service *open = add("open", ""), *closed = add("closed", CLOSED),
                   *said = add("said", "    sennit.dev/allow-unauthenticated: \"true\"\n"),
                   *disabled = add("disabled", "    run.googleapis.com/invoker-iam-disabled: \"true\"\n");
    assert_int_equal(ask(open, "%s", NULL, NULL), DENIAL_COUNT);
    assert_int_equal(ask(closed, "%s", NULL, NULL), DENIAL_TOKEN_MISSING);
    door.closed = true; /* --no-allow-unauthenticated */
    assert_int_equal(ask(open, "%s", NULL, NULL), DENIAL_TOKEN_MISSING);
    assert_int_equal(ask(said, "%s", NULL, NULL), DENIAL_COUNT);
    assert_int_equal(ask(disabled, "%s", NULL, NULL), DENIAL_COUNT);
    assert_int_equal(ask(closed, "Authorization: Basic YTpi\r\n%s", NULL, NULL), DENIAL_TOKEN_MISSING);
    assert_int_equal(ask(closed, "Authorization: Bearer\r\n%s", NULL, NULL), DENIAL_TOKEN_MISSING);
}

static void test_audiences_are_the_services_urls(void **state)
{
    static const struct {
        const char *audience;
        bool fits;
    } cases[] = {
        {"http://board.localhost:8080", true},    {"http://board.localhost:8080/", true},
        {"https://board.localhost:8080", false},  {"http://board.localhost", false},
        {"http://board.localhost:8080/x", false}, {"http://BOARD.localhost:8080", false},
        {"http://localhost:8080", false},         {"board.localhost:8080", false},
        {"https://board.example.com", true},      {"plain", true},
        {"http://other.localhost:8080", false},   {"", false},
    };
    struct service *board =
        add("board", CLOSED "    run.googleapis.com/custom-audiences: '[\"https://board.example.com\",\"plain\"]'\n");
    struct service *other = add("other", CLOSED);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (bearer(board, own(cases[i].audience, "a@b", now_ms)) !=
            (cases[i].fits ? DENIAL_COUNT : DENIAL_TOKEN_AUDIENCE))
            fail_msg("%s", cases[i].audience);
    assert_int_equal(bearer(other, own("https://board.example.com", "a@b", now_ms)), DENIAL_TOKEN_AUDIENCE);
    route.bare = "board"; /* --default */
    assert_int_equal(bearer(board, own("http://localhost:8080", "a@b", now_ms)), DENIAL_COUNT);
    assert_int_equal(bearer(board, own("http://[::1]:8080/", "a@b", now_ms)), DENIAL_COUNT);
    assert_int_equal(bearer(other, own("http://localhost:8080", "a@b", now_ms)), DENIAL_TOKEN_AUDIENCE);
    door.scheme = "https";
    door.port = 443;
    assert_int_equal(bearer(board, own("https://board.localhost", "a@b", now_ms)), DENIAL_COUNT);
}

static void test_tokens_have_an_end_and_a_signature(void **state)
{
    static const char url[] = "http://board.localhost:8080";
    struct service *board = add("board", CLOSED);
    assert_int_equal(bearer(board, own(url, "a@b", now_ms - 609000)), DENIAL_COUNT); /* ten seconds of leeway */
    assert_int_equal(bearer(board, own(url, "a@b", now_ms - 611000)), DENIAL_TOKEN_EXPIRED);
    assert_int_equal(bearer(board, own(url, "a@b", now_ms + 60000)), DENIAL_TOKEN_INVALID);
    char *token = own(url, "a@b", now_ms);
    token[strlen(token) - 20] ^= 1;
    assert_int_equal(bearer(board, token), DENIAL_TOKEN_INVALID);
    assert_int_equal(bearer(board, mem_text(SPAN_LIT("a.b.c"))), DENIAL_TOKEN_INVALID);
    /* what a program was shown of a caller's token is no token */
    token = own(url, "a@b", now_ms);
    char *shown = mem_printf("%.*s." FORWARD_NO_SIGNATURE, (int)(strrchr(token, '.') - token), token);
    free(token);
    assert_int_equal(bearer(board, shown), DENIAL_TOKEN_INVALID);
    /* the key is kept: another process signs alike */
    char *before = own(url, "a@b", now_ms);
    identities_finish(&identities);
    assert_true(identities_open(&identities, loop, folder, NULL, NULL, &err));
    assert_int_equal(bearer(board, before), DENIAL_COUNT);
}

#define ALICE "\"email\":\"alice@example.com\",\"email_verified\":true"
#define GOOD "{\"iss\":\"https://accounts.google.com\",\"aud\":\"http://board.localhost:8080\",\"exp\":1790000600,"

static void test_strangers_are_on_the_list(void **state)
{
    static const char url[] = "http://board.localhost:8080";
    struct service *listed = add("board", CLOSED "    sennit.dev/invokers: \"alice@example.com, carol@b\"\n");
    assert_int_equal(bearer(listed, theirs(GOOD ALICE "}")), DENIAL_COUNT);
    assert_int_equal(bearer(listed, theirs(GOOD "\"email\":\"alice@example.com\"}")), DENIAL_NOT_INVOKER);
    assert_int_equal(bearer(listed, theirs(GOOD "\"email\":\"eve@example.com\",\"email_verified\":true}")),
                     DENIAL_NOT_INVOKER);
    assert_int_equal(bearer(listed, theirs(GOOD "\"sub\":\"1\"}")), DENIAL_NOT_INVOKER);
    assert_int_equal(bearer(listed, theirs("{\"iss\":\"" IDENTITY_ISSUER "\",\"aud\":\"http://board.localhost:8080\","
                                           "\"exp\":1790000600," ALICE "}")),
                     DENIAL_TOKEN_INVALID);
    assert_int_equal(bearer(listed, theirs("{\"iss\":\"https://accounts.google.com\",\"aud\":\"http://board.localhost:"
                                           "8080\"," ALICE "}")),
                     DENIAL_TOKEN_INVALID); /* without an end */
    assert_int_equal(bearer(listed, own(url, "carol@b", now_ms)), DENIAL_COUNT);
    assert_int_equal(bearer(listed, own(url, "dave@b", now_ms)), DENIAL_NOT_INVOKER);
    service_destroy(listed);
    /* Google gives a token for any audience to everybody who has an account. */
    struct service *unlisted = add("board", CLOSED);
    assert_int_equal(bearer(unlisted, theirs(GOOD ALICE "}")), DENIAL_NOT_INVOKER);
    assert_int_equal(bearer(unlisted, own(url, "dave@b", now_ms)), DENIAL_COUNT);
}

static bool has(const struct buf *text, const char *part)
{
    return strstr(buf_span(text).data, part) != NULL;
}

static void test_the_program_sees_who_calls_and_no_signature(void **state)
{
    static const char url[] = "http://board.localhost:8080";
    struct service *board = add("board", CLOSED);
    struct buf seen = {0};
    char *token = own(url, "a@b", now_ms), *payload = mem_text(span_of(token, (size_t)(strrchr(token, '.') - token)));
    assert_int_equal(ask(board, BEARER "Authorization: Bearer forged\r\n", mem_text(span_str(token)), &seen),
                     DENIAL_COUNT);
    char *expected = mem_printf("Authorization: Bearer %s." FORWARD_NO_SIGNATURE "\r\n", payload);
    assert_true(has(&seen, expected));
    assert_false(has(&seen, strrchr(token, '.')));
    assert_false(has(&seen, "forged"));
    /* The other field comes first, and what is in Authorization is then the program's own. */
    buf_clear(&seen);
    assert_int_equal(ask(board,
                         "Authorization: Bearer of-the-program.a.b\r\nX_Serverless_Authorization: Bearer forged\r\n"
                         "X-Serverless-Authorization: bearer %s\r\n",
                         mem_text(span_str(token)), &seen),
                     DENIAL_COUNT);
    free(expected);
    expected = mem_printf("X-Serverless-Authorization: bearer %s." FORWARD_NO_SIGNATURE "\r\n", payload);
    assert_true(has(&seen, expected));
    assert_true(has(&seen, "Authorization: Bearer of-the-program.a.b\r\n"));
    assert_false(has(&seen, "forged"));
    assert_int_equal(ask(board, "X-Serverless-Authorization: Bearer x\r\n" BEARER, token, NULL), DENIAL_TOKEN_INVALID);
    /* Where everybody may call, nothing is touched. */
    buf_clear(&seen);
    assert_int_equal(ask(add("open", ""), BEARER, mem_text(SPAN_LIT("a.b.c")), &seen), DENIAL_COUNT);
    assert_true(has(&seen, "Authorization: Bearer a.b.c\r\n"));
    free(expected);
    free(payload);
    buf_finish(&seen);
}

static int remove_all(void **state)
{
    char path[128];
    static const char *const names[] = {"jwks.json", "identity-key.pem"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        file_remove(path);
    }
    EVP_PKEY_free(others);
    buf_finish(&request);
    return rmdir(folder);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(test_services_say_who_may_call),
        TEST(test_audiences_are_the_services_urls),
        TEST(test_tokens_have_an_end_and_a_signature),
        TEST(test_strangers_are_on_the_list),
        TEST(test_the_program_sees_who_calls_and_no_signature),
    };
    return cmocka_run_group_tests(tests, NULL, remove_all);
}
