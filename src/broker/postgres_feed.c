/* postgres_feed: what is pushed. Each poll brings what came behind the position that the one before reached, for the
 * rooms that are subscribed then. A room that is to be subscribed gets its confirmation with a poll that brings
 * everything up to its position, and its entries from the next poll on.
 *
 * The list of who is present in a room has a position, too: polls go up to it and no further before the list is told.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/postgres_parts.h"

enum {
    ROOMS_NAMED_MAX = 100, /* with more rooms, the server sends all that came, and what is not ours is dropped here */
    FENCES_MAX = 500,      /* in one poll */
    ROWS_MAX = 500,
    SURE_MS = 1000, /* between polls while notifications come through */
    REACHED_MS = 900,
    MISSES_MAX = 3, /* polls by the timer that found what was not notified */
};

struct room {
    struct map_node by_name;
    struct list waits; /* in `fences` */
    size_t pending;    /* confirmations to come */
    bool subscribed, wanted;
    char name[];
};

struct list_call {
    struct list node;
    struct postgres_broker *postgres;
    broker_presence_fn *done;
    void *arg;
    struct postgres_position at;
    PGresult *result; /* once it is known: it waits for its position */
    bool known;
};

struct probe_call {
    struct list node;
    struct postgres_broker *postgres;
    broker_done_fn *done;
    void *arg;
    uint64_t poll; /* it is answered behind this one */
};

static void next(struct postgres_broker *postgres);

static struct span name_of(const struct room *room)
{
    return room->by_name.key;
}

static struct room *room_find(struct postgres_feed *feed, struct span name)
{
    struct map_node *node = map_find(&feed->rooms, name);
    return node != NULL ? container_of(node, struct room, by_name) : NULL;
}

static struct room *room_get(struct postgres_feed *feed, struct span name)
{
    struct room *room = room_find(feed, name);
    if (room != NULL)
        return room;
    room = mem_zero(1, sizeof *room + name.len);
    memcpy(room->name, name.data, name.len);
    list_init(&room->waits);
    map_add(&feed->rooms, &room->by_name, span_of(room->name, name.len));
    return room;
}

static void subscribed_set(struct postgres_feed *feed, struct room *room, bool subscribed)
{
    size_t *count = broker_room_is_owned(name_of(room)) ? &feed->owned_count : &feed->subscribed_count;
    *count = *count + subscribed - room->subscribed;
    room->subscribed = subscribed;
}

static void room_destroy(struct postgres_feed *feed, struct room *room)
{
    subscribed_set(feed, room, false);
    list_remove(&room->waits);
    map_remove(&feed->rooms, &room->by_name);
    free(room);
}

/* Soon, but what else is asked for in this turn goes along. */
static void poll_soon(struct postgres_broker *postgres)
{
    postgres->feed.wake = true;
    if (!postgres->feed.polling)
        timer_start(postgres->loop, &postgres->feed.again, 0);
}

void postgres_subscribe(struct broker *broker, struct span name)
{
    struct postgres_broker *postgres = postgres_of(broker);
    if (!broker->is_up)
        return;
    struct room *room = room_get(&postgres->feed, name);
    if (giving_fences(postgres->giving, name)) {
        room->wanted = true;
        subscribed_set(&postgres->feed, room, true);
        return;
    }
    room->wanted = true;
    room->pending++;
    if (list_empty(&room->waits))
        list_append(&postgres->feed.fences, &room->waits);
    poll_soon(postgres);
}

void postgres_unsubscribe(struct broker *broker, struct span name)
{
    struct postgres_feed *feed = &postgres_of(broker)->feed;
    struct room *room = room_find(feed, name);
    if (room == NULL)
        return;
    room->wanted = false;
    subscribed_set(feed, room, false);
    if (room->pending == 0)
        room_destroy(feed, room);
}

void postgres_feed_rooms_add(struct postgres_broker *postgres, struct pg_args *args, bool with_owned)
{
    struct postgres_feed *feed = &postgres->feed;
    pg_array_begin(args, PG_BYTEAS, (uint32_t)(feed->subscribed_count + (with_owned ? feed->owned_count : 0)));
    for (struct map_node *node = map_next(&feed->rooms, NULL); node != NULL; node = map_next(&feed->rooms, node)) {
        const struct room *room = container_of(node, struct room, by_name);
        if (room->subscribed && (with_owned || !broker_room_is_owned(name_of(room))))
            pg_array_bytes(args, name_of(room));
    }
    pg_array_end(args);
}

