/* test_access: who may connect from which page, who may read what is the operator's, and which addresses are counted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/door.h"
#include "serve/admin.h"
#include "serve/headers.h"
#include "serve/origin.h"

static const char *const no_fields = "";

static const struct http1_head *request(const char *host, const char *fields)
{
    static struct http1_head head;
    static char text[4096];
    int status;
    snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: %s\r\n%s\r\n", host, fields);
    assert_true(http1_request_decode(span_str(text), 0, &head, &status) > 0);
    return &head;
}

static struct yaml_node *yaml(const char *text)
{
    struct err err;
    struct yaml_node *node = yaml_parse("test.yaml", span_str(text), &err);
    if (node == NULL)
        print_error("%s\n", err.text);
    assert_non_null(node);
    return node;
}

static void test_our_own_pages(void **state)
{
    static const struct {
        bool allowed;
        const char *host, *fields;
    } cases[] = {
        {true, "a.com", ""}, /* no browser */
        {true, "a.com", "Origin: http://a.com\r\n"},
        {true, "a.com", "Origin: https://a.com\r\n"}, /* TLS ends in front of us */
        {true, "A.com", "Origin: https://a.COM\r\n"},
        {true, "a.com:443", "Origin: https://a.com\r\n"},
        {true, "a.com", "Origin: https://a.com:443\r\n"},
        {true, "a.com:80", "Origin: http://a.com\r\n"},
        {true, "a.com:8080", "Origin: http://a.com:8080\r\n"},
        {true, "[::1]:8080", "Origin: http://[::1]:8080\r\n"},
        {true, "[2001:db8::1]", "Origin: https://[2001:db8::1]\r\n"},
        {true, "127.0.0.1:8080", "Origin: http://127.0.0.1:8080\r\n"},
        {true, "internal:9000", "Origin: https://a.com\r\nX-Forwarded-Host: a.com\r\n"},
        {true, "internal", "Origin: https://a.com\r\nX-Forwarded-Host: a.com, proxy.internal\r\n"},
        {false, "internal", "Origin: https://a.com\r\nX-Forwarded-Host: proxy.internal, a.com\r\n"},
        {false, "a.com", "Origin: http://b.com\r\n"},
        {false, "a.com", "Origin: http://a.com.b.com\r\n"},
        {false, "a.com", "Origin: http://b.com/a.com\r\n"},
        {false, "a.com", "Origin: http://b.com:80@a.com\r\n"},
        {false, "a.com", "Origin: http://a.com:8080\r\n"},
        {false, "a.com:8080", "Origin: http://a.com\r\n"},
        {false, "a.com:443", "Origin: http://a.com\r\n"},
        {false, "a.com", "Origin: https://a.com:80\r\n"},
        {false, "[::1]:8080", "Origin: http://[::1]:8081\r\n"},
        {false, "[::1]", "Origin: http://[::2]\r\n"},
        {false, "a.com", "Origin: null\r\n"},
        {false, "a.com", "Origin: a.com\r\n"},
        {false, "a.com", "Origin: \r\n"},
        {false, "a.com", "Origin: ://a.com\r\n"},
        {false, "a.com", "Origin: http://\r\n"},
        {false, "a.com", "Origin: http://a.com\r\nOrigin: http://b.com\r\n"},
        {false, "a.com", "Origin: http://a.com http://b.com\r\n"},
        {false, "a.com", "Origin: file://\r\n"},
    };
    const struct origins ours = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool allowed = origins_allow(&ours, request(cases[i].host, cases[i].fields));
        if (allowed != cases[i].allowed)
            print_error("%s %s: %d\n", cases[i].host, cases[i].fields, allowed);
        assert_int_equal(allowed, cases[i].allowed);
    }
}

static bool listed(const char *list, const char *fields)
{
    struct origins origins = {0};
    struct err err;
    struct yaml_node *node = yaml(list);
    assert_true(origins_read(&origins, node, &err));
    bool allowed = origins_allow(&origins, request("a.com", fields));
    origins_finish(&origins);
    yaml_destroy(node);
    return allowed;
}

