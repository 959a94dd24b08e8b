/* socketio: the packets that upstream accepts and those on which it closes the connection, judged one by one; prefixes;
 * reserved names. More of it, with every field, in test/vectors/socketio. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "wire/socketio.h"

/* As observed with socket.io 4.8.4 over WebSocket; the texts are whole messages, Engine.IO's `4` in front. */
static const char *const accepted[] = {
    "40",
    "40{}",
    "40{\"token\":\"x\"}",
    "40/",
    "40/,",
    "40/custom",
    "40/custom,{\"a\":1}",
    "40/custom?token=abc,",
    "401{\"a\":1}",
    "41",
    "41/custom,",
    "42[1,2]",
    "42[\"connection\"]",
    "42[\"error\",\"x\"]",
    "42",
    "421",
    "420[\"a\"]",
    "42007[\"a\"]",
    "4299999999999999999999[\"a\"]",
    "43",
    "43[]",
    "431",
    "431[]",
    "44{\"message\":\"x\"}", /* the session closes on it */
    "44\"x\"",
    "451-[\"a\",{\"_placeholder\":true,\"num\":0}]",
    "452-[\"a\",{\"_placeholder\":true,\"num\":1}]",
    "452-[\"a\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":0}]",
    "461-1[{\"_placeholder\":true,\"num\":0}]",
    "4510-[\"a\"]",
};

static const char *const refused[] = {
    "4",
    "40[]",
    "40\"x\"",
    "40null",
    "41{}",
    "42[]",
    "42[null]",
    "42[{}]",
    "42{}",
    "42[\"a\"",
    "42[\"a\",]",
    "431{}",
    "42[\"connect\"]",
    "42[\"connect_error\"]",
    "42[\"disconnect\"]",
    "42[\"disconnecting\"]",
    "42[\"newListener\"]",
    "42[\"removeListener\"]",
    "42[\"dis\\u0063onnect\"]",
    "42-1[\"a\"]",
    "42abc[\"a\"]",
    "44[]",
    "45[\"a\"]",
    "450-[\"b\"]",
    "4511-[\"a\"]",
    "45x-[\"a\"]",
    "451-[\"a\",{\"_placeholder\":true,\"num\":1}]",
    "451-[\"a\",{\"_placeholder\":true,\"num\":-1}]",
    "451-[\"a\",{\"_placeholder\":true}]",
    "47",
    "49[\"a\"]",
};

static ptrdiff_t decode(const char *text, struct socketio_packet *packet)
{
    return socketio_decode(span_from(span_str(text), 1), packet);
}

static void test_accepted(void **state)
{
    struct socketio_packet packet;
    for (size_t i = 0; i < sizeof accepted / sizeof accepted[0]; i++)
        if (decode(accepted[i], &packet) != (ptrdiff_t)strlen(accepted[i]) - 1)
            fail_msg("%s should be accepted", accepted[i]);
}

static void test_refused(void **state)
{
    struct socketio_packet packet;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        if (decode(refused[i], &packet) != -1)
            fail_msg("%s should be refused", refused[i]);
}

static void test_fields(void **state)
{
    struct socketio_packet packet;
    assert_true(decode("42", &packet) > 0);
    assert_int_equal(packet.type, SOCKETIO_EVENT);
    assert_true(span_equal(packet.nsp, SPAN_LIT("/")));
    assert_null(packet.ack_id.data);
    assert_null(packet.payload.data);
    assert_null(packet.event.data);
    assert_true(decode("452-/n?q,007[ \"a\" ,1] ", &packet) > 0);
    assert_int_equal(packet.attachments, 2);
    assert_true(span_equal(packet.nsp, SPAN_LIT("/n?q")));
    assert_true(span_equal(packet.ack_id, SPAN_LIT("7")));
    assert_true(span_equal(packet.payload, SPAN_LIT("[ \"a\" ,1]")));
    assert_true(span_equal(packet.event, SPAN_LIT("\"a\"")));
    assert_int_equal(socketio_decode(span_of(NULL, 0), &packet), -1);
}

static void test_ids(void **state)
{
    struct socketio_packet packet;
    struct buf text = {0};
    buf_append(&text, SPAN_LIT("43"));
    for (int i = 0; i < SOCKETIO_ACK_DIGITS_MAX; i++)
        buf_append_char(&text, '9');
    assert_int_equal(socketio_decode(span_from(buf_span(&text), 1), &packet), SOCKETIO_ACK_DIGITS_MAX + 1);
    assert_int_equal(packet.ack_id.len, SOCKETIO_ACK_DIGITS_MAX);
    buf_append_char(&text, '9');
    assert_int_equal(socketio_decode(span_from(buf_span(&text), 1), &packet), -1);
    buf_finish(&text);
}

