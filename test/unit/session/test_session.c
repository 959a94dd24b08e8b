/* test_session: what a client on one connection may count on, seen from outside: bytes in, packets out, on a real loop
 * with the broker in memory. Every event it sends is logged and goes to the whole namespace, itself included, but for
 * `join`, which enters a room, and `both`, which is for the rooms a and b. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "../own_ip.h"
#include "base/mem.h"
#include "broker/memory.h"
#include "session/socket.h"
#include "wire/json.h"

enum { WAIT_MS = 10000, BROWSERS = 3, PID_BYTES = 24, TOKEN_BYTES = 64, LARGE_BYTES = 100000, MANY = 100 };

/* A client: it reads only when it is asked to. */
struct browser {
    struct conn conn;
    struct session *session;
    int fd;
    struct buf in;       /* frames as they came */
    struct buf messages; /* those that were taken apart, each with a newline behind */
    bool closed;
};

static struct loop *loop;
static struct net net;
static struct broker *broker;
static struct hub hub;
static struct sessions sessions;
static struct namespace nsp;
static struct conn_limits limits;
static struct browser browsers[BROWSERS];
static struct room_policy policy;
static int listening;

static const struct namespace *namespace_find(struct session_app *app, struct span name)
{
    return span_equal(name, nsp.name) ? &nsp : NULL;
}

static const struct room_policy *room_policy(struct session_app *app, const struct namespace *of, struct span room)
{
    return &policy;
}

static void event(struct session_app *app, struct socket *socket, const struct socketio_packet *packet)
{
    static const struct broker_retention retention = {
        .entries_max = 1000, .bytes_max = 64 << 20, .age_ms_max = 3600000};
    static const struct span both[] = {{"a", 1}, {"b", 1}};
    struct socket_emit emit = {.args = packet->payload, .ack_id = packet->ack_id, .retention = &retention};
    if (span_equal(packet->event, SPAN_LIT("\"join\""))) {
        struct span room = json_array_at(packet->payload, 1);
        socket_join(socket, span_sub(room, 1, room.len - 2), packet->ack_id);
        return;
    }
    if (span_equal(packet->event, SPAN_LIT("\"both\""))) {
        emit.rooms = both;
        emit.room_count = 2;
    }
    socket_publish(socket, &emit);
}

static struct session_app app = {namespace_find, room_policy, event};

static void on_tick(struct timer *timer)
{
    loop_stop(loop);
}

/* Lets the loop run for a moment. */
static void turn(uint64_t ms)
{
    struct timer tick;
    timer_init(&tick, on_tick);
    timer_start(loop, &tick, LOOP_MS(ms));
    loop_run(loop);
}

static void on_opened(struct conn *conn)
{
    struct browser *browser = container_of(conn, struct browser, conn);
    browser->session = session_create(&sessions, conn);
}

static size_t on_received(struct conn *conn, char *bytes, size_t len)
{
    return session_received(container_of(conn, struct browser, conn)->session, bytes, len);
}

static void on_drained(struct conn *conn)
{
    session_drained(container_of(conn, struct browser, conn)->session);
}

static void on_closed(struct conn *conn, enum close_reason reason)
{
    struct browser *browser = container_of(conn, struct browser, conn);
    browser->closed = true;
    if (browser->session != NULL)
        session_closed(browser->session);
    browser->session = NULL;
}

static const struct conn_events events = {on_opened, on_received, NULL, on_drained, on_closed};

