/* stage: see stage.h. Here: its life and its steps. */
#include "fuzz/stage.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "fuzz/stage_parts.h"
#include "fuzz/stage_session.h"
#include "wire/ws.h"

enum { STEP_US = 3000, REST_S = 60, LARGE_BYTES = 20000 };

/* See stage_fill; behind the byte 7 stands a binary message. */
static const char *const packets[] = {
    "421[\"join\",\"a\"]",
    "422[\"join\",\"n1\"]",
    "421[\"leave\",\"a\"]",
    "42[\"leave\",\"n1\"]",
    "423[\"say\",{\"id\":\"x\"}]",
    "42[\"say\",{\"id\":\"y\"},[\"\2\"]]",
    "424[\"all\",1,[\"a\",\"b\"]]",
    "425[\"talk\",\"a\",{\"id\":7}]",
    "42[\"talk\",[\"a\",\"n1\"],2,\"\2\"]",
    "42[\"tell\",\"n1\",3]",
    "426[\"dm\",\"\2\",\"psst\"]",
    "42[\"dm\",\"\1\",1]",
    "42[\"wave\",1]",
    "427[\"past\",null,{\"limit\":5}]",
    "427[\"past\",\"a\",{\"after\":\"\4\",\"limit\":2}]",
    "427[\"past\",\"n1\",{\"before\":\"\4\"}]",
    "428[\"who\",null,{\"limit\":1}]",
    "428[\"who\",\"a\",{\"cursor\":\"1\"}]",
    "42/x,1[\"say\",2]",
    "42/x,2[\"join\",\"a\"]",
    "42/plain,[\"say\",2]",
    "41",
    "41/x,",
    "41/plain,",
    "\7",
    "\7bytes",
    "451-423[\"say\",{\"_placeholder\":true,\"num\":0}]",
    "452-[\"all\",{\"num\":1,\"_placeholder\":true},[{\"_placeholder\":true,\"num\":0}]]",
    "42[\"say\",{\"_placeholder\":true,\"num\":9}]",
    "bAAEC",
};

static const char *const connects[] = {
    "40",
    "40/x,",
    "40/plain,",
    "40/no,",
    "40{\"about\":{\"n\":1}}",
    "40{\"pid\":\"\3\"}",
    "40{\"pid\":\"\3\",\"offset\":\"\4\"}",
    "40/x,{\"pid\":\"\3\",\"offset\":\"\4\"}",
    "40{\"pid\":\"\6\",\"offset\":\"\4\"}",
    "40/x,{\"pid\":\"\6\"}",
    "40{\"pid\":\"\6\",\"offset\":\"1\5.0\"}",
    "40{\"pid\":\"\6\",\"offset\":\"1\5.zzz\"}",
};

static const char *const commands[] = {
    "DEL K:state",
    "DEL K:log:/",
    "DEL K:room:/",
    "DEL K:lives",
    "DEL K:recent",
    "DEL K:away",
    "DEL K:here:/",
    "DEL K:lease:\6",
    "SET K:state x",
    "SET K:log:/ x",
    "SET K:room:/ x",
    "SET K:lives x",
    "SET K:recent x",
    "SET K:away x",
    "SET K:here:/ x",
    "SET K:lease:\6 x",
    "HSET K:room:/ last",
    "HSET K:state seq",
    "HSET K:state epoch",
    "HSET K:lease:\6 rooms",
    "HSET K:lease:\6 generation",
    "HSET K:lease:\6 sid",
    "HSET K:here:/ \1",
    "PUBLISH K:push:/",
    "PUBLISH K:push:/,a",
    "PUBLISH I",
    "FLUSHALL",
    "SCRIPT FLUSH",
    "PEXPIRE K:log:/ 1",
    "XADD K:log:/ 1-1 p 0 a x b",
};

unsigned stage_byte_next(struct span *rest)
{
    if (rest->len == 0)
        return 0;
    unsigned value = (uint8_t)rest->data[0];
    *rest = span_from(*rest, 1);
    return value;
}

struct span stage_bytes_next(struct span *rest)
{
    size_t len = stage_byte_next(rest);
    struct span bytes = span_sub(*rest, 0, len);
    *rest = span_from(*rest, len);
    return bytes;
}

void stage_pass(struct stage *stage, uint64_t us)
{
    sim_run(stage->sim, sim_now_us(stage->sim) + us, NULL, NULL);
}

void stage_say(struct stage_client *client, struct span text)
{
    struct buf filled = {0};
    stage_fill(&filled, client, text);
    if (span_starts_with(buf_span(&filled), SPAN_LIT("\7")))
        stage_client_binary(client, span_from(buf_span(&filled), 1));
    else
        stage_client_text(client, buf_span(&filled));
    buf_finish(&filled);
}

static void say_often(struct stage_client *client, const char *text, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        stage_say(client, span_str(text));
}

