/* redis_fit: whether a Redis will do: its version, mode, role and eviction policy, and the errors that do not pass by
 * themselves. Each text names the fault and the cure. */
#include <stdlib.h>

#include "base/mem.h"
#include "broker/redis_parts.h"

enum { VERSION_MIN = 602, WORD_BYTES_MAX = 32 };

#define REPLICA_CURE "give REDIS_URL the address of its primary, or promote it (REPLICAOF NO ONE)"
#define REPLICA "this Redis is a replica and refuses writes (READONLY): " REPLICA_CURE

const char *redis_remedy(struct span answer)
{
    static const struct {
        const char *error, *remedy;
    } table[] = {
        {"WRONGPASS", "set user and password in REDIS_URL, like redis://user:password@host"},
        {"NOAUTH", "it wants a password: REDIS_URL=redis://:password@host"},
        {"ERR invalid password", "set the password in REDIS_URL, like redis://:password@host"},
        {"ERR AUTH", "it knows no password: leave it out of REDIS_URL"},
        {"ERR Client sent AUTH", "it knows no password: leave it out of REDIS_URL"},
        {"ERR SELECT is not allowed in cluster mode",
         "a cluster has no numbered databases: leave the number out of REDIS_URL"},
        {"MOVED", "a Redis of a cluster is named by redis+cluster://HOST:PORT in REDIS_URL"},
        {"DENIED",
         "it takes clients of its own machine only (protected mode): set a password for it (requirepass, or an "
         "ACL user), and write it into REDIS_URL"},
        {"ERR DB index", "it has no such database: take another number behind the slash of REDIS_URL"},
        {"ERR unknown command", "it does not know a command that is needed: is it a Redis, 6.2 or later?"},
        {"NOPERM", "give its user the commands, keys and channels that docs/serve.md lists"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (span_starts_with(answer, span_str(table[i].error)))
            return table[i].remedy;
    return NULL;
}

const char *redis_hint(struct span answer)
{
    static const struct {
        const char *error, *hint;
    } table[] = {
        {"READONLY", "it is a replica, or becomes one in a failover: if that does not pass, " REPLICA_CURE},
        {"MISCONF", "it cannot write its data to the disk: free space there, and see its log"},
        {"OOM", "its memory is full: raise maxmemory, or keep less under `log:`"},
        {"NOREPLICAS", "too few of its replicas are connected (min-replicas-to-write): start them"},
        {"LOADING", "it reads its data from the disk: wait until it has"},
        {"MASTERDOWN", "it is a replica without its primary: start that, or give REDIS_URL its address"},
        {"BUSY", "a script of another program runs for too long: stop it (SCRIPT KILL), or give Sennit its own Redis"},
        {"ERR max number of clients", "it has the most clients allowed: raise its maxclients"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (redis_error_is(answer, span_str(table[i].error)))
            return table[i].hint;
    return "see its log";
}

static bool is_old(struct span version)
{
    struct span rest = version, major, minor;
    uint64_t high = 0, low = 0;
    if (span_next(&rest, '.', &major) && span_next(&rest, '.', &minor) && span_to_u64(major, &high))
        span_to_u64(minor, &low);
    return high * 100 + low < VERSION_MIN;
}

static bool info_is(struct span info, struct span name, struct span value)
{
    return span_equal(redis_info_get(info, name), value);
}

bool redis_mode_is(struct span info, struct span mode)
{
    return info_is(info, SPAN_LIT("redis_mode:"), mode) || info_is(info, SPAN_LIT("server_mode:"), mode);
}

static char *replica_text(const struct redis_broker *redis, struct span info)
{
    struct span host = redis_info_get(info, SPAN_LIT("master_host:"));
    struct span port = redis_info_get(info, SPAN_LIT("master_port:"));
    return mem_printf(REPLICA "; it says that its primary is " SPAN_FMT ":" SPAN_FMT,
                      SPAN_ARG(redis_quote(redis, span_sub(host, 0, 8 * WORD_BYTES_MAX))),
                      SPAN_ARG(redis_quote(redis, span_sub(port, 0, WORD_BYTES_MAX))));
}

char *redis_unfit_text(const struct redis_broker *redis, struct span info)
{
    struct span version = redis_info_get(info, SPAN_LIT("redis_version:"));
    if (is_old(version))
        return mem_printf("this Redis is too old: 6.2 or later is needed, it is " SPAN_FMT,
                          SPAN_ARG(redis_quote(redis, span_sub(version, 0, WORD_BYTES_MAX))));
    if (redis_mode_is(info, SPAN_LIT("sentinel")))
        return mem_text(
            SPAN_LIT("this is a Redis Sentinel, which holds no data: write redis+sentinel://HOST:PORT/NAME in "
                     "REDIS_URL, with the name that it knows the primary by"));
    if (!redis->cluster.is_one && info_is(info, SPAN_LIT("role:"), SPAN_LIT("slave")))
        return replica_text(redis, info);
    return redis_eviction_text(info); /* it would lose accepted events */
}
