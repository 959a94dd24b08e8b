/* test_forwarded: whose address counts behind trusted proxies: the lists that are believed, and what logs and limits
 * make of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fixture.h"
#include "serve/client.h"
#include "serve/forwarded.h"

static const struct http1_head *head_of(const char *fields)
{
    static struct http1_head head;
    static char text[4096];
    int status;
    snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a.com\r\n%s\r\n", fields);
    assert_true(http1_request_decode(span_str(text), 0, &head, &status) > 0);
    return &head;
}

#define XFF "X-Forwarded-For: "

static void test_lists(void **state)
{
    static const struct {
        unsigned hops;
        const char *fields, *ip; /* NULL: none */
        uint16_t port;
    } cases[] = {
        {1, XFF "1.2.3.4\r\n", "1.2.3.4", 0},
        {1, XFF "6.6.6.6, 1.2.3.4\r\n", "1.2.3.4", 0},
        {2, XFF "6.6.6.6, 1.2.3.4, 10.0.0.1\r\n", "1.2.3.4", 0},
        {3, XFF "6.6.6.6, 1.2.3.4, 10.0.0.1\r\n", "6.6.6.6", 0},
        {2, XFF "6.6.6.6\r\n" XFF "1.2.3.4\r\n" XFF "10.0.0.1\r\n", "1.2.3.4", 0},
        {2, XFF "1.2.3.4\r\nX-forwarded-FOR:10.0.0.1\r\n", "1.2.3.4", 0},
        {2, XFF "1.2.3.4 ,\t10.0.0.1\r\n", "1.2.3.4", 0},
        {2, XFF "6.6.6.6,1.2.3.4,,10.0.0.1,\r\n", "1.2.3.4", 0},
        {1, XFF "1.2.3.4:5678\r\n", "1.2.3.4", 5678},
        {1, XFF "2001:db8::7\r\n", "2001:db8::7", 0},
        {1, XFF "[2001:db8::7]\r\n", "2001:db8::7", 0},
        {1, XFF "[2001:db8::7]:443\r\n", "2001:db8::7", 443},
        {1, XFF "::ffff:1.2.3.4\r\n", "1.2.3.4", 0},
        /* Never without being told to; and what the proxies did not write is not looked at. */
        {0, XFF "1.2.3.4\r\n", NULL, 0},
        {1, "", NULL, 0},
        {1, XFF "\r\n", NULL, 0},
        {1, XFF ",,\r\n", NULL, 0},
        {2, XFF "1.2.3.4\r\n", NULL, 0},
        {1, "X-Real-IP: 1.2.3.4\r\n", NULL, 0},
        {1, "Forwarded: for=1.2.3.4\r\n", NULL, 0},
        /* No entry is skipped for one that reads better. */
        {1, XFF "1.2.3.4, unknown\r\n", NULL, 0},
        {1, XFF "1.2.3.4, _hidden\r\n", NULL, 0},
        {1, XFF "1.2.3.4, 1.2.3\r\n", NULL, 0},
        {1, XFF "1.2.3.4, 1.2.3.4:\r\n", NULL, 0},
        {1, XFF "1.2.3.4, 1.2.3.4:65536\r\n", NULL, 0},
        {1, XFF "1.2.3.4, 1.2.3.4:x\r\n", NULL, 0},
        {1, XFF "1.2.3.4, [::1\r\n", NULL, 0},
        {1, XFF "1.2.3.4, []\r\n", NULL, 0},
        {1, XFF "1.2.3.4, [1.2.3.4]\r\n", NULL, 0},
        {1, XFF "1.2.3.4, [::1]x\r\n", NULL, 0},
        {1, XFF "1.2.3.4, fe80::1%eth0\r\n", NULL, 0},
        {1, XFF "1.2.3.4, \"::1\"\r\n", NULL, 0},
        {1, XFF "1.2.3.4; 5.6.7.8\r\n", NULL, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct addr_ip ip = {.port = 9};
        char text[ADDR_TEXT_MAX] = "";
        bool found = forwarded_find(head_of(cases[i].fields), cases[i].hops, &ip);
        addr_ip_print(&ip, text);
        if (found != (cases[i].ip != NULL) || (found && strcmp(text, cases[i].ip) != 0))
            fail_msg("%u %s: %d %s", cases[i].hops, cases[i].fields, found, text);
        assert_int_equal(ip.port, found ? cases[i].port : 9);
    }
}

