/* fixture: clients on a real loop and real sockets, for the tests of the session layer and of the layers on it: bytes
 * in, packets out, with the broker in memory. */
#include "fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../own_ip.h"
#include "base/mem.h"
#include "broker/memory.h"
#include "session/asking.h"
#include "session/history.h"
#include "session/polling.h"
#include "session/socket.h"
#include "wire/json.h"
#include "wire/ws.h"

enum { WAIT_MS = 10000, RECEIVE_BYTES = 100000 };

struct loop *loop;
struct broker *broker;
struct hub *hub;
struct sessions sessions;
struct nsp nsp, other;
struct conn_limits limits;
struct browser browsers[BROWSERS];
struct span fixture_probe_sid;
uint32_t fixture_ask_ms = 5000;
struct room_policy policy;
char fixture_promise[CALL_ID_BYTES_MAX + 1];
static struct net net;
static int listening;

static const struct nsp *nsp_find(struct session_app *app, struct span name, enum refusal *refusal)
{
    if (span_equal(name, nsp.name))
        return &nsp;
    if (span_equal(name, other.name))
        return &other;
    *refusal = REFUSAL_NAMESPACE_UNKNOWN;
    return NULL;
}

static const struct room_policy *room_policy(struct session_app *app, const struct nsp *of, struct span room)
{
    return &policy;
}

static void event(struct session_app *app, struct subscriber *subscriber, const struct client_event *asked)
{
    static const struct broker_retention retention = {
        .entries_max = 1000, .bytes_max = 64 << 20, .age_ms_max = 3600000};
    static const struct span both[] = {{"a", 1}, {"b", 1}};
    struct span room = json_array_at(asked->content.args, 1);
    struct subscriber_emit emit = {.content = &asked->content, .ack_id = asked->id, .retention = &retention};
    if (span_equal(asked->name, SPAN_LIT("\"join\""))) {
        subscriber_join(subscriber, &(struct span){room.data + 1, room.len - 2}, 1, asked->id);
        return;
    }
    if (span_equal(asked->name, SPAN_LIT("\"leave\""))) {
        subscriber_leave(subscriber, &(struct span){room.data + 1, room.len - 2}, 1, asked->id);
        return;
    }
    if (span_equal(asked->name, SPAN_LIT("\"past\""))) {
        struct history_range range = {.limit = 10};
        history_read(subscriber, (struct span){NULL, 0}, &range, asked->id);
        return;
    }
    if (span_equal(asked->name, SPAN_LIT("\"ask\""))) {
        struct span sid = json_array_at(asked->content.args, 1);
        emit.to_sid = span_sub(sid, 1, ENGINEIO_SID_BYTES);
        asking_ask(subscriber, &emit, fixture_ask_ms);
        return;
    }
    if (span_equal(asked->name, SPAN_LIT("\"later\""))) {
        struct span id = asking_promise(subscriber, asked->id);
        snprintf(fixture_promise, sizeof fixture_promise, SPAN_FMT, SPAN_ARG(id));
        return;
    }
    if (span_equal(asked->name, SPAN_LIT("\"both\""))) {
        emit.rooms = both;
        emit.room_count = 2;
    }
    if (span_equal(asked->name, SPAN_LIT("\"talk\""))) {
        room = span_sub(room, 1, room.len - 2);
        emit.rooms = &room;
        emit.room_count = 1;
    }
    subscriber_publish(subscriber, &emit);
}

static struct session_app app = {.nsp_find = nsp_find, .room_policy = room_policy, .event = event};

static void on_tick(struct timer *timer)
{
    loop_stop(loop);
}

/* Lets the loop run for a moment. */
void turn(uint64_t ms)
{
    struct timer tick;
    timer_init(&tick, on_tick);
    timer_start(loop, &tick, LOOP_MS(ms));
    loop_run(loop);
}

static void on_opened(struct conn *conn)
{
    struct browser *browser = container_of(conn, struct browser, conn);
    if (fixture_probe_sid.len != 0)
        polling_upgrade(&sessions, &browser->websocket, fixture_probe_sid, conn, SPAN_LIT(""));
    else
        websocket_open(&browser->websocket, &sessions, &socket_protocol, conn);
}

static size_t on_received(struct conn *conn, char *bytes, size_t len)
{
    return websocket_received(&container_of(conn, struct browser, conn)->websocket, bytes, len);
}

static void on_drained(struct conn *conn)
{
    websocket_drained(&container_of(conn, struct browser, conn)->websocket);
}

static void on_closed(struct conn *conn, enum close_reason reason)
{
    struct browser *browser = container_of(conn, struct browser, conn);
    browser->closed = true;
    websocket_closed(&browser->websocket, reason);
}

static void on_ending(struct conn *conn, bool broken)
{
    if (broken)
        conn_close(conn, CLOSE_PEER_RESET);
}

static const struct conn_events events = {
    .opened = on_opened, .received = on_received, .ending = on_ending, .drained = on_drained, .closed = on_closed};

