/* fleet_end: checks what is left in the instances and in Redis when all is quiet, and when no client is left. */
#include <stdio.h>

#include "broker/redis_parts.h"
#include "fake_redis_parts.h"
#include "fleet_parts.h"
#include "hub/hub_parts.h"

enum { OF_NAME = 128 };

static const char prefix[] = "sennit:{0}:";

/* The instance whose life this is, NULL: nobody's. */
static const struct instance *instance_of_life(const struct fleet *fleet, struct span life)
{
    for (int i = 0; i < fleet->plan->instances; i++) {
        const struct instance *instance = &fleet->instances[i];
        if (instance->loop != NULL && span_equal(life, span_str(redis_of(instance->server->broker)->names.life)))
            return instance;
    }
    return NULL;
}

static size_t table_count(const struct fake_key *key)
{
    return key != NULL ? key->table->by_name.count : 0;
}

/* `here:ROOM`: for each sid its life, a blank, and its presence data. */
static void check_here(struct fleet *fleet, int room)
{
    const struct fake_key *key = redis_key(fleet, "here:", truth_log_name(room, ""));
    size_t count = 0;
    for (int i = 0; i < fleet->plan->clients; i++) {
        const struct stock_client *client = &fleet->clients[i];
        const struct lease *lease = client->witness.lease;
        struct span value, life;
        if (lease == NULL || !roster_truth(lease, room))
            continue;
        const struct fake_field *field = key != NULL ? fake_table_find(key->table, span_str(lease->sid)) : NULL;
        count++;
        if (field == NULL) {
            check_fail(&fleet->check, "%s: is in room %d, and Redis does not know", client->witness.name, room);
            continue;
        }
        value = buf_span(&field->value);
        span_next(&value, ' ', &life);
        const struct instance *instance = instance_of_life(fleet, life);
        /* One that polls may be nowhere: then it is still known where it was last. */
        if (!client->witness.polls && (instance == NULL || instance->number != client->witness.instance))
            check_fail(&fleet->check, "%s: is in room %d on another life: " SPAN_FMT, client->witness.name, room,
                       SPAN_ARG(life));
    }
    if (table_count(key) != count)
        check_fail(&fleet->check, "Redis knows of %zu in room %d, and %zu are", table_count(key), room, count);
}

/* What an instance has of a client, as `of:LIFE` names it: its lease (room -1), or its presence in a room. False: no
 * such thing. */
static bool of_name(const struct instance *instance, const struct stock_client *client, int room, char name[OF_NAME])
{
    const struct lease *lease = client->witness.lease;
    struct span channel = truth_log_name(room < 0 ? 0 : room, "");
    if (client->state != CLIENT_CONNECTED || (!client->witness.polls && client->witness.instance != instance->number) ||
        (room >= 0 && !roster_truth(lease, room)))
        return false;
    if (room < 0)
        snprintf(name, OF_NAME, "l%s", lease->pid);
    else
        snprintf(name, OF_NAME, "h%zu " SPAN_FMT "%s", channel.len, SPAN_ARG(channel), lease->sid);
    return true;
}

/* The lease of a session that polled and was passed on: the life that had it last knows it until it ends. */
static bool is_parked(struct fleet *fleet, struct span name)
{
    return fleet->plan->polling > 0 && name.data[0] == 'l' && redis_key(fleet, "lease:", span_from(name, 1)) != NULL;
}

static bool of_is_due(const struct fleet *fleet, const struct instance *instance, struct span has)
{
    char name[OF_NAME];
    for (int i = 0; i < fleet->plan->clients; i++)
        for (int room = -1; room < ROOMS; room++)
            if (of_name(instance, &fleet->clients[i], room, name) && span_equal(has, span_str(name)))
                return true;
    return false;
}

