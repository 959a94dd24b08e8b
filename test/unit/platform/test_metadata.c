/* test_metadata: the tree of the metadata server: paths, lists, JSON, and what its tokens are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/claims.h"
#include "platform/environment.h"
#include "platform/metadata.h"
#include "wire/json.h"

#define V1 "/computeMetadata/v1/"
#define DEFAULT V1 "instance/service-accounts/default/"

static struct loop *loop;
static struct net net;
static struct identities identities;
static struct metadata metadata;
static struct metadata_port port;
static struct err err;
static char text[4096];

static int begin(void **state)
{
    loop = loop_create(&err);
    assert_non_null(loop);
    net_init(&net, loop);
    assert_true(identities_open(&identities, loop, NULL, NULL, NULL, &err));
    metadata_open(&metadata, &net, &identities, "my-project", "europe-west1");
    assert_true(metadata_port_open(&port, &metadata, "board-00001-1", "me@my-project.iam.gserviceaccount.com",
                                   &(struct netspace){.is_open = false}, &err));
    return 0;
}

static int end(void **state)
{
    metadata_port_close(&port);
    metadata_port_close(&port);
    metadata_close(&metadata);
    net_finish(&net);
    identities_finish(&identities);
    loop_destroy(loop);
    return 0;
}

static int get(const char *target)
{
    struct metadata_answer answer = {.status = 200, .type = SPAN_LIT("application/text")};
    metadata_answer(&answer, &port, span_str(target));
    snprintf(text, sizeof text, SPAN_FMT, SPAN_ARG(buf_span(&answer.text)));
    bool is_json = span_equal(answer.type, SPAN_LIT("application/json"));
    if (is_json != (text[0] == '{'))
        fail_msg("%s: the type is wrong: %s", target, text);
    if (is_json)
        assert_true(json_is_valid(buf_span(&answer.text)));
    buf_finish(&answer.text);
    return answer.status;
}

static void test_values(void **state)
{
    static const struct {
        const char *target, *text;
    } cases[] = {
        {"/", "computeMetadata/\n"},
        {"/computeMetadata", "v1/\n"},
        {V1, "project/\ninstance/\nuniverse/\n"},
        {"/computeMetadata/v1", "project/\ninstance/\nuniverse/\n"},
        {V1 "project", "project-id\nnumeric-project-id\n"},
        {V1 "project/project-id", "my-project"},
        {V1 "project/numeric-project-id", "100000000000"},
        {V1 "instance/", "id\nregion\nzone\nservice-accounts/\n"},
        {V1 "instance/id", "board-00001-1"},
        {V1 "instance/region", "projects/100000000000/regions/europe-west1"},
        {V1 "instance/zone", "projects/100000000000/zones/europe-west1-1"},
        {V1 "instance/service-accounts/", "default/\nme@my-project.iam.gserviceaccount.com/\n"},
        {DEFAULT, "aliases\nemail\nscopes\nidentity\ntoken\n"},
        {DEFAULT "email", "me@my-project.iam.gserviceaccount.com"},
        {V1 "instance/service-accounts/me@my-project.iam.gserviceaccount.com/email",
         "me@my-project.iam.gserviceaccount.com"},
        {DEFAULT "scopes", "https://www.googleapis.com/auth/cloud-platform"},
        {DEFAULT "?recursive=true", "{\"aliases\":[\"default\"],\"email\":\"me@my-project.iam.gserviceaccount.com\","
                                    "\"scopes\":[\"https://www.googleapis.com/auth/cloud-platform\"]}"},
        {V1 "project/?recursive=true", "{\"projectId\":\"my-project\",\"numericProjectId\":100000000000}"},
        {V1 "project/?recursive=false", "project-id\nnumeric-project-id\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(get(cases[i].target), 200);
        assert_string_equal(text, cases[i].text);
    }
    assert_int_equal(get(V1 "?recursive=true"), 200);
    assert_non_null(strstr(text, "\"serviceAccounts\":{\"default\":{\"aliases\":[\"default\"],"));
    assert_null(strstr(text, "token"));
}

static void test_what_is_not_there(void **state)
{
    static const char *const targets[] = {V1 "nope",
                                          V1 "instance/idx",
                                          V1 "instance/id/",
                                          V1 "/instance/id",
                                          "/computeMetadata/v2/",
                                          "/computeMetadata/v1x",
                                          "/latest",
                                          V1 "instance/service-accounts/you@x/email",
                                          V1 "inst",
                                          "*"};
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++)
        if (get(targets[i]) != 404)
            fail_msg("%s: %s", targets[i], text);
    assert_int_equal(get(DEFAULT "identity"), 400);
    assert_int_equal(get(DEFAULT "identity?audience="), 400);
    assert_int_equal(get(DEFAULT "identity?audience=%zz"), 400);
}

/* The same by the audience that was asked for, and no other. */
static void test_identity_tokens_verify(void **state)
{
    char *issuer = (char *)IDENTITY_ISSUER, *audience = (char *)"https://a.example/b c";
    struct claims claims;
    struct claims_terms terms = {.keys = &identities.own, .issuers = {&issuer, 1}, .audiences = {&audience, 1}};
    assert_int_equal(get(DEFAULT "identity?format=full&audience=https://a.example/b%20c"), 200);
    assert_int_equal(claims_verify(&claims, &terms, span_str(text), loop_wall_ms(loop)), REFUSAL_COUNT);
    assert_true(json_string_equal(json_object_get(claims_text(&claims), SPAN_LIT("email")),
                                  SPAN_LIT("me@my-project.iam.gserviceaccount.com")));
    assert_true(claims.expires_ms <= loop_wall_ms(loop) + 3600 * 1000);
    claims_finish(&claims);
    assert_int_equal(claims_verify(&claims, &terms, span_str(text), loop_wall_ms(loop) + 3601 * 1000),
                     REFUSAL_TOKEN_EXPIRED);
    claims_finish(&claims);
    assert_int_equal(get(DEFAULT "token"), 200);
    assert_non_null(strstr(text, "\"access_token\":\"sennit-local-not-a-google-token."));
}

