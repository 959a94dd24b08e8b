/* api: a backend's requests to the HTTP API of a whole instance, on which clients are connected. The first two bytes
 * choose the configuration, the third the route; the rest is the body, or the query where the route is asked by GET.
 * Each request gets one whole answer, JSON in every case, and leaves nothing behind. */
#include <assert.h>

#include "fuzz/stage_parts.h"
#include "wire/http1.h"
#include "wire/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { ANSWER_S = 30, QUERY_BYTES_MAX = 4000 };

/* Two clients connect to / and to /x, join rooms, and send a few events: as in config.c. */
static const char steps[] = "\x10\x00\x10\x01\x11\x00\x08\x00\x08\x01\x09\x00\x08\x04\x09\x07\x08\x0a";

static const struct {
    const char *path;
    bool posts;
} routes[] = {{"publish", true},      {"ask", true},           {"emitWithAck", true},
              {"sockets/join", true}, {"sockets/leave", true}, {"sockets/disconnect", true},
              {"rooms", false},       {"sockets", false},      {"count", false},
              {"history", false},     {"sockets/\1", false},   {"serverSideEmit", true}};

struct caller {
    struct buf in;
    struct sim_end *end;
};

static void caller_received(struct sim_end *end, void *owner, const char *bytes, size_t len)
{
    struct caller *caller = owner;
    buf_append(&caller->in, span_of(bytes, len));
}

static void caller_closed(struct sim_end *end, void *owner)
{
    struct caller *caller = owner;
    caller->end = NULL;
}

static void request_make(struct buf *to, struct stage_client *client, unsigned route, struct span rest)
{
    struct buf path = {0}, filled = {0};
    stage_fill(&path, client, span_str(routes[route].path));
    stage_fill(&filled, client, rest);
    if (routes[route].posts)
        buf_printf(to,
                   "POST /api/v1/" SPAN_FMT " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                   "Connection: close\r\nContent-Length: %zu\r\n\r\n",
                   SPAN_ARG(buf_span(&path)), filled.len);
    else
        buf_printf(to, "GET /api/v1/" SPAN_FMT "?" SPAN_FMT " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
                   SPAN_ARG(buf_span(&path)), SPAN_ARG(span_sub(buf_span(&filled), 0, QUERY_BYTES_MAX)));
    if (routes[route].posts)
        buf_append(to, buf_span(&filled));
    buf_finish(&path);
    buf_finish(&filled);
}

static void answer_check(struct span in, bool posts)
{
    static struct http1_head head;
    ptrdiff_t used = http1_response_decode(in, 0, posts ? SPAN_LIT("POST") : SPAN_LIT("GET"), &head);
    assert(used > 0 && head.body == HTTP1_BODY_LENGTH && head.content_length == in.len - (size_t)used);
    struct span type = http1_field_get(&head, SPAN_LIT("Content-Type"));
    /* A query that is no target of HTTP is refused before the API sees it. */
    if (span_equal(type, SPAN_LIT("application/json")))
        assert(json_is_valid(json_trim(span_from(in, (size_t)used))));
    else
        assert(head.status == 400 && !posts);
}

static void ask(struct stage *stage, unsigned route, struct span rest)
{
    static const struct sim_peer peer = {.received = caller_received, .closed = caller_closed};
    struct caller caller = {.end = NULL};
    struct buf request = {0};
    request_make(&request, &stage->clients[0], route, rest);
    caller.end = sim_connect(stage->sim, STAGE_PORT, &peer, &caller);
    sim_send(caller.end, request.data, request.len);
    stage_pass(stage, LOOP_S(ANSWER_S));
    assert(caller.end == NULL);
    answer_check(buf_span(&caller.in), routes[route].posts);
    stage_check(stage);
    buf_finish(&caller.in);
    buf_finish(&request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct buf config = {0};
    struct err err = {{0}};
    if (len <= STAGE_CONFIG_BYTES)
        return 0;
    stage_config(&config, data);
    struct stage *stage = stage_create(buf_span(&config), false, &err);
    assert(stage != NULL);
    stage_play(stage, span_of(steps, sizeof steps - 1));
    ask(stage, data[STAGE_CONFIG_BYTES] % (sizeof routes / sizeof routes[0]),
        span_of(data + STAGE_CONFIG_BYTES + 1, len - STAGE_CONFIG_BYTES - 1));
    assert(stage->server.api_requests == 0);
    stage_destroy(stage);
    buf_finish(&config);
    return 0;
}
