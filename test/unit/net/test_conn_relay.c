/* test_conn_relay: bytes that go out at once keep their order with those that wait, and a connection that moves takes
 * all that waits in it along; new limits start nothing on one that is over. Over a real loopback; the peer is a bare
 * socket. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "await.h"
#include "base/mem.h"
#include "net/conn.h"
#include "net/listener.h"

enum { PIECE_BYTES = 64 << 10, PIECES = 400 };

/* Our end. */
struct end {
    struct conn conn;
    struct buf got;
    unsigned closed;
};

struct loop *loop;
static struct net net;
static struct listener listener;
static const struct conn_limits limits = {.queue_bytes_max = 64 << 20, .input_bytes_max = 1 << 20};
static struct end ours, moved;
static int peer;

static size_t on_received(struct conn *conn, char *bytes, size_t len)
{
    struct end *end = container_of(conn, struct end, conn);
    buf_append(&end->got, span_of(bytes, len));
    return len;
}

static void on_closed(struct conn *conn, enum close_reason reason)
{
    container_of(conn, struct end, conn)->closed++;
}

static const struct conn_events events = {.received = on_received, .closed = on_closed};

static void on_accepted(struct listener *from, struct io *io, const struct addr *addr)
{
    conn_adopt(&ours.conn, io, addr);
}

static bool is_open(void)
{
    return conn_is_open(&ours.conn);
}

static bool moved_has_five(void)
{
    return moved.got.len >= 5;
}

static int set_up(void **state)
{
    struct err err;
    struct addr addr;
    loop = loop_create(&err);
    net_init(&net, loop);
    ours = moved = (struct end){0};
    conn_init(&ours.conn, &net, &events, &limits);
    conn_init(&moved.conn, &net, &events, &limits);
    addr_loopback(&addr, 0);
    assert_true(listener_open(&listener, &net, &addr, on_accepted, &err));
    struct sockaddr_in in = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(listener_port(&listener))};
    peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(peer, (const struct sockaddr *)&in, sizeof in), 0);
    await(is_open);
    return 0;
}

static int tear_down(void **state)
{
    conn_close(&ours.conn, CLOSE_DONE);
    conn_close(&moved.conn, CLOSE_DONE);
    listener_close(&listener);
    net_reap(&net);
    buf_finish(&ours.got);
    buf_finish(&moved.got);
    close(peer);
    net_finish(&net);
    loop_destroy(loop);
    return 0;
}

static size_t peer_got;
static bool in_order;

/* Every byte tells the piece that it is of. */
static bool peer_has_all(void)
{
    static unsigned char bytes[PIECE_BYTES];
    ssize_t got;
    while ((got = recv(peer, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
        for (ssize_t i = 0; i < got; i++, peer_got++)
            in_order = in_order && bytes[i] == (peer_got / PIECE_BYTES & 0xff);
    return peer_got == (size_t)PIECES * PIECE_BYTES;
}

static void test_what_goes_out_at_once(void **state)
{
    conn_relay(&ours.conn, SPAN_LIT("hello"));
    assert_int_equal(net.writes, 1);
    assert_int_equal(conn_queued(&ours.conn), 0);
    assert_null(ours.conn.queue);
    char bytes[8];
    assert_int_equal(recv(peer, bytes, sizeof bytes, 0), 5);
}

/* Far more than the kernel takes: what was written, what waits, and what comes when there is room again. */
static void pieces_relay(struct conn *conn, int first, int end)
{
    static char piece[PIECE_BYTES];
    for (int i = first; i < end; i++) {
        memset(piece, i, sizeof piece);
        conn_relay(conn, span_of(piece, sizeof piece));
    }
}

static void test_order_behind_what_waits(void **state)
{
    peer_got = 0;
    in_order = true;
    pieces_relay(&ours.conn, 0, PIECES / 2);
    assert_true(conn_queued(&ours.conn) > 0);
    await(a_moment_passed);
    assert_false(peer_has_all()); /* makes room, of which the loop knows nothing yet */
    pieces_relay(&ours.conn, PIECES / 2, PIECES);
    await(peer_has_all);
    assert_true(in_order);
}

static void test_a_move_takes_all_along(void **state)
{
    peer_got = 0;
    in_order = true;
    pieces_relay(&ours.conn, 0, PIECES / 2);
    conn_move(&moved.conn, &ours.conn, &events);
    assert_int_equal(ours.conn.state, CONN_CLOSED);
    assert_int_equal(conn_queued(&ours.conn), 0);
    pieces_relay(&moved.conn, PIECES / 2, PIECES);
    await(peer_has_all);
    assert_true(in_order);
    assert_int_equal(write(peer, "hello", 5), 5);
    await(moved_has_five);
    assert_int_equal(ours.got.len, 0);
    assert_int_equal(ours.closed, 0);
}

/* An owner may have news for a connection that it will only learn at the end of the turn is over. */
static void test_limits_of_a_connection_that_is_over(void **state)
{
    static const struct conn_limits tail = {
        .queue_bytes_max = 64 << 20, .input_bytes_max = 1 << 20, .write_stall_ms_max = 5000};
    pieces_relay(&ours.conn, 0, PIECES / 2);
    await(a_moment_passed);
    assert_true(conn_is_blocked(&ours.conn));
    conn_close(&ours.conn, CLOSE_DONE);
    conn_limits_set(&ours.conn, &tail);
    assert_false(ours.conn.extra != NULL && timer_running(&ours.conn.extra->stall));
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_goes_out_at_once),
        TEST(order_behind_what_waits),
        TEST(a_move_takes_all_along),
        TEST(limits_of_a_connection_that_is_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