/* `of:LIFE`: the leases and presences that an instance has, no more and no less. */
static void check_of(struct fleet *fleet, const struct instance *instance)
{
    const struct fake_key *key = redis_key(fleet, "of:", span_str(redis_of(instance->server->broker)->names.life));
    char name[OF_NAME];
    for (int i = 0; i < fleet->plan->clients; i++)
        for (int room = -1; room < ROOMS; room++)
            if (!fleet->clients[i].witness.polls && of_name(instance, &fleet->clients[i], room, name) &&
                (key == NULL || fake_table_find(key->table, span_str(name)) == NULL))
                check_fail(&fleet->check, "%s: its instance is not known to have it: %s",
                           fleet->clients[i].witness.name, name);
    for (struct list *node = key != NULL ? key->table->fields.next : NULL; node != NULL && node != &key->table->fields;
         node = node->next) {
        struct span has = fake_field_name(container_of(node, struct fake_field, node));
        if (!of_is_due(fleet, instance, has) && !is_parked(fleet, has))
            check_fail(&fleet->check, "instance %u is said to have what it has not: " SPAN_FMT, instance->port,
                       SPAN_ARG(has));
    }
}

/* One that polls is away between two of its requests, from each of its rooms. */
static size_t may_be_away(const struct fleet *fleet)
{
    size_t count = 0;
    for (int i = 0; i < fleet->plan->clients; i++)
        count += fleet->clients[i].engine.state == ENGINE_POLLS ? ROOMS : 0;
    return count;
}

static void check_lives(struct fleet *fleet)
{
    const struct fake_key *lives = redis_key(fleet, "lives", SPAN_LIT("")), *away;
    if (lives == NULL || fake_zset_count(lives->zset) != (size_t)fleet->plan->instances)
        check_fail(&fleet->check, "%zu instances are said to live", lives != NULL ? fake_zset_count(lives->zset) : 0);
    away = redis_key(fleet, "away", SPAN_LIT(""));
    if (away != NULL && fake_zset_count(away->zset) > may_be_away(fleet))
        check_fail(&fleet->check, "%zu are said to be away", fake_zset_count(away->zset));
}

void end_check_presence(struct fleet *fleet)
{
    for (int room = 0; room < ROOMS; room++)
        check_here(fleet, room);
    for (int i = 0; i < fleet->plan->instances; i++)
        check_of(fleet, &fleet->instances[i]);
    check_lives(fleet);
}

void end_check_closed(struct fleet *fleet, const struct server *server)
{
    const struct sessions *sessions = &server->sessions;
    if (server->http.count != 0 || server->net.conns_open != 0 || sessions->count != 0 || sessions->socket_count != 0 ||
        sessions->sockets.count != 0 || sessions->rosters.count != 0)
        check_fail(&fleet->check, "an instance that was closed has %zu connections, %zu sessions, %zu sockets left",
                   server->http.count, sessions->count, sessions->socket_count);
}

void end_check_instances(struct fleet *fleet)
{
    size_t streams = sim_streams(fleet->sim);
    for (int i = 0; i < fleet->plan->instances; i++) {
        const struct instance *instance = &fleet->instances[i];
        const struct server *server = instance->server;
        if (instance->loop == NULL || server->http.count != 0 || server->sessions.count != 0 ||
            server->sessions.socket_count != 0 || server->sessions.sockets.count != 0 ||
            server->sessions.rosters.count != 0)
            check_fail(&fleet->check, "instance %u holds %zu connections, %zu sessions, %zu sockets of nobody",
                       instance->port, server->http.count, server->sessions.count, server->sessions.socket_count);
        else if (server->hub->member_count != 0 || server->hub->rooms.count != 0 || server->hub->page_bytes != 0)
            check_fail(&fleet->check, "instance %u holds %zu rooms and %zu bytes of pages for nobody", instance->port,
                       server->hub->rooms.count, server->hub->page_bytes);
    }
    /* Each instance has two to Redis. */
    if (streams != (size_t)fleet->plan->instances * 2)
        check_fail(&fleet->check, "the instances hold %zu streams", streams);
}

