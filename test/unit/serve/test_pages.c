/* test_pages: what the engine's answers tell browsers and load balancers: CORS and the cookie; and wrong
 * configurations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "fixture.h"

static void test_cookies(void **state)
{
    start("cookie: true");
    begin_session(&peers[0]);
    char expected[200];
    snprintf(expected, sizeof expected,
             "cache-control: no-store\r\nSet-Cookie: io=%s; Path=/; HttpOnly; SameSite=Lax\r\n", sid);
    assert_true(has(&peers[0], expected));
    lives(&peers[0]);
    assert_false(has(&peers[0], "Set-Cookie"));
    answers(&peers[1], request("GET", "/socket.io/?EIO=4&transport=websocket", UPGRADE, ""), "HTTP/1.1 101 ");
    assert_false(has(&peers[1], "Set-Cookie"));
    stop();
    start("cookie: {name: affinity, path: /live, http_only: false, secure: true, same_site: none, max_age: 1h, domain: "
          "a.com}");
    begin_session(&peers[0]);
    snprintf(expected, sizeof expected,
             "Set-Cookie: affinity=%s; Max-Age=3600; Domain=a.com; Path=/live; Secure; SameSite=None\r\n", sid);
    assert_true(has(&peers[0], expected));
    stop();
}

#define PAGE "Origin: https://b.com\r\n"
#define PREFLIGHT PAGE "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: x-a, content-type\r\n"

static void test_cors(void **state)
{
    static const struct {
        const char *config, *method, *fields;
        const char *lines; /* all of them, in order */
    } cases[] = {
        {"{}", "GET", PAGE, "Access-Control-Allow-Origin: *\r\nX-Sennit"},
        {"{origin: \"*\", exposed_headers: [a, b]}", "GET", "",
         "Access-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: a,b\r\nX-Sennit"},
        {"{origin: reflect, credentials: true}", "GET", PAGE,
         "Access-Control-Allow-Origin: https://b.com\r\nVary: Origin\r\nAccess-Control-Allow-Credentials: "
         "true\r\nX-Sennit"},
        {"{origin: [\"https://a.com\", \"https://*.b.com\", \"https://b.com\"]}", "GET", PAGE,
         "Access-Control-Allow-Origin: https://b.com\r\nVary: Origin\r\nX-Sennit"},
        {"{origin: [\"https://*.b.com\"]}", "GET", "Origin: https://x.b.com\r\n",
         "Access-Control-Allow-Origin: https://x.b.com\r\nVary: Origin\r\nX-Sennit"},
        {"{origin: [\"https://*.b.com\"]}", "GET", PAGE, "Content-Length: 40\r\nVary: Origin\r\nX-Sennit"},
        {"{origin: https://a.com}", "GET", PAGE,
         "Access-Control-Allow-Origin: https://a.com\r\nVary: Origin\r\nX-Sennit"},
        {"{}", "OPTIONS", PREFLIGHT,
         "HTTP/1.1 204 No Content\r\nAccess-Control-Allow-Origin: *\r\nVary: Access-Control-Request-Headers\r\n"
         "Access-Control-Allow-Methods: GET,HEAD,PUT,PATCH,POST,DELETE\r\n"
         "Access-Control-Allow-Headers: x-a, content-type\r\nContent-Length: 0\r\n"},
        {"{origin: [https://b.com], credentials: true, methods: [GET, POST], allowed_headers: [x-b], max_age: 10m}",
         "OPTIONS", PREFLIGHT,
         "HTTP/1.1 204 No Content\r\nAccess-Control-Allow-Origin: https://b.com\r\nVary: Origin\r\n"
         "Access-Control-Allow-Credentials: true\r\nAccess-Control-Allow-Methods: GET,POST\r\n"
         "Access-Control-Allow-Headers: x-b\r\nAccess-Control-Max-Age: 600\r\nContent-Length: 0\r\n"},
        {"{origin: reflect}", "OPTIONS", PREFLIGHT,
         "Vary: Origin, Access-Control-Request-Headers\r\nAccess-Control-Allow-Methods: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char config[256];
        snprintf(config, sizeof config, "cors: %s", cases[i].config);
        start(config);
        answers(&peers[0], request(cases[i].method, "/socket.io/?transport=tobi", cases[i].fields, ""), "HTTP/1.1 ");
        if (!has(&peers[0], cases[i].lines))
            fail_msg("%s: " SPAN_FMT, cases[i].config, SPAN_ARG(buf_span(&peers[0].got)));
        stop();
    }
}

