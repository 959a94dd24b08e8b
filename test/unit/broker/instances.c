/* instances: the recorder, and what it checks of every history. See instances.h. */
#include "instances.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/file.h"
#include "broker/memory.h"
#include "broker/postgres.h"
#include "broker/redis.h"
#include "byte_proxy.h"
#include "firestore_model.h"

enum { PASS_MS = 1, STALL_MS = 20, CLOCK_SLACK_MS = 10000 };

enum broker_kind kind;
struct redis_process redis;
struct postgres_process postgres;
struct pgbouncer_process pgbouncer;
struct firestore_process firestore;
struct loop *loop;
struct net net;
bool apart_awake;
struct broker_bounds instances_bounds;
enum journal_sync instances_sync;
const struct broker_retention keep = {.entries_max = 10000, .bytes_max = 64 << 20, .age_ms_max = 3600000};

static struct loop *apart_loop;
static struct net apart_net;
static struct timer tick;
static struct list instances;
static char complaint[512];
static struct buf logged;
static char prefix[64], schema[64], directory[64];
static unsigned prefixes;
static uint64_t stalled_ms, passed_at_ms;

bool kind_is_shared(void)
{
    return kind == KIND_REDIS || kind == KIND_POSTGRES || kind == KIND_FIRESTORE;
}

uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void instances_forgive(void)
{
    complaint[0] = '\0';
}

void instances_complain(struct instance *instance, const char *format, ...)
{
    va_list args;
    if (complaint[0] != '\0')
        return;
    int len = snprintf(complaint, sizeof complaint, "%s: ", instance->name);
    va_start(args, format);
    vsnprintf(complaint + len, sizeof complaint - (size_t)len, format, args);
    va_end(args);
}

void instances_check(const char *file, int line)
{
    if (complaint[0] == '\0')
        return;
    print_error("%s:%d: %s\n", file, line, complaint);
    complaint[0] = '\0';
    fail();
}

static struct told *tell(struct instance *instance, enum told_kind what, struct span name, struct span audience,
                         struct span body)
{
    struct told *told = mem_zero(1, sizeof *told + name.len + audience.len + body.len);
    struct span *const to[] = {&told->name, &told->audience, &told->body};
    const struct span from[] = {name, audience, body};
    char *at = told->bytes;
    told->kind = what;
    told->at_ms = now_ms();
    for (int i = 0; i < 3; i++) {
        if (from[i].len != 0)
            memcpy(at, from[i].data, from[i].len);
        *to[i] = span_of(at, from[i].len);
        at += from[i].len;
    }
    if (instance->calling)
        instances_complain(instance, "an event came from within a call");
    if (!instance->up && what != TOLD_UP && what != TOLD_UNUSABLE)
        instances_complain(instance, "event %d came while the link was down", what);
    if (instance->told_count == instance->told_cap) {
        instance->told_cap = instance->told_cap != 0 ? instance->told_cap * 2 : 64;
        instance->told = mem_resize(instance->told, instance->told_cap * sizeof *instance->told);
    }
    instance->told[instance->told_count++] = told;
    return told;
}

struct seen *instance_seen(struct instance *instance, struct span room)
{
    for (size_t i = 0; i < instance->seen_count; i++)
        if (span_equal(span_of(instance->seen[i].room, instance->seen[i].room_len), room))
            return &instance->seen[i];
    instance->seen = mem_resize(instance->seen, (instance->seen_count + 1) * sizeof *instance->seen);
    instance->seen[instance->seen_count] = (struct seen){.room = mem_text(room), .room_len = room.len};
    return &instance->seen[instance->seen_count++];
}

static void rooms_forget(struct instance *instance)
{
    for (size_t i = 0; i < instance->seen_count; i++)
        instance->seen[i].known = instance->seen[i].wanted = false, instance->seen[i].pending = 0;
}

