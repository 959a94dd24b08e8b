/* publish_raw: Redis alone, for comparison: commands in a pipeline, one or two for each message.
 *
 *     entry      our script, a call for each message
 *     script     a script as others with history and positions have it, a call for each message
 *     short      the shortest script that keeps and publishes, a call for each message
 *     commands   XADD and PUBLISH
 *     plain      PUBLISH alone: no history
 *
 * Keys and channels are as long as ours. */
#include <string.h>

#include "base/mem.h"
#include "broker/redis_link.h"
#include "broker_scripts.h"
#include "flags.h"
#include "publish.h"

/* An epoch and a counter for each room, and both keys expire when nobody publishes. */
static const char script_history[] = "local epoch = redis.call('HGET', KEYS[2], 'epoch')\n"
                                     "if not epoch then\n"
                                     "    epoch = ARGV[6]\n"
                                     "    redis.call('HSET', KEYS[2], 'epoch', epoch)\n"
                                     "end\n"
                                     "local offset = redis.call('HINCRBY', KEYS[2], 'offset', 1)\n"
                                     "redis.call('EXPIRE', KEYS[2], ARGV[5])\n"
                                     "redis.call('XADD', KEYS[1], 'MAXLEN', ARGV[2], offset, 'd', ARGV[1])\n"
                                     "redis.call('EXPIRE', KEYS[1], ARGV[4])\n"
                                     "redis.call('PUBLISH', ARGV[3], offset .. ':' .. epoch .. ':' .. ARGV[1])\n"
                                     "return {offset, epoch}\n";

static const char script_short[] = "local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', 'd', ARGV[1])\n"
                                   "redis.call('PUBLISH', ARGV[3], id .. ':' .. ARGV[1])\n"
                                   "return id\n";

enum { ARGS_MAX = 32, SHA_BYTES = 40 };

struct raw {
    struct publish *publish;
    struct redis_link commands, feed;
    int opened;
    char sha[SHA_BYTES];
    uint64_t calls;
    uint32_t answers_each; /* commands a message */
    uint64_t answers;
    struct buf names, numbers, command;
};

/* A command in the making: arguments are spans into `names` and `numbers`, whose memory stays where it is. */
struct command {
    struct span args[ARGS_MAX];
    size_t count;
};

static void add(struct command *command, struct span arg)
{
    command->args[command->count++] = arg;
}

/* "bench:{0}:KIND:/,bench-17" */
static void add_name(struct raw *raw, struct command *command, const char *kind, uint32_t room)
{
    size_t from = raw->names.len;
    buf_printf(&raw->names, "bench:{0}:%s:/,bench-%u", kind, room);
    add(command, span_from(buf_span(&raw->names), from));
}

static void add_number(struct raw *raw, struct command *command, uint64_t number)
{
    size_t from = raw->numbers.len;
    buf_append_u64(&raw->numbers, number);
    add(command, span_from(buf_span(&raw->numbers), from));
}

static struct command begin(struct raw *raw)
{
    buf_clear(&raw->names);
    buf_clear(&raw->numbers);
    buf_reserve(&raw->names, 512);
    buf_reserve(&raw->numbers, 512);
    return (struct command){.count = 0};
}

static void answered(void *arg, const struct resp *reply)
{
    struct raw *raw = arg;
    if (reply == NULL || reply->type == RESP_ERROR)
        bench_fail("Redis: " SPAN_FMT, SPAN_ARG(reply != NULL ? reply->text : SPAN_LIT("the link broke")));
    if (reply->type == RESP_ARRAY && reply->items[0].integer < 1)
        bench_fail("the script did not take a call");
    if (++raw->answers % raw->answers_each == 0)
        publish_done(raw->publish);
}

static void send_command(struct raw *raw, const struct command *command)
{
    redis_link_send(&raw->commands, command->args, command->count, answered, raw);
}

static void send_plain(struct publish *publish, uint32_t room)
{
    struct raw *raw = publish->raw;
    struct command command = begin(raw);
    add(&command, SPAN_LIT("PUBLISH"));
    add_name(raw, &command, "push", room);
    add(&command, publish->body);
    send_command(raw, &command);
}

static void send_commands(struct publish *publish, uint32_t room)
{
    struct raw *raw = publish->raw;
    struct command command = begin(raw);
    add(&command, SPAN_LIT("XADD"));
    add_name(raw, &command, "log", room);
    add(&command, SPAN_LIT("MAXLEN"));
    add(&command, SPAN_LIT("~"));
    add_number(raw, &command, publish->keep);
    add(&command, SPAN_LIT("*"));
    add(&command, SPAN_LIT("d"));
    add(&command, publish->body);
    send_command(raw, &command);
    send_plain(publish, room);
}

static void send_script(struct publish *publish, uint32_t room)
{
    struct raw *raw = publish->raw;
    struct command command = begin(raw);
    add(&command, SPAN_LIT("EVALSHA"));
    add(&command, span_of(raw->sha, SHA_BYTES));
    add_number(raw, &command, 2);
    add_name(raw, &command, "log", room);
    add_name(raw, &command, "room", room);
    add(&command, publish->body);
    add_number(raw, &command, publish->keep);
    add_name(raw, &command, "push", room);
    add_number(raw, &command, PUBLISH_AGE_MS / 1000);
    add_number(raw, &command, 90000);
    add(&command, SPAN_LIT("epoch"));
    send_command(raw, &command);
}