static void entry_tell(struct postgres_broker *postgres, const PGresult *result, int row, bool logged)
{
    struct broker_entry entry = {
        .room = pg_bytes(result, row, 5),
        .audience = pg_bytes(result, row, 6),
        .body = pg_bytes(result, row, 7),
    };
    entry.prev = pg_number(result, row, 3);
    if (logged) {
        entry.seq = pg_number(result, row, 1);
        entry.time_ms = (int64_t)pg_number(result, row, 4);
    }
    const struct room *room = room_find(&postgres->feed, entry.room);
    if (broker_room_is_owned(entry.room) || (room != NULL && room->subscribed))
        postgres->broker.events->pushed(postgres->broker.hub, &entry);
}

/* News of who is present that are kept, too, come as an event. False: it is none. */
static bool kept_change_tell(struct postgres_broker *postgres, const PGresult *result, int row)
{
    const struct broker *broker = &postgres->broker;
    struct record_kept kept = {
        .room = pg_bytes(result, row, 5), .audience = pg_bytes(result, row, 6), .body = pg_bytes(result, row, 7)};
    if (!pg_is(result, row, 0, "event") || !record_kept_read(&kept) || kept.change == 0)
        return false;
    struct broker_present who = {.sid = kept.sid, .data = kept.data};
    const struct room *room = room_find(&postgres->feed, kept.room);
    if (room == NULL || !room->subscribed)
        return true;
    broker->events->kept(broker->hub, pg_number(result, row, 3));
    broker->events->presence(broker->hub, kept.room, &who, kept.change == '+', kept.count);
    return true;
}

static void presence_tell(struct postgres_broker *postgres, const PGresult *result, int row, bool entered)
{
    struct span name = pg_bytes(result, row, 5);
    struct broker_present who = {.sid = pg_bytes(result, row, 6), .data = pg_bytes(result, row, 7)};
    const struct room *room = room_find(&postgres->feed, name);
    if (room != NULL && room->subscribed)
        postgres->broker.events->presence(postgres->broker.hub, name, &who, entered, pg_number(result, row, 3));
}

void postgres_feed_kept(struct postgres_broker *postgres, uint64_t number)
{
    if (number > postgres->feed.kept)
        postgres->broker.events->kept(postgres->broker.hub, number);
    postgres->feed.kept = number > postgres->feed.kept ? number : postgres->feed.kept;
}

/* A room whose name waited has its confirmations. */
static void fence_tell(struct postgres_broker *postgres, const PGresult *result, int row, uint64_t position)
{
    struct postgres_feed *feed = &postgres->feed;
    struct room *room = room_find(feed, pg_bytes(result, row, 5));
    uint64_t last = pg_number(result, row, 1);
    if (room == NULL || room->pending == 0)
        return;
    size_t times = room->pending;
    room->pending = 0;
    list_remove(&room->waits);
    if (room->wanted)
        subscribed_set(feed, room, true);
    /* Its name stays while the hub hears of it. */
    for (size_t i = 0; i < times && postgres->state == POSTGRES_UP; i++)
        postgres->broker.events->subscribed(postgres->broker.hub, pg_bytes(result, row, 5), last, position);
    room = postgres->state == POSTGRES_UP ? room_find(feed, pg_bytes(result, row, 5)) : NULL;
    if (room != NULL && !room->wanted && room->pending == 0)
        room_destroy(feed, room);
}

