/* fake_redis_parts: declarations that the files of the fake Redis share.
 *
 * A command is a function in the table of its file: it reads `args`, changes the keyspace and appends one reply.
 * Scripts call the same functions and read the same replies. */
#ifndef SENNIT_SIM_FAKE_REDIS_PARTS_H
#define SENNIT_SIM_FAKE_REDIS_PARTS_H

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "fake_redis.h"

enum { FAKE_DATABASES = 16, FAKE_NEVER = 0, FAKE_RUN_ID_BYTES = 40, FAKE_SHA_BYTES = 40 };

enum fake_type { FAKE_STRING, FAKE_HASH, FAKE_SET, FAKE_ZSET, FAKE_STREAM };

/* One key. */
struct fake_key {
    struct map_node by_name;
    uint8_t type;       /* enum fake_type */
    int64_t expires_ms; /* FAKE_NEVER, or the last millisecond of its life */
    union {
        struct buf string;
        struct fake_table *table; /* a hash, or a set: its values are empty */
        struct fake_zset *zset;
        struct fake_stream *stream;
    };
    char name[];
};

struct fake_scripts;
struct fake_command_slot;

struct fake_redis {
    uint64_t random[2];
    int64_t now_us;
    struct map dbs[FAKE_DATABASES];
    struct map commands; /* by lowercase name */
    struct fake_command_slot *command_slots;
    struct list clients; /* fake_redis_client.of_redis */
    struct list flush;   /* those with something to hear */
    struct map channels;
    struct fake_scripts *scripts;
    uint64_t client_ids;
    char run_id[FAKE_RUN_ID_BYTES + 1];
    struct buf fail; /* the error of fake_redis_fail_next */
    int fail_left;
    const struct fake_redis_watcher *watcher; /* with every function */
    void *watcher_arg;
    struct {
        int64_t maxmemory, stream_node_max_bytes, stream_node_max_entries;
        char maxmemory_policy[32], requirepass[64];
    } config;
};

struct fake_redis_client {
    struct fake_redis *redis; /* NULL: dropped by the server */
    struct list of_redis, flush;
    fake_redis_out_fn *out;
    void *arg;
    struct buf in, replies;
    struct list subscriptions;
    size_t subscription_count;
    uint64_t id;
    unsigned db;
    bool authenticated;
    char name[64];
};

/* A command under way. */
struct fake_call {
    struct fake_redis *redis;
    struct fake_redis_client *client; /* of a script: the one that runs it */
    const struct span *args;          /* args[0] is the command's name */
    size_t count;
    struct buf *reply;
};

enum fake_command_flags {
    FAKE_WRITE = 1,      /* a replica refuses it */
    FAKE_MEMORY = 2,     /* refused when memory is out */
    FAKE_LOADING = 4,    /* answered while loading */
    FAKE_SUBSCRIBER = 8, /* allowed on a connection with subscriptions */
    FAKE_NOSCRIPT = 16,  /* not from scripts */
    FAKE_NOAUTH = 32,    /* allowed before AUTH */
};

struct fake_command {
    const char *name; /* lowercase; NULL ends a table */
    void (*run)(struct fake_call *call);
    int arity; /* arguments with the name; negative: at least */
    unsigned flags;
};

extern const struct fake_command fake_server_commands[], fake_pubsub_commands[], fake_script_commands[],
    fake_key_commands[], fake_string_commands[], fake_hash_commands[], fake_set_commands[], fake_zset_commands[],
    fake_stream_commands[];

/* fake_redis.c */
uint64_t fake_random(struct fake_redis *redis);
static inline int64_t fake_now_ms(const struct fake_redis *redis)
{
    return redis->now_us / 1000;
}
const struct fake_command *fake_command_find(const struct fake_redis *redis, struct span name);
bool fake_arity_fits(const struct fake_command *command, size_t count);
/* The injected error that hits a command with these flags now, or an empty span; counts it. */
struct span fake_failure_take(struct fake_redis *redis, const struct fake_command *command);
/* The client has something to hear: at the end of the turn. */
void fake_client_touch(struct fake_redis_client *client);

