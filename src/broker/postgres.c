/* postgres: the states of the broker and its two links, from resolving the address to UP and back; and the heartbeat.
 */
#include "broker/postgres.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/postgres_parts.h"
#include "broker/postgres_schema.h"

enum { BACKOFF_MS_MIN = 100, BACKOFF_MS_MAX = 2000, PULSE_MS = 800, TOUCH_S = 3600, VERSION_MIN = 130000 };

static const struct {
    const char *name;
    int args;
} functions[PG_FUNCTION_COUNT] = {
    [PG_OPEN] = {"open", 7},
    [PG_POLL] = {"poll", 11},
    [PG_PUBLISH] = {"publish", 16},
    [PG_READ] = {"read", 7},
    [PG_LEASE_WRITE] = {"lease_write", 12},
    [PG_LEASE_CLAIM] = {"lease_claim", 6},
    [PG_LEASE_RELEASE] = {"lease_release", 3},
    [PG_LEASE_TAKE] = {"lease_take", 5},
    [PG_LEASE_LAPSED] = {"lease_lapsed", 4},
    [PG_LEASE_END] = {"lease_end", 2},
    [PG_PRESENT_ENTER] = {"present_enter", 6},
    [PG_PRESENT_LEAVE] = {"present_leave", 5},
    [PG_PRESENT_LIST] = {"present_list", 4},
    [PG_MAIL_SEND] = {"mail_send", 4},
    [PG_MAIL_OWNERS] = {"mail_owners", 2},
    [PG_STATS] = {"stats", 0},
    [PG_ROOMS_TOUCH] = {"rooms_touch", 2},
    [PG_PULSE] = {"pulse", 4},
    [PG_BLOCKER] = {"blocker", 0},
    [PG_SCHEMA_VERSION] = {"schema_version", 0},
    [PG_RECORD_ASK] = {"record_ask", 9},
    [PG_RECORD_PASS] = {"record_pass", 17},
    [PG_RECORD_END] = {"record_end", 6},
    [PG_RECORD_LIST] = {"record_list", 3},
};

struct refused {
    struct list node;
    pg_done_fn *done;
    void *arg;
};

static void refuse_all(struct task *task)
{
    struct postgres_broker *postgres = container_of(task, struct postgres_broker, refuse);
    struct list *node;
    while ((node = list_take(&postgres->refused)) != NULL) {
        struct refused *refused = container_of(node, struct refused, node);
        refused->done(refused->arg, NULL);
        free(refused);
    }
}

void postgres_refuse(struct postgres_broker *postgres, pg_done_fn *done, void *arg)
{
    struct refused *refused = mem_zero(1, sizeof *refused);
    refused->done = done;
    refused->arg = arg;
    list_init(&refused->node);
    list_append(&postgres->refused, &refused->node);
    loop_at_flush(postgres->loop, &postgres->refuse);
}

static void link_call(struct postgres_broker *postgres, struct pg_link *link, enum postgres_function function,
                      struct pg_args *args, pg_done_fn *done, void *arg)
{
    if (postgres->state != POSTGRES_DOWN && link->state == PG_LINK_OPEN) {
        pg_link_call(link, postgres->statements[function], args, done, arg);
        return;
    }
    postgres_refuse(postgres, done, arg);
    if (args != NULL)
        pg_args_finish(args);
}

void postgres_call(struct postgres_broker *postgres, enum postgres_function function, struct pg_args *args,
                   pg_done_fn *done, void *arg)
{
    link_call(postgres, &postgres->calls, function, args, done, arg);
}

void postgres_feed_call(struct postgres_broker *postgres, enum postgres_function function, struct pg_args *args,
                        pg_done_fn *done, void *arg)
{
    link_call(postgres, &postgres->feed_link, function, args, done, arg);
}

static void backoff_start(struct postgres_broker *postgres)
{
    uint64_t half = postgres->backoff_ms / 2;
    timer_start(postgres->loop, &postgres->backoff, LOOP_MS(half + loop_random_below(postgres->loop, half + 1)));
    postgres->backoff_ms = postgres->backoff_ms * 2 > BACKOFF_MS_MAX ? BACKOFF_MS_MAX : postgres->backoff_ms * 2;
}