/* As scripts/publish.lua takes one entry of one room. */
static void send_entry(struct publish *publish, uint32_t room)
{
    struct raw *raw = publish->raw;
    struct command command = begin(raw);
    add(&command, SPAN_LIT("EVALSHA"));
    add(&command, span_of(raw->sha, SHA_BYTES));
    add_number(raw, &command, 8);
    add(&command, SPAN_LIT("bench:{0}:state"));
    add(&command, SPAN_LIT("bench:{0}:publisher:bench:0123456789abcdef"));
    add(&command, SPAN_LIT("bench:{0}:recent"));
    add(&command, SPAN_LIT("bench:{0}:rooms"));
    add(&command, SPAN_LIT("bench:{0}:sizes"));
    add_name(raw, &command, "log", room);
    add_name(raw, &command, "room", room);
    add_name(raw, &command, "names", room);
    add(&command, SPAN_LIT("epoch"));
    add_number(raw, &command, ++raw->calls);
    add_number(raw, &command, 0);                 /* rebase */
    add_number(raw, &command, 1);                 /* rooms of this call */
    add_number(raw, &command, 1 << 20);           /* rooms that there may be */
    add_number(raw, &command, (uint64_t)1 << 40); /* bytes of all logs */
    add_number(raw, &command, 0);                 /* memory is there */
    add_name(raw, &command, "push", room);
    add_number(raw, &command, publish->keep);
    add_number(raw, &command, 1 << 30);
    add_number(raw, &command, PUBLISH_AGE_MS);
    add_number(raw, &command, 90900000);
    add_number(raw, &command, 1); /* of the first room */
    add(&command, SPAN_LIT(""));
    add(&command, SPAN_LIT(""));
    add(&command, publish->body);
    send_command(raw, &command);
}

static void loaded(void *arg, const struct resp *reply)
{
    struct raw *raw = arg;
    if (reply == NULL || reply->type != RESP_STRING || reply->text.len != SHA_BYTES)
        bench_fail("Redis does not take a script");
    memcpy(raw->sha, reply->text.data, SHA_BYTES);
    publish_ready(raw->publish);
}

/* An answer that is not needed. */
static void ignored(void *arg, const struct resp *reply)
{
}

static const char *script_of(const char *way)
{
    if (strcmp(way, "entry") == 0)
        return script_publish;
    return strcmp(way, "short") == 0 ? script_short : script_history;
}

static void prepare(struct raw *raw)
{
    raw->answers_each = strcmp(raw->publish->way->name, "commands") == 0 ? 2 : 1;
    redis_link_send(&raw->commands,
                    (struct span[]){SPAN_LIT("HSET"), SPAN_LIT("bench:{0}:state"), SPAN_LIT("epoch"), SPAN_LIT("epoch"),
                                    SPAN_LIT("seq"), SPAN_LIT("0")},
                    6, ignored, raw);
    redis_link_send(&raw->commands,
                    (struct span[]){SPAN_LIT("SCRIPT"), SPAN_LIT("LOAD"), span_str(script_of(raw->publish->way->name))},
                    3, loaded, raw);
}

static void subscribe(struct raw *raw)
{
    for (uint32_t room = 0; room < raw->publish->rooms; room++) {
        struct command command = begin(raw);
        add(&command, SPAN_LIT("SUBSCRIBE"));
        add_name(raw, &command, "push", room);
        redis_link_send(&raw->feed, command.args, command.count, NULL, NULL);
    }
}

static struct raw *raw_of(struct redis_link *link)
{
    return link->subscriber ? container_of(link, struct raw, feed) : container_of(link, struct raw, commands);
}

static void link_opened(struct redis_link *link)
{
    struct raw *raw = raw_of(link);
    if (++raw->opened < 2)
        return;
    if (raw->publish->subscribed != 0)
        subscribe(raw);
    else
        prepare(raw);
}

static void link_pushed(struct redis_link *link, const struct resp *reply)
{
    struct raw *raw = raw_of(link);
    bool confirmed = reply->type == RESP_ARRAY && span_equal(reply->items[0].text, SPAN_LIT("subscribe"));
    if (confirmed && ++raw->publish->ready == raw->publish->rooms)
        prepare(raw);
}

static void link_closed(struct redis_link *link)
{
    bench_fail("the link to Redis broke: %s", close_reason_name((enum close_reason)link->conn.reason));
}

static const struct redis_link_events link_events = {link_opened, link_pushed, link_closed};

static void start(struct publish *publish)
{
    struct raw *raw = mem_zero(1, sizeof *raw);
    struct addr addr;
    publish->raw = raw;
    raw->publish = publish;
    raw->feed.subscriber = true;
    addr_loopback(&addr, (uint16_t)publish->port);
    redis_link_init(&raw->commands, &publish->net, &link_events);
    redis_link_init(&raw->feed, &publish->net, &link_events);
    redis_link_open(&raw->commands, &addr, NULL);
    redis_link_open(&raw->feed, &addr, NULL);
}

static const struct publish_way ways[] = {
    {"entry", start, send_entry},       {"script", start, send_script}, {"short", start, send_script},
    {"commands", start, send_commands}, {"plain", start, send_plain},
};

const struct publish_way *publish_way_raw(const char *name)
{
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++)
        if (strcmp(name, ways[i].name) == 0)
            return &ways[i];
    return NULL;
}