static void on_up(void *hub, struct span epoch, struct span previous, uint64_t previous_end)
{
    struct instance *instance = hub;
    if (instance->up || !broker_is_up(instance->broker))
        instances_complain(instance, "up, and was not down");
    if (epoch.len == 0 || epoch.len > BROKER_EPOCH_BYTES_MAX)
        instances_complain(instance, "an epoch of %zu bytes", epoch.len);
    if (previous.len != 0 && !span_equal(previous, span_str(instance->epoch)))
        instances_complain(instance, "the epoch before was not " SPAN_FMT, SPAN_ARG(previous));
    instance->up = true;
    snprintf(instance->epoch, sizeof instance->epoch, SPAN_FMT, SPAN_ARG(epoch));
    instance->newest = instance->reached = 0;
    tell(instance, TOLD_UP, previous, epoch, (struct span){NULL, 0})->number = previous_end;
}

static void on_down(void *hub)
{
    struct instance *instance = hub;
    if (!instance->up || broker_is_up(instance->broker))
        instances_complain(instance, "down, and was not up");
    tell(instance, TOLD_DOWN, (struct span){NULL, 0}, (struct span){NULL, 0}, (struct span){NULL, 0});
    instance->up = false;
    rooms_forget(instance);
}

static void on_unusable(void *hub, const char *why)
{
    tell(hub, TOLD_UNUSABLE, span_str(why), (struct span){NULL, 0}, (struct span){NULL, 0});
}

static const struct broker_watcher watcher = {.unusable = on_unusable};

static void on_subscribed(void *hub, struct span room, uint64_t last, uint64_t position)
{
    struct instance *instance = hub;
    struct seen *seen = instance_seen(instance, room);
    if (position < last || position < instance->newest || position < instance->reached)
        instances_complain(instance, "a fence at %llu behind %llu", (unsigned long long)position,
                           (unsigned long long)instance->newest);
    if (seen->known && last != seen->last && !instance->loose)
        instances_complain(instance, "a fence says %llu, pushed was %llu", (unsigned long long)last,
                           (unsigned long long)seen->last);
    seen->pending -= seen->pending > 0;
    seen->known = seen->known || (seen->wanted && seen->pending == 0);
    seen->last = last;
    instance->reached = position;
    struct told *told = tell(instance, TOLD_SUBSCRIBED, room, (struct span){NULL, 0}, (struct span){NULL, 0});
    told->number = last;
    told->second = position;
}

static void on_forgotten(void *hub, struct span room, uint64_t floor)
{
    struct instance *instance = hub;
    struct seen *seen = instance_seen(instance, room);
    if (floor > seen->last)
        seen->last = floor;
    tell(instance, TOLD_FORGOTTEN, room, (struct span){NULL, 0}, (struct span){NULL, 0})->number = floor;
}

static void check_entry(struct instance *instance, const struct broker_entry *entry)
{
    struct seen *seen = instance_seen(instance, entry->room);
    int64_t age = loop_clock_ms() - entry->time_ms;
    if (entry->seq == 0) {
        if (entry->time_ms != 0 || (entry->prev != 0 && entry->prev <= instance->kept && !instance->loose))
            instances_complain(instance, "an entry that was not logged has a place, or its number does not rise");
        instance->kept = entry->prev > instance->kept ? entry->prev : instance->kept;
        return;
    }
    if (entry->seq <= instance->newest || entry->seq <= instance->reached)
        instances_complain(instance, "seq %llu was pushed behind %llu and position %llu",
                           (unsigned long long)entry->seq, (unsigned long long)instance->newest,
                           (unsigned long long)instance->reached);
    if (!instance->recorded && (age < -CLOCK_SLACK_MS || age > CLOCK_SLACK_MS))
        instances_complain(instance, "an entry of %lld ms ago", (long long)age);
    if (seen->known && entry->prev != seen->last && !instance->loose)
        instances_complain(instance, "seq %llu follows %llu, told was %llu", (unsigned long long)entry->seq,
                           (unsigned long long)entry->prev, (unsigned long long)seen->last);
    seen->last = entry->seq;
    instance->newest = entry->seq;
}

static void on_pushed(void *hub, const struct broker_entry *entry)
{
    struct instance *instance = hub;
    check_entry(instance, entry);
    struct told *told = tell(instance, TOLD_PUSHED, entry->room, entry->audience, entry->body);
    told->number = entry->seq;
    told->second = entry->prev;
    told->time_ms = entry->time_ms;
}

