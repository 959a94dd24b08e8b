/* test_tls: connections with TLS against a peer on OpenSSL's server side, over a real loopback: cut anywhere, big,
 * broken, silent, bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "tls_fixture.h"

static void handshake_in_any_cuts(int version, uint64_t seed)
{
    set_up(NULL);
    tls_peer_open(&peer, &net, &good, NULL);
    SSL_set_min_proto_version(peer.ssl, version);
    SSL_set_max_proto_version(peer.ssl, version);
    peer.seed = seed;
    peer.cut_max = seed == 0 ? 1 : 1 + seed * 37 % 700;
    conn_init(&ours.conn, &net, &events, &limits);
    try_it(usual());
    assert_true(ours.opened);
    assert_string_equal(peer.sni, "redis.test");
    say_hello();
    assert_int_equal(SSL_version(peer.ssl), version);
    tear_down(NULL);
}

static void test_handshake_in_random_cuts(void **state)
{
    for (uint64_t seed = 0; seed < 25; seed++) {
        handshake_in_any_cuts(TLS1_2_VERSION, seed);
        handshake_in_any_cuts(TLS1_3_VERSION, seed);
    }
}

static void test_what_is_sent_before_the_handshake_arrives(void **state)
{
    tls_peer_open(&peer, &net, &good, NULL);
    begin(usual());
    conn_send(&ours.conn, SPAN_LIT("hello"));
    await(peer_has_hello);
}

static void test_an_idle_connection_holds_no_buffer(void **state)
{
    tls_peer_open(&peer, &net, &good, NULL);
    try_it(usual());
    say_hello();
    assert_null(ours.conn.queue);
    assert_int_equal(conn_kept(&ours.conn), 0);
    assert_null(conn_tls(&ours.conn)->in.data);
    assert_null(conn_tls(&ours.conn)->out.data);
    assert_int_equal(conn_queued(&ours.conn), 0);
}

enum { BIG_BYTES = 12 << 20 };

static bool all_is_there(void)
{
    return ours.closed || (ours.got.len >= BIG_BYTES && peer.received.len >= BIG_BYTES);
}

static void fill(char *bytes, size_t len, uint64_t seed)
{
    for (size_t i = 0; i < len; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        bytes[i] = (char)(seed >> 56);
    }
}

static void test_big_transfers_both_ways(void **state)
{
    char *down = mem_alloc(BIG_BYTES), *up = mem_alloc(BIG_BYTES);
    uint64_t seed = 3;
    fill(down, BIG_BYTES, 1);
    fill(up, BIG_BYTES, 2);
    tls_peer_open(&peer, &net, &good, NULL);
    ours.moody = true;
    try_it(usual());
    assert_true(ours.opened);
    buf_append(&peer.to_send, span_of(down, BIG_BYTES));
    tls_peer_step(&peer);
    for (size_t at = 0; at < BIG_BYTES;) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        /* Small frames, large frames, and everything at the borders of a record. */
        size_t len = seed >> 63 ? 1 + (seed >> 40) % 300 : 16200 + (seed >> 40) % 60000;
        len = len < BIG_BYTES - at ? len : BIG_BYTES - at;
        conn_send(&ours.conn, span_of(up + at, len));
        at += len;
    }
    assert_int_equal(conn_queued(&ours.conn), BIG_BYTES);
    await(all_is_there);
    assert_false(ours.closed);
    assert_int_equal(peer.received.len, BIG_BYTES);
    assert_memory_equal(buf_span(&peer.received).data, up, BIG_BYTES);
    assert_int_equal(ours.got.len, BIG_BYTES);
    assert_memory_equal(buf_span(&ours.got).data, down, BIG_BYTES);
    assert_int_equal(conn_queued(&ours.conn), 0);
    assert_true(ours.drained);
    free(down);
    free(up);
}

static bool peer_has_all(void)
{
    return ours.closed || peer.received.len >= 2 * 16386;
}

