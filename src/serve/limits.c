/* limits: reads, describes and passes on the table's values, and divides the process' descriptors. */
#include "serve/limits.h"

enum {
    RESERVE_MAX = 384, /* descriptors that clients do not get: a third is spare, a sixth for files, the rest for the
                          broker, the listener and the loop, and for those that are closed at the end of a turn */
    RESERVE_SHARE = 4, /* but at most a fourth of all */
    PER_ADDRESS = 2000,
    REPLAY_SHARE = 4, /* of the soft bound of a queue, a replay fills at most one in so many */
};

static const struct {
    const char *name;
    enum limit_unit unit;
    uint64_t fallback, least, most;
    const char *what, *beyond;
} table[] = {
#define X(name, unit, fallback, least, most, what, beyond) {#name, unit, fallback, least, most, what, beyond},
    LIMITS(X)
#undef X
};

void limits_init(struct serve_limits *limits)
{
    for (int i = 0; i < LIMITS_COUNT; i++)
        limits->values[i] = table[i].fallback;
}

static bool value_read(const struct yaml_node *node, int i, uint64_t *value, struct err *err)
{
    switch (table[i].unit) {
    case LIMIT_BYTES:
        return yaml_bytes(node, table[i].least, table[i].most, value, err);
    case LIMIT_MS:
        return yaml_duration_ms(node, table[i].least, table[i].most, value, err);
    case LIMIT_COUNT:
        break;
    }
    return yaml_u64(node, table[i].least, table[i].most, value, err);
}

static bool values_read(struct serve_limits *limits, const struct yaml_node *node, int from, int to, struct err *err)
{
    for (int i = from; i < to; i++) {
        const struct yaml_node *value = yaml_get(node, table[i].name);
        if (value != NULL && !value_read(value, i, &limits->values[i], err))
            return false;
    }
    return true;
}

bool limits_read(struct serve_limits *limits, const struct yaml_node *root, struct err *err)
{
    const char *keys[LIMITS_COUNT + 1] = {0};
    const struct yaml_node *node = yaml_get(root, "limits");
    for (int i = LIMITS_UNDER_FIRST; i < LIMITS_COUNT; i++)
        keys[i - LIMITS_UNDER_FIRST] = table[i].name;
    if (!values_read(limits, root, 0, LIMITS_UNDER_FIRST, err))
        return false;
    if (node != NULL && (!yaml_expect(node, YAML_MAPPING, err) || !yaml_only(node, keys, err) ||
                         !values_read(limits, node, LIMITS_UNDER_FIRST, LIMITS_COUNT, err)))
        return false;
    return limits->queue_soft <= limits->queue_hard ||
           yaml_error(err, node, "queue_soft is larger than queue_hard, so it would never be reached: lower it");
}

static void value_describe(struct buf *to, enum limit_unit unit, uint64_t value)
{
    static const struct {
        enum limit_unit unit;
        uint64_t size;
        const char *name;
    } scales[] = {{LIMIT_BYTES, 1 << 30, "GiB"}, {LIMIT_BYTES, 1 << 20, "MiB"},
                  {LIMIT_BYTES, 1 << 10, "KiB"}, {LIMIT_BYTES, 1000000, "MB"},
                  {LIMIT_MS, 3600000, "h"},      {LIMIT_MS, 60000, "m"},
                  {LIMIT_MS, 1000, "s"},         {LIMIT_MS, 1, "ms"}};
    for (size_t i = 0; i < sizeof scales / sizeof scales[0]; i++) {
        if (scales[i].unit != unit || value < scales[i].size || value % scales[i].size != 0)
            continue;
        buf_append_u64(to, value / scales[i].size);
        buf_append(to, span_str(scales[i].name));
        return;
    }
    buf_append_u64(to, value);
}

void limits_describe(struct buf *to, bool under)
{
    for (int i = under ? LIMITS_UNDER_FIRST : 0; i < (under ? LIMITS_COUNT : LIMITS_UNDER_FIRST); i++) {
        buf_printf(to, "| `%s` | %s | ", table[i].name, table[i].what);
        if (table[i].fallback == LIMIT_DERIVED)
            buf_append(to, SPAN_LIT("see below"));
        else
            value_describe(to, table[i].unit, table[i].fallback);
        buf_append(to, SPAN_LIT(" | "));
        value_describe(to, table[i].unit, table[i].least);
        buf_append(to, SPAN_LIT(" to "));
        value_describe(to, table[i].unit, table[i].most);
        buf_printf(to, " | %s |\n", table[i].beyond);
    }
}