static void say_large(struct stage_client *client, unsigned count)
{
    struct buf *large = &client->stage->large;
    if (large->len == 0) {
        buf_append(large, SPAN_LIT("42[\"say\",\""));
        memset(buf_reserve(large, LARGE_BYTES), 'x', LARGE_BYTES);
        buf_added(large, LARGE_BYTES);
        buf_append(large, SPAN_LIT("\"]"));
    }
    for (unsigned i = 0; i < count; i++)
        stage_client_text(client, buf_span(large));
}

const char *stage_packet(unsigned number)
{
    size_t count = sizeof packets / sizeof packets[0];
    number %= count + sizeof connects / sizeof connects[0];
    return number < count ? packets[number] : connects[number - count];
}

#define PICK(list, number) ((list)[(number) % (sizeof(list) / sizeof(list)[0])])

static void command(struct stage *stage, struct stage_client *client, struct span *rest)
{
    unsigned which = stage_byte_next(rest);
    struct buf words = {0}, last = {0};
    struct span bytes = stage_bytes_next(rest);
    if (stage->redis == NULL)
        return;
    stage_fill(&words, client, span_str(PICK(commands, which)));
    stage_fill(&last, client, bytes);
    stage_redis_command(stage, buf_span(&words), buf_span(&last));
    buf_finish(&words);
    buf_finish(&last);
}

static void reconnect(struct stage_client *client, bool reset)
{
    stage_client_close(client, reset);
    stage_client_open(client);
}

static void step(struct stage *stage, struct span *rest)
{
    unsigned byte = stage_byte_next(rest);
    struct stage_client *client = &stage->clients[byte % STAGE_CLIENTS];
    switch (byte / STAGE_CLIENTS % 14) {
    case 0:
    case 1:
        stage_say(client, stage_bytes_next(rest));
        break;
    case 2:
    case 3:
        stage_say(client, span_str(PICK(packets, stage_byte_next(rest))));
        break;
    case 4:
        stage_say(client, span_str(PICK(connects, stage_byte_next(rest))));
        break;
    case 5:
        stage_client_send(client, stage_bytes_next(rest));
        break;
    case 6:
        reconnect(client, byte >= 128);
        break;
    case 7:
        stage_pass(stage, LOOP_MS(50) * stage_byte_next(rest));
        break;
    case 8:
        stage_client_hold(client, !client->held);
        break;
    case 9:
        say_large(client, stage_byte_next(rest) % 64 + 1);
        break;
    case 10:
        byte = stage_byte_next(rest);
        say_often(client, PICK(packets, byte), stage_byte_next(rest));
        break;
    case 11:
        command(stage, client, rest);
        break;
    case 12:
        if (stage->redis != NULL && byte < 128)
            sim_listen_pause(stage->sim, STAGE_REDIS_PORT, stage_byte_next(rest) % 2 == 0);
        else if (stage->redis != NULL)
            stage_redis_cut(stage);
        break;
    default: /* several without time between them */
        for (unsigned count = stage_byte_next(rest) % 8; count > 0; count--)
            stage_say(client, span_str(PICK(packets, stage_byte_next(rest))));
    }
    stage_pass(stage, STEP_US);
}

void stage_play(struct stage *stage, struct span input)
{
    for (int i = 0; i < STAGE_STEPS_MAX && input.len > 0; i++) {
        step(stage, &input);
        stage_check(stage);
    }
}

static void silence(struct span line)
{
}

/* A file that has no name. */
static int config_file(struct span text)
{
    int fd = memfd_create("config", 0);
    assert(fd >= 0);
    ssize_t written = write(fd, text.data, text.len);
    assert(written == (ssize_t)text.len);
    return fd;
}

struct stage *stage_create(struct span config, bool redis, struct err *err)
{
    static const char *const unset[] = {"PORT", "REDIS_URL", "K_SERVICE", "K_REVISION", "SENNIT_BROKER"};
    char path[64];
    log_init(LOG_JSON, LOG_DEBUG, NULL, silence);
    for (size_t i = 0; i < sizeof unset / sizeof unset[0]; i++)
        unsetenv(unset[i]);
    setenv("SENNIT_INSTANCE", "stage", 1);
    size_t memory_before = stage_memory();
    struct stage *stage = mem_zero(1, sizeof *stage);
    struct sim_delays delays = {.min_us = 50, .max_us = 200};
    stage->memory_before = memory_before;
    stage->sim = sim_create(1);
    sim_delays_set(stage->sim, &delays);
    if (redis)
        stage_redis_start(stage);
    stage->loop = sim_host_create(stage->sim);
    stage->config_fd = config_file(config);
    snprintf(path, sizeof path, "/proc/self/fd/%d", stage->config_fd);
    struct serve_options options = {
        .config_path = path,
        .port = "8000",
        .broker = {.broker = redis ? "redis" : "memory", .redis_url = redis ? "redis://127.0.0.1:6379" : NULL},
    };
    bool ok = server_open(&stage->server, stage->loop, &options, err);
    for (int i = 0; i < STAGE_CLIENTS; i++)
        stage->clients[i].stage = stage;
    if (!ok) {
        stage_destroy(stage);
        return NULL;
    }
    stage_pass(stage, LOOP_MS(3500)); /* also a broker of no use has been waited for by then */
    for (int i = 0; i < STAGE_CLIENTS; i++)
        stage_client_open(&stage->clients[i]);
    stage_pass(stage, STEP_US);
    for (int i = 0; i < STAGE_CLIENTS - 1; i++)
        stage_say(&stage->clients[i], SPAN_LIT("40"));
    stage_pass(stage, STEP_US * 3);
    return stage;
}

