/* stage_redis: the stage's Redis, and another program that writes to it. */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "broker/redis_parts.h"
#include "fuzz/stage_parts.h"

enum { CLOCK_S = 1700000000, WORDS_MAX = 12 };

struct stream {
    struct list node;
    struct stage *stage;
    struct sim_end *end;
    struct fake_redis_client *client;
};

static void out(void *arg, const char *bytes, size_t len)
{
    struct stream *stream = arg;
    if (stream->end != NULL)
        sim_send(stream->end, bytes, len);
}

static void stream_destroy(struct stream *stream)
{
    stream->end = NULL;
    fake_redis_disconnect(stream->client);
    list_remove(&stream->node);
    free(stream);
}

static void *accepted(void *arg, struct sim_end *end)
{
    struct stage *stage = arg;
    struct stream *stream = mem_zero(1, sizeof *stream);
    stream->stage = stage;
    stream->end = end;
    list_init(&stream->node);
    list_append(&stage->streams, &stream->node);
    stream->client = fake_redis_connect(stage->redis, out, stream);
    return stream;
}

static void clock_set(struct stage *stage)
{
    fake_redis_time(stage->redis, CLOCK_S * INT64_C(1000000) + (int64_t)sim_now_us(stage->sim));
}

static void received(struct sim_end *end, void *owner, const char *bytes, size_t len)
{
    struct stream *stream = owner;
    stream->stage->asked_bytes += len;
    assert(!stream->stage->resting || stream->stage->asked_bytes < STAGE_ASKED_BYTES_MAX);
    clock_set(stream->stage);
    if (fake_redis_feed(stream->client, bytes, len))
        return;
    stream_destroy(stream);
    sim_close(end, true);
}

static void closed(struct sim_end *end, void *owner)
{
    stream_destroy(owner);
}

static const struct sim_peer peer = {NULL, received, closed};

static void nowhere(void *arg, const char *bytes, size_t len)
{
}

void stage_redis_start(struct stage *stage)
{
    list_init(&stage->streams);
    stage->redis = fake_redis_create(1);
    stage->neighbour = fake_redis_connect(stage->redis, nowhere, NULL);
    sim_listen(stage->sim, STAGE_REDIS_PORT, &peer, accepted, stage);
}

void stage_redis_cut(struct stage *stage)
{
    list_each (node, &stage->streams) {
        struct stream *stream = container_of(node, struct stream, node);
        struct sim_end *end = stream->end;
        stream_destroy(stream);
        sim_close(end, true);
    }
}

void stage_redis_finish(struct stage *stage)
{
    stage_redis_cut(stage);
    fake_redis_disconnect(stage->neighbour);
    fake_redis_destroy(stage->redis);
}

/* `K:` stands for the prefix of all keys, `I` for the inbox. */
static void word_append(struct buf *to, struct stage *stage, struct span word)
{
    const struct redis_broker *redis = redis_of(stage->server.broker);
    struct buf whole = {0};
    if (span_equal(word, SPAN_LIT("I")))
        buf_append(&whole, span_str(redis->names.inbox));
    else if (span_starts_with(word, SPAN_LIT("K:")))
        buf_append(&whole, span_str(redis->names.prefix));
    buf_append(&whole, span_starts_with(word, SPAN_LIT("K:")) ? span_from(word, 2)
                       : whole.len > 0                        ? SPAN_LIT("")
                                                              : word);
    buf_printf(to, "$%zu\r\n", whole.len);
    buf_append(to, buf_span(&whole));
    buf_append(to, SPAN_LIT("\r\n"));
    buf_finish(&whole);
}

void stage_redis_command(struct stage *stage, struct span words, struct span last)
{
    struct buf body = {0}, text = {0};
    struct span word;
    size_t count = 0;
    while (count < WORDS_MAX && span_next(&words, ' ', &word)) {
        word_append(&body, stage, word);
        count++;
    }
    if (last.len > 0) {
        buf_printf(&body, "$%zu\r\n", last.len);
        buf_append(&body, last);
        buf_append(&body, SPAN_LIT("\r\n"));
        count++;
    }
    buf_printf(&text, "*%zu\r\n", count);
    buf_append(&text, buf_span(&body));
    clock_set(stage);
    fake_redis_feed(stage->neighbour, text.data + text.off, text.len);
    buf_finish(&body);
    buf_finish(&text);
}