static void test_frames_at_the_border_of_a_record(void **state)
{
    char up[2 * 16386];
    fill(up, sizeof up, 9);
    tls_peer_open(&peer, &net, &good, NULL);
    try_it(usual());
    for (size_t first = 16382; first <= 16386; first++)
        for (size_t second = 1; second <= 4; second++) {
            buf_clear(&peer.received);
            conn_send(&ours.conn, span_of(up, first));
            conn_send(&ours.conn, span_of(up + first, second));
            conn_send(&ours.conn, span_of(up + first + second, sizeof up - first - second));
            await(peer_has_all);
            assert_int_equal(peer.received.len, sizeof up);
            assert_memory_equal(buf_span(&peer.received).data, up, sizeof up);
        }
}

static void test_kept_input_comes_again_with_more(void **state)
{
    tls_peer_open(&peer, &net, &good, NULL);
    ours.keep = 4;
    try_it(usual());
    buf_append(&peer.to_send, SPAN_LIT("answer"));
    tls_peer_step(&peer);
    await(a_moment_passed);
    assert_int_equal(ours.got.len, 2);
    buf_append(&peer.to_send, SPAN_LIT("ed it"));
    tls_peer_step(&peer);
    await(a_moment_passed);
    assert_int_equal(ours.got.len, 7);
    assert_memory_equal(ours.got.data, "answere", 7);
}

static void test_an_end_with_close_notify(void **state)
{
    tls_peer_open(&peer, &net, &good, NULL);
    try_it(usual());
    buf_append(&peer.to_send, SPAN_LIT("answer"));
    peer.goodbye = true;
    tls_peer_step(&peer);
    await(is_closed);
    assert_int_equal(ours.reason, CLOSE_PEER_CLOSED);
    assert_int_equal(ours.got.len, 6);
}

static void test_an_end_without_close_notify(void **state)
{
    tls_peer_open(&peer, &net, &good, NULL);
    try_it(usual());
    buf_append(&peer.to_send, SPAN_LIT("answer"));
    peer.hang_up = true;
    tls_peer_step(&peer);
    await(is_closed);
    assert_int_equal(ours.reason, CLOSE_TLS_TRUNCATED);
    assert_int_equal(ours.got.len, 6);
}

static void test_half_a_record_and_the_end(void **state)
{
    tls_peer_open(&peer, &net, &good, NULL);
    try_it(usual());
    buf_append(&peer.to_send, SPAN_LIT("answer"));
    tls_peer_step(&peer);
    await(we_have_answer);
    peer.hold_back = 10;
    buf_append(&peer.to_send, SPAN_LIT("never whole"));
    tls_peer_step(&peer);
    await(a_moment_passed);
    assert_int_equal(ours.got.len, 6);
    peer.hang_up = true;
    tls_peer_step(&peer);
    await(is_closed);
    assert_int_equal(ours.reason, CLOSE_TLS_TRUNCATED);
    assert_int_equal(ours.got.len, 6);
}

static void test_half_a_record_and_later_the_rest(void **state)
{
    tls_peer_open(&peer, &net, &good, NULL);
    try_it(usual());
    peer.hold_back = 10;
    buf_append(&peer.to_send, SPAN_LIT("answer"));
    tls_peer_step(&peer);
    await(a_moment_passed);
    assert_int_equal(ours.got.len, 0);
    peer.hold_back = 0;
    tls_peer_step(&peer);
    await(we_have_answer);
}

static void test_a_handshake_that_waits_holds_no_buffer(void **state)
{
    tls_peer_open(&peer, &net, &good, NULL);
    peer.hold_back = 10;
    begin(usual());
    await(a_moment_passed);
    assert_false(ours.opened || ours.closed);
    assert_true(conn_tls(&ours.conn)->heard);
    assert_null(conn_tls(&ours.conn)->in.data);
    peer.hold_back = 0;
    tls_peer_step(&peer);
    await(is_open);
    say_hello();
}

static void test_an_end_during_the_handshake(void **state)
{
    tls_peer_open(&peer, &net, &good, NULL);
    peer.plain = peer.hang_up = true;
    try_it(usual());
    assert_true(ours.closed && ours.reason == CLOSE_TLS_FAILED);
    assert_string_equal(ours.problem.text, "the peer ends the connection during the handshake");
}

