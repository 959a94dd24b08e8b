/* test_input: options of the command line and their refusals; URLs; ids and offsets in a server's events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "load/options.h"
#include "load/outbox.h"
#include "load/scan.h"
#include "load/url.h"

static struct load_options options;
static struct err err;

static int set_up(void **state)
{
    options_init(&options);
    return 0;
}

/* The options as they stand are refused, with a text that has this in it. */
static void assert_refused(const char *part)
{
    assert_false(options_check(&options, &err));
    assert_non_null(strstr(err.text, part));
    options_init(&options);
}

static void test_defaults_are_fine(void **state)
{
    assert_true(options_check(&options, &err));
}

static void test_what_does_not_go_together(void **state)
{
    options.publishers = 101;
    assert_refused("--publishers 101");
    options.clients = 1;
    assert_refused("--echo");
    options.idle = options.check = true;
    assert_refused("--idle");
    options.protocol = LOAD_WEBSOCKET;
    options.rooms = 3;
    assert_refused("--rooms");
    options.protocol = LOAD_WEBSOCKET;
    options.auth = "{}";
    assert_refused("--auth");
    options.protocol = LOAD_PLAIN;
    options.transport = LOAD_TRANSPORT_UPGRADE;
    assert_refused("--transport upgrade");
    options.transport = LOAD_TRANSPORT_POLLING;
    options.deflate = true;
    assert_refused("--deflate");
    options.rooms_each = 2;
    assert_refused("--rooms-per-client");
    options.rooms = 2;
    options.rooms_each = 3;
    assert_refused("only 2 rooms");
    options.event = "disconnect";
    assert_refused("disconnect");
    options.nsp = "chat";
    assert_refused("--namespace");
    options.path = "socket.io/";
    assert_refused("--path");
    options.auth = "[1]";
    assert_refused("--auth");
    options.auth = "{\"token\":";
    assert_refused("--auth");
    options.cut_every_s = 1;
    options.cuts = 0;
    assert_refused("--cut");
}

static void test_numbers(void **state)
{
    double number;
    uint32_t count;
    assert_true(options_number_read("--rate", "0.5", 0.001, 100, &number, &err));
    assert_true(number == 0.5);
    for (const char **text = (const char *[]){"", "x", "5x", "-1", "101", "nan", "inf", NULL}; *text != NULL; text++)
        assert_false(options_number_read("--rate", *text, 0.001, 100, &number, &err));
    assert_non_null(strstr(err.text, "--rate"));
    assert_true(options_count_read("--clients", "1000", 1, 1000, &count, &err));
    assert_int_equal(count, 1000);
    for (const char **text = (const char *[]){"", "0", "1001", "1.5", "-1", "99999999999999999999", NULL};
         *text != NULL; text++)
        assert_false(options_count_read("--clients", *text, 1, 1000, &count, &err));
}

static void test_words(void **state)
{
    assert_true(options_protocol_read(&options, "websocket", &err));
    assert_int_equal(options.protocol, LOAD_WEBSOCKET);
    assert_true(options_protocol_read(&options, "plain", &err));
    assert_int_equal(options.protocol, LOAD_PLAIN);
    assert_false(options_protocol_read(&options, "mqtt", &err));
    assert_true(options_transport_read(&options, "upgrade", &err));
    assert_int_equal(options.transport, LOAD_TRANSPORT_UPGRADE);
    assert_false(options_transport_read(&options, "webtransport", &err));
    assert_true(options_cuts_read(&options, "rst,halfopen", &err));
    assert_int_equal(options.cuts, 1 << CUT_RST | 1 << CUT_HALFOPEN);
    assert_false(options_cuts_read(&options, "rst,", &err));
    assert_false(options_cuts_read(&options, "scissors", &err));
    assert_true(options_room_event_read(&options, "say", &err));
    assert_string_equal(options.room_event, "say");
    assert_false(options.room_last);
    assert_true(options_room_event_read(&options, "say:object,room", &err));
    assert_string_equal(options.room_event, "say");
    assert_true(options.room_last);
    assert_true(options_room_event_read(&options, "a:b", &err));
    assert_string_equal(options.room_event, "a:b");
    assert_false(options_room_event_read(&options, ":room,object", &err));
    free(options.room_event);
}

static void assert_url(const char *text, const char *host, uint16_t port, const char *authority, const char *path)
{
    struct url url;
    assert_true(url_parse(&url, text, &err));
    assert_string_equal(url.host, host);
    assert_int_equal(url.port, port);
    assert_string_equal(url.authority, authority);
    assert_string_equal(url.path, path);
    url_finish(&url);
}

static void test_urls(void **state)
{
    assert_url("http://127.0.0.1:8080", "127.0.0.1", 8080, "127.0.0.1:8080", "/");
    assert_url("ws://localhost/a/b?c=d", "localhost", 80, "localhost", "/a/b?c=d");
    assert_url("ws://localhost?c", "localhost", 80, "localhost", "/?c");
    assert_url("http://[::1]:90/", "::1", 90, "[::1]:90", "/");
    assert_url("http://[::1]", "::1", 80, "[::1]", "/");
    assert_url("http://a//b?", "a", 80, "a", "//b?");
    assert_url("http://a/%zz|", "a", 80, "a", "/%zz|"); /* sent as it is */
    static const char *const bad[] = {"",
                                      "localhost:80",
                                      "https://localhost",
                                      "wss://localhost",
                                      "http://",
                                      "http://:80",
                                      "http://a:0",
                                      "http://a:x",
                                      "http://a:",
                                      "http://a:65536",
                                      "http://user@a",
                                      "http://a/b c",
                                      "http://a/\r\nX: y",
                                      "http://[::1",
                                      "http://[::1]80",
                                      "http://[]",
                                      "http://[a]",
                                      "http://a:1:2",
                                      "http://a#b"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct url url;
        assert_false(url_parse(&url, bad[i], &err));
        url_finish(&url);
    }
}