/* Everything that was broken works again, so nothing may stay under way. */
static void rest(struct stage *stage)
{
    for (int i = 0; i < STAGE_CLIENTS; i++)
        stage_client_hold(&stage->clients[i], false);
    if (stage->redis != NULL)
        sim_listen_pause(stage->sim, STAGE_REDIS_PORT, false);
    stage->resting = true;
    stage->asked_bytes = 0;
    stage_pass(stage, LOOP_S(REST_S));
    stage_check(stage);
    stage_check_quiet(stage);
    stage_session_check_quiet(stage);
}

void stage_destroy(struct stage *stage)
{
    if (stage->server.hub != NULL && stage->clients[0].stage != NULL)
        rest(stage);
    for (int i = 0; i < STAGE_CLIENTS; i++)
        stage_client_close(&stage->clients[i], true);
    sim_host_sever(stage->loop);
    server_close(&stage->server);
    sim_host_destroy(stage->loop);
    if (stage->redis != NULL)
        stage_redis_finish(stage);
    sim_drop_loose_ends(stage->sim);
    sim_destroy(stage->sim);
    close(stage->config_fd);
    buf_finish(&stage->large);
    free(stage);
}

void stage_config(struct buf *to, const uint8_t bits[STAGE_CONFIG_BYTES])
{
    static const char *const replays[] = {"none", "all", "2", "1000"};
    static const char *const patterns[] = {"", "    rooms: {\"n*\": {replay: all}, \"*\": {presence: true}}\n",
                                           "    rooms: {\"a\": {log: {entries: 1}, replay: 1, presence: true}}\n",
                                           "    rooms: {\"*1\": {replay: 3, presence: false}}\n"};
    bool logged = (bits[0] & 1) == 0, presence = (bits[0] & 2) != 0;
    const char *log = logged ? "log: true" : "log: false";
    buf_printf(to, "ping_interval: 2s\nping_timeout: 2s\nconnect_timeout: 3s\nmax_payload: %s\nnamespaces:\n",
               bits[0] & 4 ? "64KiB" : "1MiB");
    for (int i = 0; i < 2; i++) {
        buf_printf(to, "  %s:\n    log: {entries: %d, bytes: %s, age: %s}\n    announce: %s\n    presence: %s\n",
                   i == 0 ? "/" : "/x", bits[0] & 8 ? 5 : 10000, bits[0] & 16 ? "2KiB" : "1MiB",
                   bits[0] & 32 ? "2s" : "1h", bits[0] & 64 ? "true" : "false",
                   !presence       ? "false"
                   : bits[0] & 128 ? "{data: about}"
                                   : "true");
        buf_printf(to, "    replay: %s\n%s    events:\n", logged ? replays[bits[1] & 3] : "none",
                   logged && presence ? patterns[bits[1] >> 2 & 3] : "");
        buf_printf(to, "      say: {to: others, %s%s, except: 1}\n", log, logged && bits[1] & 16 ? ", id: 0.id" : "");
        buf_printf(to, "      all: {to: everyone, %s, except: 1}\n      wave: {to: others}\n", log);
        buf_printf(to, "      talk: {to: room, room: 0, %s, except: 2}\n", log);
        buf_printf(
            to, "      tell: {to: room-others, room: 0, except: 2}\n      join: {join: 0}\n      leave: {leave: 0}\n");
        if (bits[1] & 32)
            buf_printf(to, "      dm: {to: socket, socket: 0, %s}\n", log);
        if (logged)
            buf_printf(to, "      past: {history: 0}\n");
        if (presence)
            buf_printf(to, "      who: {who: 0}\n");
    }
    buf_printf(to, "  /plain:\n    events: {say: {to: others}, join: {join: 0}}\n");
}

static void run(const uint8_t *data, size_t len, bool redis, void (*play)(struct stage *stage, struct span input))
{
    struct buf config = {0};
    struct err err = {{0}};
    if (len < STAGE_CONFIG_BYTES)
        return;
    stage_config(&config, data);
    struct stage *stage = stage_create(buf_span(&config), redis, &err);
    assert(stage != NULL);
    play(stage, span_of(data + STAGE_CONFIG_BYTES, len - STAGE_CONFIG_BYTES));
    stage_destroy(stage);
    buf_finish(&config);
}

void stage_run(const uint8_t *data, size_t len, bool redis)
{
    run(data, len, redis, stage_play);
}

void stage_run_sessions(const uint8_t *data, size_t len)
{
    if (len > 0)
        run(data + 1, len - 1, data[0] % 2 == 1, stage_session_play);
}
