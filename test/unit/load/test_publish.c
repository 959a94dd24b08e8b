/* test_publish: the bytes of messages, in each protocol. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "load/client_plain.h"
#include "load/publish.h"
#include "wire/json.h"

static struct load_options options;
static struct run run;

/* One message of client 7 in room 3, published 5 µs after the start. */
static int set_up(void **state)
{
    options_init(&options);
    run = (struct run){.options = &options, .id = {'a', 'b', 'c', '1', '2', '3'}, .began_us = 100};
    messages_add(&run.messages, 7, 3, 0, 105);
    return 0;
}

static int tear_down(void **state)
{
    messages_finish(&run.messages);
    buf_finish(&run.message_prefix);
    buf_finish(&run.event_head);
    return 0;
}

static struct span member(const struct buf *text, const char *name)
{
    assert_true(json_is_valid(buf_span(text)));
    return json_object_get(buf_span(text), span_str(name));
}

static void assert_member(const struct buf *text, const char *name, const char *value)
{
    assert_true(span_equal(member(text, name), span_str(value)));
}

static void test_plain(void **state)
{
    struct buf text = {0};
    options.protocol = LOAD_PLAIN;
    options.rooms = 10;
    buf_append(&run.event_head, SPAN_LIT(",\"event\":\"say\",\"args\":["));
    publish_encode(&run, &text, 0);
    assert_member(&text, "type", "\"publish\"");
    assert_member(&text, "event", "\"say\"");
    assert_member(&text, "room", "\"room-3\"");
    assert_member(&text, "ref", "1000");
    /* The name that the server is told is the one in the object. */
    struct span object = json_array_at(member(&text, "args"), 0), id = member(&text, "id");
    assert_true(span_equal(json_object_get(object, SPAN_LIT("id")), id));
    assert_true(span_starts_with(id, SPAN_LIT("\"abc123.7-0.")));
    assert_int_equal(object.len, options.size);
    assert_null(json_array_at(member(&text, "args"), 1).data);
    buf_finish(&text);
}

static void test_plain_attachment(void **state)
{
    struct buf text = {0};
    options.protocol = LOAD_PLAIN;
    options.binary = 3;
    options.no_ack = true;
    buf_append(&run.event_head, SPAN_LIT(",\"event\":\"drawing\",\"args\":["));
    publish_encode(&run, &text, 0);
    assert_null(member(&text, "ref").data);
    assert_null(member(&text, "id").data);
    assert_null(member(&text, "room").data);
    assert_true(span_equal(json_array_at(member(&text, "args"), 1), SPAN_LIT("{\"_placeholder\":true,\"num\":0}")));
    assert_member(&text, "attachments", "[\"AB8+\"]"); /* 0, 31, 62 */
    buf_finish(&text);
}

static void test_socketio(void **state)
{
    struct buf text = {0};
    buf_append(&run.message_prefix, SPAN_LIT("42"));
    buf_append(&run.event_head, SPAN_LIT("[\"drawing\","));
    publish_encode(&run, &text, 0);
    assert_true(span_starts_with(buf_span(&text), SPAN_LIT("421000[\"drawing\",{\"id\":\"abc123.7-0.")));
    assert_true(json_is_valid(span_from(buf_span(&text), 6)));
    buf_finish(&text);
}

static void test_bare(void **state)
{
    struct buf text = {0};
    options.protocol = LOAD_WEBSOCKET;
    publish_encode(&run, &text, 0);
    assert_int_equal(text.len, options.size);
    assert_member(&text, "t", "5");
    buf_finish(&text);
}

static void test_plain_connect(void **state)
{
    struct client client = {.run = &run};
    struct buf text = {0};
    options.nsp = "/a\"b";
    client_plain_connect_encode(&client, &text);
    assert_member(&text, "ns", "\"/a\\\"b\"");
    assert_null(member(&text, "resume").data);
    assert_null(member(&text, "at").data);
    buf_clear(&text);
    options.auth = " {\"token\":1} ";
    buf_append(&client.pid, SPAN_LIT("\"secret\""));
    buf_append(&client.offset, SPAN_LIT("\"1a.7\""));
    client_plain_connect_encode(&client, &text);
    assert_member(&text, "resume", "\"secret\"");
    assert_member(&text, "at", "\"1a.7\"");
    assert_member(&text, "auth", "{\"token\":1}");
    buf_finish(&client.pid);
    buf_finish(&client.offset);
    buf_finish(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_plain, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_plain_attachment, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_socketio, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bare, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_plain_connect, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