static void test_listed_pages(void **state)
{
    assert_true(listed("[\"*\"]", "Origin: http://b.com\r\n"));
    assert_true(listed("[\"*\"]", "Origin: null\r\n"));
    assert_true(listed("[https://b.com]", "Origin: https://b.com\r\n"));
    assert_true(listed("[https://b.com]", "Origin: https://b.com:443\r\n"));
    assert_true(listed("[https://b.com]", "Origin: https://a.com\r\n")); /* ours as ever */
    assert_true(listed("[\"null\"]", "Origin: null\r\n"));
    assert_true(listed("[capacitor://localhost]", "Origin: capacitor://localhost\r\n"));
    assert_false(listed("[https://b.com]", "Origin: http://b.com\r\n"));
    assert_false(listed("[https://b.com]", "Origin: https://b.com:8443\r\n"));
    assert_false(listed("[https://b.com]", "Origin: https://x.b.com\r\n"));
    assert_false(listed("[https://b.com]", "Origin: null\r\n"));
    assert_false(listed("[]", "Origin: https://b.com\r\n"));
}

static void test_origins_that_are_none(void **state)
{
    static const char *const wrong[] = {"[b.com]", "[\"https://b.com/\"]", "[\"https://*.b.com\"]",
                                        "[\"\"]",  "https://b.com",        "[{a: b}]"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct origins origins = {0};
        struct err err;
        struct yaml_node *node = yaml(wrong[i]);
        assert_false(origins_read(&origins, node, &err));
        assert_non_null(strstr(err.text, "test.yaml:1: "));
        origins_finish(&origins);
        yaml_destroy(node);
    }
}

static struct addr_ip ip_of(const char *text)
{
    struct addr addr;
    struct addr_ip ip;
    assert_true(addr_from_ip(&addr, span_str(text), 1));
    addr_ip_of(&addr, &ip);
    return ip;
}

static void test_the_operator(void **state)
{
    static const struct {
        bool allowed;
        const char *peer, *host, *fields;
    } cases[] = {
        {true, "127.0.0.1", "127.0.0.1:8080", ""},
        {true, "127.5.0.1", "localhost", ""},
        {true, "::1", "[::1]:8080", ""},
        {true, "::ffff:127.0.0.1", "localhost:8080", ""},
        {false, "10.0.0.1", "localhost", ""},
        {false, "8.8.8.8", "127.0.0.1", ""},
        {false, "::2", "localhost", ""},
        /* Every peer of a proxy on this machine is this machine. */
        {false, "127.0.0.1", "localhost", "X-Forwarded-For: 127.0.0.1\r\n"},
        {false, "127.0.0.1", "localhost", "x-forwarded-for:\r\n"},
        {false, "127.0.0.1", "localhost", "Forwarded: for=127.0.0.1\r\n"},
        {false, "127.0.0.1", "localhost", "X-Real-IP: 8.8.8.8\r\n"},
        /* A page of the web in a browser on this machine. */
        {false, "127.0.0.1", "rebound.example.com:8080", ""},
        {false, "127.0.0.1", "localhost.example.com", ""},
    };
    const struct admin without = {0};
    struct admin with = {0};
    struct err err;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct addr_ip peer = ip_of(cases[i].peer);
        bool allowed = admin_allows(&without, &peer, request(cases[i].host, cases[i].fields));
        if (allowed != cases[i].allowed)
            print_error("%s %s %s: %d\n", cases[i].peer, cases[i].host, cases[i].fields, allowed);
        assert_int_equal(allowed, cases[i].allowed);
    }
    assert_true(admin_read(&with, NULL, "0123456789abcdef", &err));
    struct addr_ip far = ip_of("8.8.8.8"), near = ip_of("127.0.0.1");
    assert_true(admin_allows(&with, &far, request("a", "Authorization: Bearer 0123456789abcdef\r\n")));
    assert_true(admin_allows(&with, &far, request("a", "Authorization: bearer  0123456789abcdef\r\n")));
    assert_true(admin_allows(&with, &near, request("localhost", no_fields)));
    assert_false(admin_allows(&with, &far, request("a", "Authorization: Bearer 0123456789abcdee\r\n")));
    assert_false(admin_allows(&with, &far, request("a", "Authorization: Bearer 0123456789abcdef0\r\n")));
    assert_false(admin_allows(&with, &far, request("a", "Authorization: Bearer 0123456789abcde\r\n")));
    assert_false(admin_allows(&with, &far, request("a", "Authorization: Bearer \r\n")));
    assert_false(admin_allows(&with, &far, request("a", "Authorization: Basic 0123456789abcdef\r\n")));
    assert_false(admin_allows(&without, &far, request("a", "Authorization: Bearer \r\n")));
    admin_finish(&with);
}