static void on_top(void *hub, struct span room, uint64_t last)
{
    struct instance *instance = hub;
    struct seen *seen = instance_seen(instance, room);
    if (seen->known && last > seen->last && !instance->loose)
        instances_complain(instance, "the digest says %llu, pushed was %llu", (unsigned long long)last,
                           (unsigned long long)seen->last);
    tell(instance, TOLD_TOP, room, (struct span){NULL, 0}, (struct span){NULL, 0})->number = last;
}

static void on_kept(void *hub, uint64_t number)
{
    struct instance *instance = hub;
    instance->kept = number > instance->kept ? number : instance->kept;
}

static void on_reached(void *hub, uint64_t position)
{
    struct instance *instance = hub;
    if (position < instance->newest || position < instance->reached)
        instances_complain(instance, "position %llu behind %llu", (unsigned long long)position,
                           (unsigned long long)instance->newest);
    instance->reached = position;
    tell(instance, TOLD_REACHED, (struct span){NULL, 0}, (struct span){NULL, 0}, (struct span){NULL, 0})->number =
        position;
}

static void on_presence(void *hub, struct span room, const struct broker_present *who, bool entered, uint64_t count)
{
    tell(hub, entered ? TOLD_ENTERED : TOLD_LEFT, room, who->sid, who->data)->number = count;
}

static void on_superseded(void *hub, struct span pid, uint64_t generation)
{
    tell(hub, TOLD_SUPERSEDED, pid, (struct span){NULL, 0}, (struct span){NULL, 0})->number = generation;
}

static const struct broker_events events = {
    .up = on_up,
    .down = on_down,
    .subscribed = on_subscribed,
    .forgotten = on_forgotten,
    .pushed = on_pushed,
    .top = on_top,
    .reached = on_reached,
    .kept = on_kept,
    .presence = on_presence,
    .superseded = on_superseded,
};

static bool is_kind(const struct told *told, enum told_kind what, const char *room)
{
    return told->kind == what && (room[0] == '\0' || span_equal(told->name, span_str(room)));
}

size_t told_count(const struct instance *instance, enum told_kind what, const char *room)
{
    size_t count = 0;
    for (size_t i = 0; i < instance->told_count; i++)
        count += is_kind(instance->told[i], what, room);
    return count;
}

const struct told *told_at(const struct instance *instance, enum told_kind what, const char *room, size_t index)
{
    for (size_t i = 0; i < instance->told_count; i++)
        if (is_kind(instance->told[i], what, room) && index-- == 0)
            return instance->told[i];
    fail_msg("%s was not told %d of \"%s\" so often", instance->name, what, room);
    return NULL;
}

const struct told *told_last(const struct instance *instance, enum told_kind what, const char *room)
{
    size_t count = told_count(instance, what, room);
    return told_at(instance, what, room, count > 0 ? count - 1 : 0);
}

size_t told_place(const struct instance *instance, const struct told *told)
{
    size_t i = 0;
    while (i < instance->told_count && instance->told[i] != told)
        i++;
    return i;
}

size_t told_who(const struct instance *instance, enum told_kind what, const char *room, const char *sid)
{
    size_t count = 0;
    for (size_t i = 0; i < instance->told_count; i++)
        count += is_kind(instance->told[i], what, room) && span_equal(instance->told[i]->audience, span_str(sid));
    return count;
}

int number_of(struct span text)
{
    char digits[16];
    snprintf(digits, sizeof digits, SPAN_FMT, SPAN_ARG(text));
    return atoi(digits);
}

static void stop(struct timer *timer)
{
    loop_stop(loop);
}

void instances_turn(void)
{
    loop_stop(loop);
    loop_run(loop);
    if (apart_loop == NULL || !apart_awake)
        return;
    loop_stop(apart_loop);
    loop_run(apart_loop);
}

void instances_pass(void)
{
    uint64_t began_ms = now_ms();
    /* Between two passes the test does its own things, some of which wait. */
    if (passed_at_ms != 0 && began_ms - passed_at_ms > STALL_MS)
        stalled_ms += began_ms - passed_at_ms;
    timer_start(loop, &tick, LOOP_MS(PASS_MS));
    loop_run(loop);
    if (apart_loop != NULL && apart_awake) {
        loop_stop(apart_loop);
        loop_run(apart_loop);
    }
    passed_at_ms = now_ms();
    if (passed_at_ms - began_ms > STALL_MS)
        stalled_ms += passed_at_ms - began_ms;
}

