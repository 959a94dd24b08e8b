/* postgres_record: records of polling sessions on Postgres (broker/sql/records.sql). A record is given through the
 * inbox, in the order of the pushes, with the leases of its sockets and what was kept for them. */
#include <stdlib.h>

#include "base/mem.h"
#include "broker/postgres_parts.h"

enum { RECORD_MOVED_MS = 60000 };

struct record_call {
    struct postgres_broker *postgres;
    record_done_fn *done;
    void *arg;
};

static enum record_result result_of(struct postgres_broker *postgres, const PGresult *result)
{
    static const enum record_result results[] = {RECORD_NONE, RECORD_OK, RECORD_WAITING, RECORD_MOVED, RECORD_OVERLAP};
    if (result == NULL || postgres_is_error(postgres, result, "moving a polling session"))
        return RECORD_LOST;
    uint64_t number = PQntuples(result) == 1 ? pg_number(result, 0, 0) : UINT64_MAX;
    if (number < sizeof results / sizeof results[0])
        return results[number];
    postgres_invalid(postgres, "the answer about a polling session");
    return RECORD_LOST;
}

static void answered(void *arg, const PGresult *result)
{
    struct record_call *call = arg;
    enum record_result said = result_of(call->postgres, result);
    if (call->done != NULL)
        call->done(call->arg, said);
    free(call);
}

/* The arguments that all calls begin with. False: the link is down, and the call is answered. */
static bool call_start(struct pg_args *args, struct broker *broker, struct record_call **to, record_done_fn *done,
                       void *arg)
{
    struct postgres_broker *postgres = postgres_of(broker);
    struct record_call *call = mem_zero(1, sizeof *call);
    *call = (struct record_call){postgres, done, arg};
    *args = (struct pg_args){.count = 0};
    *to = call;
    if (!broker->is_up) {
        postgres_refuse(postgres, answered, call);
        return false;
    }
    pg_add_text(args, postgres->epoch);
    pg_add_text(args, postgres->life);
    return true;
}

static void add_want(struct pg_args *args, enum record_want want)
{
    char kind = (char)want;
    pg_add_bytes(args, span_of(&kind, 1));
}

static void leases_add(struct pg_args *args, const struct record_passing *passing)
{
    uint32_t count = (uint32_t)passing->lease_count;
    pg_array_begin(args, PG_BYTEAS, count);
    for (uint32_t i = 0; i < count; i++)
        pg_array_bytes(args, passing->leases[i].pid);
    pg_array_end(args);
    pg_array_begin(args, PG_BIGS, count);
    for (uint32_t i = 0; i < count; i++)
        pg_array_big(args, passing->leases[i].generation);
    pg_array_end(args);
    pg_array_begin(args, PG_BYTEAS, count);
    for (uint32_t i = 0; i < count; i++)
        pg_array_bytes(args, passing->leases[i].epoch);
    pg_array_end(args);
    pg_array_begin(args, PG_BIGS, count);
    for (uint32_t i = 0; i < count; i++)
        pg_array_big(args, passing->leases[i].seq);
    pg_array_end(args);
}

static void pass(struct broker *broker, struct span sid, uint64_t ticket, const struct record_passing *passing,
                 record_done_fn *done, void *arg)
{
    struct record_call *call;
    struct pg_args args;
    if (!call_start(&args, broker, &call, done, arg))
        return;
    pg_add_text(&args, call->postgres->instance);
    pg_add_bytes(&args, sid);
    pg_add_big(&args, ticket);
    pg_add_bytes(&args, passing->record);
    leases_add(&args, passing);
    pg_add_big(&args, passing->kept);
    pg_add_bool(&args, passing->awaits_pong);
    pg_add_big(&args, passing->life_ms > 0 ? passing->life_ms : 1);
    pg_add_big(&args, passing->hold_ms > 0 ? passing->hold_ms : 1);
    pg_add_big(&args, RECORD_MOVED_MS);
    pg_add_big(&args, passing->again);
    add_want(&args, passing->again > 0 ? passing->want : RECORD_FOR_GET);
    postgres_call(call->postgres, PG_RECORD_PASS, &args, answered, call);
}