/* fake_redis_reply.c */
void fake_reply_status(struct fake_call *call, const char *text);
/* With its code in front: "ERR ...". */
void fake_reply_error(struct fake_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
void fake_reply_syntax_error(struct fake_call *call);
void fake_reply_arity_error(struct fake_call *call);
/* No subcommand of this name (`known` ends in NULL), or not with so many arguments. */
void fake_reply_subcommand_error(struct fake_call *call, const char *const *known);
void fake_reply_integer(struct fake_call *call, int64_t value);
void fake_reply_bulk(struct fake_call *call, struct span text);
void fake_reply_nil(struct fake_call *call);
void fake_reply_nil_array(struct fake_call *call);
void fake_reply_array(struct fake_call *call, size_t count);
void fake_reply_double(struct fake_call *call, double value);
void fake_append_bulk(struct buf *to, struct span text);
/* An argument as a number; false, with the error replied, when it is none. */
bool fake_arg_i64(struct fake_call *call, size_t at, int64_t *value);
bool fake_arg_double(struct fake_call *call, size_t at, double *value, const char *error);
bool fake_arg_is(const struct fake_call *call, size_t at, const char *word);
/* As Redis: digits and a minus, nothing else, no leading zeros. */
bool fake_span_i64(struct span text, int64_t *value);
bool fake_span_double(struct span text, double *value);
/* Redis' patterns: * ? [a-z] [^a] and backslashes. */
bool fake_glob(struct span pattern, struct span text);

/* fake_redis_data.c: the keyspace. */
/* The key, unless there is none or its time is over. */
struct fake_key *fake_key_find(struct fake_call *call, struct span name);
/* The same; `*key` NULL when there is none. False, with WRONGTYPE replied, when it is something else. */
bool fake_key_typed(struct fake_call *call, struct span name, enum fake_type type, struct fake_key **key);
/* A new and empty one; there is none of this name. */
struct fake_key *fake_key_create(struct fake_call *call, struct span name, enum fake_type type);
void fake_key_delete(struct fake_call *call, struct fake_key *key);
/* Drops expired keys, so that the rest can be counted. */
void fake_keys_expire(struct fake_redis *redis, unsigned db);
void fake_dbs_init(struct map dbs[FAKE_DATABASES]);
void fake_dbs_clear(struct map dbs[FAKE_DATABASES]);
/* `to` is empty. */
void fake_dbs_copy(struct map to[FAKE_DATABASES], const struct map from[FAKE_DATABASES]);
void fake_map_init(struct map *map);

/* fake_redis_table.c: names with values, in the order in which they came. */
struct fake_field {
    struct list node;
    struct map_node by_name;
    struct buf value;
    char name[];
};
struct fake_table {
    struct map by_name;
    struct list fields;
};
struct fake_table *fake_table_create(void);
void fake_table_destroy(struct fake_table *table);
struct fake_table *fake_table_copy(const struct fake_table *table);
struct fake_field *fake_table_find(const struct fake_table *table, struct span name);
/* True when the name is new. */
bool fake_table_put(struct fake_table *table, struct span name, struct span value);
bool fake_table_remove(struct fake_table *table, struct span name);
static inline struct span fake_field_name(const struct fake_field *field)
{
    return field->by_name.key;
}

/* fake_redis_zset.c, fake_redis_stream.c */
struct fake_zset *fake_zset_create(void);
void fake_zset_destroy(struct fake_zset *zset);
struct fake_zset *fake_zset_copy(const struct fake_zset *zset);
size_t fake_zset_count(const struct fake_zset *zset);
bool fake_zset_has(const struct fake_zset *zset, struct span name);
struct fake_stream *fake_stream_create(void);
void fake_stream_destroy(struct fake_stream *stream);
struct fake_stream *fake_stream_copy(const struct fake_stream *stream);

/* fake_redis_pubsub.c */
void fake_subscriptions_drop(struct fake_redis_client *client);

/* fake_redis_script.c */
struct fake_scripts *fake_scripts_create(void);
void fake_scripts_destroy(struct fake_scripts *scripts);
void fake_scripts_clear(struct fake_scripts *scripts);

/* Order as memcmp, the shorter first among equals: as Redis sorts names. */
int fake_bytes_compare(struct span a, struct span b);

#endif