/* An id is a number, as upstream reads and writes it. */
static void test_ids_are_numbers(void **state)
{
    static const char *const ids[][2] = {
        {"0", "0"},
        {"00", "0"},
        {"007", "7"},
        {"0000000000000000000000000000012", "12"},
        {"999999999999999", "999999999999999"},
        {"9007199254740991", "9007199254740991"},
        {"9007199254740993", "9007199254740992"},
        {"1000000000000000000", "1000000000000000000"},
        {"1234567890123456789", "1234567890123456800"},
        {"12345678901234567890", "12345678901234567000"},
        {"99999999999999999999", "100000000000000000000"},
    };
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        struct socketio_packet packet;
        struct buf text = {0}, shown = {0};
        buf_printf(&text, "2%s[\"a\"]", ids[i][0]);
        assert_int_equal(socketio_decode(buf_span(&text), &packet), text.len);
        socketio_ack_id_print(&shown, packet.ack_id);
        if (!span_equal(buf_span(&shown), span_str(ids[i][1])))
            fail_msg("%s is shown as " SPAN_FMT, ids[i][0], SPAN_ARG(buf_span(&shown)));
        buf_finish(&text);
        buf_finish(&shown);
    }
}

static void assert_prefix(enum socketio_type type, const char *nsp, const char *id, const char *expected)
{
    struct buf to = {0};
    socketio_prefix_encode(&to, type, span_str(nsp), span_str(id));
    assert_true(span_equal(buf_span(&to), span_str(expected)));
    buf_finish(&to);
}

static void test_prefixes(void **state)
{
    assert_prefix(SOCKETIO_CONNECT, "/", NULL, "40");
    assert_prefix(SOCKETIO_DISCONNECT, "/nsp", NULL, "41/nsp,");
    assert_prefix(SOCKETIO_EVENT, "/", NULL, "42");
    assert_prefix(SOCKETIO_EVENT, "/nsp", NULL, "42/nsp,");
    assert_prefix(SOCKETIO_ACK, "/nsp", "17", "43/nsp,17");
    assert_prefix(SOCKETIO_ACK, "/", "007", "43007");
}

static void test_binary_prefixes(void **state)
{
    struct buf to = {0};
    socketio_binary_prefix_encode(&to, SOCKETIO_BINARY_EVENT, 10, SPAN_LIT("/"), (struct span){NULL, 0});
    socketio_binary_prefix_encode(&to, SOCKETIO_BINARY_ACK, 1, SPAN_LIT("/nsp"), SPAN_LIT("17"));
    assert_true(span_equal(buf_span(&to), SPAN_LIT("4510-461-/nsp,17")));
    buf_finish(&to);
}

static void assert_shift(const char *json, uint32_t by, const char *expected)
{
    char text[256];
    snprintf(text, sizeof text, "%s", json);
    socketio_placeholders_shift(text, strlen(text), by);
    assert_string_equal(text, expected);
}

static void test_shift(void **state)
{
    assert_shift("[{\"_placeholder\":true,\"num\":0},{\"num\": 1 ,\"_placeholder\":true}]", 8,
                 "[{\"_placeholder\":true,\"num\":8},{\"num\": 9 ,\"_placeholder\":true}]");
    /* The last of equal keys counts. An object that is no placeholder stays. */
    assert_shift("[{\"_placeholder\":true,\"num\":0,\"num\":1}]", 1, "[{\"_placeholder\":true,\"num\":0,\"num\":2}]");
    assert_shift("[{\"_placeholder\":false,\"num\":0},{\"num\":0},0,\"num\",[\"_placeholder\",true]]", 3,
                 "[{\"_placeholder\":false,\"num\":0},{\"num\":0},0,\"num\",[\"_placeholder\",true]]");
    assert_shift("[{\"num\":0,\"in\":{\"_placeholder\":true,\"num\":1},\"_placeholder\":true}]", 2,
                 "[{\"num\":2,\"in\":{\"_placeholder\":true,\"num\":3},\"_placeholder\":true}]");
}

static void test_reserved(void **state)
{
    assert_true(socketio_event_is_reserved(SPAN_LIT("connect")));
    assert_true(socketio_event_is_reserved(SPAN_LIT("removeListener")));
    assert_false(socketio_event_is_reserved(SPAN_LIT("connection")));
    assert_false(socketio_event_is_reserved(SPAN_LIT("Connect")));
    assert_false(socketio_event_is_reserved(SPAN_LIT("")));
}

/* Nested as deep as JSON may be here: the walk over placeholders has a level for each. */
static void test_placeholders_deep(void **state)
{
    enum { PAIRS = 31 };
    for (unsigned attachments = 1; attachments <= 2; attachments++) {
        struct socketio_packet packet;
        struct buf text = {0};
        buf_printf(&text, "5%u-[\"a\",", attachments);
        for (int i = 0; i < PAIRS; i++)
            buf_append(&text, SPAN_LIT("[{\"k\":"));
        buf_append(&text, SPAN_LIT("{\"_placeholder\":true,\"num\":1}"));
        for (int i = 0; i < PAIRS; i++)
            buf_append(&text, SPAN_LIT("}]"));
        buf_append_char(&text, ']');
        assert_int_equal(socketio_decode(buf_span(&text), &packet) > 0, attachments == 2);
        buf_finish(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_fields),          cmocka_unit_test(test_ids),
        cmocka_unit_test(test_ids_are_numbers), cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_binary_prefixes), cmocka_unit_test(test_shift),
        cmocka_unit_test(test_reserved),        cmocka_unit_test(test_placeholders_deep),
    };
    return cmocka_run_group_tests_name("socketio", tests, NULL, NULL);
}
