/* fleet_redis: the fleet's Redis: streams to it, its ends and returns, and the observer. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "fleet_parts.h"
#include "hub/audience.h"
#include "wire/json.h"

enum {
    CLOCK_S = 1700000000,  /* when it all begins, since 1970 */
    FOR_EVER_S = 10000000, /* longer than anything lives that ends */
};

struct redis_stream {
    struct list node;
    struct fleet *fleet;
    struct sim_end *end;
    struct fake_redis_client *client;
};

static void redis_out(void *arg, const char *bytes, size_t len)
{
    struct redis_stream *stream = arg;
    if (stream->end != NULL)
        sim_send(stream->end, bytes, len);
}

static void redis_clock(struct fleet *fleet)
{
    fake_redis_time(fleet->redis,
                    CLOCK_S * INT64_C(1000000) + (int64_t)sim_now_us(fleet->sim) + fleet->clock_jump_ms * 1000);
}

static void stream_destroy(struct redis_stream *stream)
{
    stream->end = NULL;
    fake_redis_disconnect(stream->client);
    list_remove(&stream->node);
    free(stream);
}

static void *redis_accepted(void *arg, struct sim_end *end)
{
    struct fleet *fleet = arg;
    struct redis_stream *stream = mem_zero(1, sizeof *stream);
    stream->fleet = fleet;
    stream->end = end;
    list_init(&stream->node);
    list_append(&fleet->streams, &stream->node);
    stream->client = fake_redis_connect(fleet->redis, redis_out, stream);
    return stream;
}

static void redis_received(struct sim_end *end, void *owner, const char *bytes, size_t len)
{
    struct redis_stream *stream = owner;
    redis_clock(stream->fleet);
    if (fake_redis_feed(stream->client, bytes, len))
        return;
    check_fail(&stream->fleet->check, "an instance sent Redis what is no command");
    stream_destroy(stream);
    sim_close(end, true);
}

static void redis_closed(struct sim_end *end, void *owner)
{
    stream_destroy(owner);
}

static const struct sim_peer redis_peer = {NULL, redis_received, redis_closed};

static int room_of_channel(struct span channel)
{
    static const char base[] = "sennit:{0}:push:/";
    if (!span_starts_with(channel, span_str(base)))
        return -1;
    if (channel.len == sizeof base - 1)
        return 0;
    return channel.data[channel.len - 1] - '0';
}

/* The sid that an audience leaves out, empty: none. */
static struct span except_of(struct span audience)
{
    struct span text, none = {"", 0};
    enum audience_sign sign;
    return audience_next(&audience, &sign, &text) && sign == AUDIENCE_EXCEPT_SID ? text : none;
}

static void accepted(struct fleet *fleet, int room, struct span epoch, uint64_t seq, struct span audience,
                     struct span body)
{
    uint64_t id;
    struct span except = except_of(audience);
    if (fleet->world.traced >= 0)
        fleet_say(fleet, "accepted " SPAN_FMT ".%llu for room %d but " SPAN_FMT ": " SPAN_FMT, SPAN_ARG(epoch),
                  (unsigned long long)seq, room, SPAN_ARG(except), SPAN_ARG(body));
    if (span_to_u64(json_object_get(json_array_at(body, room == 0 ? 1 : 2), SPAN_LIT("id")), &id))
        check_accepted(&fleet->check, room, (uint32_t)id, epoch, except);
}

static uint64_t number_next(struct span *head)
{
    struct span part;
    uint64_t number = 0;
    if (span_next(head, ' ', &part))
        span_to_u64(part, &number);
    return number;
}

/* `<epoch> <ms>\n` and entries, each `<seq> <prev> <bytes of audience> <bytes of body>\n<audience><body>`, as they were
 * pushed the moment they were accepted. */
static void observed(struct fleet *fleet, struct span channel, struct span message)
{
    struct span head, epoch;
    int room = room_of_channel(channel);
    if (room < 0 || !span_next(&message, '\n', &head) || span_find(SPAN_LIT("+-^"), head.data[0]) >= 0)
        return; /* who came and went; digests */
    span_next(&head, ' ', &epoch);
    while (message.len > 0 && span_next(&message, '\n', &head)) {
        uint64_t seq = number_next(&head);
        number_next(&head);
        uint64_t audience = number_next(&head), body = number_next(&head);
        if (seq != 0)
            accepted(fleet, room, epoch, seq, span_sub(message, 0, audience), span_sub(message, audience, body));
        message = span_from(message, audience + body);
    }
}

static void observer_out(void *arg, const char *bytes, size_t len)
{
    struct fleet *fleet = arg;
    const struct resp *reply;
    resp_feed(fleet->observed, span_of(bytes, len));
    while (resp_next(fleet->observed, &reply) > 0)
        if (reply->type == RESP_ARRAY && reply->item_count == 3 &&
            span_equal(reply->items[0].text, SPAN_LIT("message")))
            observed(fleet, reply->items[1].text, reply->items[2].text);
}