void instances_run(uint64_t ms)
{
    uint64_t until = now_ms() + ms;
    while (now_ms() < until)
        instances_pass();
}

void instances_stalled_forget(void)
{
    stalled_ms = passed_at_ms = 0;
}

uint64_t instances_stalled_ms(void)
{
    return stalled_ms;
}

void instances_use_prefix(const char *text)
{
    snprintf(prefix, sizeof prefix, "%s", text);
}

const char *instances_prefix(void)
{
    return prefix;
}

const char *instances_directory(void)
{
    if (directory[0] == '\0') {
        snprintf(directory, sizeof directory, "/tmp/sennit-broker-XXXXXX");
        assert_non_null(mkdtemp(directory));
    }
    return directory;
}

static void directory_remove(void)
{
    static const char *const names[] = {"sennit.db", "sennit.db-wal", "lock"};
    if (directory[0] == '\0')
        return;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(directory), 0);
    directory[0] = '\0';
}

const char *instances_key(const char *name)
{
    static char text[2][256];
    static int turn;
    turn = !turn;
    snprintf(text[turn], sizeof text[turn], "%s:{0}:%s", prefix, name);
    return text[turn];
}

/* Kept for instances_logged; shown when somebody wants to see it. */
static void log_keep(struct span line)
{
    buf_append(&logged, line);
    if (getenv("BROKER_TEST_LOG") != NULL)
        fwrite(line.data, 1, line.len, stderr);
}

bool instances_logged(const char *text)
{
    struct span all = buf_span(&logged);
    return memmem(all.data, all.len, text, strlen(text)) != NULL;
}

int instances_set_up(void **state)
{
    instances_bounds = (struct broker_bounds){0};
    instances_sync = JOURNAL_SYNC_SECOND;
    struct err err;
    log_init(LOG_TEXT, LOG_DEBUG, loop_clock_ms, log_keep);
    snprintf(prefix, sizeof prefix, "test%u", ++prefixes);
    if (kind == KIND_FIRESTORE) /* the emulator may be one that other programs have written to */
        snprintf(prefix, sizeof prefix, "test%d-%u", getpid(), prefixes);
    complaint[0] = '\0';
    passed_at_ms = 0;
    list_init(&instances);
    loop = loop_create(&err);
    assert_non_null(loop);
    net_init(&net, loop);
    timer_init(&tick, stop);
    if (firestore.is_modelled) {
        firestore_model_start(&net);
        firestore.port = firestore_model_port();
    }
    return 0;
}

int instances_set_up_mended(void **state)
{
    static const char *const mending[][5] = {{"REPLICAOF", "NO", "ONE"},
                                             {"CONFIG", "SET", "min-replicas-to-write", "0"},
                                             {"CONFIG", "SET", "maxmemory", "0"},
                                             {"CONFIG", "SET", "maxmemory-policy", "noeviction"},
                                             {"CONFIG", "SET", "requirepass", ""}};
    if (redis.pid == 0)
        redis_process_restart(&redis, false);
    redis_try(&redis, "AUTH", "secret", NULL);
    for (size_t i = 0; i < sizeof mending / sizeof mending[0]; i++)
        redis_ask_words(&redis, mending[i]);
    return instances_set_up(state);
}

int instances_tear_down(void **state)
{
    while (!list_empty(&instances))
        instance_destroy(container_of(instances.next, struct instance, of_all));
    calls_finish();
    directory_remove();
    buf_finish(&logged);
    byte_proxies_finish();
    firestore_model_finish();
    timer_stop(loop, &tick);
    net_finish(&net);
    loop_destroy(loop);
    if (apart_loop != NULL) {
        net_finish(&apart_net);
        loop_destroy(apart_loop);
        apart_loop = NULL;
    }
    instances_check(__FILE__, __LINE__);
    return 0;
}