void postgres_break(struct postgres_broker *postgres)
{
    bool was_up = postgres->broker.is_up;
    if (postgres->state == POSTGRES_DOWN)
        return;
    postgres->state = POSTGRES_DOWN;
    postgres->broker.is_up = false;
    timer_stop(postgres->loop, &postgres->pulse);
    if (was_up && !postgres->destroying) {
        log_event(LOG_WARNING, "the link to the broker broke");
        postgres->broker.events->down(postgres->broker.hub);
    }
    postgres_feed_down(postgres);
    pg_link_close(&postgres->calls);
    pg_link_close(&postgres->feed_link);
    if (!postgres->destroying && !postgres->unusable)
        backoff_start(postgres);
}

static void pulsed(void *arg, const PGresult *result)
{
    struct postgres_broker *postgres = arg;
    if (result == NULL || postgres_is_error(postgres, result, "sending a heartbeat"))
        return;
    uint64_t said = PQntuples(result) == 1 ? pg_number(result, 0, 0) : 3;
    if (said > 2) {
        postgres_invalid(postgres, "the answer to a heartbeat");
    } else if (said == 0) {
        log_event(LOG_WARNING, "this instance was silent for too long, and others counted it as dead: reconnecting");
        postgres_break(postgres);
    } else {
        postgres->backoff_ms = BACKOFF_MS_MIN;
        postgres_trouble_set(postgres, NULL);
        timer_start(postgres->loop, &postgres->pulse, said == 2 ? 0 : LOOP_MS(PULSE_MS));
    }
}

static void touched(void *arg, const PGresult *result)
{
    if (result != NULL)
        postgres_is_error(arg, result, "keeping rooms");
}

/* Rooms that sockets are in keep their record, however quiet they are. */
static void rooms_touch(struct postgres_broker *postgres)
{
    struct pg_args args = {.count = 0};
    uint64_t now = loop_now_us(postgres->loop);
    if (now - postgres->touched_us < LOOP_S(TOUCH_S))
        return;
    postgres->touched_us = now;
    pg_add_text(&args, postgres->epoch);
    postgres_feed_rooms_add(postgres, &args, true);
    postgres_call(postgres, PG_ROOMS_TOUCH, &args, touched, postgres);
}

static void pulse(struct timer *timer)
{
    struct postgres_broker *postgres = container_of(timer, struct postgres_broker, pulse);
    struct pg_args args = {.count = 0};
    pg_add_text(&args, postgres->epoch);
    pg_add_text(&args, postgres->life);
    pg_add_big(&args, POSTGRES_LIFE_MS);
    pg_add_big(&args, POSTGRES_GONE_MS);
    postgres_call(postgres, PG_PULSE, &args, pulsed, postgres);
    rooms_touch(postgres);
}