static void test_the_number_of_proxies(void **state)
{
    struct err err;
    unsigned hops;
    struct yaml_node *root = yaml_parse("test.yaml", SPAN_LIT("trusted_hops: 3"), &err);
    assert_true(forwarded_hops_read(&hops, NULL, NULL, NULL, &err) && hops == 0);
    assert_true(forwarded_hops_read(&hops, NULL, NULL, root, &err) && hops == 3);
    assert_true(forwarded_hops_read(&hops, NULL, "2", root, &err) && hops == 2);
    assert_true(forwarded_hops_read(&hops, "0", "2", root, &err) && hops == 0);
    assert_false(forwarded_hops_read(&hops, "17", NULL, root, &err));
    assert_non_null(strstr(err.text, "--trusted-hops: expected"));
    assert_false(forwarded_hops_read(&hops, NULL, "-1", root, &err));
    assert_non_null(strstr(err.text, "SENNIT_TRUSTED_HOPS: expected"));
    yaml_destroy(root);
    root = yaml_parse("test.yaml", SPAN_LIT("trusted_hops: true"), &err);
    assert_false(forwarded_hops_read(&hops, NULL, NULL, root, &err));
    yaml_destroy(root);
}

static const char *upgrade_from(const char *address)
{
    static char fields[512];
    snprintf(fields, sizeof fields, XFF "%s\r\n" UPGRADE, address);
    return request("GET", "/socket.io/?EIO=4&transport=websocket", fields, "");
}

static void closes(struct peer *peer)
{
    leave(peer);
    pass_ms(20);
}

/* One proxy's connections are those of many clients: each client has its own bound. */
static void test_bounds_are_for_clients(void **state)
{
    start("trusted_hops: 1\nlimits: {connections_per_address: 1}");
    answers(&peers[0], upgrade_from("9.9.9.9, 1.2.3.4"), "HTTP/1.1 101 ");
    answers(&peers[1], upgrade_from("8.8.8.8, 1.2.3.4"), "HTTP/1.1 429 ");
    assert_int_equal(server->sessions.refusals.counts[REFUSAL_ADDRESS_FULL], 1);
    closes(&peers[1]);
    answers(&peers[1], upgrade_from("9.9.9.9, 1.2.3.5"), "HTTP/1.1 101 ");
    closes(&peers[0]);
    answers(&peers[2], upgrade_from("1.2.3.4"), "HTTP/1.1 101 ");
    stop();
}

/* The address is that of the request under way, not of the one before. */
static void test_each_request_is_by_its_own_client(void **state)
{
    start("trusted_hops: 1");
    answers(&peers[0], request("GET", "/health", XFF "1.2.3.4\r\n", ""), "HTTP/1.1 200 ");
    struct client *client = container_of(server->crowd.speaking.next, struct client, crowd.node);
    char text[ADDR_TEXT_MAX];
    addr_ip_print(&client->http.conn.peer, text);
    assert_string_equal(text, "1.2.3.4");
    answers(&peers[0], request("GET", "/health", "", ""), "HTTP/1.1 200 ");
    addr_ip_print(&client->http.conn.peer, text);
    assert_string_equal(text, "127.0.0.1");
    assert_int_equal(server->sessions.refusals.counts[REFUSAL_FORWARDED_INVALID], 0);
    answers(&peers[0], request("GET", "/health", XFF "1.2.3.4, unknown\r\n", ""), "HTTP/1.1 200 ");
    addr_ip_print(&client->http.conn.peer, text);
    assert_string_equal(text, "127.0.0.1");
    assert_int_equal(server->sessions.refusals.counts[REFUSAL_FORWARDED_INVALID], 1);
    stop();
}

static void test_nothing_is_believed_unless_it_is_set(void **state)
{
    start("limits: {connections_per_address: 1}");
    answers(&peers[0], upgrade_from("1.2.3.4"), "HTTP/1.1 101 ");
    answers(&peers[1], upgrade_from("1.2.3.5"), "HTTP/1.1 429 ");
    stop();
}

/* A proxy that is trusted with addresses is not the operator. */
static void test_no_operator_comes_through_a_proxy(void **state)
{
    start("trusted_hops: 1");
    answers(&peers[0], "GET /metrics HTTP/1.1\r\nHost: localhost\r\n" XFF "127.0.0.1\r\n\r\n", "HTTP/1.1 403 ");
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_the_number_of_proxies),
        cmocka_unit_test(test_bounds_are_for_clients),
        cmocka_unit_test(test_each_request_is_by_its_own_client),
        cmocka_unit_test(test_nothing_is_believed_unless_it_is_set),
        cmocka_unit_test(test_no_operator_comes_through_a_proxy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