static void ask(struct broker *broker, struct span sid, uint64_t ticket, enum record_want want, uint64_t hold_ms,
                record_done_fn *done, void *arg)
{
    struct record_call *call;
    struct pg_args args;
    if (!call_start(&args, broker, &call, done, arg))
        return;
    pg_add_text(&args, call->postgres->instance);
    pg_add_bytes(&args, sid);
    pg_add_big(&args, ticket);
    add_want(&args, want);
    pg_add_big(&args, hold_ms);
    pg_add_big(&args, RECORD_MOVED_MS);
    pg_add_big(&args, RECORD_LOST_MS);
    postgres_call(call->postgres, PG_RECORD_ASK, &args, answered, call);
}

static void end_call(struct broker *broker, struct span sid, const char *what, uint64_t ticket, uint64_t ms,
                     record_done_fn *done, void *arg)
{
    struct record_call *call;
    struct pg_args args;
    if (!call_start(&args, broker, &call, done, arg))
        return;
    pg_add_bytes(&args, sid);
    pg_add_text(&args, what);
    pg_add_big(&args, ticket);
    pg_add_big(&args, ms);
    postgres_call(call->postgres, PG_RECORD_END, &args, answered, call);
}

static void end(struct broker *broker, struct span sid, uint64_t ticket)
{
    end_call(broker, sid, "end", ticket, 0, NULL, NULL);
}

static void disown(struct broker *broker, struct span sid, uint64_t ticket)
{
    end_call(broker, sid, "disown", ticket, 0, NULL, NULL);
}

static void probe(struct broker *broker, struct span sid, uint64_t ticket, uint64_t until_ms, record_done_fn *done,
                  void *arg)
{
    end_call(broker, sid, "probe", ticket, until_ms, done, arg);
}

static void pong(struct broker *broker, struct span sid, uint64_t life_ms, record_done_fn *done, void *arg)
{
    end_call(broker, sid, "pong", 0, life_ms, done, arg);
}

struct list_call {
    struct postgres_broker *postgres;
    record_list_fn *done;
    void *arg;
};

/* A row for each socket, and one for each session without any. */
static void page_take(const PGresult *result, struct record_page *page, struct record_socket *sockets)
{
    enum { SESSION, HEAD, INSTANCE, PID, SID, ROOMS };
    struct span last = SPAN_LIT("");
    int sessions = 0;
    for (int row = 0; row < PQntuples(result); row++) {
        struct span session = pg_bytes(result, row, SESSION);
        sessions += !span_equal(session, last);
        last = session;
        if (PQgetisnull(result, row, SID))
            continue;
        sockets[page->count++] = (struct record_socket){.head = pg_bytes(result, row, HEAD),
                                                        .instance = pg_bytes(result, row, INSTANCE),
                                                        .pid = pg_bytes(result, row, PID),
                                                        .sid = pg_bytes(result, row, SID),
                                                        .rooms = pg_bytes(result, row, ROOMS)};
    }
    page->sockets = sockets;
    page->next = sessions == RECORD_LIST_MAX ? last : SPAN_LIT("");
}

static void listed(void *arg, const PGresult *result)
{
    struct list_call *call = arg;
    struct record_page page = {.count = 0};
    struct record_socket *sockets = NULL;
    bool ok = result != NULL && !postgres_is_error(call->postgres, result, "listing polling sessions");
    if (ok) {
        sockets = mem_zero((size_t)PQntuples(result) + 1, sizeof *sockets);
        page_take(result, &page, sockets);
    }
    call->done(call->arg, ok ? &page : NULL);
    free(sockets);
    free(call);
}

static void list_sockets(struct broker *broker, struct span cursor, record_list_fn *done, void *arg)
{
    struct postgres_broker *postgres = postgres_of(broker);
    struct list_call *call = mem_zero(1, sizeof *call);
    struct pg_args args = {.count = 0};
    *call = (struct list_call){postgres, done, arg};
    if (!broker->is_up) {
        postgres_refuse(postgres, listed, call);
        return;
    }
    pg_add_bytes(&args, cursor);
    pg_add_int(&args, RECORD_LIST_MAX);
    pg_add_int(&args, RECORD_HEAD_BYTES_MAX);
    postgres_call(postgres, PG_RECORD_LIST, &args, listed, call);
}