static void opened(void *arg, const PGresult *result)
{
    enum { REFUSED_MAX = 1000 };
    struct postgres_broker *postgres = arg;
    if (result == NULL || postgres_is_error(postgres, result, "opening the epoch"))
        return;
    struct span epoch = PQntuples(result) == 1 ? pg_bytes(result, 0, 0) : SPAN_LIT("");
    if (epoch.len == 0 || epoch.len > BROKER_EPOCH_BYTES_MAX) {
        postgres_invalid(postgres, "the epoch");
        return;
    }
    bool is_another = postgres->epoch[0] != '\0' && !span_equal(epoch, span_str(postgres->epoch));
    char before[sizeof postgres->epoch] = "";
    if (is_another)
        memcpy(before, postgres->epoch, sizeof before);
    snprintf(postgres->epoch, sizeof postgres->epoch, SPAN_FMT, SPAN_ARG(epoch));
    struct postgres_position from = {pg_number(result, 0, 1), pg_number(result, 0, 2)};
    uint64_t ended = pg_number(result, 0, 3), called = pg_number(result, 0, 4), places[REFUSED_MAX];
    struct span numbers[REFUSED_MAX], whys[REFUSED_MAX];
    size_t count = pg_elements(result, 0, 5, numbers, REFUSED_MAX);
    if (pg_elements(result, 0, 6, whys, REFUSED_MAX) != count) {
        postgres_invalid(postgres, "the last call of this instance");
        return;
    }
    for (size_t i = 0; i < count; i++)
        places[i] = pg_number_of(numbers[i]);
    postgres->state = POSTGRES_UP;
    postgres->complained = false;
    postgres->proven = true;
    postgres->touched_us = loop_now_us(postgres->loop);
    postgres_feed_start(postgres, from);
    timer_start(postgres->loop, &postgres->pulse, LOOP_MS(loop_random_below(postgres->loop, PULSE_MS)));
    broker_went_up(&postgres->broker, span_str(postgres->epoch), span_str(before), ended);
    if (postgres->state == POSTGRES_UP)
        postgres_publish_resume(postgres, called, places, whys, count);
}

/* Each time the links come up, this instance begins another life; numbers of lives rise. */
static void life_begin(struct postgres_broker *postgres)
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    uint64_t wall_ms = (uint64_t)loop_wall_ms(postgres->loop);
    char epoch[11];
    struct pg_args args = {.count = 0};
    postgres->life_number = wall_ms > postgres->life_number ? wall_ms : postgres->life_number + 1;
    snprintf(postgres->life, sizeof postgres->life, "%.40s:%llu", postgres->instance,
             (unsigned long long)postgres->life_number);
    for (int i = 0; i < 10; i++)
        epoch[i] = digits[loop_random_below(postgres->loop, sizeof digits - 1)];
    epoch[10] = '\0';
    pg_add_text(&args, epoch);
    pg_add_text(&args, postgres->epoch);
    pg_add_text(&args, postgres->life);
    pg_add_text(&args, postgres->instance);
    pg_add_text(&args, postgres->publisher);
    pg_add_big(&args, POSTGRES_LIFE_MS);
    pg_add_int(&args, (uint32_t)postgres->backend);
    postgres_call(postgres, PG_OPEN, &args, opened, postgres);
}

static void greet(struct postgres_broker *postgres)
{
    int version = PQserverVersion(postgres->calls.conn);
    if (version < VERSION_MIN) {
        postgres_unusable(postgres, "this Postgres is older than version 13: use a newer one");
        return;
    }
    postgres->state = POSTGRES_GREETING;
    life_begin(postgres);
}

static void listening(void *arg, const PGresult *result)
{
    struct postgres_broker *postgres = arg;
    if (result != NULL && !postgres_is_error(postgres, result, "listening") && postgres->calls.state == PG_LINK_OPEN)
        greet(postgres);
}

/* LISTEN comes before the epoch is opened, and so before the position from which the feed begins. */
static void listen_or_greet(struct postgres_broker *postgres)
{
    if (postgres->url.listen)
        pg_link_call(&postgres->feed_link, postgres->listen_statement, NULL, listening, postgres);
    else
        greet(postgres);
}

/* A pooler tells its clients process numbers of its own. */
static void backend_told(void *arg, const PGresult *result)
{
    struct postgres_broker *postgres = arg;
    if (result == NULL || postgres_is_error(postgres, result, "asking for a process") ||
        postgres->calls.state != PG_LINK_OPEN || postgres->feed_link.state != PG_LINK_OPEN)
        return;
    uint64_t backend = PQntuples(result) == 1 ? pg_number(result, 0, 0) : 0;
    if (backend == (uint64_t)PQbackendPID(postgres->calls.conn)) {
        pg_link_pipeline(&postgres->calls);
        pg_link_pipeline(&postgres->feed_link);
        postgres->backend = postgres->url.listen ? (uint64_t)PQbackendPID(postgres->feed_link.conn) : 0;
    }
    listen_or_greet(postgres);
}

