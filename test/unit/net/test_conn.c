/* test_conn: plain connections over a real loopback: their states, bounds and ends. The peer is a bare socket. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "../own_ip.h"
#include "await.h"
#include "base/mem.h"
#include "net/conn.h"

enum { WAIT_MS = 10000, SIP_BYTES = 1000 };

/* Our end. */
struct end {
    struct conn conn;
    struct buf got;
    unsigned opened, ended, ending, lost, closed;
    enum close_reason reason;
    bool keeps;          /* consumes nothing */
    bool sips;           /* consumes little at a time, and pauses reading for a moment after each */
    struct end *resumes; /* when closed, lets this one read on */
    bool in_turn;        /* when closed, the turn still had it to do */
};

struct loop *loop;
static struct net net;
static struct conn_limits limits;
static struct end ours, other;
static int listening, peer;

static bool is_open(void)
{
    return conn_is_open(&ours.conn);
}

static bool is_closed(void)
{
    return ours.closed > 0;
}

static bool has_five(void)
{
    return ours.got.len >= 5;
}

static void on_opened(struct conn *conn)
{
    container_of(conn, struct end, conn)->opened++;
}

static size_t on_received(struct conn *conn, char *bytes, size_t len)
{
    struct end *end = container_of(conn, struct end, conn);
    if (end->keeps)
        return 0;
    if (end->sips) {
        len = len < SIP_BYTES ? len : SIP_BYTES;
        conn_read_pause(conn, true);
        conn_read_pause(conn, false);
    }
    buf_append(&end->got, span_of(bytes, len));
    return len;
}

static void on_ended(struct conn *conn)
{
    container_of(conn, struct end, conn)->ended++;
}

static void on_ending(struct conn *conn, bool broken)
{
    struct end *end = container_of(conn, struct end, conn);
    *(broken ? &end->lost : &end->ending) += 1;
}

static void on_closed(struct conn *conn, enum close_reason reason)
{
    struct end *end = container_of(conn, struct end, conn);
    end->closed++;
    end->reason = reason;
    end->in_turn = conn->turn != 0;
    if (end->resumes != NULL)
        conn_read_pause(&end->resumes->conn, false);
}

static const struct conn_events events = {.opened = on_opened, .received = on_received, .closed = on_closed};
static const struct conn_events events_with_end = {
    .opened = on_opened, .received = on_received, .ended = on_ended, .ending = on_ending, .closed = on_closed};

static struct addr listening_addr(void)
{
    struct sockaddr_in in;
    socklen_t len = sizeof in;
    struct addr addr;
    getsockname(listening, (struct sockaddr *)&in, &len);
    addr_from_ip(&addr, SPAN_LIT(OWN_IP), ntohs(in.sin_port));
    return addr;
}

static int set_up(void **state)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(OWN_IP)};
    struct err err;
    loop = loop_create(&err);
    net_init(&net, loop);
    limits = (struct conn_limits){.queue_bytes_max = 64 << 20, .input_bytes_max = 1 << 20};
    ours = other = (struct end){0};
    conn_init(&ours.conn, &net, &events, &limits);
    conn_init(&other.conn, &net, &events, &limits);
    listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listening, (const struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(listen(listening, 8), 0);
    peer = -1;
    return 0;
}

static int tear_down(void **state)
{
    conn_close(&ours.conn, CLOSE_DONE);
    conn_close(&other.conn, CLOSE_DONE);
    net_reap(&net);
    buf_finish(&ours.got);
    buf_finish(&other.got);
    if (peer >= 0)
        close(peer);
    close(listening);
    net_finish(&net);
    loop_destroy(loop);
    return 0;
}