/* The schema is made for the first instance of its fleet. */
static struct broker *postgres_create(const char *name, struct net *of, const char *url, struct err *err)
{
    struct broker_postgres_config config = {.url = url, .schema = prefix, .instance = name, .bounds = instances_bounds};
    if (strcmp(prefix, schema) != 0 && postgres.pid != 0)
        postgres_process_schema(&postgres, prefix, NULL);
    snprintf(schema, sizeof schema, "%s", prefix);
    return broker_postgres_create(of, &config, err);
}

static struct instance *instance_create(const char *name, struct net *of, const char *url)
{
    struct instance *instance = mem_zero(1, sizeof *instance);
    struct err err = {{0}};
    struct broker_redis_config config = {.url = url, .prefix = prefix, .instance = name, .bounds = instances_bounds};
    snprintf(instance->name, sizeof instance->name, "%s", name);
    instance->net = of;
    if (url != NULL && kind == KIND_POSTGRES)
        instance->broker = postgres_create(name, of, url, &err);
    else if (url != NULL && kind == KIND_FIRESTORE)
        instance->broker = firestore_process_broker(of, url, prefix, name, &instances_bounds, &err);
    else if (url != NULL)
        instance->broker = broker_redis_create(of, &config, &err);
    else if (kind == KIND_FILE)
        instance->broker = broker_file_create(of->loop,
                                              &(struct broker_file_config){.directory = instances_directory(),
                                                                           .sync = instances_sync,
                                                                           .bounds = instances_bounds},
                                              &err);
    else
        instance->broker = broker_memory_create(of->loop, &instances_bounds);
    if (instance->broker == NULL)
        fail_msg("%s", err.text);
    broker_attach(instance->broker, &events, instance);
    broker_watch(instance->broker, &watcher, instance);
    list_init(&instance->of_all);
    list_append(&instances, &instance->of_all);
    return instance;
}

struct instance *instance_open_at(const char *name, const char *url)
{
    return instance_create(name, &net, url);
}

const char *instances_url(uint16_t port)
{
    static char url[80];
    if (kind == KIND_POSTGRES)
        snprintf(url, sizeof url, "postgres://sennit@127.0.0.1:%u/postgres%s", port,
                 pgbouncer.pid != 0 ? "?poll=20ms" : "");
    else if (kind == KIND_FIRESTORE)
        snprintf(url, sizeof url, "127.0.0.1:%u", port);
    else
        snprintf(url, sizeof url, "redis://127.0.0.1:%u", port);
    return url;
}

uint16_t instances_server_port(void)
{
    return pgbouncer.pid != 0       ? pgbouncer.port
           : kind == KIND_POSTGRES  ? postgres.port
           : kind == KIND_FIRESTORE ? firestore.port
                                    : redis.port;
}

static struct instance *on_server(const char *name, struct net *of)
{
    return instance_create(name, of, instances_url(instances_server_port()));
}

struct instance *instance_open(const char *name)
{
    if (kind_is_shared())
        return on_server(name, &net);
    return list_empty(&instances) ? instance_create(name, &net, NULL)
                                  : container_of(instances.next, struct instance, of_all);
}

struct instance *instance_open_apart(const char *name)
{
    struct err err;
    apart_awake = true;
    apart_loop = loop_create(&err);
    net_init(&apart_net, apart_loop);
    return on_server(name, &apart_net);
}

struct instance *instance_up(const char *name)
{
    struct instance *instance = instance_open(name);
    AWAIT(instance->up);
    return instance;
}

struct instance *instance_up_behind(const char *name, struct byte_proxy **proxy)
{
    *proxy = byte_proxy_open(&net, instances_server_port());
    struct instance *instance = instance_open_at(name, instances_url(listener_port(&(*proxy)->listener)));
    AWAIT(instance->up);
    return instance;
}

void instance_forget(struct instance *instance)
{
    for (size_t i = 0; i < instance->told_count; i++)
        free(instance->told[i]);
    instance->told_count = 0;
}

void instance_destroy(struct instance *instance)
{
    broker_destroy(instance->broker);
    list_remove(&instance->of_all);
    instance_forget(instance);
    free(instance->told);
    for (size_t i = 0; i < instance->seen_count; i++)
        free(instance->seen[i].room);
    free(instance->seen);
    free(instance);
}