static void link_opened(struct pg_link *link)
{
    struct postgres_broker *postgres = link->owner;
    if (postgres->state != POSTGRES_CONNECTING || postgres->calls.state != PG_LINK_OPEN ||
        postgres->feed_link.state != PG_LINK_OPEN)
        return;
    postgres->backend = 0;
    pg_link_call(&postgres->calls, "SELECT pg_backend_pid()::bigint", NULL, backend_told, postgres);
}

static void link_closed(struct pg_link *link, const char *why)
{
    struct postgres_broker *postgres = link->owner;
    if (postgres->state != POSTGRES_UP) {
        postgres->place++;
        postgres->address++;
        postgres_refused(postgres, why);
    } else {
        log_event(LOG_WARNING, "Postgres ended a connection", LOG_C("why", why));
    }
    postgres_break(postgres);
}

static void link_notified(struct pg_link *link)
{
    struct postgres_broker *postgres = link->owner;
    if (postgres->state == POSTGRES_UP)
        postgres_feed_notified(postgres);
}

static const struct pg_link_events link_events = {link_opened, link_closed, link_notified};

static const struct postgres_place *place_of(const struct postgres_broker *postgres)
{
    return &postgres->url.places[postgres->place % postgres->url.place_count];
}

/* `address`: NULL for a unix socket. The URL's options come last, and count. */
static void links_open(struct postgres_broker *postgres, const char *address)
{
    enum { OURS_MAX = 8 };
    const struct postgres_place *place = place_of(postgres);
    char port[8];
    const char *keywords[POSTGRES_OPTIONS_MAX + OURS_MAX + 1], *values[POSTGRES_OPTIONS_MAX + OURS_MAX + 1];
    const char *const ours[OURS_MAX][2] = {{"host", place->host},
                                           {"hostaddr", address},
                                           {"port", port},
                                           {"application_name", postgres->application},
                                           {"client_encoding", "UTF8"},
                                           {"gssencmode", "disable"},
                                           {"keepalives_idle", "5"},
                                           {"tcp_user_timeout", "5000"}};
    size_t count = 0;
    snprintf(port, sizeof port, "%u", place->port);
    for (size_t i = 0; i < OURS_MAX; i++)
        keywords[count] = ours[i][0], values[count++] = ours[i][1];
    for (size_t i = 0; i < postgres->url.option_count; i++)
        keywords[count] = postgres->url.keywords[i], values[count++] = postgres->url.values[i];
    keywords[count] = NULL;
    values[count] = NULL;
    postgres->state = POSTGRES_CONNECTING;
    pg_link_open(&postgres->calls, keywords, values);
    pg_link_open(&postgres->feed_link, keywords, values);
}

static void resolved(void *arg, const struct addr *addrs, size_t count, const char *why)
{
    struct postgres_broker *postgres = arg;
    char text[ADDR_TEXT_MAX];
    postgres->resolve = NULL;
    if (count == 0) {
        if (!postgres->complained)
            log_event(LOG_ERROR, "the broker's name is not known", LOG_C("host", place_of(postgres)->host),
                      LOG_C("why", why));
        postgres->complained = true;
        postgres->place++;
        backoff_start(postgres);
        return;
    }
    addr_ip_text(&addrs[postgres->address % count], text);
    links_open(postgres, text);
}

static void connect_now(struct timer *timer)
{
    struct postgres_broker *postgres = container_of(timer, struct postgres_broker, backoff);
    const struct postgres_place *place = place_of(postgres);
    if (place->host[0] == '/')
        links_open(postgres, NULL);
    else
        postgres->resolve = resolve_start(postgres->loop, place->host, place->port, resolved, postgres);
}