static void test_another_protocol(void **state)
{
    tls_peer_open(&peer, &net, &good, NULL);
    peer.plain = true;
    buf_append(&peer.to_send, SPAN_LIT("-ERR Protocol error\r\n"));
    try_it(usual());
    assert_true(ours.closed && ours.reason == CLOSE_TLS_FAILED);
    assert_int_equal(ours.problem.fault, TLS_FAULT_NOT_TLS);
}

static void test_garbage_for_a_handshake(void **state)
{
    for (uint64_t seed = 1; seed < 40; seed++) {
        char garbage[300];
        set_up(NULL);
        tls_peer_open(&peer, &net, &good, NULL);
        fill(garbage, sizeof garbage, seed);
        garbage[0] = 22;
        garbage[1] = 3;
        garbage[2] = 3;
        garbage[3] = 0; /* a record of 255 bytes at most */
        peer.plain = true;
        buf_append(&peer.to_send, span_of(garbage, sizeof garbage));
        try_it(usual());
        assert_true(ours.closed && ours.reason == CLOSE_TLS_FAILED);
        assert_int_equal(ours.problem.fault, TLS_FAULT_OTHER);
        tear_down(NULL);
    }
}

static void test_a_changed_byte_is_seen(void **state)
{
    tls_peer_open(&peer, &net, &good, NULL);
    try_it(usual());
    say_hello();
    peer.hold_back = SIZE_MAX;
    buf_append(&peer.to_send, SPAN_LIT("something"));
    tls_peer_step(&peer);
    peer.out.data[peer.out.off + peer.out.len / 2] ^= 1;
    peer.hold_back = 0;
    tls_peer_step(&peer);
    assert_refused(TLS_FAULT_OTHER, "decryption failed or bad record mac", SSL_AD_BAD_RECORD_MAC);
    assert_int_equal(ours.got.len, 6);
}

static void test_garbage_behind_the_handshake(void **state)
{
    tls_peer_open(&peer, &net, &good, NULL);
    try_it(usual());
    say_hello();
    buf_append(&peer.out, SPAN_LIT("GET / HTTP/1.1\r\n\r\n"));
    tls_peer_step(&peer);
    await(is_closed);
    assert_int_equal(ours.reason, CLOSE_TLS_FAILED);
}

static bool peer_saw_the_end(void)
{
    return peer.got_end || !io_is_open(&peer.io);
}

static void test_shutdown_sends_everything_and_says_goodbye(void **state)
{
    enum { BYTES = 3 << 20 };
    char *up = mem_alloc(BYTES);
    fill(up, BYTES, 5);
    tls_peer_open(&peer, &net, &good, NULL);
    try_it(usual());
    conn_send(&ours.conn, span_of(up, BYTES));
    conn_shutdown(&ours.conn, CLOSE_DONE, WAIT_MS);
    await(peer_saw_the_end);
    assert_int_equal(peer.received.len, BYTES);
    assert_memory_equal(buf_span(&peer.received).data, up, BYTES);
    assert_true(peer.got_goodbye && peer.got_end);
    assert_false(ours.closed);
    /* Our half is ended, the peer's is not. */
    buf_append(&peer.to_send, SPAN_LIT("answer"));
    tls_peer_step(&peer);
    await(we_have_answer);
    peer.goodbye = true;
    tls_peer_step(&peer);
    await(is_closed);
    assert_int_equal(ours.reason, CLOSE_DONE);
    free(up);
}

static void test_close_says_goodbye(void **state)
{
    tls_peer_open(&peer, &net, &good, NULL);
    try_it(usual());
    conn_send(&ours.conn, SPAN_LIT("hello"));
    conn_close(&ours.conn, CLOSE_DONE);
    await(peer_saw_the_end);
    assert_int_equal(peer.received.len, 5);
    assert_true(peer.got_goodbye);
}

static void test_a_slow_consumer(void **state)
{
    limits.queue_bytes_max = 8 << 20;
    char *up = mem_zero(1, 1 << 20);
    tls_peer_open(&peer, &net, &good, NULL);
    try_it(usual());
    peer.deaf = true;
    tls_peer_step(&peer);
    for (int i = 0; i < 40 && !ours.closed; i++) {
        conn_send(&ours.conn, span_of(up, 1 << 20));
        assert_true(conn_queued(&ours.conn) <= 8 << 20);
        await(a_moment_passed);
    }
    assert_true(ours.closed);
    assert_int_equal(ours.reason, CLOSE_SLOW_CONSUMER);
    free(up);
}

