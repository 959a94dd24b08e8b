/* fixture: see fixture.h: the handler, the client, and the waiting. */
#include "fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "../own_ip.h"
#include "base/mem.h"
#include "http/http_coding.h"
#include "net/listener.h"

enum { WAIT_MS = 10000 };

struct fixture fixture;
static struct listener listener;
static struct list visitors;
static struct timer tick, patience;

static void story(const char *line, uint64_t number)
{
    buf_printf(&fixture.story, "%s %llu\n", line, (unsigned long long)number);
}

static ssize_t source_read(struct conn_source *source, uint64_t offset, char *to, size_t size)
{
    for (size_t i = 0; i < size; i++)
        to[i] = (char)('a' + (offset + i) % 23);
    return (ssize_t)size;
}

static void source_released(struct conn_source *source)
{
    fixture.released++;
}

static struct conn_source source = {source_read, source_released};

/* What an upgraded connection says comes back. */
static size_t echo_received(struct conn *conn, char *bytes, size_t len)
{
    conn_send(conn, span_of(bytes, len));
    return len;
}

static void visitor_free(struct http *http)
{
    struct visitor *visitor = container_of(http, struct visitor, http);
    list_remove(&visitor->of_fixture);
    free(visitor);
}

static void echo_closed(struct conn *conn, enum close_reason reason)
{
    struct http *http = container_of(conn, struct http, conn);
    http_forget(http);
    visitor_free(http);
    story("closed upgraded", reason);
}

static const struct conn_events echo_events = {.received = echo_received, .closed = echo_closed};

/* As many bytes as the path ends in. */
static void coded_respond(struct http *http, struct span digits)
{
    struct buf body = {0};
    uint64_t bytes = 0;
    assert_true(span_to_u64(digits, &bytes));
    for (uint64_t i = 0; i < bytes; i++)
        buf_append_char(&body, (char)('a' + i % 7));
    http_respond_coded(http, 200, SPAN_LIT("text/plain"), SPAN_LIT(""), buf_span(&body));
    buf_finish(&body);
}

static void on_request(struct http *http, const struct http1_head *head)
{
    struct span path = head->target;
    buf_printf(&fixture.story, "request " SPAN_FMT " " SPAN_FMT "\n", SPAN_ARG(head->method), SPAN_ARG(path));
    fixture.held = http;
    if (span_equal(path, SPAN_LIT("/now"))) {
        http_respond(http, 200, SPAN_LIT("text/plain"), SPAN_LIT("X-Now: 1\r\n"), SPAN_LIT("it is now\n"));
    } else if (span_equal(path, SPAN_LIT("/file"))) {
        http_respond_source(http, 200, SPAN_LIT(""), SPAN_LIT(""), &source, 0, SOURCE_BYTES);
    } else if (span_equal(path, SPAN_LIT("/whole"))) {
        http_read_body(http, WHOLE_BYTES_MAX, HTTP_BODY_WHOLE);
    } else if (span_equal(path, SPAN_LIT("/echo"))) {
        http_stream_begin(http, 200, SPAN_LIT("text/plain"), SPAN_LIT(""));
        http_read_body(http, BODY_BYTES_MAX, HTTP_BODY_STREAMED);
    } else if (span_equal(path, SPAN_LIT("/stream"))) {
        http_stream_begin(http, 200, SPAN_LIT("text/plain"), SPAN_LIT(""));
    } else if (span_starts_with(path, SPAN_LIT("/coded"))) {
        coded_respond(http, span_from(path, sizeof "/coded" - 1));
    } else if (span_equal(path, SPAN_LIT("/poll"))) {
        http_end_aborts(http);
    } else if (span_equal(path, SPAN_LIT("/ws"))) {
        http_upgrade_websocket(http, head, (struct span){NULL, 0}, SPAN_LIT(""), &echo_events);
    } /* /later and /body are left to the test */
}

static void on_body(struct http *http, struct span bytes, bool last)
{
    buf_printf(&fixture.story, "body %zu%s\n", bytes.len, last ? " last" : "");
    if (last && http_trailers(http).len > 0)
        buf_printf(&fixture.story, "trailers " SPAN_FMT, SPAN_ARG(http_trailers(http)));
    if (span_starts_with(buf_span(&fixture.story), SPAN_LIT("request POST /echo"))) {
        http_stream_send(http, bytes);
        if (last)
            http_stream_end(http);
    } else if (last) {
        http_respond(http, 200, SPAN_LIT("text/plain"), SPAN_LIT(""), bytes);
    }
}

static void on_drained(struct http *http)
{
    story("drained", 0);
}

static void on_aborted(struct http *http)
{
    story("aborted", 0);
    fixture.held = NULL;
}

static void on_refused(struct http *http, enum http_fault fault, int status)
{
    story("refused", (uint64_t)status);
    if (status != 0)
        fixture.held = NULL;
}

static bool on_keeps(struct http *http, size_t bytes)
{
    return bytes <= fixture.kept_max;
}

static void on_closed(struct http *http, enum close_reason reason)
{
    buf_printf(&fixture.story, "closed %s\n", close_reason_name(reason));
    visitor_free(http);
}

static const struct http_events events = {
    .request = on_request,
    .body = on_body,
    .drained = on_drained,
    .aborted = on_aborted,
    .refused = on_refused,
    .keeps = on_keeps,
    .closed = on_closed,
};

static void on_accepted(struct listener *of, struct io *io, const struct addr *peer)
{
    struct visitor *visitor = mem_zero(1, sizeof *visitor);
    list_init(&visitor->of_fixture);
    list_append(&visitors, &visitor->of_fixture);
    http_accept(&fixture.server, &visitor->http, io, peer, fixture.head_ms);
}

