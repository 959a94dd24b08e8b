/* grpc: a server's bytes against the HTTP/2 connection of the broker on Firestore. The first byte seeds the cuts. Two
 * calls are under way from the beginning, one that stays open and one that has asked all; each ends exactly once, and
 * the messages that they get do not depend on how the bytes are cut. (When nghttp2 gives a stream up does.) */
#include <assert.h>
#include <stdlib.h>

#include "broker/grpc_link.h"
#include "pieces.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { PORT = 443, CALLS = 2, DEADLINE_MS = 2000, SETTLE_MS = 10000, OUT_BYTES_MAX = 4 << 20 };

struct play {
    struct grpc_link link;
    struct grpc_call *calls[CALLS]; /* NULL: it has ended */
    struct buf heard[CALLS];
    struct sim_end *server;
    size_t sent; /* by us */
    bool closed;
};
static struct play play;

static size_t index_of(void *arg)
{
    return (size_t)((struct grpc_call **)arg - play.calls);
}

/* One message in eight makes no sense. */
static bool on_message(void *arg, struct span message)
{
    size_t at = index_of(arg);
    assert(play.calls[at] != NULL && message.len <= GRPC_MESSAGE_BYTES_MAX);
    buf_printf(&play.heard[at], "message %zu ", message.len);
    buf_append(&play.heard[at], message);
    return message.len == 0 || message.data[0] % 8 != 7;
}

static void on_ended(void *arg, enum grpc_status status, struct span text)
{
    size_t at = index_of(arg);
    assert(play.calls[at] != NULL && text.len <= GRPC_TEXT_BYTES_MAX);
    play.calls[at] = NULL;
}

static void on_opened(struct grpc_link *link)
{
    static const struct grpc_call_events events = {.message = on_message, .ended = on_ended};
    const struct grpc_method listen = {.path = "/a.B/Listen", .token = SPAN_LIT("t")};
    const struct grpc_method commit = {.path = "/a.B/Commit", .deadline_ms = DEADLINE_MS};
    play.calls[0] = grpc_call_begin(link, &listen, &events, &play.calls[0]);
    grpc_call_send(play.calls[0], SPAN_LIT("listen"), false);
    play.calls[1] = grpc_call_begin(link, &commit, &events, &play.calls[1]);
    grpc_call_send(play.calls[1], SPAN_LIT("commit"), true);
}

static void on_closed(struct grpc_link *link, const char *why)
{
    assert(!play.closed && play.calls[0] == NULL && play.calls[1] == NULL && why[0] != '\0');
    play.closed = true;
}

static void *server_accept(void *arg, struct sim_end *end)
{
    play.server = end;
    return &play;
}

static void server_received(struct sim_end *end, void *owner, const char *bytes, size_t len)
{
    play.sent += len;
}

static void server_closed(struct sim_end *end, void *owner)
{
    play.server = NULL;
}

/* Plays the bytes in pieces of up to `piece_max`, and appends what the calls heard to `heard`. */
static void run(struct span bytes, uint64_t seed, size_t piece_max, struct buf *heard)
{
    static const struct grpc_link_events events = {.opened = on_opened, .closed = on_closed};
    static const struct sim_peer peer = {.received = server_received, .closed = server_closed};
    struct sim *sim = sim_create(seed);
    struct loop *loop = sim_host_create(sim);
    struct net net;
    struct addr addr;
    play = (struct play){.closed = false};
    net_init(&net, loop);
    sim_listen(sim, PORT, &peer, server_accept, NULL);
    bool is_ip = addr_from_ip(&addr, SPAN_LIT("127.0.0.1"), PORT);
    assert(is_ip);
    grpc_link_init(&play.link, &net, &events);
    grpc_link_open(&play.link, &addr, "localhost", NULL);
    pieces_pass(sim, LOOP_MS(100));
    pieces_send(sim, &play.server, bytes, piece_max, 100);
    pieces_pass(sim, LOOP_MS(SETTLE_MS));
    assert(play.calls[1] == NULL && play.sent <= OUT_BYTES_MAX); /* its deadline has passed */
    if (play.server != NULL)
        sim_close(play.server, false);
    pieces_pass(sim, LOOP_MS(SETTLE_MS));
    assert(play.closed);
    grpc_link_finish(&play.link);
    net_finish(&net);
    for (int i = 0; i < CALLS; i++) {
        buf_append(heard, buf_span(&play.heard[i]));
        buf_finish(&play.heard[i]);
    }
    sim_unlisten(sim, PORT);
    sim_host_destroy(loop);
    sim_destroy(sim);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct buf whole = {0}, cut = {0};
    if (len == 0)
        return 0;
    struct span bytes = span_of(data + 1, len - 1);
    run(bytes, 1, SIZE_MAX / 2, &whole);
    run(bytes, data[0], 1 + data[0] % 40, &cut);
    assert(span_equal(buf_span(&whole), buf_span(&cut)));
    buf_finish(&whole);
    buf_finish(&cut);
    return 0;
}
