/* fake_redis_server: commands about the server and the connection. */
#include <stdio.h>

#include "fake_redis_parts.h"

enum { VALUE_BYTES = 64, ESTIMATE_BYTES = 64 };

static void ping(struct fake_call *call)
{
    struct span text = call->count > 1 ? call->args[1] : SPAN_LIT("");
    if (call->count > 2) {
        fake_reply_arity_error(call);
    } else if (call->client->subscription_count > 0) {
        fake_reply_array(call, 2);
        fake_reply_bulk(call, SPAN_LIT("pong"));
        fake_reply_bulk(call, text);
    } else if (call->count > 1) {
        fake_reply_bulk(call, text);
    } else {
        fake_reply_status(call, "PONG");
    }
}

static void auth(struct fake_call *call)
{
    struct span password = call->args[call->count - 1], wanted = span_str(call->redis->config.requirepass);
    if (call->count > 3) {
        fake_reply_syntax_error(call);
    } else if (wanted.len == 0 && call->count == 2) {
        fake_reply_error(call,
                         "ERR AUTH <password> called without any password configured for the default user. Are you "
                         "sure your configuration is correct?");
    } else if ((call->count == 3 && !span_equal(call->args[1], SPAN_LIT("default"))) ||
               (wanted.len > 0 && !span_equal(password, wanted))) {
        fake_reply_error(call, "WRONGPASS invalid username-password pair or user is disabled.");
    } else {
        call->client->authenticated = true;
        fake_reply_status(call, "OK");
    }
}

static void select_db(struct fake_call *call)
{
    int64_t db;
    if (!fake_arg_i64(call, 1, &db))
        return;
    if (db < 0 || db >= FAKE_DATABASES) {
        fake_reply_error(call, "ERR DB index is out of range");
        return;
    }
    call->client->db = (unsigned)db;
    fake_reply_status(call, "OK");
}

static bool section_asked(const struct fake_call *call, const char *name)
{
    for (size_t i = 1; i < call->count; i++)
        if (fake_arg_is(call, i, name) || fake_arg_is(call, i, "all") || fake_arg_is(call, i, "everything") ||
            fake_arg_is(call, i, "default"))
            return true;
    return call->count == 1;
}

static void info(struct fake_call *call)
{
    const struct fake_redis *redis = call->redis;
    struct buf text = {0};
    if (section_asked(call, "server"))
        buf_printf(&text, "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nrun_id:%s\r\n", redis->run_id);
    if (section_asked(call, "memory"))
        buf_printf(&text, "%s# Memory\r\nused_memory:1048576\r\nmaxmemory:%lld\r\nmaxmemory_policy:%s\r\n",
                   text.len > 0 ? "\r\n" : "", (long long)redis->config.maxmemory, redis->config.maxmemory_policy);
    if (section_asked(call, "replication"))
        buf_printf(&text, "%s# Replication\r\nrole:master\r\nconnected_slaves:0\r\n", text.len > 0 ? "\r\n" : "");
    fake_reply_bulk(call, buf_span(&text));
    buf_finish(&text);
}

/* Its settings: a number or a text each. */
struct setting {
    const char *name;
    int64_t *number;
    char *text;
    size_t text_bytes;
};
enum { SETTINGS = 5 };

static void settings_of(struct fake_redis *redis, struct setting settings[SETTINGS])
{
    settings[0] = (struct setting){"maxmemory", &redis->config.maxmemory, NULL, 0};
    settings[1] = (struct setting){"stream-node-max-bytes", &redis->config.stream_node_max_bytes, NULL, 0};
    settings[2] = (struct setting){"stream-node-max-entries", &redis->config.stream_node_max_entries, NULL, 0};
    settings[3] = (struct setting){"maxmemory-policy", NULL, redis->config.maxmemory_policy,
                                   sizeof redis->config.maxmemory_policy};
    settings[4] = (struct setting){"requirepass", NULL, redis->config.requirepass, sizeof redis->config.requirepass};
}

static bool setting_asked(const struct fake_call *call, const char *name)
{
    for (size_t i = 2; i < call->count; i++)
        if (fake_glob(call->args[i], span_str(name)))
            return true;
    return false;
}

static void config_get(struct fake_call *call)
{
    struct setting settings[SETTINGS];
    struct buf found = {0};
    size_t count = 0;
    char value[VALUE_BYTES];
    settings_of(call->redis, settings);
    for (int i = 0; i < SETTINGS; i++) {
        if (!setting_asked(call, settings[i].name))
            continue;
        if (settings[i].number != NULL)
            snprintf(value, sizeof value, "%lld", (long long)*settings[i].number);
        fake_append_bulk(&found, span_str(settings[i].name));
        fake_append_bulk(&found, span_str(settings[i].number != NULL ? value : settings[i].text));
        count += 2;
    }
    fake_reply_array(call, count);
    buf_append(call->reply, buf_span(&found));
    buf_finish(&found);
}