/* What belongs to the partition. */
static bool stays_for_ever(struct span name)
{
    static const char *const partition[] = {"state", "lives", "recent"};
    if (!span_starts_with(name, span_str(prefix)))
        return false;
    name = span_from(name, sizeof prefix - 1);
    for (size_t i = 0; i < sizeof partition / sizeof partition[0]; i++)
        if (span_equal(name, span_str(partition[i])))
            return true;
    return false;
}

/* `here:ROOM` of a room in which nobody is: whoever it names is known to be away, or belongs to a life that is. */
static void check_reaped(struct fleet *fleet, const struct fake_key *here, struct span room)
{
    const struct fake_key *lives = redis_key(fleet, "lives", SPAN_LIT("")),
                          *away = redis_key(fleet, "away", SPAN_LIT(""));
    for (const struct list *node = here->table->fields.next; node != &here->table->fields; node = node->next) {
        const struct fake_field *field = container_of(node, struct fake_field, node);
        struct span value = buf_span(&field->value), life;
        struct buf name = {0};
        span_next(&value, ' ', &life);
        const struct fake_key *of = redis_key(fleet, "of:", life);
        buf_printf(&name, "h%zu " SPAN_FMT "%s", room.len, SPAN_ARG(room), field->name);
        bool is_away = away != NULL && fake_zset_has(away->zset, span_from(buf_span(&name), 1));
        bool is_of_one = of != NULL && fake_table_find(of->table, buf_span(&name)) != NULL && lives != NULL &&
                         fake_zset_has(lives->zset, life);
        if (!is_away && !is_of_one)
            check_fail(&fleet->check, "%s stays in room " SPAN_FMT " for ever", field->name, SPAN_ARG(room));
        buf_finish(&name);
    }
}

/* Of a life that had sessions which polled. */
static void check_parked(struct fleet *fleet, const struct fake_key *of)
{
    for (const struct list *node = of->table->fields.next; node != &of->table->fields; node = node->next) {
        struct span name = fake_field_name(container_of(node, const struct fake_field, node));
        if (!is_parked(fleet, name))
            check_fail(&fleet->check, "the life " SPAN_FMT " has " SPAN_FMT ", and nobody is there",
                       SPAN_ARG(of->by_name.key), SPAN_ARG(name));
    }
}

/* Nobody is there: what has no end, or will be kept alive. After keys have vanished, or a clock that jumped back, some
 * of it has to wait for as long as that was. */
void end_check_keys(struct fleet *fleet)
{
    static const char *const presence[] = {"sennit:{0}:here:", "sennit:{0}:away", "sennit:{0}:of:"};
    const struct map *db = &fleet->redis->dbs[0];
    /* Nothing looks after the keys of a life that is not known any more. */
    bool vanishes = fleet->plan->vanish_kinds != 0, jumped = fleet->plan->clock_jumps > 0 || vanishes;
    fake_keys_expire(fleet->redis, 0);
    for (struct map_node *node = map_next(db, NULL); node != NULL; node = map_next(db, node)) {
        const struct fake_key *key = container_of(node, struct fake_key, by_name);
        struct span name = key->by_name.key;
        size_t kind = 0;
        while (kind < 3 && !span_starts_with(name, span_str(presence[kind])))
            kind++;
        if (kind == 2 && fleet->plan->polling > 0 && !jumped)
            check_parked(fleet, key);
        else if (kind < 3 && !jumped)
            check_fail(&fleet->check, "the key " SPAN_FMT " is left, and nobody is there", SPAN_ARG(name));
        else if (kind == 0 && !vanishes)
            check_reaped(fleet, key, span_from(name, strlen(presence[0])));
        else if (kind >= 2 && key->expires_ms == FAKE_NEVER && !stays_for_ever(name))
            check_fail(&fleet->check, "the key " SPAN_FMT " stays in Redis for ever", SPAN_ARG(name));
    }
    if (!jumped)
        check_lives(fleet);
}
