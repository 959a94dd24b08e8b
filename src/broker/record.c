/* record: passes the calls on to the broker that keeps records. */
#include "broker/record.h"

#include <assert.h>

#include "broker/broker.h"

void record_attach(struct broker *broker, const struct record_events *events, void *arg)
{
    broker->record_events = events;
    broker->record_arg = arg;
}

bool broker_has_records(const struct broker *broker)
{
    return broker->records != NULL;
}

void record_open(struct broker *broker, struct span sid, const struct record_passing *passing, record_done_fn *done,
                 void *arg)
{
    broker->records->pass(broker, sid, 0, passing, done, arg);
}

void record_ask(struct broker *broker, struct span sid, uint64_t ticket, enum record_want want, uint64_t hold_ms,
                record_done_fn *done, void *arg)
{
    assert(ticket > 0);
    broker->records->ask(broker, sid, ticket, want, hold_ms, done, arg);
}

void record_pass(struct broker *broker, struct span sid, uint64_t ticket, const struct record_passing *passing,
                 record_done_fn *done, void *arg)
{
    assert(ticket > 0 && passing->record.len <= RECORD_BYTES_MAX);
    broker->records->pass(broker, sid, ticket, passing, done, arg);
}

void record_end(struct broker *broker, struct span sid, uint64_t ticket)
{
    broker->records->end(broker, sid, ticket);
}

void record_disown(struct broker *broker, struct span sid, uint64_t ticket)
{
    broker->records->disown(broker, sid, ticket);
}

void record_probe(struct broker *broker, struct span sid, uint64_t ticket, uint64_t until_ms, record_done_fn *done,
                  void *arg)
{
    broker->records->probe(broker, sid, ticket, until_ms, done, arg);
}

void record_pong(struct broker *broker, struct span sid, uint64_t life_ms, record_done_fn *done, void *arg)
{
    broker->records->pong(broker, sid, life_ms, done, arg);
}

bool record_kept_read(struct record_kept *kept)
{
    struct span rest = kept->audience, body = kept->body, number;
    uint64_t sid;
    if (!span_starts_with(rest, SPAN_LIT("@")))
        return true;
    number = span_from(rest, 2);
    if (rest.len < 3 || (rest.data[1] != '+' && rest.data[1] != '-') || !span_to_u64(number, &kept->count) ||
        !span_take_u64(&body, '\n', &sid) || !span_take(&body, sid, &kept->sid) || sid == 0 ||
        body.len > BROKER_DATA_BYTES_MAX)
        return false;
    kept->change = rest.data[1];
    kept->data = body;
    kept->audience = kept->body = SPAN_LIT("");
    return true;
}

void record_list(struct broker *broker, struct span cursor, record_list_fn *done, void *arg)
{
    broker->records->list(broker, cursor, done, arg);
}