const struct record_ops postgres_record_ops = {ask, pass, end, disown, probe, pong, list_sockets};

enum { CLAIM_NONE, CLAIM_OURS, CLAIM_SUPERSEDED };

static void lease_take(struct pg_pack *pack, struct giving_lease *to, struct record_claim *claim)
{
    uint64_t what = pg_pack_number(pack);
    to->lease.generation = pg_pack_number(pack);
    to->lease.window_ms = pg_pack_number(pack);
    claim->position_ok = pg_pack_number(pack) == 1;
    to->own_last = pg_pack_number(pack);
    to->lease.pid = claim->pid = pg_pack_bytes(pack);
    to->lease.sid = pg_pack_bytes(pack);
    to->lease.own = pg_pack_bytes(pack);
    to->lease.rooms = pg_pack_bytes(pack);
    to->lease.data = pg_pack_bytes(pack);
    claim->lease = what == CLAIM_OURS ? &to->lease : NULL;
    claim->superseded = what == CLAIM_SUPERSEDED;
}

static void kept_take(struct pg_pack *pack, struct record_kept *kept)
{
    kept->after = pg_pack_number(pack);
    kept->room = pg_pack_bytes(pack);
    kept->audience = pg_pack_bytes(pack);
    kept->body = pg_pack_bytes(pack);
    pack->bad |= !record_kept_read(kept);
}

/* As record_give in records.sql packs it. */
static bool granted_received(struct postgres_broker *postgres, uint64_t ticket, struct span sid, struct span body,
                             uint64_t position)
{
    enum { LEASE_BYTES_MIN = 60 };
    struct pg_pack pack = {.rest = body};
    struct giving giving;
    struct broker *broker = &postgres->broker;
    struct record_grant grant = {.probing = pg_pack_number(&pack) == 1};
    grant.away_ms = pg_pack_number(&pack);
    uint64_t pong_ms = pg_pack_number(&pack);
    grant.ponged = pong_ms > 0;
    grant.pong_ms = pong_ms > 0 ? pong_ms - 1 : 0;
    grant.kept_number = pg_pack_number(&pack);
    grant.kept_lost = pg_pack_number(&pack);
    size_t count = (size_t)pg_pack_number(&pack);
    if (pack.bad || count > pack.rest.len / LEASE_BYTES_MIN)
        return false;
    giving_init(&giving, count);
    for (; giving.count < count; giving.count++)
        lease_take(&pack, &giving.leases[giving.count], &giving.claims[giving.count]);
    size_t kept_count = (size_t)pg_pack_number(&pack);
    if (kept_count > GIVING_KEPT_MAX)
        pack.bad = true;
    giving_kept_init(&giving, pack.bad ? 0 : kept_count);
    while (!pack.bad && giving.kept_count < kept_count)
        kept_take(&pack, &giving.kept[giving.kept_count++]);
    grant.record = pack.rest;
    if (!pack.bad && broker->record_events != NULL) {
        broker->events->reached(broker->hub, position);
        postgres_feed_kept(postgres, grant.kept_number);
        giving_tell(&giving, &postgres->giving, broker, sid, ticket, &grant, position);
    }
    giving_finish(&giving);
    return !pack.bad;
}

bool postgres_record_received(struct postgres_broker *postgres, struct span what, uint64_t ticket, struct span sid,
                              struct span body, uint64_t position)
{
    const struct record_events *events = postgres->broker.record_events;
    void *arg = postgres->broker.record_arg;
    if (sid.len != RECORD_SID_BYTES)
        return false;
    if (span_equal(what, SPAN_LIT("granted")))
        return granted_received(postgres, ticket, sid, body, position);
    if (events == NULL)
        return true;
    if (span_equal(what, SPAN_LIT("wanted")) && body.len == 1)
        events->wanted(arg, sid, ticket, (enum record_want)body.data[0]);
    else if (span_equal(what, SPAN_LIT("probed")) && body.len == 1)
        events->probed(arg, sid, ticket, body.data[0] == 1);
    else if (span_equal(what, SPAN_LIT("ponged")))
        events->ponged(arg, sid, ticket);
    else if (span_equal(what, SPAN_LIT("gone")))
        events->gone(arg, sid, ticket);
    else
        return false;
    return true;
}
