/* fake_redis: see fake_redis.h. Here: its life, its clients, and the way of a request from bytes to a command. */
#include "fake_redis.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>

#include "base/mem.h"
#include "fake_redis_parts.h"

enum {
    ARGS_MAX = 1024 * 1024,
    BULK_BYTES_MAX = 512 * 1024 * 1024,
    NAME_BYTES_MAX = 32, /* longer names are no command's */
    LINE_BYTES_MAX = 64, /* of "*N" and "$N" */
    QUOTED_BYTES_MAX = 128,
};

struct fake_redis_snapshot {
    struct map dbs[FAKE_DATABASES];
};

struct fake_command_slot {
    struct map_node by_name;
    const struct fake_command *command;
};

static const struct fake_command *const tables[] = {
    fake_server_commands, fake_pubsub_commands, fake_script_commands, fake_key_commands,    fake_string_commands,
    fake_hash_commands,   fake_set_commands,    fake_zset_commands,   fake_stream_commands,
};
enum { TABLES = sizeof tables / sizeof tables[0] };

/* xorshift128+ (Vigna). */
uint64_t fake_random(struct fake_redis *redis)
{
    uint64_t a = redis->random[0], b = redis->random[1];
    redis->random[0] = b;
    a ^= a << 23;
    redis->random[1] = a ^ b ^ (a >> 18) ^ (b >> 5);
    return redis->random[1] + b;
}

static void run_id_new(struct fake_redis *redis)
{
    for (int i = 0; i < FAKE_RUN_ID_BYTES; i++)
        redis->run_id[i] = "0123456789abcdef"[fake_random(redis) % 16];
}

static void commands_init(struct fake_redis *redis)
{
    size_t count = 0, at = 0;
    for (size_t i = 0; i < TABLES; i++)
        for (const struct fake_command *command = tables[i]; command->name != NULL; command++)
            count++;
    fake_map_init(&redis->commands);
    redis->command_slots = mem_zero(count, sizeof *redis->command_slots);
    for (size_t i = 0; i < TABLES; i++)
        for (const struct fake_command *command = tables[i]; command->name != NULL; command++) {
            struct fake_command_slot *slot = &redis->command_slots[at++];
            slot->command = command;
            map_add(&redis->commands, &slot->by_name, span_str(command->name));
        }
}

static void nothing_ran(void *arg, uint64_t client, const struct span *args, size_t count, struct span reply)
{
}

static void nothing_published(void *arg, struct span channel, struct span message)
{
}

static bool nothing_kept_back(void *arg, uint64_t client, void *out_arg, struct span channel, struct span message)
{
    return true;
}

static void nothing_expired(void *arg, struct span key)
{
}

static void nobody_left(void *arg, uint64_t client)
{
}

static const struct fake_redis_watcher nobody = {nothing_ran, nothing_published, nothing_kept_back, nothing_expired,
                                                 nobody_left};

void fake_redis_watch(struct fake_redis *redis, const struct fake_redis_watcher *watcher, void *arg)
{
    redis->watcher = watcher != NULL ? watcher : &nobody;
    redis->watcher_arg = arg;
}

struct fake_redis *fake_redis_create(uint64_t seed)
{
    struct fake_redis *redis = mem_zero(1, sizeof *redis);
    redis->random[0] = seed * 0x9e3779b97f4a7c15u + 1;
    redis->random[1] = seed ^ 0x2545f4914f6cdd1du;
    for (int i = 0; i < 8; i++)
        fake_random(redis);
    fake_dbs_init(redis->dbs);
    fake_map_init(&redis->channels);
    commands_init(redis);
    fake_redis_watch(redis, NULL, NULL);
    list_init(&redis->clients);
    list_init(&redis->flush);
    redis->scripts = fake_scripts_create();
    redis->config.stream_node_max_bytes = 4096;
    redis->config.stream_node_max_entries = 100;
    memcpy(redis->config.maxmemory_policy, "noeviction", sizeof "noeviction");
    run_id_new(redis);
    return redis;
}

void fake_redis_destroy(struct fake_redis *redis)
{
    if (redis == NULL)
        return;
    assert(list_empty(&redis->clients) && redis->channels.count == 0);
    fake_dbs_clear(redis->dbs);
    fake_scripts_destroy(redis->scripts);
    map_finish(&redis->channels);
    map_finish(&redis->commands);
    free(redis->command_slots);
    buf_finish(&redis->fail);
    free(redis);
}

void fake_redis_time(struct fake_redis *redis, int64_t wall_us)
{
    redis->now_us = wall_us;
}

