/* http_server: a client's bytes against a whole connection of the HTTP server, on the simulated loop. The first byte
 * seeds the cuts, the rest is the stream. Handlers answer at once, later, streamed, or with the body. However the bytes
 * are cut, the handler is given the same requests and bodies, and each request ends once: answered, refused or aborted.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "http/http.h"
#include "net/listener.h"
#include "pieces.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { PORT = 8080, BODY_BYTES_MAX = 3000, LATER_MS = 7, SETTLE_MS = 5000 };

struct play {
    struct loop *loop;
    struct net net;
    struct listener listener;
    struct http_server server;
    struct http http;
    struct timer later; /* answers what is held */
    struct buf seen;    /* requests and bodies */
    struct buf body;
    bool asked, open;
    struct sim_end *end;
};
static struct play play;

static void answered(void)
{
    assert(play.asked);
    play.asked = false;
}

static void on_later(struct timer *timer)
{
    answered();
    http_respond(&play.http, 200, SPAN_LIT("text/plain"), SPAN_LIT(""), SPAN_LIT("later"));
}

static void on_request(struct http *http, const struct http1_head *head)
{
    assert(!play.asked);
    play.asked = true;
    buf_clear(&play.body);
    buf_printf(&play.seen, SPAN_FMT " " SPAN_FMT "\n", SPAN_ARG(head->method), SPAN_ARG(head->target));
    switch ((head->target.len + head->field_count) % 4) {
    case 0:
        answered();
        http_respond(http, 200, SPAN_LIT(""), SPAN_LIT(""), SPAN_LIT("now"));
        break;
    case 1:
        timer_start(play.loop, &play.later, LOOP_MS(LATER_MS));
        break;
    case 2:
        http_read_body(http, BODY_BYTES_MAX, HTTP_BODY_WHOLE);
        break;
    default:
        http_read_body(http, BODY_BYTES_MAX, HTTP_BODY_STREAMED);
    }
}

static void on_body(struct http *http, struct span bytes, bool last)
{
    buf_append(&play.body, bytes);
    assert(play.asked && play.body.len <= BODY_BYTES_MAX);
    if (!last)
        return;
    buf_append(&play.seen, buf_span(&play.body));
    buf_append_char(&play.seen, '\n');
    answered();
    http_stream_begin(http, 200, SPAN_LIT(""), SPAN_LIT(""));
    http_stream_send(http, buf_span(&play.body));
    http_stream_end(http);
}

static void on_aborted(struct http *http)
{
    answered();
    timer_stop(play.loop, &play.later);
}

static void on_refused(struct http *http, enum http_fault fault, int status)
{
    if (status != 0 && play.asked)
        on_aborted(http);
}

static void on_closed(struct http *http, enum close_reason reason)
{
    assert(!play.asked && play.open && http->exchange == NULL);
    play.open = false;
}

static const struct http_events events = {
    .request = on_request, .body = on_body, .aborted = on_aborted, .refused = on_refused, .closed = on_closed};
static const struct http_rules rules = {
    .body_bytes_max = 1 << 20, .body_ms = 100000, .linger_ms = 100, .linger_body_ms = 100};
static const struct conn_limits limits = {.queue_bytes_max = 8 << 20, .input_bytes_max = 8 << 20};

static void on_accepted(struct listener *listener, struct io *io, const struct addr *peer)
{
    play.open = true;
    http_accept(&play.server, &play.http, io, peer, 100000);
}

static void end_received(struct sim_end *end, void *owner, const char *bytes, size_t len)
{
}

static void end_closed(struct sim_end *end, void *owner)
{
    play.end = NULL;
}

/* Plays the bytes in pieces of up to `piece_max`, and appends what the handler saw to `seen`. */
static void run(struct span bytes, uint64_t seed, size_t piece_max, struct buf *seen)
{
    static const struct sim_peer peer = {.received = end_received, .closed = end_closed};
    struct sim *sim = sim_create(seed);
    struct addr addr;
    struct err err;
    play = (struct play){.loop = sim_host_create(sim)};
    timer_init(&play.later, on_later);
    net_init(&play.net, play.loop);
    http_server_init(&play.server, &play.net, &events, &limits, &rules);
    addr_any(&addr, PORT);
    bool listens = listener_open(&play.listener, &play.net, &addr, on_accepted, &err);
    assert(listens);
    play.end = sim_connect(sim, PORT, &peer, NULL);
    pieces_pass(sim, LOOP_MS(100));
    pieces_send(sim, &play.end, bytes, piece_max, 3000);
    pieces_pass(sim, LOOP_MS(SETTLE_MS));
    if (play.end != NULL)
        sim_close(play.end, false);
    pieces_pass(sim, LOOP_MS(SETTLE_MS));
    listener_close(&play.listener);
    http_server_cut(&play.server, CLOSE_DRAINED);
    net_reap(&play.net);
    assert(!play.open && !play.asked && play.server.count == 0);
    net_finish(&play.net);
    buf_append(seen, buf_span(&play.seen));
    buf_finish(&play.seen);
    buf_finish(&play.body);
    sim_host_destroy(play.loop);
    sim_destroy(sim);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct buf whole = {0}, cut = {0};
    if (len == 0)
        return 0;
    struct span bytes = span_of(data + 1, len - 1);
    run(bytes, 1, 1 << 20, &whole);
    run(bytes, data[0], 1 + data[0] % 40, &cut);
    assert(span_equal(buf_span(&whole), buf_span(&cut)));
    buf_finish(&whole);
    buf_finish(&cut);
    return 0;
}