static bool row_tell(struct postgres_broker *postgres, const PGresult *result, int row, uint64_t position)
{
    const struct broker *broker = &postgres->broker;
    if (kept_change_tell(postgres, result, row))
        return true;
    if (pg_is(result, row, 0, "entry") || pg_is(result, row, 0, "event"))
        entry_tell(postgres, result, row, pg_is(result, row, 0, "entry"));
    else if (pg_is(result, row, 0, "entered") || pg_is(result, row, 0, "left"))
        presence_tell(postgres, result, row, pg_is(result, row, 0, "entered"));
    else if (pg_is(result, row, 0, "claimed"))
        broker->events->superseded(broker->hub, pg_bytes(result, row, 6), pg_number(result, row, 3));
    else if (pg_is(result, row, 0, "mail"))
        mail_received(&postgres->broker, pg_bytes(result, row, 6), pg_bytes(result, row, 7));
    else if (pg_is(result, row, 0, "fence"))
        postgres_feed_kept(postgres, pg_number(result, 0, 4)), fence_tell(postgres, result, row, position);
    else if (!postgres_record_received(postgres, pg_bytes(result, row, 0), pg_number(result, row, 3),
                                       pg_bytes(result, row, 6), pg_bytes(result, row, 7), pg_number(result, row, 1)))
        postgres_invalid(postgres, "about a polling session");
    return postgres->state == POSTGRES_UP;
}

static void list_answer(struct list_call *call)
{
    struct broker_presence presence = {0};
    struct broker_present *members = NULL;
    const PGresult *result = call->result;
    if (result != NULL) {
        int rows = PQntuples(result) - 1;
        members = mem_zero((size_t)rows, sizeof *members);
        presence = (struct broker_presence){
            .count = pg_number(result, 0, 0), .cursor = pg_number(result, 0, 1), .member_count = (size_t)rows};
        for (int i = 0; i < rows; i++)
            members[i] = (struct broker_present){.sid = pg_bytes(result, i + 1, 4), .data = pg_bytes(result, i + 1, 5)};
        presence.members = members;
    }
    call->done(call->arg, result != NULL ? BROKER_OK : BROKER_LOST, result != NULL ? &presence : NULL);
    PQclear(call->result);
    free(members);
    free(call);
}

/* Lists whose position has been reached, and probes. */
static void reached_answer(struct postgres_broker *postgres)
{
    struct postgres_feed *feed = &postgres->feed;
    while (postgres->state == POSTGRES_UP && !list_empty(&feed->probes)) {
        struct probe_call *probe = container_of(feed->probes.next, struct probe_call, node);
        if (probe->poll > feed->polls)
            break;
        list_remove(&probe->node);
        probe->done(probe->arg, BROKER_OK);
        free(probe);
    }
    while (postgres->state == POSTGRES_UP && !list_empty(&feed->lists)) {
        struct list_call *call = container_of(feed->lists.next, struct list_call, node);
        if (!call->known || call->at.seq > feed->reached.seq || call->at.at > feed->reached.at)
            break;
        list_remove(&call->node);
        list_answer(call);
    }
}

static void reached_tell(struct postgres_broker *postgres, bool whole)
{
    struct postgres_feed *feed = &postgres->feed;
    uint64_t now = loop_now_us(postgres->loop);
    if (!whole || now - feed->told_us < LOOP_MS(REACHED_MS))
        return;
    feed->told_us = now;
    postgres->broker.events->reached(postgres->broker.hub, feed->reached.seq);
}

/* Each change is notified. If polls whose time had come find changes again and again, no notification comes through: a
 * pooler stands between, for example. Then polling alone must be quick enough. */
static void hearing_judge(struct postgres_broker *postgres, bool moved)
{
    struct postgres_feed *feed = &postgres->feed;
    if (moved && feed->by_timer)
        feed->misses++;
    feed->by_timer = false;
    if (feed->misses < MISSES_MAX)
        return;
    feed->hears = false;
    if (!feed->said)
        log_event(
            LOG_NOTICE, "Postgres sends no notifications, so this instance polls",
            LOG_N("poll_ms", postgres->url.poll_ms),
            LOG_C("cure", "connect past the pooler, or have it pool by session; `poll=` in the URL is the interval"));
    feed->said = true;
}