struct fake_redis_client *fake_redis_connect(struct fake_redis *redis, fake_redis_out_fn *out, void *arg)
{
    struct fake_redis_client *client = mem_zero(1, sizeof *client);
    client->redis = redis;
    client->out = out;
    client->arg = arg;
    client->id = ++redis->client_ids;
    list_init(&client->of_redis);
    list_append(&redis->clients, &client->of_redis);
    list_init(&client->flush);
    list_init(&client->subscriptions);
    return client;
}

static void client_drop(struct fake_redis_client *client)
{
    fake_subscriptions_drop(client);
    list_remove(&client->of_redis);
    list_remove(&client->flush);
    if (client->redis != NULL)
        client->redis->watcher->left(client->redis->watcher_arg, client->id);
    client->redis = NULL;
}

void fake_redis_disconnect(struct fake_redis_client *client)
{
    if (client == NULL)
        return;
    client_drop(client);
    buf_finish(&client->in);
    buf_finish(&client->replies);
    free(client);
}

void fake_redis_restart(struct fake_redis *redis, bool keep_data)
{
    list_each (node, &redis->clients) {
        client_drop(container_of(node, struct fake_redis_client, of_redis));
    }
    fake_scripts_clear(redis->scripts);
    if (!keep_data)
        fake_dbs_clear(redis->dbs);
    run_id_new(redis);
}

struct fake_redis_snapshot *fake_redis_snapshot(const struct fake_redis *redis)
{
    struct fake_redis_snapshot *snapshot = mem_zero(1, sizeof *snapshot);
    fake_dbs_init(snapshot->dbs);
    fake_dbs_copy(snapshot->dbs, redis->dbs);
    return snapshot;
}

void fake_redis_restore(struct fake_redis *redis, const struct fake_redis_snapshot *snapshot)
{
    fake_redis_restart(redis, false);
    fake_dbs_copy(redis->dbs, snapshot->dbs);
}

void fake_redis_snapshot_destroy(struct fake_redis_snapshot *snapshot)
{
    if (snapshot == NULL)
        return;
    fake_dbs_clear(snapshot->dbs);
    free(snapshot);
}

void fake_redis_scripts_forget(struct fake_redis *redis)
{
    fake_scripts_clear(redis->scripts);
}

void fake_redis_fail_next(struct fake_redis *redis, const char *error, int count)
{
    buf_clear(&redis->fail);
    buf_append(&redis->fail, span_str(error));
    redis->fail_left = error[0] != '\0' ? count : 0;
}

struct span fake_failure_take(struct fake_redis *redis, const struct fake_command *command)
{
    struct span error = buf_span(&redis->fail);
    bool hits;
    if (redis->fail_left <= 0)
        return (struct span){NULL, 0};
    if (span_starts_with(error, SPAN_LIT("OOM")))
        hits = command->flags & FAKE_MEMORY;
    else if (span_starts_with(error, SPAN_LIT("READONLY")))
        hits = command->flags & FAKE_WRITE;
    else if (span_starts_with(error, SPAN_LIT("NOSCRIPT")))
        hits = strcmp(command->name, "evalsha") == 0;
    else
        hits = !(command->flags & FAKE_LOADING);
    if (!hits)
        return (struct span){NULL, 0};
    redis->fail_left--;
    return error;
}

const struct fake_command *fake_command_find(const struct fake_redis *redis, struct span name)
{
    char lower[NAME_BYTES_MAX];
    if (name.len > sizeof lower)
        return NULL;
    for (size_t i = 0; i < name.len; i++)
        lower[i] = (char)tolower((unsigned char)name.data[i]);
    struct map_node *node = map_find(&redis->commands, span_of(lower, name.len));
    return node != NULL ? container_of(node, struct fake_command_slot, by_name)->command : NULL;
}

bool fake_arity_fits(const struct fake_command *command, size_t count)
{
    return command->arity > 0 ? count == (size_t)command->arity : count >= (size_t)-command->arity;
}

static void reply_unknown(struct fake_call *call)
{
    struct buf args = {0};
    for (size_t i = 1; i < call->count && args.len < QUOTED_BYTES_MAX; i++)
        buf_printf(&args, "'" SPAN_FMT "' ", SPAN_ARG(span_sub(call->args[i], 0, QUOTED_BYTES_MAX - args.len)));
    fake_reply_error(call, "ERR unknown command '" SPAN_FMT "', with args beginning with: " SPAN_FMT,
                     SPAN_ARG(span_sub(call->args[0], 0, QUOTED_BYTES_MAX)), SPAN_ARG(buf_span(&args)));
    buf_finish(&args);
}