struct limits_files limits_files_share(uint64_t allowed)
{
    uint64_t reserve = allowed / RESERVE_SHARE < RESERVE_MAX ? allowed / RESERVE_SHARE : RESERVE_MAX;
    uint64_t connections = allowed - reserve;
    return (struct limits_files){
        .connections = connections > 0 ? connections : 1,
        .spare = reserve / 3 > 0 ? reserve / 3 : 1,
        .open = reserve / 6 > 0 ? reserve / 6 : 1,
    };
}

/* What a field of 32 bits holds. */
static uint32_t bytes32(uint64_t bytes)
{
    return (uint32_t)(bytes < UINT32_MAX ? bytes : UINT32_MAX);
}

static void rates_give(const struct serve_limits *limits, struct session_limits *to)
{
    to->messages = (struct rate){(uint32_t)limits->messages_per_second, (uint32_t)limits->messages_at_once};
    to->address_messages = (struct rate){(uint32_t)limits->messages_per_second_per_address,
                                         (uint32_t)limits->messages_at_once_per_address};
    to->address_connects = (struct rate){(uint32_t)limits->connects_per_second_per_address,
                                         (uint32_t)limits->connects_at_once_per_address};
}

static void queue_give(const struct serve_limits *limits, struct session_limits *to)
{
    to->slow_queue_bytes = (uint32_t)limits->queue_soft;
    to->queue_bytes_max = (uint32_t)limits->queue_hard;
    /* A replay that fills the queue to its soft bound would be dropped and begin again. */
    if (to->replay_queue_bytes > to->slow_queue_bytes / REPLAY_SHARE)
        to->replay_queue_bytes = to->slow_queue_bytes / REPLAY_SHARE;
}

void limits_give(const struct serve_limits *limits, struct session_limits *to)
{
    to->ping_interval_ms = (uint32_t)limits->ping_interval;
    to->ping_timeout_ms = (uint32_t)limits->ping_timeout;
    to->connect_timeout_ms = (uint32_t)limits->connect_timeout;
    to->upgrade_timeout_ms = (uint32_t)limits->upgrade_timeout;
    to->payload_bytes_max = (uint32_t)limits->max_payload;
    to->frames_max = (uint32_t)limits->frames_per_message;
    rates_give(limits, to);
    queue_give(limits, to);
    to->nesting_max = (uint32_t)limits->nesting;
    to->sockets_max = (uint32_t)limits->namespaces_per_session;
    to->rooms_max = (uint32_t)limits->rooms_per_socket;
    to->hub_rooms_max = (uint32_t)limits->instance_rooms;
    to->calls_max = (uint32_t)limits->calls;
    to->call_bytes_max = (uint32_t)limits->call_bytes;
    to->call_bytes_total_max = (uint32_t)limits->instance_call_bytes;
    to->asks_max = (uint32_t)limits->asks;
    to->asks_total_max = (uint32_t)limits->instance_asks;
    to->attachments_max = (uint32_t)limits->attachments;
    to->unfinished_bytes_max = bytes32(limits->unfinished_bytes);
    to->answer_bytes_total_max = (uint32_t)limits->answer_bytes;
    to->lease_bytes_max = (uint32_t)limits->lease_bytes;
    to->changes_burst = (uint32_t)limits->changes_at_once;
    to->changes_per_second = (uint32_t)limits->changes_per_second;
}

/* POSTs and new clients find the rest free. */
static uint64_t held_polls_derive(uint64_t slots)
{
    return slots > 1 ? slots - (slots + 3) / 4 : 1;
}

bool limits_derive(struct serve_limits *limits, const struct limits_files *files, bool on_platform, uint64_t slots,
                   struct err *err)
{
    if (limits->connections == LIMIT_DERIVED)
        limits->connections = files->connections;
    if (limits->connections > files->connections)
        return err_set(err,
                       "limits: connections: %llu is more than the %llu for which this process has descriptors: raise "
                       "its limit (ulimit -n; LimitNOFILE= of systemd) or lower the setting",
                       (unsigned long long)limits->connections, (unsigned long long)files->connections);
    if (limits->held_polls == LIMIT_DERIVED)
        limits->held_polls = held_polls_derive(slots > 0 ? slots : limits->connections);
    if (limits->log_bytes == LIMIT_DERIVED)
        limits->log_bytes = 0; /* the broker knows how much memory it has */
    if (limits->idle_timeout == LIMIT_DERIVED)
        limits->idle_timeout = limits->head_timeout;
    if (limits->connections_per_address == LIMIT_DERIVED)
        limits->connections_per_address = on_platform ? 0 : PER_ADDRESS;
    return true;
}