static void polled(void *arg, const PGresult *result)
{
    struct postgres_broker *postgres = arg;
    struct postgres_feed *feed = &postgres->feed;
    feed->polling = false;
    if (result == NULL || postgres_is_error(postgres, result, "polling"))
        return;
    struct postgres_position upto = {0};
    bool good = PQntuples(result) > 0 && pg_is(result, 0, 0, "upto");
    if (good)
        upto = (struct postgres_position){pg_number(result, 0, 1), pg_number(result, 0, 2)};
    if (!good || upto.seq < feed->reached.seq || upto.at < feed->reached.at) {
        postgres_invalid(postgres, "what was polled");
        return;
    }
    if (pg_number(result, 0, 3) > feed->reached.at) {
        log_event(LOG_WARNING, "this instance was away for so long that messages for it were deleted: reconnecting");
        postgres_break(postgres);
        return;
    }
    struct span head = pg_bytes(result, 0, 6);
    bool whole = head.len == 1 && head.data[0] != 0;
    for (int row = 1; row < PQntuples(result); row++)
        if (!row_tell(postgres, result, row, upto.seq))
            return;
    if (whole)
        postgres_feed_kept(postgres, pg_number(result, 0, 4));
    hearing_judge(postgres, upto.seq > feed->reached.seq || upto.at > feed->reached.at);
    feed->wake |= !whole;
    feed->reached = upto;
    reached_tell(postgres, whole);
    reached_answer(postgres);
    next(postgres);
}

static void fences_add(struct postgres_feed *feed, struct pg_args *args, uint32_t max)
{
    uint32_t count = 0;
    list_each (node, &feed->fences) {
        count += count < max;
    }
    struct list *at = feed->fences.next;
    pg_array_begin(args, PG_BYTEAS, count);
    for (uint32_t i = 0; i < count; i++, at = at->next)
        pg_array_bytes(args, name_of(container_of(at, struct room, waits)));
    pg_array_end(args);
}

static void poll_send(struct postgres_broker *postgres)
{
    struct postgres_feed *feed = &postgres->feed;
    struct pg_args args = {.count = 0};
    struct postgres_position most = {INT64_MAX, INT64_MAX};
    bool bounded = !list_empty(&feed->lists);
    if (bounded)
        most = container_of(feed->lists.next, struct list_call, node)->at;
    feed->polling = true;
    feed->wake = false;
    feed->polls++;
    pg_add_text(&args, postgres->epoch);
    pg_add_text(&args, postgres->life);
    pg_add_text(&args, postgres->instance);
    pg_add_big(&args, feed->reached.seq);
    pg_add_big(&args, feed->reached.at);
    pg_add_big(&args, most.seq);
    pg_add_big(&args, most.at);
    if (feed->subscribed_count <= ROOMS_NAMED_MAX)
        postgres_feed_rooms_add(postgres, &args, false);
    else
        pg_add_null(&args);
    fences_add(feed, &args, bounded ? 0 : FENCES_MAX);
    pg_add_int(&args, ROWS_MAX);
    pg_add_big(&args, BROKER_PAGE_BYTES_MAX);
    pg_link_call(&postgres->feed_link, postgres->statements[PG_POLL], &args, polled, postgres);
}

/* A list whose position is not known yet: until it is, no poll may go further. */
static bool list_is_out(const struct postgres_feed *feed)
{
    return !list_empty(&feed->lists) && !container_of(feed->lists.prev, struct list_call, node)->known;
}

/* Polls if something is due; else sleeps until it may be. */
static void next(struct postgres_broker *postgres)
{
    struct postgres_feed *feed = &postgres->feed;
    if (postgres->state != POSTGRES_UP || feed->polling || list_is_out(feed))
        return;
    if (feed->wake || !list_empty(&feed->fences) || !list_empty(&feed->probes) || !list_empty(&feed->lists))
        poll_send(postgres);
    else
        timer_start(postgres->loop, &feed->again, LOOP_MS(feed->hears ? SURE_MS : postgres->url.poll_ms));
}

static void on_again(struct timer *timer)
{
    struct postgres_broker *postgres = container_of(timer, struct postgres_broker, feed.again);
    postgres->feed.by_timer = !postgres->feed.polling;
    postgres->feed.wake = true;
    next(postgres);
}

/* A pooler that works by transaction passes on what the server tells the connection that it has lent to a call: such a
 * notification comes with a call, and says nothing of those that come while no call is under way. */
void postgres_feed_notified(struct postgres_broker *postgres)
{
    struct postgres_feed *feed = &postgres->feed;
    if (postgres->feed_link.sent_count == 0) {
        feed->hears = true;
        feed->misses = 0;
    }
    feed->wake = true;
    next(postgres);
}