static void config_set(struct fake_call *call)
{
    struct setting settings[SETTINGS];
    settings_of(call->redis, settings);
    for (int i = 0; i < SETTINGS; i++) {
        const struct setting *setting = &settings[i];
        int64_t number;
        if (!fake_arg_is(call, 2, setting->name))
            continue;
        if (setting->number != NULL ? !fake_span_i64(call->args[3], &number) || number < 0
                                    : call->args[3].len >= setting->text_bytes) {
            fake_reply_error(call, "ERR CONFIG SET failed (possibly related to argument '%s') - invalid value",
                             setting->name);
            return;
        }
        if (setting->number != NULL)
            *setting->number = number;
        else
            snprintf(setting->text, setting->text_bytes, SPAN_FMT, SPAN_ARG(call->args[3]));
        fake_reply_status(call, "OK");
        return;
    }
    fake_reply_error(call, "ERR Unknown option or number of arguments for CONFIG SET - '" SPAN_FMT "'",
                     SPAN_ARG(call->args[2]));
}

static void config(struct fake_call *call)
{
    static const char *const known[] = {"get", "set", NULL};
    if (fake_arg_is(call, 1, "get") && call->count >= 3)
        config_get(call);
    else if (fake_arg_is(call, 1, "set") && call->count == 4)
        config_set(call);
    else
        fake_reply_subcommand_error(call, known);
}

/* Nobody is killed: none of the filters fits. */
static void client(struct fake_call *call)
{
    static const char *const known[] = {"id", "getname", "setname", "kill", "no-evict", "no-touch", NULL};
    struct fake_redis_client *self = call->client;
    if (fake_arg_is(call, 1, "id") && call->count == 2)
        fake_reply_integer(call, (int64_t)self->id);
    else if (fake_arg_is(call, 1, "getname") && call->count == 2)
        self->name[0] != '\0' ? fake_reply_bulk(call, span_str(self->name)) : fake_reply_nil(call);
    else if (fake_arg_is(call, 1, "setname") && call->count == 3 && call->args[2].len < sizeof self->name) {
        snprintf(self->name, sizeof self->name, SPAN_FMT, SPAN_ARG(call->args[2]));
        fake_reply_status(call, "OK");
    } else if (fake_arg_is(call, 1, "kill") && call->count >= 4)
        fake_reply_integer(call, 0);
    else if (fake_arg_is(call, 1, "kill") && call->count == 3)
        fake_reply_error(call, "ERR No such client");
    else if ((fake_arg_is(call, 1, "no-evict") || fake_arg_is(call, 1, "no-touch")) && call->count == 3)
        fake_reply_status(call, "OK");
    else
        fake_reply_subcommand_error(call, known);
}

static void time_now(struct fake_call *call)
{
    char text[VALUE_BYTES];
    fake_reply_array(call, 2);
    snprintf(text, sizeof text, "%lld", (long long)(call->redis->now_us / 1000000));
    fake_reply_bulk(call, span_str(text));
    snprintf(text, sizeof text, "%lld", (long long)(call->redis->now_us % 1000000));
    fake_reply_bulk(call, span_str(text));
}

static void dbsize(struct fake_call *call)
{
    fake_keys_expire(call->redis, call->client->db);
    fake_reply_integer(call, (int64_t)call->redis->dbs[call->client->db].count);
}

static void flushall(struct fake_call *call)
{
    if (call->count > 2 || (call->count == 2 && !fake_arg_is(call, 1, "async") && !fake_arg_is(call, 1, "sync"))) {
        fake_reply_syntax_error(call);
        return;
    }
    fake_dbs_clear(call->redis->dbs);
    fake_reply_status(call, "OK");
}

/* MEMORY USAGE, roughly: enough to see that a key is there. */
static void memory(struct fake_call *call)
{
    static const char *const known[] = {"usage", NULL};
    if (!fake_arg_is(call, 1, "usage") || call->count < 3) {
        fake_reply_subcommand_error(call, known);
        return;
    }
    const struct fake_key *key = fake_key_find(call, call->args[2]);
    if (call->count > 3 && !(call->count == 5 && fake_arg_is(call, 3, "samples")))
        fake_reply_syntax_error(call);
    else if (key == NULL)
        fake_reply_nil(call);
    else
        fake_reply_integer(call, (int64_t)(ESTIMATE_BYTES + key->by_name.key.len));
}

const struct fake_command fake_server_commands[] = {
    {"ping", ping, -1, FAKE_SUBSCRIBER},
    {"auth", auth, -2, FAKE_LOADING | FAKE_NOSCRIPT | FAKE_NOAUTH},
    {"select", select_db, 2, FAKE_LOADING},
    {"info", info, -1, FAKE_LOADING},
    {"config", config, -2, FAKE_LOADING | FAKE_NOSCRIPT},
    {"client", client, -2, FAKE_LOADING | FAKE_NOSCRIPT},
    {"time", time_now, 1, FAKE_LOADING},
    {"dbsize", dbsize, 1, 0},
    {"flushall", flushall, -1, FAKE_WRITE},
    {"memory", memory, -2, 0},
    {NULL, NULL, 0, 0},
};
