/* postgres_publish: batches publishes: those that arrive while a call is under way go together into the next one. Calls
 * are numbered, and Postgres takes exactly the next number, so a call whose answer was lost can be repeated. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/postgres_parts.h"

enum {
    BATCH_ENTRIES_MAX = 500,
    BATCH_BYTES_MAX = 1 << 20,
    RETRY_MS = 250,
    TELL_MS = 10000,
};

/* The batch's rooms, each once, and its slots: rooms under one retention. A batch is mostly one room, so looking from
 * the last one is quick. */
struct batch {
    const struct waiting_publish *rooms[BATCH_ENTRIES_MAX], *slots[BATCH_ENTRIES_MAX];
    uint32_t slot_room[BATCH_ENTRIES_MAX]; /* from 1 */
    uint32_t room_count, slot_count;
};

static uint32_t batch_room(struct batch *batch, const struct waiting_publish *publish)
{
    for (uint32_t i = batch->room_count; i > 0; i--)
        if (span_equal(waiting_room(batch->rooms[i - 1]), waiting_room(publish)))
            return i;
    batch->rooms[batch->room_count++] = publish;
    return batch->room_count;
}

static uint32_t batch_slot(struct batch *batch, const struct waiting_publish *publish)
{
    uint32_t room = batch_room(batch, publish);
    for (uint32_t i = batch->slot_count; i > 0; i--) {
        if (batch->slot_room[i - 1] == room && waiting_is_kept_alike(batch->slots[i - 1], publish))
            return i;
    }
    batch->slots[batch->slot_count] = publish;
    batch->slot_room[batch->slot_count++] = room;
    return batch->slot_count;
}

static void slots_add(struct pg_args *args, const struct batch *batch)
{
    pg_array_begin(args, PG_BYTEAS, batch->room_count);
    for (uint32_t i = 0; i < batch->room_count; i++)
        pg_array_bytes(args, waiting_room(batch->rooms[i]));
    pg_array_end(args);
    pg_array_begin(args, PG_INTS, batch->slot_count);
    for (uint32_t i = 0; i < batch->slot_count; i++)
        pg_array_int(args, batch->slot_room[i]);
    pg_array_end(args);
    pg_array_begin(args, PG_BIGS, batch->slot_count);
    for (uint32_t i = 0; i < batch->slot_count; i++)
        pg_array_big(args, batch->slots[i]->retention.entries_max);
    pg_array_end(args);
    pg_array_begin(args, PG_BIGS, batch->slot_count);
    for (uint32_t i = 0; i < batch->slot_count; i++)
        pg_array_big(args, batch->slots[i]->retention.bytes_max);
    pg_array_end(args);
    pg_array_begin(args, PG_BIGS, batch->slot_count);
    for (uint32_t i = 0; i < batch->slot_count; i++)
        pg_array_big(args, batch->slots[i]->retention.age_ms_max);
    pg_array_end(args);
}

static void texts_add(struct postgres_broker *postgres, struct pg_args *args, uint32_t count,
                      struct span (*text_of)(const struct waiting_publish *publish))
{
    pg_array_begin(args, PG_BYTEAS, count);
    list_each (node, &postgres->flying) {
        pg_array_bytes(args, text_of(waiting_of(node)));
    }
    pg_array_end(args);
}

static void entries_add(struct postgres_broker *postgres, struct pg_args *args, uint32_t count)
{
    pg_array_begin(args, PG_INTS, count);
    list_each (node, &postgres->flying) {
        pg_array_int(args, waiting_of(node)->slot);
    }
    pg_array_end(args);
    texts_add(postgres, args, count, waiting_name);
    pg_array_begin(args, PG_BIGS, count);
    list_each (node, &postgres->flying) {
        const struct waiting_publish *publish = waiting_of(node);
        pg_array_big(args, waiting_name(publish).len > 0 ? broker_digest(waiting_body(publish)) >> 1 : 0);
    }
    pg_array_end(args);
    texts_add(postgres, args, count, waiting_audience);
    texts_add(postgres, args, count, waiting_body);
}

static void answered(void *arg, const PGresult *result);

static void call_send(struct postgres_broker *postgres)
{
    struct batch *batch = mem_zero(1, sizeof *batch);
    struct pg_args args = {.count = 0};
    uint32_t count = 0;
    list_each (node, &postgres->flying) {
        struct waiting_publish *publish = waiting_of(node);
        publish->slot = batch_slot(batch, publish);
        publish->result = BROKER_OK;
        count++;
    }
    pg_add_text(&args, postgres->epoch);
    pg_add_text(&args, postgres->publisher);
    pg_add_big(&args, postgres->call_number);
    pg_add_bool(&args, postgres->rebase);
    pg_add_big(&args, postgres->bounds.rooms_max);
    pg_add_big(&args, postgres->bounds.store_bytes_max);
    slots_add(&args, batch);
    entries_add(postgres, &args, count);
    free(batch);
    postgres->call_out = true;
    postgres_call(postgres, PG_PUBLISH, &args, answered, postgres);
}

static void call_begin(struct postgres_broker *postgres)
{
    size_t entries = 0, bytes = 0;
    struct list *node;
    while (entries < BATCH_ENTRIES_MAX && bytes < BATCH_BYTES_MAX && (node = list_take(&postgres->publishes)) != NULL) {
        bytes += waiting_bytes(waiting_of(node));
        list_append(&postgres->flying, node);
        entries++;
    }
    if (entries == 0)
        return;
    postgres->call_number++;
    postgres->rebase = false;
    call_send(postgres);
}

static void publish_flush(struct task *task)
{
    struct postgres_broker *postgres = container_of(task, struct postgres_broker, publish_flush);
    if (postgres->state == POSTGRES_UP && !postgres->call_out && list_empty(&postgres->flying))
        call_begin(postgres);
}