static void test_the_operators_settings(void **state)
{
    char file[] = "/tmp/sennit-token-XXXXXX", text[256];
    int fd = mkstemp(file);
    struct err err;
    struct admin admin = {0};
    assert_int_equal(write(fd, "fedcba9876543210\n", 17), 17);
    close(fd);
    snprintf(text, sizeof text, "{token_file: %s, loopback: false}", file);
    struct yaml_node *node = yaml(text);
    assert_true(admin_read(&admin, node, NULL, &err));
    assert_string_equal(admin.token, "fedcba9876543210");
    struct addr_ip near = ip_of("127.0.0.1");
    assert_false(admin_allows(&admin, &near, request("localhost", no_fields)));
    admin_finish(&admin);
    assert_true(admin_read(&admin, node, "0123456789abcdef", &err)); /* the environment wins */
    assert_string_equal(admin.token, "0123456789abcdef");
    admin_finish(&admin);
    unlink(file);
    assert_false(admin_read(&admin, node, NULL, &err));
    assert_non_null(strstr(err.text, file));
    admin_finish(&admin);
    assert_false(admin_read(&admin, NULL, "short", &err));
    assert_non_null(strstr(err.text, "SENNIT_ADMIN_TOKEN"));
    assert_null(strstr(err.text, "short"));
    yaml_destroy(node);
}

static void test_public_addresses(void **state)
{
    static const char *const everybody[] = {"8.8.8.8",     "172.32.0.1",  "172.15.0.1",    "100.128.0.1",
                                            "192.169.0.1", "2001:db8::1", "::ffff:8.8.8.8"};
    static const char *const neighbours[] = {"127.0.0.1",   "10.1.2.3",    "172.16.0.1", "172.31.255.255",
                                             "192.168.1.1", "169.254.1.1", "100.64.0.1", "::1",
                                             "fd00::1",     "fc00::1",     "fe80::1",    "::ffff:10.0.0.1"};
    for (size_t i = 0; i < sizeof everybody / sizeof everybody[0]; i++) {
        struct addr_ip ip = ip_of(everybody[i]);
        assert_true(door_is_public(&ip));
    }
    for (size_t i = 0; i < sizeof neighbours / sizeof neighbours[0]; i++) {
        struct addr_ip ip = ip_of(neighbours[i]);
        assert_false(door_is_public(&ip));
    }
}

static void test_headers(void **state)
{
    struct err err;
    char *lines = headers_read(NULL, &err);
    assert_non_null(strstr(lines, "X-Content-Type-Options: nosniff\r\n"));
    assert_non_null(strstr(lines, "frame-ancestors 'self'"));
    assert_non_null(strstr(lines, "Referrer-Policy: "));
    free(lines);
    struct yaml_node *node = yaml("{csp: \"frame-ancestors https://a.com\", referrer_policy: none}");
    lines = headers_read(node, &err);
    assert_string_equal(
        lines, "X-Content-Type-Options: nosniff\r\nContent-Security-Policy: frame-ancestors https://a.com\r\n");
    free(lines);
    yaml_destroy(node);
    node = yaml("{csp: \"a\\r\\nSet-Cookie: x\"}");
    assert_null(headers_read(node, &err));
    yaml_destroy(node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_our_own_pages),
        cmocka_unit_test(test_listed_pages),
        cmocka_unit_test(test_origins_that_are_none),
        cmocka_unit_test(test_the_operator),
        cmocka_unit_test(test_the_operators_settings),
        cmocka_unit_test(test_public_addresses),
        cmocka_unit_test(test_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