static bool finds(struct scan *scan, const char *text, uint32_t publisher, uint32_t message)
{
    uint32_t by, at;
    return scan_id(scan, span_str(text), &by, &at) && by == publisher && at == message;
}

static void test_ids(void **state)
{
    struct scan scan;
    uint32_t by, at;
    scan_init(&scan, "abc123");
    assert_true(finds(&scan, "42[\"drawing\",{\"id\":\"abc123.7-42\",\"t\":1}]", 7, 42));
    assert_true(finds(&scan, "42[\"drawing\",{\"id\":\"abc123.7-43.k2x9\",\"t\":1}]", 7, 43));
    assert_true(finds(&scan, "{ \"t\": 1, \"id\" : \"abc123.0-4294967295\" }", 0, UINT32_MAX));
    static const char *const none[] = {"",
                                       "\"abc123",
                                       "\"abc123.",
                                       "\"abc123.7",
                                       "\"abc123.7-",
                                       "\"abc123.7-4",
                                       "\"abc123.7-4x\"",
                                       "\"abc123.-4\"",
                                       "\"abc123.7-\"",
                                       "\"abc124.7-4\"",
                                       "\"abc123.4294967296-4\"",
                                       "\"abc123.7-99999999999999999999\""};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        assert_false(scan_id(&scan, span_str(none[i]), &by, &at));
}

static void assert_offset(const char *array, const char *offset)
{
    struct span found = scan_offset(span_str(array));
    if (offset == NULL)
        assert_null(found.data);
    else
        assert_true(span_equal(found, span_str(offset)));
}

static void test_offsets(void **state)
{
    assert_offset("[\"drawing\",{\"id\":1},\"1abc.7\"]", "\"1abc.7\"");
    assert_offset("[\"drawing\",\"\"]", "\"\"");
    assert_offset("[\"drawing\",\"a\\\"b\"]", "\"a\\\"b\"");
    assert_offset("[\"drawing\",\"a\\\\\"]", "\"a\\\\\"");
    assert_offset("[\"ping\"]", "\"ping\"");
    assert_offset("[\"drawing\",{\"a\":\"b\"}]", NULL);
    assert_offset("[\"drawing\",[\"b\"]]", NULL);
    assert_offset("[\"drawing\",1]", NULL);
    assert_offset("[]", NULL);
    assert_offset("\"]", NULL);
    char text[SCAN_OFFSET_BYTES_MAX * 2] = "[\"e\",\"";
    memset(text + 6, 'x', sizeof text - 9);
    memcpy(text + sizeof text - 3, "\"]", 3);
    assert_offset(text, NULL);
}

static void assert_at(const char *message, const char *at)
{
    struct span found = scan_at(span_str(message));
    if (at == NULL)
        assert_null(found.data);
    else
        assert_true(span_equal(found, span_str(at)));
}

static void test_positions(void **state)
{
    assert_at("{\"type\":\"event\",\"args\":[],\"at\":\"1abc.7\"}", "\"1abc.7\"");
    assert_at("{\"args\":[\",\\\"at\\\":\\\"x\"],\"at\":\"\"}", "\"\"");
    assert_at("{\"args\":[],\"at\":\"1abc.7\" }", NULL); /* for the JSON reader */
    assert_at("{\"args\":[],\"at\":\"a\\\"b\"}", NULL);
    assert_at("{\"args\":[],\"that\":\"1abc.7\"}", NULL);
    assert_at("{\"args\":[\"x\"]}", NULL);
    assert_at("{\"a\":\"\"}", NULL);
    assert_at("\"}", NULL);
    assert_at("", NULL);
    char text[SCAN_AT_BYTES_MAX * 2] = "{\"x\":1,\"at\":\"";
    memset(text + 13, 'x', sizeof text - 16);
    memcpy(text + sizeof text - 3, "\"}", 3);
    assert_at(text, NULL);
}

static void test_outbox(void **state)
{
    struct messages messages = {0};
    struct outbox outbox = {0};
    for (uint32_t i = 0; i < 100; i++) {
        messages_add(&messages, 0, 0, i, 0);
        outbox_add(&outbox, i);
        if (i % 3 != 0)
            continue;
        messages_acknowledge(&messages, i / 3);
        outbox_trim(&outbox, &messages);
    }
    assert_int_equal(outbox.count, 66);
    for (uint32_t i = 0; i < outbox.count; i++)
        assert_int_equal(outbox_at(&outbox, i), 34 + i);
    /* One in the middle waits for those before it. */
    assert_true(messages_acknowledge(&messages, 35));
    assert_false(messages_acknowledge(&messages, 35));
    outbox_trim(&outbox, &messages);
    assert_int_equal(outbox.count, 66);
    messages_acknowledge(&messages, 34);
    outbox_trim(&outbox, &messages);
    assert_int_equal(outbox.count, 64);
    outbox_finish(&outbox);
    messages_finish(&messages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_defaults_are_fine, set_up),
        cmocka_unit_test_setup(test_what_does_not_go_together, set_up),
        cmocka_unit_test_setup(test_numbers, set_up),
        cmocka_unit_test_setup(test_words, set_up),
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_offsets),
        cmocka_unit_test(test_positions),
        cmocka_unit_test(test_outbox),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