static void test_cors_everywhere(void **state)
{
    start("cors: {origin: [https://b.com]}\nmax_payload: 1000");
    begin_session(&peers[0]);
    const char *const reads = "Access-Control-Allow-Origin: https://b.com\r\n";
    answers(&peers[0], request("GET", POLL, PAGE, ""), "HTTP/1.1 200 OK\r\n");
    assert_true(has(&peers[0], reads));
    answers(&peers[0], request("POST", of_session(POLL "&sid=%s"), PAGE, "3"), "HTTP/1.1 200 OK\r\n");
    assert_true(has(&peers[0], reads));
    answers(&peers[0], request("GET", POLL "&sid=x", PAGE, ""), "HTTP/1.1 400 ");
    assert_true(has(&peers[0], reads));
    answers(&peers[0], request("PUT", of_session(POLL "&sid=%s"), PAGE, ""), "HTTP/1.1 500 ");
    assert_true(has(&peers[0], reads));
    answers(&peers[1], request("POST", of_session(POLL "&sid=%s"), PAGE "Content-Length: 2000\r\n", ""),
            "HTTP/1.1 413 ");
    assert_true(has(&peers[1], reads));
    /* It may read, so it may also open a WebSocket; another one may not, and the log says what to do. */
    answers(&peers[2], request("GET", "/socket.io/?EIO=4&transport=websocket", UPGRADE PAGE, ""), "HTTP/1.1 101 ");
    answers(&peers[3], request("GET", "/socket.io/?EIO=4&transport=websocket", UPGRADE "Origin: https://c.com\r\n", ""),
            "HTTP/1.1 403 ");
    assert_int_equal(server->sessions.refusals.counts[REFUSAL_CORS], 0);
    answers(&peers[0], request("GET", POLL, "Origin: https://c.com\r\n", ""), "HTTP/1.1 200 OK\r\n");
    assert_int_equal(server->sessions.refusals.counts[REFUSAL_CORS], 1);
    answers(&peers[0], request("GET", POLL, "Origin: https://a.com\r\n", ""), "HTTP/1.1 200 OK\r\n"); /* our own page */
    assert_int_equal(server->sessions.refusals.counts[REFUSAL_CORS], 1);
    stop();
}

static void test_configurations_that_are_wrong(void **state)
{
    static const struct {
        const char *config, *error;
    } cases[] = {
        {"path: socket.io", "path: expected a path like /socket.io/"},
        {"path: /", "path: expected a path like /socket.io/"},
        {"path: \"/a?b\"", "path: expected a path like /socket.io/"},
        {"transports: [websocket, webtransport]",
         "transports[1]: expected polling or websocket, found \"webtransport\""},
        {"transports: []", "transports: needs at least one"},
        {"cors: true", "cors: expected a mapping"},
        {"cors: {origin: [b.com]}", "cors.origin[0]: expected an origin like https://"},
        {"cors: {orgin: \"*\"}", "cors: unknown field \"orgin\""},
        {"cors: {methods: \"a\\nb\"}", "cors.methods: expected names"},
        {"cors: {max_age: soon}", "cors.max_age: expected a duration"},
        {"cookie: {name: \"a=b\"}", "cookie.name: expected a cookie's name"},
        {"cookie: {path: \"/;b\"}", "cookie.path: expected up to"},
        {"cookie: {same_site: lacks}", "cookie.same_site: expected lax, strict or none"},
        {"cookie: yes please", "cookie: expected true or false"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err;
        struct engine_config config = {0};
        struct yaml_node *root = yaml_parse("test.yaml", span_str(cases[i].config), &err);
        assert_non_null(root);
        assert_false(engine_config_read(&config, root, &err));
        if (strstr(err.text, cases[i].error) == NULL)
            fail_msg("%s: %s", cases[i].config, err.text);
        engine_config_finish(&config);
        yaml_destroy(root);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cookies),
        cmocka_unit_test(test_cors),
        cmocka_unit_test(test_cors_everywhere),
        cmocka_unit_test(test_configurations_that_are_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