/* A web page, and a program that is a proxy, do not ask by mistake. */
static void test_requests_show_that_they_mean_it(void **state)
{
    static const struct {
        const char *request;
        int status;
    } cases[] = {
        {"GET /computeMetadata/v1/instance/id HTTP/1.1\r\nHost: 127.0.0.1:99\r\nMetadata-Flavor: Google", 0},
        {"GET /computeMetadata/v1/instance/id HTTP/1.1\r\nHost: metadata.google.internal\r\nmetadata-flavor: google",
         0},
        {"HEAD / HTTP/1.1\r\nHost: 169.254.169.254", 0},
        {"GET /computeMetadata/v1/instance/id HTTP/1.1\r\nHost: 127.0.0.1:99", 403},
        {"GET /computeMetadata/v1/instance/id HTTP/1.1\r\nHost: 127.0.0.1\r\nMetadata-Flavor: Gaggle", 403},
        {"GET /computeMetadata/v1/ HTTP/1.1\r\nHost: evil.example:99\r\nMetadata-Flavor: Google", 403},
        {"GET /computeMetadata/v1/ HTTP/1.1\r\nHost: 127.0.0.1.evil.example\r\nMetadata-Flavor: Google", 403},
        {"GET /computeMetadata/v1/ HTTP/1.1\r\nHost: 127.0.0.1\r\nMetadata-Flavor: Google\r\nX-Forwarded-For: ::1",
         403},
        {"PUT /computeMetadata/v1/ HTTP/1.1\r\nHost: 127.0.0.1\r\nMetadata-Flavor: Google\r\nContent-Length: 0", 405},
        {"OPTIONS /computeMetadata/v1/ HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: https://evil.example", 403},
    };
    static struct http1_head head;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char request[512];
        int status;
        snprintf(request, sizeof request, "%s\r\n\r\n", cases[i].request);
        assert_true(http1_request_decode(span_str(request), 0, &head, &status) > 0);
        const char *fault = metadata_fault(&head, &status);
        if ((fault == NULL) != (cases[i].status == 0) || (fault != NULL && status != cases[i].status))
            fail_msg("%s: %s", request, fault);
    }
}

static void test_variables(void **state)
{
    struct words env = {0};
    char expected[64];
    metadata_port_name(&port, &env);
    snprintf(expected, sizeof expected, "GCE_METADATA_HOST=127.0.0.1:%u", port.number);
    assert_int_equal(env.count, 3);
    assert_string_equal(env.list[0], expected);
    words_finish(&env);
    environment_set(&env, strdup("GCE_METADATA_ROOT=elsewhere")); /* the operator means another server */
    metadata_port_name(&port, &env);
    assert_int_equal(env.count, 1);
    words_finish(&env);
    metadata_port_close(&port);
    metadata_port_name(&port, &env);
    assert_int_equal(env.count, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(test_values),
        TEST(test_what_is_not_there),
        TEST(test_identity_tokens_verify),
        TEST(test_requests_show_that_they_mean_it),
        TEST(test_variables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