/* Everything that keeps a command from running; true when something was replied. */
static bool refused(struct fake_call *call, const struct fake_command *command)
{
    const struct fake_redis_client *client = call->client;
    struct span failure;
    if (command == NULL) {
        reply_unknown(call);
    } else if (!fake_arity_fits(command, call->count)) {
        fake_reply_arity_error(call);
    } else if (call->redis->config.requirepass[0] != '\0' && !client->authenticated &&
               !(command->flags & FAKE_NOAUTH)) {
        fake_reply_error(call, "NOAUTH Authentication required.");
    } else if ((failure = fake_failure_take(call->redis, command)).data != NULL) {
        fake_reply_error(call, SPAN_FMT, SPAN_ARG(failure));
    } else if (client->subscription_count > 0 && !(command->flags & FAKE_SUBSCRIBER)) {
        fake_reply_error(call,
                         "ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are "
                         "allowed in this context",
                         command->name);
    } else {
        return false;
    }
    return true;
}

static void request_run(struct fake_redis_client *client, const struct span *args, size_t count)
{
    struct fake_call call = {client->redis, client, args, count, &client->replies};
    const struct fake_command *command = fake_command_find(client->redis, args[0]);
    size_t before = client->replies.len;
    fake_client_touch(client);
    if (!refused(&call, command))
        command->run(&call);
    call.redis->watcher->ran(call.redis->watcher_arg, client->id, args, count,
                             span_from(buf_span(&client->replies), before));
}

void fake_client_touch(struct fake_redis_client *client)
{
    if (list_empty(&client->flush))
        list_append(&client->redis->flush, &client->flush);
}

static void flush(struct fake_redis *redis)
{
    struct list *node;
    while ((node = list_take(&redis->flush)) != NULL) {
        struct fake_redis_client *client = container_of(node, struct fake_redis_client, flush);
        struct span replies = buf_span(&client->replies);
        if (replies.len > 0)
            client->out(client->arg, replies.data, replies.len);
        buf_clear(&client->replies);
    }
}

/* Takes a line `<mark><number>\r\n` off `rest`: 1, 0 when more bytes are needed, -1 when it is none. */
static int number_take(struct span *rest, int64_t *number)
{
    ptrdiff_t end = span_find(*rest, '\n');
    if (end < 0)
        return rest->len > LINE_BYTES_MAX ? -1 : 0;
    if (end < 2 || rest->data[end - 1] != '\r' || !fake_span_i64(span_sub(*rest, 1, (size_t)end - 2), number))
        return -1;
    *rest = span_from(*rest, (size_t)end + 1);
    return 1;
}

struct request {
    struct span *args;
    size_t count, cap;
};

static void request_add(struct request *request, struct span arg)
{
    if (request->count == request->cap) {
        request->cap = request->cap != 0 ? request->cap * 2 : 16;
        request->args = mem_resize(request->args, request->cap * sizeof *request->args);
    }
    request->args[request->count++] = arg;
}

/* The bytes of one request at the front of `in`; 0: not whole yet; -1: none, with `wrong` saying why. */
static ptrdiff_t request_decode(struct span in, struct request *request, const char **wrong)
{
    struct span rest = in;
    int64_t count, len;
    int got;
    request->count = 0;
    if (in.len > 0 && in.data[0] != '*') {
        *wrong = "ERR unknown command, or an inline one, which this server does not take";
        return -1;
    }
    got = number_take(&rest, &count);
    *wrong = "ERR Protocol error: invalid multibulk length";
    if (got <= 0 || count > ARGS_MAX)
        return got < 0 || got > 0 ? -1 : 0;
    for (int64_t i = 0; i < count; i++) {
        *wrong = "ERR Protocol error: expected '$'";
        if (rest.len > 0 && rest.data[0] != '$')
            return -1;
        *wrong = "ERR Protocol error: invalid bulk length";
        got = number_take(&rest, &len);
        if (got <= 0 || len < 0 || len > BULK_BYTES_MAX)
            return got == 0 ? 0 : -1;
        if (rest.len < (size_t)len + 2)
            return 0;
        request_add(request, span_sub(rest, 0, (size_t)len));
        rest = span_from(rest, (size_t)len + 2);
    }
    return (ptrdiff_t)(in.len - rest.len);
}

bool fake_redis_feed(struct fake_redis_client *client, const char *bytes, size_t len)
{
    struct fake_redis *redis = client->redis;
    struct request request = {0};
    const char *wrong;
    ptrdiff_t used = 0;
    if (redis == NULL)
        return false;
    buf_append(&client->in, span_of(bytes, len));
    while (client->in.len > 0 && (used = request_decode(buf_span(&client->in), &request, &wrong)) > 0) {
        if (request.count > 0)
            request_run(client, request.args, request.count);
        buf_consume(&client->in, (size_t)used);
    }
    if (used < 0) {
        struct fake_call call = {.redis = redis, .client = client, .reply = &client->replies};
        fake_reply_error(&call, "%s", wrong);
        fake_client_touch(client);
    }
    free(request.args);
    flush(redis);
    return used >= 0;
}