static void client_read(void)
{
    char bytes[65536];
    ssize_t got;
    while (!fixture.deaf && !fixture.ended && (got = recv(fixture.client, bytes, sizeof bytes, 0)) != -1) {
        fixture.ended = got == 0;
        buf_append(&fixture.got, span_of(bytes, (size_t)got));
    }
    if (!fixture.deaf && !fixture.ended && errno != EAGAIN)
        fixture.ended = true;
}

static bool (*awaited)(void);
static const char *awaited_text;
static int awaited_times;

static void on_tick(struct timer *timer)
{
    if (fixture.client >= 0)
        client_read();
    if (awaited != NULL && awaited())
        loop_stop(fixture.loop);
    else
        timer_start(fixture.loop, timer, 500);
}

static void on_patience(struct timer *timer)
{
    loop_stop(fixture.loop);
}

static void run(bool (*condition)(void), uint32_t ms)
{
    awaited = condition;
    timer_start(fixture.loop, &tick, 0);
    timer_start(fixture.loop, &patience, LOOP_MS(ms));
    loop_run(fixture.loop);
    timer_stop(fixture.loop, &tick);
    timer_stop(fixture.loop, &patience);
}

static int times_in(const struct buf *buf, const char *text)
{
    struct span rest = buf_span(buf);
    int times = 0;
    void *at;
    while (rest.len > 0 && (at = memmem(rest.data, rest.len, text, strlen(text))) != NULL) {
        rest = span_from(rest, (size_t)((const char *)at - rest.data) + strlen(text));
        times++;
    }
    return times;
}

int got_times(const char *text)
{
    return times_in(&fixture.got, text);
}

int story_times(const char *text)
{
    return times_in(&fixture.story, text);
}

static bool has_got(void)
{
    return got_times(awaited_text) >= awaited_times;
}

static bool has_story(void)
{
    return story_times(awaited_text) > 0;
}

static bool has_ended(void)
{
    return fixture.ended;
}

void pass_ms(uint32_t ms)
{
    run(NULL, ms);
}

void await_got(const char *text, int times)
{
    awaited_text = text;
    awaited_times = times;
    run(has_got, WAIT_MS);
    if (got_times(text) != times)
        fail_msg("%d times, not %d, \"%s\" in: %.*s", got_times(text), times, text, (int)fixture.got.len,
                 fixture.got.data + fixture.got.off);
}

void await_end(void)
{
    run(has_ended, WAIT_MS);
    assert_true(fixture.ended);
}

void await_story(const char *text)
{
    awaited_text = text;
    run(has_story, WAIT_MS);
    if (story_times(text) == 0)
        fail_msg("no \"%s\" in: %.*s", text, (int)fixture.story.len, fixture.story.data + fixture.story.off);
}

void client_connect(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(OWN_IP)};
    int yes = 1;
    client_leave();
    buf_clear(&fixture.got);
    fixture.ended = false;
    in.sin_port = htons(listener_port(&listener));
    fixture.client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(fixture.client, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (connect(fixture.client, (struct sockaddr *)&in, sizeof in) != 0)
        assert_int_equal(errno, EINPROGRESS);
    pass_ms(5);
}

void client_send(struct span bytes)
{
    while (bytes.len > 0) {
        ssize_t sent = send(fixture.client, bytes.data, bytes.len, MSG_NOSIGNAL);
        if (sent == -1 && errno != EAGAIN)
            return; /* the server has had enough */
        if (sent > 0)
            bytes = span_from(bytes, (size_t)sent);
        if (bytes.len > 0)
            pass_ms(1);
    }
}

void client_shutdown(void)
{
    shutdown(fixture.client, SHUT_WR);
}

void client_leave(void)
{
    if (fixture.client >= 0)
        close(fixture.client);
    fixture.client = -1;
}

int fixture_set_up(void **state)
{
    struct addr addr;
    struct err err;
    fixture = (struct fixture){
        .loop = loop_create(&err),
        .rules = {.body_bytes_max = BODY_BYTES_MAX, .body_ms = 200, .linger_ms = 300, .linger_body_ms = 300},
        .limits = {.queue_bytes_max = 8 << 20, .input_bytes_max = HTTP1_HEAD_BYTES_MAX + NET_RECEIVE_BYTES},
        .head_ms = 5000,
        .kept_max = SIZE_MAX,
        .client = -1,
    };
    list_init(&visitors);
    net_init(&fixture.net, fixture.loop);
    timer_init(&tick, on_tick);
    timer_init(&patience, on_patience);
    http_server_init(&fixture.server, &fixture.net, &events, &fixture.limits, &fixture.rules);
    fixture.server.fields = SPAN_LIT("X-All: 1\r\n");
    listener = (struct listener){0};
    addr_from_ip(&addr, SPAN_LIT(OWN_IP), 0);
    assert_true(listener_open(&listener, &fixture.net, &addr, on_accepted, &err));
    client_connect();
    return 0;
}

int fixture_tear_down(void **state)
{
    client_leave();
    listener_close(&listener);
    http_server_cut(&fixture.server, CLOSE_DRAINED);
    net_reap(&fixture.net);
    assert_int_equal(fixture.server.count, 0);
    assert_true(list_empty(&visitors) && list_empty(&fixture.server.exchanges));
    buf_finish(&fixture.story);
    buf_finish(&fixture.got);
    net_finish(&fixture.net);
    loop_destroy(fixture.loop);
    return 0;
}
