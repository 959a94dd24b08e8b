/* engineio: queries, the handshake on the wire, ids and the documented errors. Packets are in test/vectors/engineio. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "wire/engineio.h"

static void test_packets(void **state)
{
    struct engineio_packet packet;
    assert_int_equal(engineio_decode(SPAN_LIT("4hello"), &packet), 6);
    assert_int_equal(packet.type, ENGINEIO_MESSAGE);
    assert_true(span_equal(packet.data, SPAN_LIT("hello")));
    assert_int_equal(engineio_decode(SPAN_LIT("3"), &packet), 1);
    assert_int_equal(packet.data.len, 0);
    assert_int_equal(engineio_decode(SPAN_LIT(""), &packet), -1);
    assert_int_equal(engineio_decode(span_of(NULL, 0), &packet), -1);
    assert_int_equal(engineio_decode(SPAN_LIT("7"), &packet), -1);
    assert_int_equal(engineio_decode(SPAN_LIT("/"), &packet), -1);
}

static void test_query(void **state)
{
    struct engineio_query query;
    engineio_query_decode(SPAN_LIT("EIO=4&transport=websocket&t=x1&sid=abc&b64=1&j=0"), &query);
    assert_true(span_equal(query.eio, SPAN_LIT("4")));
    assert_true(span_equal(query.transport, SPAN_LIT("websocket")));
    assert_true(span_equal(query.sid, SPAN_LIT("abc")));
    assert_true(span_equal(query.b64, SPAN_LIT("1")));
    assert_true(span_equal(query.j, SPAN_LIT("0")));
    engineio_query_decode(SPAN_LIT("EIO=4&EIO=3&sid&=x&&transport=a=b&eio=9"), &query);
    assert_true(span_equal(query.eio, SPAN_LIT("4")));
    assert_true(query.sid.data != NULL && query.sid.len == 0);
    assert_true(span_equal(query.transport, SPAN_LIT("a=b")));
    assert_null(query.j.data);
    engineio_query_decode(SPAN_LIT("sid="), &query);
    assert_true(query.sid.data != NULL && query.sid.len == 0);
    assert_null(query.eio.data);
    engineio_query_decode(span_of(NULL, 0), &query);
    assert_null(query.sid.data);
}

static void test_handshake(void **state)
{
    struct buf text = {0};
    struct engineio_handshake out, in = {.sid = SPAN_LIT("SbsyyX3Cj-X3heiDAAAA"),
                                         .upgrade_websocket = true,
                                         .ping_interval_ms = 25000,
                                         .ping_timeout_ms = 20000,
                                         .payload_bytes_max = 1000000};
    engineio_handshake_encode(&text, &in);
    assert_true(
        span_equal(buf_span(&text), SPAN_LIT("0{\"sid\":\"SbsyyX3Cj-X3heiDAAAA\",\"upgrades\":[\"websocket\"],"
                                             "\"pingInterval\":25000,\"pingTimeout\":20000,\"maxPayload\":1000000}")));
    assert_true(engineio_handshake_decode(span_from(buf_span(&text), 1), &out));
    assert_true(span_equal(out.sid, in.sid));
    assert_true(out.upgrade_websocket);
    assert_int_equal(out.ping_interval_ms, 25000);
    assert_int_equal(out.ping_timeout_ms, 20000);
    assert_int_equal(out.payload_bytes_max, 1000000);
    buf_clear(&text);
    in.upgrade_websocket = false;
    in.payload_bytes_max = UINT32_MAX;
    engineio_handshake_encode(&text, &in);
    assert_true(engineio_handshake_decode(span_from(buf_span(&text), 1), &out));
    assert_false(out.upgrade_websocket);
    assert_int_equal(out.payload_bytes_max, UINT32_MAX);
    buf_finish(&text);
}

static void test_sid(void **state)
{
    static const uint8_t zero[15] = {0}, bytes[15] = {0xfb, 0xff, 0xfe, 0x00, 0x10, 0x83, 0x10, 0x51,
                                                      0x87, 0x20, 0x92, 0x8b, 0xff, 0xff, 0xff};
    char sid[ENGINEIO_SID_BYTES];
    engineio_sid_encode(zero, sid);
    assert_memory_equal(sid, "AAAAAAAAAAAAAAAAAAAA", sizeof sid);
    engineio_sid_encode(bytes, sid);
    assert_memory_equal(sid, "-__-ABCDEFGHIJKL____", sizeof sid);
    assert_true(engineio_sid_is_valid(span_of(sid, sizeof sid)));
    assert_false(engineio_sid_is_valid(span_of(sid, sizeof sid - 1)));
    assert_false(engineio_sid_is_valid(SPAN_LIT("AAAAAAAAAAAAAAAAAAA+")));
    assert_false(engineio_sid_is_valid(SPAN_LIT("AAAAAAAAAAAAAAAAAAAAA")));
    assert_false(engineio_sid_is_valid(span_of(NULL, 0)));
}

static void test_errors(void **state)
{
    assert_string_equal(engineio_error_text(ENGINEIO_UNKNOWN_TRANSPORT), "Transport unknown");
    assert_string_equal(engineio_error_text(ENGINEIO_UNKNOWN_SID), "Session ID unknown");
    assert_string_equal(engineio_error_text(ENGINEIO_BAD_METHOD), "Bad handshake method");
    assert_string_equal(engineio_error_text(ENGINEIO_BAD_REQUEST), "Bad request");
    assert_string_equal(engineio_error_text(ENGINEIO_FORBIDDEN), "Forbidden");
    assert_string_equal(engineio_error_text(ENGINEIO_UNSUPPORTED_VERSION), "Unsupported protocol version");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packets), cmocka_unit_test(test_query),  cmocka_unit_test(test_handshake),
        cmocka_unit_test(test_sid),     cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests_name("engineio", tests, NULL, NULL);
}