static void listed(void *arg, const PGresult *result)
{
    struct list_call *call = arg;
    struct postgres_broker *postgres = call->postgres;
    if (result == NULL || postgres_is_error(postgres, result, "listing who is present") || PQntuples(result) < 1) {
        list_remove(&call->node);
        list_answer(call);
        return;
    }
    call->known = true;
    call->result = PQcopyResult(result, PG_COPYRES_ATTRS | PG_COPYRES_TUPLES);
    call->at = (struct postgres_position){pg_number(result, 0, 2), pg_number(result, 0, 3)};
    reached_answer(postgres);
    next(postgres);
}

void postgres_present_list(struct broker *broker, struct span room, uint64_t cursor, uint32_t limit,
                           broker_presence_fn *done, void *arg)
{
    struct postgres_broker *postgres = postgres_of(broker);
    struct list_call *call = mem_zero(1, sizeof *call);
    struct pg_args args = {.count = 0};
    *call = (struct list_call){.postgres = postgres, .done = done, .arg = arg};
    list_init(&call->node);
    if (!broker->is_up) {
        postgres_refuse(postgres, listed, call);
        return;
    }
    list_append(&postgres->feed.lists, &call->node);
    pg_add_text(&args, postgres->epoch);
    pg_add_bytes(&args, room);
    pg_add_big(&args, cursor);
    pg_add_int(&args, limit);
    pg_link_call(&postgres->feed_link, postgres->statements[PG_PRESENT_LIST], &args, listed, call);
}

static void probe_lost(struct probe_call *probe)
{
    probe->done(probe->arg, BROKER_LOST);
    free(probe);
}

/* The calls' link has answered, so all that was called before has taken effect; what follows from it comes with the
 * next poll. */
static void probe_called(void *arg, const PGresult *result)
{
    struct probe_call *probe = arg;
    struct postgres_broker *postgres = probe->postgres;
    if (result == NULL || postgres_is_error(postgres, result, "asking whether it is there")) {
        probe_lost(probe);
        return;
    }
    probe->poll = postgres->feed.polls + 1;
    list_append(&postgres->feed.probes, &probe->node);
    poll_soon(postgres);
}

void postgres_probe(struct broker *broker, broker_done_fn *done, void *arg)
{
    struct postgres_broker *postgres = postgres_of(broker);
    struct probe_call *probe = mem_zero(1, sizeof *probe);
    *probe = (struct probe_call){.postgres = postgres, .done = done, .arg = arg};
    list_init(&probe->node);
    if (broker->is_up)
        postgres_call(postgres, PG_SCHEMA_VERSION, NULL, probe_called, probe);
    else
        postgres_refuse(postgres, probe_called, probe);
}

void postgres_feed_init(struct postgres_broker *postgres)
{
    struct postgres_feed *feed = &postgres->feed;
    uint64_t seed[2];
    loop_random(postgres->loop, seed, sizeof seed);
    map_init(&feed->rooms, seed);
    list_init(&feed->fences);
    list_init(&feed->lists);
    list_init(&feed->probes);
    timer_init(&feed->again, on_again);
}

void postgres_feed_start(struct postgres_broker *postgres, struct postgres_position from)
{
    struct postgres_feed *feed = &postgres->feed;
    feed->reached = from;
    feed->polling = feed->wake = feed->hears = feed->by_timer = false;
    feed->misses = 0;
    feed->kept = 0;
    feed->told_us = loop_now_us(postgres->loop);
    timer_start(postgres->loop, &feed->again, 0);
}

void postgres_feed_down(struct postgres_broker *postgres)
{
    struct postgres_feed *feed = &postgres->feed;
    struct map_node *node;
    struct list *at;
    timer_stop(postgres->loop, &feed->again);
    while ((node = map_next(&feed->rooms, NULL)) != NULL)
        room_destroy(feed, container_of(node, struct room, by_name));
    while ((at = list_take(&feed->probes)) != NULL)
        probe_lost(container_of(at, struct probe_call, node));
    /* Those that are still asked for are told when the link closes. */
    while (!list_empty(&feed->lists) && container_of(feed->lists.next, struct list_call, node)->known) {
        struct list_call *call = container_of(list_take(&feed->lists), struct list_call, node);
        PQclear(call->result);
        call->result = NULL;
        list_answer(call);
    }
}

void postgres_feed_finish(struct postgres_broker *postgres)
{
    map_finish(&postgres->feed.rooms);
}