static void observer_start(struct fleet *fleet)
{
    struct buf command = {0};
    fleet->observed = resp_reader_create(1 << 20);
    fleet->observer = fake_redis_connect(fleet->redis, observer_out, fleet);
    for (int room = 0; room < CHECK_ROOMS; room++) {
        char channel[64];
        if (room == 0)
            snprintf(channel, sizeof channel, "sennit:{0}:push:/");
        else
            snprintf(channel, sizeof channel, "sennit:{0}:push:/,room%d", room);
        resp_command_encode(&command, (struct span[]){SPAN_LIT("SUBSCRIBE"), span_str(channel)}, 2);
    }
    fake_redis_feed(fleet->observer, buf_span(&command).data, command.len);
    buf_finish(&command);
}

static void observer_stop(struct fleet *fleet)
{
    fake_redis_disconnect(fleet->observer);
    resp_reader_destroy(fleet->observed);
}

static void redis_streams_cut(struct fleet *fleet)
{
    list_each (node, &fleet->streams) {
        struct redis_stream *stream = container_of(node, struct redis_stream, node);
        struct sim_end *end = stream->end;
        stream_destroy(stream);
        sim_close(end, true);
    }
}

static void redis_up(struct fleet *fleet)
{
    sim_listen(fleet->sim, REDIS_PORT, &redis_peer, redis_accepted, fleet);
    fleet->redis_down = false;
}

static void redis_change(struct timer *timer)
{
    struct fleet *fleet = container_of(timer, struct fleet, redis_change);
    if (fleet->redis_down)
        redis_up(fleet);
    if (fleet->redis_paused)
        sim_listen_pause(fleet->sim, REDIS_PORT, false);
    fleet->redis_paused = false;
}

void redis_kill(struct fleet *fleet, bool failover)
{
    redis_streams_cut(fleet);
    sim_unlisten(fleet->sim, REDIS_PORT);
    observer_stop(fleet);
    redis_clock(fleet);
    fleet_say(fleet, "Redis ends%s", failover ? ": what came since the snapshot is lost" : "");
    if (failover && fleet->snapshot != NULL) {
        fake_redis_restore(fleet->redis, fleet->snapshot);
        check_restored(&fleet->check);
        for (int i = 0; i < fleet->plan->clients; i++)
            stock_client_broker_lost(&fleet->clients[i], fleet->snapshot_us);
    } else {
        fake_redis_restart(fleet->redis, true);
    }
    observer_start(fleet);
    fleet->redis_down = true;
    sim_timer_start(fleet->sim, &fleet->redis_change, LOOP_MS(1 + sim_below(fleet->sim, 2000)));
}

void redis_snapshot(struct fleet *fleet)
{
    fleet_say(fleet, "a snapshot of Redis' data");
    fake_redis_snapshot_destroy(fleet->snapshot);
    redis_clock(fleet);
    fleet->snapshot = fake_redis_snapshot(fleet->redis);
    fleet->snapshot_us = sim_now_us(fleet->sim);
    check_snapshot(&fleet->check);
}

void redis_pause(struct fleet *fleet)
{
    fleet_say(fleet, "Redis pauses");
    fleet->redis_paused = true;
    sim_listen_pause(fleet->sim, REDIS_PORT, true);
    sim_timer_start(fleet->sim, &fleet->redis_change, LOOP_MS(50 + sim_below(fleet->sim, 4000)));
}

void redis_heal(struct fleet *fleet)
{
    fake_redis_fail_next(fleet->redis, "", 0);
    sim_timer_stop(fleet->sim, &fleet->redis_change);
    redis_change(&fleet->redis_change);
}

void redis_clock_jump(struct fleet *fleet, int64_t offset_ms)
{
    fleet_say(fleet, "Redis' clock is off by %lld ms", (long long)offset_ms);
    fleet->clock_jump_ms = offset_ms;
}

static void keys_out(void *arg, const char *bytes, size_t len)
{
    buf_append(arg, span_of(bytes, len));
}

void redis_keys_for_ever(struct fleet *fleet, struct buf *names)
{
    static const char keys[] = "*2\r\n$4\r\nKEYS\r\n$1\r\n*\r\n";
    struct buf bytes = {0};
    const struct resp *reply;
    struct resp_reader *reader = resp_reader_create(1 << 20);
    struct fake_redis_client *client = fake_redis_connect(fleet->redis, keys_out, &bytes);
    fleet->clock_jump_ms += FOR_EVER_S * INT64_C(1000);
    redis_clock(fleet);
    fake_redis_feed(client, keys, sizeof keys - 1);
    resp_feed(reader, buf_span(&bytes));
    if (resp_next(reader, &reply) > 0)
        for (size_t i = 0; i < reply->item_count; i++)
            buf_printf(names, SPAN_FMT "\n", SPAN_ARG(reply->items[i].text));
    resp_reader_destroy(reader);
    fake_redis_disconnect(client);
    buf_finish(&bytes);
}

void redis_start(struct fleet *fleet)
{
    list_init(&fleet->streams);
    fleet->redis = fake_redis_create(sim_random(fleet->sim));
    timer_init(&fleet->redis_change, redis_change);
    redis_clock(fleet);
    observer_start(fleet);
    redis_up(fleet);
}

void redis_finish(struct fleet *fleet)
{
    sim_timer_stop(fleet->sim, &fleet->redis_change);
    redis_streams_cut(fleet);
    observer_stop(fleet);
    fake_redis_snapshot_destroy(fleet->snapshot);
    fake_redis_destroy(fleet->redis);
}