static void test_a_write_that_stalls(void **state)
{
    limits.write_stall_ms_max = 100;
    char *up = mem_zero(1, 32 << 20);
    tls_peer_open(&peer, &net, &good, NULL);
    try_it(usual());
    peer.deaf = true;
    tls_peer_step(&peer);
    conn_send(&ours.conn, span_of(up, 32 << 20));
    await(is_closed);
    assert_int_equal(ours.reason, CLOSE_WRITE_TIMEOUT);
    free(up);
}

/* The peer asks for new keys again and again and never reads the answers. */
static void test_answers_that_nobody_reads_are_bounded(void **state)
{
    tls_peer_open(&peer, &net, &good, NULL);
    try_it(usual());
    say_hello();
    peer.deaf = true;
    char *stuffing = mem_zero(1, 16 << 20);
    conn_send(&ours.conn, span_of(stuffing, 16 << 20));
    free(stuffing);
    for (int i = 0; i < 100000 && !ours.closed; i++) {
        SSL_key_update(peer.ssl, SSL_KEY_UPDATE_REQUESTED);
        SSL_do_handshake(peer.ssl);
        tls_peer_step(&peer);
        if (i % 200 == 0)
            await(a_moment_passed);
        assert_true(ours.closed || conn_tls(&ours.conn)->out.len <= 256 << 10);
    }
    assert_true(ours.closed);
    assert_int_equal(ours.reason, CLOSE_SLOW_CONSUMER);
}

static void test_new_keys(void **state)
{
    tls_peer_open(&peer, &net, &good, NULL);
    try_it(usual());
    SSL_key_update(peer.ssl, SSL_KEY_UPDATE_REQUESTED);
    SSL_do_handshake(peer.ssl);
    tls_peer_step(&peer);
    await(a_moment_passed);
    say_hello();
}

static void test_renegotiation_is_refused(void **state)
{
    tls_peer_open(&peer, &net, &good, NULL);
    SSL_set_max_proto_version(peer.ssl, TLS1_2_VERSION);
    try_it(usual());
    say_hello();
    SSL_renegotiate(peer.ssl);
    SSL_do_handshake(peer.ssl);
    tls_peer_step(&peer);
    await(a_moment_passed);
    assert_int_equal(peer.alert, SSL_AD_NO_RENEGOTIATION);
}

static void test_nobody_listens(void **state)
{
    struct addr addr;
    tls_peer_open(&peer, &net, &good, NULL);
    begin(usual());
    tls_peer_addr(&peer, &addr);
    conn_close(&ours.conn, CLOSE_DONE);
    net_reap(&net);
    listener_close(&peer.listener);
    ours.closed = false;
    conn_init(&ours.conn, &net, &events, &limits);
    conn_connect_tls(&ours.conn, &addr, client);
    await(is_closed);
    assert_int_equal(ours.reason, CLOSE_CONNECT_FAILED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handshake_in_random_cuts),
        TEST(what_is_sent_before_the_handshake_arrives),
        TEST(an_idle_connection_holds_no_buffer),
        TEST(big_transfers_both_ways),
        TEST(frames_at_the_border_of_a_record),
        TEST(kept_input_comes_again_with_more),
        TEST(an_end_with_close_notify),
        TEST(an_end_without_close_notify),
        TEST(half_a_record_and_the_end),
        TEST(half_a_record_and_later_the_rest),
        TEST(a_handshake_that_waits_holds_no_buffer),
        TEST(an_end_during_the_handshake),
        TEST(another_protocol),
        cmocka_unit_test(test_garbage_for_a_handshake),
        TEST(a_changed_byte_is_seen),
        TEST(garbage_behind_the_handshake),
        TEST(shutdown_sends_everything_and_says_goodbye),
        TEST(close_says_goodbye),
        TEST(a_slow_consumer),
        TEST(a_write_that_stalls),
        TEST(answers_that_nobody_reads_are_bounded),
        TEST(new_keys),
        TEST(renegotiation_is_refused),
        TEST(nobody_listens),
    };
    return cmocka_run_group_tests(tests, set_up_all, tear_down_all);
}