static void retry(struct timer *timer)
{
    struct postgres_broker *postgres = container_of(timer, struct postgres_broker, publish_retry);
    if (postgres->state == POSTGRES_UP && !postgres->call_out && !list_empty(&postgres->flying))
        call_send(postgres);
}

static void call_accepted(struct postgres_broker *postgres)
{
    struct list *node;
    while ((node = list_take(&postgres->flying)) != NULL) {
        struct waiting_publish *publish = waiting_of(node);
        postgres->backlog_bytes -= waiting_bytes(publish);
        waiting_answer(publish, publish->result);
    }
    loop_at_flush(postgres->loop, &postgres->publish_flush);
}

/* One line in TELL_MS at most. */
static void refusal_tell(struct postgres_broker *postgres, const struct waiting_publish *publish)
{
    uint64_t now = loop_now_us(postgres->loop);
    if (publish->result == BROKER_TAKEN)
        return; /* its sender's affair */
    postgres->full_count++;
    if (postgres->full_told_us != 0 && now - postgres->full_told_us < LOOP_MS(TELL_MS))
        return;
    log_event(LOG_WARNING, "publishes are refused: the service's storage is full",
              LOG_C("why", broker_refusal_text(publish->result)), LOG_N("refused", postgres->full_count),
              LOG_S("room", span_sub(waiting_room(publish), 0, 64)),
              LOG_N("store_bytes_max", postgres->bounds.store_bytes_max),
              LOG_N("rooms_max", postgres->bounds.rooms_max),
              LOG_C("cure", "raise `limits: rooms` and `log_bytes`, or keep less: `log:` of the namespaces"));
    postgres->full_told_us = now;
    postgres->full_count = 0;
}

static enum broker_result refusal_of(struct span why)
{
    return span_equal(why, SPAN_LIT("bytes"))   ? BROKER_FULL
           : span_equal(why, SPAN_LIT("rooms")) ? BROKER_FULL_ROOMS
           : span_equal(why, SPAN_LIT("taken")) ? BROKER_TAKEN
                                                : BROKER_OK;
}

/* A refused entry, by its place in the call, from 1. */
static bool refusal_take(struct postgres_broker *postgres, uint64_t place, struct span why)
{
    uint64_t at = 0;
    list_each (node, &postgres->flying) {
        if (++at != place)
            continue;
        struct waiting_publish *publish = waiting_of(node);
        publish->result = refusal_of(why);
        refusal_tell(postgres, publish);
        return publish->result != BROKER_OK;
    }
    return false;
}

static bool refusals_take(struct postgres_broker *postgres, const PGresult *result)
{
    for (int row = 1; row < PQntuples(result); row++)
        if (!refusal_take(postgres, pg_number(result, row, 0), pg_bytes(result, row, 1)))
            return false;
    return true;
}

static void answered(void *arg, const PGresult *result)
{
    struct postgres_broker *postgres = arg;
    postgres->call_out = false;
    if (result == NULL)
        return; /* the link broke: what flies is repeated once it is up again */
    if (postgres_may_pass(postgres, result, "publishing")) {
        if (postgres->state == POSTGRES_UP)
            timer_start(postgres->loop, &postgres->publish_retry, LOOP_MS(RETRY_MS));
        return;
    }
    bool accepted = PQntuples(result) > 0 && pg_is(result, 0, 1, "accepted");
    uint64_t last = PQntuples(result) > 0 ? pg_number(result, 0, 2) : UINT64_MAX;
    if (last == postgres->call_number && refusals_take(postgres, result)) {
        call_accepted(postgres);
    } else if (!accepted && last < postgres->call_number && !postgres->rebase) {
        /* The server has forgotten our last call: it lost data, or this instance was silent for long. */
        postgres->rebase = true;
        call_send(postgres);
    } else {
        postgres_invalid(postgres, "the answer to publishing");
    }
}

bool postgres_publish(struct broker *broker, const struct broker_publish *publish, broker_done_fn *done, void *arg)
{
    struct postgres_broker *postgres = postgres_of(broker);
    struct waiting_publish *waiting = waiting_create(publish, done, arg, &postgres->backlog_bytes);
    if (waiting == NULL)
        return false;
    list_append(&postgres->publishes, &waiting->node);
    loop_at_flush(postgres->loop, &postgres->publish_flush);
    return true;
}

void postgres_publish_init(struct postgres_broker *postgres)
{
    list_init(&postgres->publishes);
    list_init(&postgres->flying);
    task_init(&postgres->publish_flush, publish_flush);
    timer_init(&postgres->publish_retry, retry);
}

void postgres_publish_resume(struct postgres_broker *postgres, uint64_t last, const uint64_t *places,
                             const struct span *whys, size_t count)
{
    if (list_empty(&postgres->flying)) {
        loop_at_flush(postgres->loop, &postgres->publish_flush);
        return;
    }
    if (last > postgres->call_number) {
        postgres_invalid(postgres, "the number of our last call");
        return;
    }
    if (last < postgres->call_number) {
        postgres->rebase = last != postgres->call_number - 1;
        call_send(postgres);
        return;
    }
    /* The number is written with the rest: only an answer was lost. */
    for (size_t i = 0; i < count; i++) {
        if (refusal_take(postgres, places[i], whys[i]))
            continue;
        postgres_invalid(postgres, "the refused entries of our last call");
        return;
    }
    call_accepted(postgres);
}

void postgres_publish_finish(struct postgres_broker *postgres)
{
    task_cancel(&postgres->publish_flush);
    timer_stop(postgres->loop, &postgres->publish_retry);
    waiting_lose_all(&postgres->flying);
    waiting_lose_all(&postgres->publishes);
}