void fixture_open(struct session_app *of)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(OWN_IP)};
    struct err err;
    loop = loop_create(&err);
    net_init(&net, loop);
    broker = broker_memory_create(loop, NULL);
    hub = hub_create(loop, broker);
    nsp = (struct nsp){.name = SPAN_LIT("/"), .recoverable = true, .recovery_ms = 60000};
    policy = (struct room_policy){.replay = START_NOW};
    limits = (struct conn_limits){.queue_bytes_max = 64 << 20, .input_bytes_max = 1 << 20};
    other = (struct nsp){.name = SPAN_LIT("/other"), .recoverable = true, .recovery_ms = 60000};
    sessions_init(&sessions, hub, of != NULL ? of : &app, &session_limits_default);
    listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int receive_bytes = RECEIVE_BYTES; /* so that the kernel does not take the bytes that a slow client does not read */
    setsockopt(listening, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    assert_int_equal(bind(listening, (const struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(listen(listening, BROWSERS), 0);
    for (int i = 0; i < BROWSERS; i++) {
        browsers[i] = (struct browser){.fd = -1};
        conn_init(&browsers[i].conn, &net, &events, &limits);
    }
    turn(5);
}

int set_up(void **state)
{
    fixture_open(NULL);
    return 0;
}

int tear_down(void **state)
{
    for (int i = 0; i < BROWSERS; i++) {
        conn_close(&browsers[i].conn, CLOSE_DONE);
        if (browsers[i].fd >= 0)
            close(browsers[i].fd);
        buf_finish(&browsers[i].in);
        buf_finish(&browsers[i].messages);
    }
    net_reap(&net);
    pollings_cut(&sessions, CLOSE_DONE);
    close(listening);
    broker_destroy(broker); /* calls under way are answered now */
    sessions_finish(&sessions);
    hub_destroy(hub);
    net_finish(&net);
    loop_destroy(loop);
    return 0;
}

static void frame_say(struct browser *browser, char head, const char *text)
{
    static const uint8_t mask[4];
    struct buf frame = {0};
    ws_masked_encode(&frame, (enum ws_opcode)(head & 0x0f), span_str(text), mask);
    assert_int_equal(write(browser->fd, frame.data + frame.off, frame.len), frame.len);
    buf_finish(&frame);
}

/* One masked frame, the mask all zero. */
void say(struct browser *browser, const char *text)
{
    frame_say(browser, (char)0x81, text);
}

void say_binary(struct browser *browser, const char *text)
{
    frame_say(browser, (char)0x82, text);
}

/* Splits the received bytes into messages. */
void look(struct browser *browser)
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
        if (head[0] == 0x81 || head[0] == 0x82) {
            if (head[0] == 0x82)
                buf_append(&browser->messages, SPAN_LIT("b:"));
            buf_append(&browser->messages, span_sub(rest, at, len));
            buf_append_char(&browser->messages, '\n');
        } else if (head[0] == 0xc1) {
            assert_non_null(browser->inflater);
            assert_int_equal(
                inflater_message(browser->inflater, span_sub(rest, at, len), true, UINT32_MAX, &browser->messages),
                INFLATE_DONE);
            buf_append_char(&browser->messages, '\n');
        } else if (head[0] == 0x88 && len >= 2) {
            buf_printf(&browser->messages, "close %u " SPAN_FMT "\n", head[at] << 8 | head[at + 1],
                       SPAN_ARG(span_sub(rest, at + 2, len - 2)));
        }
        rest = span_from(rest, at + len);
    }
    buf_consume(&browser->in, browser->in.len - rest.len);
}

/* How many messages begin so. */
size_t count(const struct browser *browser, const char *start)
{
    struct span rest = buf_span(&browser->messages), line;
    size_t found = 0;
    while (rest.len > 0 && span_next(&rest, '\n', &line))
        found += span_starts_with(line, span_str(start));
    return found;
}

/* Runs the loop, and reads, until one came that begins so. */
void expect(struct browser *browser, const char *start)
{
    uint64_t since = loop_now_us(loop);
    for (look(browser); count(browser, start) == 0; look(browser)) {
        if (loop_now_us(loop) - since > LOOP_MS(WAIT_MS))
            fail_msg("no message \"%s...\" came", start);
        turn(2);
    }
}

/* The text between `before` and the next quote in the last message that begins with `start`. */
void quoted(const struct browser *browser, const char *start, const char *before, char *to, size_t size)
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

/* A browser whose connection is gone may dial again. */
static void renew(struct browser *browser)
{
    turn(2); /* the connection is reaped */
    close(browser->fd);
    buf_finish(&browser->in);
    buf_finish(&browser->messages);
    *browser = (struct browser){.fd = -1};
    conn_init(&browser->conn, &net, &events, &limits);
}

struct browser *dial(int number)
{
    struct browser *browser = &browsers[number];
    struct sockaddr_in in;
    socklen_t len = sizeof in;
    struct addr addr;
    if (browser->closed)
        renew(browser);
    getsockname(listening, (struct sockaddr *)&in, &len);
    addr_from_ip(&addr, SPAN_LIT(OWN_IP), ntohs(in.sin_port));
    conn_connect(&browser->conn, &addr);
    browser->fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    assert_true(browser->fd >= 0);
    setsockopt(browser->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (fixture_probe_sid.len == 0)
        expect(browser, "0{");
    else
        turn(5);
    return browser;
}

struct browser *enter(int number, const char *connect)
{
    struct browser *browser = dial(number);
    say(browser, connect);
    expect(browser, "40{");
    return browser;
}

void cut(struct browser *browser)
{
    uint64_t since = loop_now_us(loop);
    shutdown(browser->fd, SHUT_RDWR);
    while (!browser->closed && loop_now_us(loop) - since < LOOP_MS(WAIT_MS))
        turn(2);
    assert_true(browser->closed);
}

/* Comes back with this pid and, unless empty, offset; is it the same socket? */
bool is_resumed(int number, const char *pid, const char *offset)
{
    char text[160];
    uint64_t before = sessions.counters.resumes;
    snprintf(text, sizeof text, offset[0] != '\0' ? "40{\"pid\":\"%s\",\"offset\":\"%s\"}" : "40{\"pid\":\"%s\"}", pid,
             offset);
    enter(number, text);
    return sessions.counters.resumes > before;
}