static int set_up(void **state)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(OWN_IP)};
    struct err err;
    loop = loop_create(&err);
    net_init(&net, loop);
    broker = broker_memory_create(loop);
    hub_init(&hub, loop, broker);
    nsp = (struct namespace){.name = SPAN_LIT("/"), .recoverable = true, .recovery_ms = 60000};
    policy = (struct room_policy){.replay = START_NOW};
    limits = (struct conn_limits){.queue_bytes_max = 64 << 20, .input_bytes_max = 1 << 20};
    sessions_init(&sessions, &hub, &app, &session_limits_default);
    listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int receive_bytes = LARGE_BYTES; /* the kernel is not to swallow what a slow client leaves */
    setsockopt(listening, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    assert_int_equal(bind(listening, (const struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(listen(listening, BROWSERS), 0);
    for (int i = 0; i < BROWSERS; i++) {
        browsers[i] = (struct browser){.fd = -1};
        conn_init(&browsers[i].conn, &net, &events, &limits);
    }
    turn(5);
    return 0;
}

static int tear_down(void **state)
{
    for (int i = 0; i < BROWSERS; i++) {
        conn_close(&browsers[i].conn, CLOSE_DONE);
        if (browsers[i].fd >= 0)
            close(browsers[i].fd);
        buf_finish(&browsers[i].in);
        buf_finish(&browsers[i].messages);
    }
    net_reap(&net);
    close(listening);
    sessions_finish(&sessions);
    broker_destroy(broker);
    hub_finish(&hub);
    net_finish(&net);
    loop_destroy(loop);
    return 0;
}

/* One masked frame, the mask all zero. */
static void say(struct browser *browser, const char *text)
{
    char frame[256] = {(char)0x81, (char)(0x80 | strlen(text))};
    assert_true(strlen(text) < 126);
    memcpy(frame + 6, text, strlen(text));
    assert_int_equal(write(browser->fd, frame, strlen(text) + 6), strlen(text) + 6);
}

/* Takes what has come apart. */
static void look(struct browser *browser)
{
    static char bytes[1 << 16];
    ssize_t got;
    while ((got = recv(browser->fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
        buf_append(&browser->in, span_of(bytes, (size_t)got));
    struct span rest = buf_span(&browser->in);
    for (;;) {
        const uint8_t *head = (const uint8_t *)rest.data;
        size_t len = rest.len > 1 ? head[1] : 0, at = 2;
        if (len == 126 && rest.len > 4) {
            len = (size_t)head[2] << 8 | head[3];
            at = 4;
        } else if (len == 127 && rest.len > 10) {
            len = (size_t)head[6] << 24 | (size_t)head[7] << 16 | (size_t)head[8] << 8 | head[9];
            at = 10;
        }
        if (rest.len < 2 || rest.len < at + len)
            break;
        if (head[0] == 0x81) {
            buf_append(&browser->messages, span_sub(rest, at, len));
            buf_append_char(&browser->messages, '\n');
        }
        rest = span_from(rest, at + len);
    }
    buf_consume(&browser->in, browser->in.len - rest.len);
}

/* How many messages begin so. */
static size_t count(const struct browser *browser, const char *start)
{
    struct span rest = buf_span(&browser->messages), line;
    size_t found = 0;
    while (rest.len > 0 && span_next(&rest, '\n', &line))
        found += span_starts_with(line, span_str(start));
    return found;
}

/* Runs the loop, and reads, until one came that begins so. */
static void expect(struct browser *browser, const char *start)
{
    uint64_t since = loop_now_us(loop);
    for (look(browser); count(browser, start) == 0; look(browser)) {
        if (loop_now_us(loop) - since > LOOP_MS(WAIT_MS))
            fail_msg("no message \"%s...\" came", start);
        turn(2);
    }
}

/* The text between `before` and the next quote in the last message that begins with `start`. */
static void quoted(const struct browser *browser, const char *start, const char *before, char *to, size_t size)
{
    struct span rest = buf_span(&browser->messages), line;
    to[0] = '\0';
    while (rest.len > 0 && span_next(&rest, '\n', &line)) {
        char *text = mem_text(line), *at = strstr(text, before);
        if (span_starts_with(line, span_str(start)) && at != NULL)
            snprintf(to, size, "%.*s", (int)strcspn(at + strlen(before), "\""), at + strlen(before));
        free(text);
    }
}

static struct browser *dial(int number)
{
    struct browser *browser = &browsers[number];
    struct sockaddr_in in;
    socklen_t len = sizeof in;
    struct addr addr;
    getsockname(listening, (struct sockaddr *)&in, &len);
    addr_from_ip(&addr, SPAN_LIT(OWN_IP), ntohs(in.sin_port));
    conn_connect(&browser->conn, &addr);
    browser->fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    assert_true(browser->fd >= 0);
    expect(browser, "0{");
    return browser;
}

static struct browser *enter(int number, const char *connect)
{
    struct browser *browser = dial(number);
    say(browser, connect);
    expect(browser, "40{");
    return browser;
}

static void cut(struct browser *browser)
{
    uint64_t since = loop_now_us(loop);
    shutdown(browser->fd, SHUT_RDWR);
    while (!browser->closed && loop_now_us(loop) - since < LOOP_MS(WAIT_MS))
        turn(2);
    assert_true(browser->closed);
}

/* Comes back with this pid and, unless empty, offset; is it the same socket? */
static bool is_resumed(int number, const char *pid, const char *offset)
{
    char text[160];
    uint64_t before = sessions.counters.resumes;
    snprintf(text, sizeof text, offset[0] != '\0' ? "40{\"pid\":\"%s\",\"offset\":\"%s\"}" : "40{\"pid\":\"%s\"}", pid,
             offset);
    enter(number, text);
    return sessions.counters.resumes > before;
}

static void a_cut_client_is_sent_what_it_missed(void **state)
{
    char pid[PID_BYTES], token[TOKEN_BYTES];
    struct browser *one = enter(0, "40"), *two = enter(1, "40");
    quoted(one, "40{", "\"pid\":\"", pid, sizeof pid);
    say(two, "421[\"say\",1]");
    expect(two, "431[]");
    expect(one, "42[\"say\",1");
    quoted(one, "42[\"say\",1", "1,\"", token, sizeof token);
    cut(one);
    say(two, "422[\"say\",2]");
    expect(two, "432[]");
    assert_true(is_resumed(2, pid, token));
    expect(&browsers[2], "42[\"say\",2");
    assert_int_equal(count(&browsers[2], "42"), 1);
}

/* A client that was shown two events, left, and connects again: under a new pid, with the offset it still has. */
static void come_again(char *pid, char *token)
{
    policy.replay = START_OLDEST;
    struct browser *one = enter(0, "40");
    quoted(one, "40{", "\"pid\":\"", pid, PID_BYTES);
    say(one, "42[\"say\",1]");
    say(one, "42[\"say\",2]");
    expect(one, "42[\"say\",2");
    quoted(one, "42[\"say\",2", "2,\"", token, TOKEN_BYTES);
    say(one, "41");
    turn(20);
    assert_false(is_resumed(1, pid, token));
    quoted(&browsers[1], "40{", "\"pid\":\"", pid, PID_BYTES);
    expect(&browsers[1], "42[\"say\",2");
    assert_int_equal(count(&browsers[1], "42[\"say\","), 2);
}

static void an_offset_of_an_earlier_session_says_nothing(void **state)
{
    char pid[PID_BYTES], token[TOKEN_BYTES];
    come_again(pid, token);
    cut(&browsers[1]); /* what was sent to it got lost: it has the old offset */
    assert_true(is_resumed(2, pid, token));
    expect(&browsers[2], "42[\"say\",1");
    expect(&browsers[2], "42[\"say\",2");
}

static void an_offset_like_that_of_an_earlier_session_is_another(void **state)
{
    char pid[PID_BYTES], token[TOKEN_BYTES];
    come_again(pid, token);
    quoted(&browsers[1], "42[\"say\",2", "2,\"", token, sizeof token);
    cut(&browsers[1]); /* now it has got everything */
    assert_true(is_resumed(2, pid, token));
    say(&browsers[2], "42[\"say\",3]");
    expect(&browsers[2], "42[\"say\",3");
    assert_int_equal(count(&browsers[2], "42[\"say\","), 1);
}

static void what_is_for_several_rooms_comes_once(void **state)
{
    struct browser *one = enter(0, "40"), *two = enter(1, "40"), *none = enter(2, "40");
    say(one, "421[\"join\",\"a\"]");
    say(one, "422[\"join\",\"b\"]");
    say(two, "421[\"join\",\"b\"]");
    expect(one, "431[]");
    expect(one, "432[]");
    expect(two, "431[]");
    say(none, "421[\"both\"]");
    say(none, "422[\"end\"]");
    expect(one, "42[\"end\"");
    expect(two, "42[\"end\"");
    expect(none, "42[\"end\"");
    assert_int_equal(count(one, "42[\"both\""), 1);
    assert_int_equal(count(two, "42[\"both\""), 1);
    assert_int_equal(count(none, "42[\"both\""), 0);
}

/* What was on its way when the server began to close counts, though it can be acknowledged no more. */
static void what_comes_before_the_peers_close_is_heard(void **state)
{
    struct browser *one = enter(0, "40"), *two = enter(1, "40");
    session_close(one->session, CLOSE_ROTATED);
    say(one, "421[\"say\",1]");
    expect(two, "42[\"say\",1");
}

/* The client has asked to go: its pid is worth nothing any more. */
static void a_client_that_leaves_cannot_be_resumed(void **state)
{
    char pid[PID_BYTES];
    struct browser *one = enter(0, "40");
    quoted(one, "40{", "\"pid\":\"", pid, sizeof pid);
    say(one, "41");
    turn(20);
    assert_false(is_resumed(1, pid, ""));
}

static broker_done_fn *lease_done;
static void *lease_arg;

static void lease_write_held(struct broker *asked, const struct broker_lease *lease, broker_done_fn *done, void *arg)
{
    lease_done = done;
    lease_arg = arg;
}

/* Before, nobody could resume it. */
static void a_client_is_told_its_pid_once_there_is_a_lease(void **state)
{
    const struct broker_ops *ops = broker->ops;
    struct broker_ops slow = *ops;
    slow.lease_write = lease_write_held;
    broker->ops = &slow;
    lease_done = NULL;
    struct browser *one = dial(0);
    say(one, "40");
    turn(50);
    look(one);
    broker->ops = ops;
    assert_non_null(lease_done);
    assert_int_equal(count(one, "40{"), 0);
    lease_done(lease_arg, BROKER_LOST); /* it is written again */
    expect(one, "40{");
}

/* Longer than the lease lives if nobody writes it again. */
static void a_lease_is_kept_alive(void **state)
{
    char pid[PID_BYTES];
    nsp.recovery_ms = 1500;
    struct browser *one = enter(0, "40");
    quoted(one, "40{", "\"pid\":\"", pid, sizeof pid);
    turn(2 * 1500 + 300);
    cut(one);
    assert_true(is_resumed(1, pid, ""));
}

/* It is sent more than the kernel and its queue take, reads nothing meanwhile, and gets every event once, in order,
 * and the acknowledgement that waited among them. */
static void a_slow_client_gets_everything_when_it_reads(void **state)
{
    char *large = mem_zero(1, LARGE_BYTES), start[32];
    memset(large, 'x', LARGE_BYTES - 1);
    sessions.limits.slow_queue_bytes = 4 * LARGE_BYTES;
    sessions.limits.replay_queue_bytes = LARGE_BYTES;
    struct browser *one = enter(0, "40");
    static const struct broker_retention retention = {
        .entries_max = 1000, .bytes_max = 64 << 20, .age_ms_max = 3600000};
    for (int i = 0; i < MANY; i++) {
        char *text = mem_printf("[\"many\",%d,\"%s\"]", i, large);
        struct broker_publish publish = {.room = nsp.name, .body = span_str(text), .retention = &retention};
        if (i % 2 == 0) { /* often enough that some of them wait when the queue is dropped */
            snprintf(start, sizeof start, "42%d[\"own\",%d]", i, i);
            say(one, start);
        }
        assert_true(broker_publish(broker, &publish, NULL, NULL));
        turn(2);
        free(text);
    }
    assert_true(sessions.counters.slowed > 0);
    snprintf(start, sizeof start, "42[\"many\",%d,", MANY - 1);
    expect(one, start);
    turn(20);
    look(one);
    for (int i = 0; i < MANY; i++) {
        snprintf(start, sizeof start, "42[\"many\",%d,", i);
        assert_int_equal(count(one, start), 1);
        snprintf(start, sizeof start, "43%d[]", i);
        assert_int_equal(count(one, start), i % 2 == 0);
    }
    free(large);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_cut_client_is_sent_what_it_missed),
        TEST(an_offset_of_an_earlier_session_says_nothing),
        TEST(an_offset_like_that_of_an_earlier_session_is_another),
        TEST(what_is_for_several_rooms_comes_once),
        TEST(what_comes_before_the_peers_close_is_heard),
        TEST(a_client_that_leaves_cannot_be_resumed),
        TEST(a_client_is_told_its_pid_once_there_is_a_lease),
        TEST(a_lease_is_kept_alive),
        TEST(a_slow_client_gets_everything_when_it_reads),
    };
    return cmocka_run_group_tests_name("session/session", tests, NULL, NULL);
}