static void destroy(struct broker *broker)
{
    struct postgres_broker *postgres = postgres_of(broker);
    postgres->destroying = true;
    timer_stop(postgres->loop, &postgres->backoff);
    resolve_cancel(postgres->resolve);
    postgres_break(postgres);
    postgres_publish_finish(postgres);
    refuse_all(&postgres->refuse);
    task_cancel(&postgres->refuse);
    postgres_feed_finish(postgres);
    postgres_url_finish(&postgres->url);
    for (int i = 0; i < PG_FUNCTION_COUNT; i++)
        free(postgres->statements[i]);
    char *const texts[] = {postgres->schema,      postgres->instance,         postgres->publisher,
                           postgres->application, postgres->listen_statement, postgres->trouble_text};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        free(texts[i]);
    free(postgres);
}

static const struct broker_ops ops = {
    .publish = postgres_publish,
    .subscribe = postgres_subscribe,
    .unsubscribe = postgres_unsubscribe,
    .read = postgres_read,
    .lease_write = postgres_lease_write,
    .lease_claim = postgres_lease_claim,
    .lease_release = postgres_lease_release,
    .lease_take = postgres_lease_take,
    .lease_lapsed = postgres_lease_lapsed,
    .lease_end = postgres_lease_end,
    .present_enter = postgres_present_enter,
    .present_leave = postgres_present_leave,
    .present_list = postgres_present_list,
    .stats = postgres_stats,
    .probe = postgres_probe,
    .destroy = destroy,
};

/* `SELECT * FROM "schema".function($1, ...)` */
static void statements_make(struct postgres_broker *postgres)
{
    for (int i = 0; i < PG_FUNCTION_COUNT; i++) {
        struct buf text = {0};
        buf_printf(&text, "SELECT * FROM \"%s\".%s(", postgres->schema, functions[i].name);
        for (int arg = 1; arg <= functions[i].args; arg++)
            buf_printf(&text, arg > 1 ? ", $%d" : "$%d", arg);
        buf_append_char(&text, ')');
        postgres->statements[i] = mem_text(buf_span(&text));
        buf_finish(&text);
    }
    postgres->listen_statement = mem_printf("LISTEN \"%s\"", postgres->schema);
}

static void names_make(struct postgres_broker *postgres, const struct broker_postgres_config *config)
{
    postgres->schema = mem_text(span_str(config->schema));
    postgres->instance = mem_text(span_str(config->instance));
    postgres->application = mem_printf("sennit %.50s", postgres->instance);
    /* One process, one publisher: an instance that is started again under its old name must not go on with its numbers.
     */
    postgres->publisher =
        mem_printf("%s:%016llx", postgres->instance, (unsigned long long)loop_random_below(postgres->loop, UINT64_MAX));
    statements_make(postgres);
}

struct broker *broker_postgres_create(struct net *net, const struct broker_postgres_config *config, struct err *err)
{
    struct postgres_broker *postgres = mem_zero(1, sizeof *postgres);
    if (!postgres_schema_name_check(config->schema, err) || !postgres_url_parse(&postgres->url, config->url, err)) {
        postgres_url_finish(&postgres->url);
        free(postgres);
        return NULL;
    }
    postgres->broker.ops = &ops;
    postgres->broker.mail = &postgres_mail_ops;
    postgres->broker.records = &postgres_record_ops;
    postgres->net = net;
    postgres->loop = net->loop;
    postgres->bounds = config->bounds;
    if (postgres->bounds.rooms_max == 0)
        postgres->bounds.rooms_max = BROKER_ROOMS_MAX;
    if (postgres->bounds.store_bytes_max == 0)
        postgres->bounds.store_bytes_max = 1u << 30;
    postgres->backoff_ms = BACKOFF_MS_MIN;
    list_init(&postgres->refused);
    task_init(&postgres->refuse, refuse_all);
    timer_init(&postgres->backoff, connect_now);
    timer_init(&postgres->pulse, pulse);
    pg_link_init(&postgres->calls, postgres->loop, &link_events, postgres);
    pg_link_init(&postgres->feed_link, postgres->loop, &link_events, postgres);
    names_make(postgres, config);
    postgres_publish_init(postgres);
    postgres_feed_init(postgres);
    timer_start(postgres->loop, &postgres->backoff, 0);
    return &postgres->broker;
}