static int connect_one(struct end *end)
{
    struct addr addr = listening_addr();
    conn_connect(&end->conn, &addr);
    int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void connect_ours(void)
{
    peer = connect_one(&ours);
    await(is_open);
}

/* The bytes that the peer has read; it reads only when the test says so. */
static size_t peer_got;

static bool peer_reads_to_the_end(void)
{
    char bytes[65536];
    ssize_t got;
    while ((got = read(peer, bytes, sizeof bytes)) > 0)
        peer_got += (size_t)got;
    return got == 0 || (got < 0 && errno != EAGAIN);
}

static void test_bytes_both_ways(void **state)
{
    connect_ours();
    assert_int_equal(write(peer, "hello", 5), 5);
    await(has_five);
    conn_send(&ours.conn, SPAN_LIT("one"));
    conn_send(&ours.conn, SPAN_LIT("two"));
    assert_int_equal(net.writes, 0);
    await(a_moment_passed);
    assert_int_equal(net.writes, 1); /* gathered, at the end of the turn */
    char bytes[7] = {0};
    assert_int_equal(read(peer, bytes, sizeof bytes), 6);
    assert_string_equal(bytes, "onetwo");
    assert_null(ours.conn.queue);
}

static void test_the_first_reason_stands(void **state)
{
    connect_ours();
    conn_close(&ours.conn, CLOSE_NORMAL);
    conn_close(&ours.conn, CLOSE_INTERNAL);
    assert_int_equal(ours.closed, 0);
    await(is_closed);
    assert_int_equal(ours.reason, CLOSE_NORMAL);
    assert_int_equal(ours.closed, 1);
}

static void test_a_slow_consumer(void **state)
{
    char *bytes = mem_zero(1, 1 << 20);
    limits.queue_bytes_max = 4 << 20;
    connect_ours();
    for (int i = 0; i < 40 && ours.closed == 0; i++) {
        conn_send(&ours.conn, span_of(bytes, 1 << 20));
        await(a_moment_passed);
    }
    assert_int_equal(ours.closed, 1);
    assert_int_equal(ours.reason, CLOSE_SLOW_CONSUMER);
    free(bytes);
}

/* Frames of two bytes, as WebSocket pongs are, take much more memory than they count. */
static void test_a_slow_consumer_of_small_frames(void **state)
{
    size_t most = 0;
    connect_ours();
    limits.queue_bytes_max = 1 << 20;
    for (int i = 0; i < 3000000 && conn_is_open(&ours.conn); i++) {
        conn_send(&ours.conn, SPAN_LIT("\x8a"));
        most = frame_bytes_alive() > most ? frame_bytes_alive() : most;
    }
    await(is_closed);
    assert_int_equal(ours.reason, CLOSE_SLOW_CONSUMER);
    assert_true(most < 2 << 20);
}

static bool is_blocked(void)
{
    return ours.conn.blocked;
}

/* Each connection keeps its own bound, and all together have too much. One whose peer reads nothing is closed once it
 * has more than its share. */
static void test_too_much_output_in_all(void **state)
{
    struct frame *big = frame_create(8 << 20), *small = frame_create(1000), *others;
    connect_ours();
    limits.queue_bytes_max = 64 << 20;
    limits.output_bytes_max = 16 << 20;
    memset(big->data, 0, big->len);
    memset(small->data, 0, small->len);
    conn_send_frame(&ours.conn, big);
    await(is_blocked);
    conn_send_frame(&ours.conn, small);
    assert_true(conn_is_open(&ours.conn));
    others = frame_create(16 << 20);
    net.conns_open++; /* another one */
    conn_send_frame(&ours.conn, small);
    assert_true(conn_is_open(&ours.conn)); /* no more than its half */
    net.conns_open += 14;
    conn_send_frame(&ours.conn, small);
    net.conns_open -= 15;
    await(is_closed);
    assert_int_equal(ours.reason, CLOSE_OUTPUT_FULL);
    frame_unref(big);
    frame_unref(small);
    frame_unref(others);
    assert_int_equal(frame_bytes_alive(), 0);
}

static void test_a_write_that_stalls(void **state)
{
    char *bytes = mem_zero(1, 32 << 20);
    limits.write_stall_ms_max = 100;
    connect_ours();
    conn_send(&ours.conn, span_of(bytes, 32 << 20));
    await(is_closed);
    assert_int_equal(ours.reason, CLOSE_WRITE_TIMEOUT);
    free(bytes);
}

static void test_too_much_input_that_nobody_takes(void **state)
{
    char *bytes = mem_zero(1, 8192);
    limits.input_bytes_max = 4096;
    ours.keeps = true;
    connect_ours();
    assert_int_equal(write(peer, bytes, 4096), 4096);
    await(a_moment_passed);
    assert_int_equal(ours.closed, 0);
    assert_int_equal(write(peer, bytes, 1), 1);
    await(is_closed);
    assert_int_equal(ours.reason, CLOSE_INPUT_LIMIT);
    free(bytes);
}

enum { SIPPED_BYTES = 1 << 20 };

static bool has_sipped_all(void)
{
    return ours.closed > 0 || ours.got.len >= SIPPED_BYTES;
}

/* An owner that pauses often, each time with input left over, takes everything in the end: what is left is handed out
 * before more is read, so that it never grows beyond one read. */
static void test_an_owner_that_pauses_often(void **state)
{
    char *bytes = mem_zero(1, SIPPED_BYTES);
    limits.input_bytes_max = NET_RECEIVE_BYTES;
    ours.sips = true;
    connect_ours();
    int size = SIPPED_BYTES;
    setsockopt(peer, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    size_t sent = 0;
    while (ours.got.len < SIPPED_BYTES) {
        ssize_t done = sent < SIPPED_BYTES ? write(peer, bytes + sent, SIPPED_BYTES - sent) : 0;
        sent += done > 0 ? (size_t)done : 0;
        if (sent == SIPPED_BYTES)
            await(has_sipped_all);
        else
            await(a_moment_passed);
        assert_int_equal(ours.closed, 0);
    }
    free(bytes);
}

/* A connection that is over may be opened again; nothing of its first life is left. */
static void test_a_second_life(void **state)
{
    connect_ours();
    close(peer);
    await(is_closed);
    assert_int_equal(ours.reason, CLOSE_PEER_CLOSED);
    ours.closed = 0;
    connect_ours();
    assert_int_equal(write(peer, "hello", 5), 5);
    await(has_five);
    conn_close(&ours.conn, CLOSE_DONE);
    await(is_closed);
    assert_int_equal(ours.reason, CLOSE_DONE);
    assert_int_equal(ours.opened, 2);
}

enum { ANSWER_BYTES = 24 << 20 };

/* The peer has said all it wants, and reads the answer slowly: it gets all of it. */
static void answer_to_half_closed(bool ended_first)
{
    char *answer = mem_zero(1, ANSWER_BYTES);
    connect_ours();
    peer_got = 0;
    if (ended_first) {
        shutdown(peer, SHUT_WR);
        await(a_moment_passed);
    }
    conn_send(&ours.conn, span_of(answer, ANSWER_BYTES));
    conn_shutdown(&ours.conn, CLOSE_DONE, WAIT_MS);
    shutdown(peer, SHUT_WR);
    await(a_moment_passed);
    assert_int_equal(ours.closed, 0);
    await(peer_reads_to_the_end);
    assert_int_equal(peer_got, ANSWER_BYTES);
    await(is_closed);
    assert_int_equal(ours.reason, CLOSE_DONE);
    free(answer);
}

static void test_the_peer_ends_while_its_answer_is_written(void **state)
{
    answer_to_half_closed(false);
}

static void test_the_peer_has_ended_before_its_answer_is_written(void **state)
{
    conn_init(&ours.conn, &net, &events_with_end, &limits);
    answer_to_half_closed(true);
    assert_int_equal(ours.ended, 1);
}

static bool is_ending(void)
{
    return ours.ending > 0;
}

static bool is_lost(void)
{
    return ours.lost > 0;
}

static bool has_ended(void)
{
    return ours.ended > 0;
}

/* An owner that does not read is told that the peer ends, once, and later gets what was sent before. */
static void test_the_peer_ends_while_it_is_not_read(void **state)
{
    conn_init(&ours.conn, &net, &events_with_end, &limits);
    connect_ours();
    conn_read_pause(&ours.conn, true);
    assert_int_equal(write(peer, "hello", 5), 5);
    shutdown(peer, SHUT_WR);
    await(is_ending);
    await(a_moment_passed);
    assert_int_equal(ours.ending, 1);
    assert_int_equal(ours.got.len + ours.ended + ours.lost, 0);
    conn_read_pause(&ours.conn, false);
    await(has_ended);
    assert_int_equal(ours.got.len, 5);
}

static void test_the_peer_resets_while_it_is_not_read(void **state)
{
    struct linger now = {.l_onoff = 1};
    conn_init(&ours.conn, &net, &events_with_end, &limits);
    connect_ours();
    conn_read_pause(&ours.conn, true);
    setsockopt(peer, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(peer);
    peer = -1;
    await(is_lost);
    await(a_moment_passed);
    assert_int_equal(ours.lost, 1);
    assert_int_equal(ours.closed, 0);
}

static bool half_a_second_passed(void)
{
    return await_us() > LOOP_MS(500);
}

/* The linger time counts from the end of the output. Until then, waiting bytes have the time of a stalled write. */
static void test_a_slow_peer_gets_all_of_its_answer(void **state)
{
    enum { LINGER_MS = 50 };
    char *answer = mem_zero(1, ANSWER_BYTES);
    connect_ours();
    peer_got = 0;
    limits.write_stall_ms_max = WAIT_MS;
    conn_send(&ours.conn, span_of(answer, ANSWER_BYTES));
    conn_shutdown(&ours.conn, CLOSE_DONE, LINGER_MS);
    usleep(2 * LINGER_MS * 1000); /* a busy machine comes back to it late */
    await(half_a_second_passed);
    assert_int_equal(ours.closed, 0);
    await(peer_reads_to_the_end);
    assert_int_equal(peer_got, ANSWER_BYTES);
    await(is_closed); /* although the peer never ends its half */
    assert_int_equal(ours.reason, CLOSE_DONE);
    free(answer);
}

/* A peer that reads nothing gets no more time than while the connection was open. */
static void test_a_deaf_peer_is_not_waited_for_when_draining(void **state)
{
    enum { LINGER_MS = WAIT_MS };
    char *answer = mem_zero(1, ANSWER_BYTES);
    connect_ours();
    limits.write_stall_ms_max = 100;
    conn_send(&ours.conn, span_of(answer, ANSWER_BYTES));
    await(a_moment_passed);
    conn_shutdown(&ours.conn, CLOSE_DONE, LINGER_MS);
    await(half_a_second_passed);
    assert_int_equal(ours.closed, 1);
    free(answer);
}

/* Owners resume reading on each other's connections, in any state. */
static void test_reading_on_when_it_is_over(void **state)
{
    int second;
    ours.keeps = true;
    connect_ours();
    assert_null(ours.conn.extra); /* an idle one has nothing of it */
    second = connect_one(&other);
    assert_int_equal(write(peer, "kept", 4), 4);
    await(a_moment_passed);
    assert_int_equal(conn_kept(&ours.conn), 4);
    other.resumes = &ours;
    conn_close(&other.conn, CLOSE_DONE); /* reaped first */
    conn_close(&ours.conn, CLOSE_DONE);
    await(is_closed);
    assert_false(ours.in_turn);
    assert_null(ours.conn.extra);
    close(second);
}

/* A source whose bytes follow from their offset. */
static struct counted {
    struct conn_source source;
    uint64_t has, read_to;
    unsigned released;
} counted;

static ssize_t counted_read(struct conn_source *source, uint64_t offset, char *to, size_t size)
{
    struct counted *from = container_of(source, struct counted, source);
    if (offset >= from->has)
        return -1;
    if (size > from->has - offset)
        size = (size_t)(from->has - offset);
    for (size_t i = 0; i < size; i++)
        to[i] = (char)((offset + i) % 251);
    from->read_to = offset + size;
    return (ssize_t)size;
}

static void counted_released(struct conn_source *source)
{
    container_of(source, struct counted, source)->released++;
}

static struct conn_source *source_of(uint64_t bytes)
{
    counted = (struct counted){.source = {counted_read, counted_released}, .has = bytes};
    return &counted.source;
}

static uint64_t source_offset;
static bool source_is_right;

static bool peer_reads_the_source_to_the_end(void)
{
    char bytes[65536];
    ssize_t got;
    while ((got = read(peer, bytes, sizeof bytes)) > 0)
        for (ssize_t i = 0; i < got; i++, source_offset++)
            source_is_right &= source_offset < 5 || bytes[i] == (char)((source_offset - 5 + 1000) % 251);
    return got == 0;
}

static void test_a_source_goes_out_behind_the_queue(void **state)
{
    enum { BYTES = 6 << 20 };
    source_offset = 0;
    source_is_right = true;
    connect_ours();
    conn_send(&ours.conn, SPAN_LIT("head:"));
    conn_send_source(&ours.conn, source_of(BYTES), 1000, BYTES);
    conn_shutdown(&ours.conn, CLOSE_DONE, 1000);
    await(peer_reads_the_source_to_the_end);
    await(is_closed);
    assert_true(source_is_right);
    assert_int_equal(source_offset, BYTES - 1000 + 5);
    assert_int_equal(counted.released, 1);
    assert_int_equal(ours.reason, CLOSE_DONE);
}

/* The connection takes memory for a reference and for the kernel's buffer, not for the source. */
static void test_a_source_that_nobody_reads_is_not_copied(void **state)
{
    enum { BYTES = 64 << 20 };
    connect_ours();
    conn_send_source(&ours.conn, source_of(BYTES), 0, BYTES);
    await(a_moment_passed);
    assert_true(conn_sends_source(&ours.conn));
    assert_int_equal(conn_queued(&ours.conn), 0);
    assert_true(counted.read_to < BYTES / 2);
    assert_int_equal(counted.released, 0);
    conn_close(&ours.conn, CLOSE_DONE);
    await(is_closed);
    assert_int_equal(counted.released, 1);
}

static void test_a_source_that_becomes_shorter(void **state)
{
    peer_got = 0;
    connect_ours();
    conn_send_source(&ours.conn, source_of(100000), 0, 100001);
    conn_shutdown(&ours.conn, CLOSE_DONE, 1000);
    await(peer_reads_to_the_end);
    await(is_closed);
    assert_int_equal(peer_got, 100000);
    assert_int_equal(ours.reason, CLOSE_BODY_CUT);
    assert_int_equal(counted.released, 1);
}

static void test_an_empty_source(void **state)
{
    connect_ours();
    conn_send_source(&ours.conn, source_of(10), 10, 10);
    assert_false(conn_sends_source(&ours.conn));
    assert_int_equal(counted.released, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bytes_both_ways),
        TEST(the_first_reason_stands),
        TEST(a_slow_consumer),
        TEST(a_slow_consumer_of_small_frames),
        TEST(too_much_output_in_all),
        TEST(a_write_that_stalls),
        TEST(too_much_input_that_nobody_takes),
        TEST(an_owner_that_pauses_often),
        TEST(a_second_life),
        TEST(the_peer_ends_while_its_answer_is_written),
        TEST(the_peer_has_ended_before_its_answer_is_written),
        TEST(the_peer_ends_while_it_is_not_read),
        TEST(the_peer_resets_while_it_is_not_read),
        TEST(a_slow_peer_gets_all_of_its_answer),
        TEST(a_deaf_peer_is_not_waited_for_when_draining),
        TEST(reading_on_when_it_is_over),
        TEST(a_source_goes_out_behind_the_queue),
        TEST(a_source_that_nobody_reads_is_not_copied),
        TEST(a_source_that_becomes_shorter),
        TEST(an_empty_source),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
