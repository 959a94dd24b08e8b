/* postgres_call: what is asked of Postgres and answered at once: pages, leases, presence, mail, figures. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "broker/postgres_parts.h"

struct call {
    struct postgres_broker *postgres;
    union {
        broker_done_fn *done;
        broker_read_fn *read;
        broker_claim_fn *claimed;
        broker_stats_fn *stats;
        mail_sent_fn *sent;
        mail_owners_fn *owners;
    } tell;
    void *arg;
    struct broker_range range;
    size_t text_len;
    char text[]; /* the room, or the pid */
};

static struct call *call_create(struct postgres_broker *postgres, struct span text, void *arg)
{
    struct call *call = mem_zero(1, sizeof *call + text.len);
    call->postgres = postgres;
    call->arg = arg;
    call->text_len = text.len;
    if (text.len != 0)
        memcpy(call->text, text.data, text.len);
    return call;
}

/* Each entry must advance the page, or the same one would be read for ever. */
static bool page_decode(const struct call *call, const PGresult *result, struct broker_page *page,
                        struct broker_entry *entries)
{
    int rows = PQntuples(result);
    if (rows < 1 || (uint32_t)rows > call->range.limit + 1)
        return false;
    uint64_t flags = pg_number(result, 0, 2);
    *page = (struct broker_page){
        .entries = entries,
        .last = pg_number(result, 0, 0),
        .position = pg_number(result, 0, 1),
        .clipped = (flags & 1) != 0,
        .more = (flags & 2) != 0,
    };
    for (int row = 1; row < rows; row++) {
        entries[page->count] = (struct broker_entry){
            .room = span_of(call->text, call->text_len),
            .seq = pg_number(result, row, 0),
            .prev = pg_number(result, row, 1),
            .time_ms = (int64_t)pg_number(result, row, 2),
            .audience = pg_bytes(result, row, 3),
            .body = pg_bytes(result, row, 4),
        };
        if (entries[page->count].seq <= (page->count > 0 ? entries[page->count - 1].seq : 0))
            return false;
        page->count++;
    }
    return true;
}

static void read_answered(void *arg, const PGresult *result)
{
    struct call *call = arg;
    struct broker_page page = {0};
    struct broker_entry *entries = NULL;
    enum broker_result said = BROKER_LOST;
    if (result != NULL && !postgres_is_error(call->postgres, result, "reading a room")) {
        entries = mem_zero((size_t)PQntuples(result) + 1, sizeof *entries);
        if (page_decode(call, result, &page, entries))
            said = BROKER_OK;
        else
            postgres_invalid(call->postgres, "a page of a room's log");
    }
    call->tell.read(call->arg, said, &page);
    free(entries);
    free(call);
}

void postgres_read(struct broker *broker, struct span room, const struct broker_range *range, broker_read_fn *done,
                   void *arg)
{
    struct postgres_broker *postgres = postgres_of(broker);
    struct call *call = call_create(postgres, room, arg);
    struct pg_args args = {.count = 0};
    call->tell.read = done;
    call->range = *range;
    pg_add_text(&args, postgres->epoch);
    pg_add_bytes(&args, room);
    pg_add_bytes(&args, range->epoch);
    pg_add_big(&args, range->seq);
    pg_add_bool(&args, range->back);
    pg_add_int(&args, range->limit);
    pg_add_big(&args, broker_range_bytes(range));
    postgres_call(postgres, PG_READ, &args, read_answered, call);
}

static void written(void *arg, const PGresult *result)
{
    struct call *call = arg;
    enum broker_result said = BROKER_LOST;
    if (result != NULL && !postgres_is_error(call->postgres, result, "writing a lease") && PQntuples(result) == 1)
        said = pg_flag(result, 0, 0) ? BROKER_OK : BROKER_SUPERSEDED;
    if (call->tell.done != NULL)
        call->tell.done(call->arg, said);
    free(call);
}

void postgres_lease_write(struct broker *broker, const struct broker_lease *lease, broker_done_fn *done, void *arg)
{
    struct postgres_broker *postgres = postgres_of(broker);
    struct call *call = call_create(postgres, SPAN_LIT(""), arg);
    struct pg_args args = {.count = 0};
    call->tell.done = done;
    pg_add_text(&args, postgres->life);
    pg_add_text(&args, postgres->instance);
    pg_add_bytes(&args, lease->pid);
    pg_add_big(&args, lease->generation);
    pg_add_bytes(&args, lease->sid);
    pg_add_bytes(&args, lease->own);
    pg_add_bytes(&args, lease->rooms);
    pg_add_bytes(&args, lease->data);
    pg_add_bytes(&args, lease->keep);
    pg_add_big(&args, lease->keep_ms);
    pg_add_big(&args, lease->window_ms);
    pg_add_bytes(&args, lease->watch);
    postgres_call(postgres, PG_LEASE_WRITE, &args, written, call);
}

/* Generation 0: somebody else has it. A lapsed lease has its name in the last column. */
static void claim_answered(void *arg, const PGresult *result)
{
    enum { COLUMN_PID = 7 };
    struct call *call = arg;
    struct broker_lease lease = {.pid = span_of(call->text, call->text_len)};
    enum broker_result said = BROKER_LOST;
    bool reached = false;
    if (result != NULL && !postgres_is_error(call->postgres, result, "claiming a lease")) {
        said = PQntuples(result) != 1 ? BROKER_NONE : pg_number(result, 0, 0) == 0 ? BROKER_SUPERSEDED : BROKER_OK;
        if (said == BROKER_OK) {
            if (lease.pid.len == 0)
                lease.pid = pg_bytes(result, 0, COLUMN_PID);
            lease.generation = pg_number(result, 0, 0);
            lease.sid = pg_bytes(result, 0, 1);
            lease.own = pg_bytes(result, 0, 2);
            lease.rooms = pg_bytes(result, 0, 3);
            lease.data = pg_bytes(result, 0, 4);
            lease.window_ms = pg_number(result, 0, 5);
            reached = pg_flag(result, 0, 6);
        }
    }
    call->tell.claimed(call->arg, said, said == BROKER_OK ? &lease : NULL, reached);
    free(call);
}

/* The arguments that all claims begin with. */
static struct call *claim_start(struct postgres_broker *postgres, struct pg_args *args, struct span pid,
                                broker_claim_fn *done, void *arg)
{
    struct call *call = call_create(postgres, pid, arg);
    call->tell.claimed = done;
    pg_add_text(args, postgres->epoch);
    pg_add_text(args, postgres->life);
    pg_add_text(args, postgres->instance);
    return call;
}

void postgres_lease_claim(struct broker *broker, struct span pid, struct span epoch, uint64_t seq,
                          broker_claim_fn *done, void *arg)
{
    struct pg_args args = {.count = 0};
    struct call *call = claim_start(postgres_of(broker), &args, pid, done, arg);
    pg_add_bytes(&args, pid);
    pg_add_bytes(&args, epoch);
    pg_add_big(&args, seq);
    postgres_call(call->postgres, PG_LEASE_CLAIM, &args, claim_answered, call);
}

void postgres_lease_take(struct broker *broker, struct span pid, uint64_t generation, broker_claim_fn *done, void *arg)
{
    struct pg_args args = {.count = 0};
    struct call *call = claim_start(postgres_of(broker), &args, pid, done, arg);
    pg_add_bytes(&args, pid);
    pg_add_big(&args, generation);
    postgres_call(call->postgres, PG_LEASE_TAKE, &args, claim_answered, call);
}

void postgres_lease_lapsed(struct broker *broker, struct span watch, broker_claim_fn *done, void *arg)
{
    struct pg_args args = {.count = 0};
    struct call *call = claim_start(postgres_of(broker), &args, SPAN_LIT(""), done, arg);
    pg_add_bytes(&args, watch);
    postgres_call(call->postgres, PG_LEASE_LAPSED, &args, claim_answered, call);
}

void postgres_lease_end(struct broker *broker, const struct broker_lease *lease, broker_done_fn *done, void *arg)
{
    struct postgres_broker *postgres = postgres_of(broker);
    struct call *call = call_create(postgres, SPAN_LIT(""), arg);
    struct pg_args args = {.count = 0};
    call->tell.done = done;
    pg_add_bytes(&args, lease->pid);
    pg_add_big(&args, lease->generation);
    postgres_call(postgres, PG_LEASE_END, &args, written, call);
}

/* Nobody waits for these. After an error the links break: what was to be changed is then changed by other means. */
static void changed(void *arg, const PGresult *result)
{
    if (result != NULL)
        postgres_is_error(arg, result, "changing a lease, or who is present");
}

void postgres_lease_release(struct broker *broker, const struct broker_lease *lease, bool for_good)
{
    struct postgres_broker *postgres = postgres_of(broker);
    struct pg_args args = {.count = 0};
    if (!broker->is_up)
        return; /* it runs out by itself */
    pg_add_bytes(&args, lease->pid);
    pg_add_big(&args, lease->generation);
    pg_add_bool(&args, for_good);
    postgres_call(postgres, PG_LEASE_RELEASE, &args, changed, postgres);
}

void postgres_present_enter(struct broker *broker, struct span room, const struct broker_present *who)
{
    struct postgres_broker *postgres = postgres_of(broker);
    struct pg_args args = {.count = 0};
    if (!broker->is_up)
        return;
    pg_add_text(&args, postgres->epoch);
    pg_add_text(&args, postgres->life);
    pg_add_bytes(&args, room);
    pg_add_bytes(&args, who->sid);
    pg_add_bytes(&args, who->data);
    pg_add_big(&args, who->generation);
    postgres_feed_call(postgres, PG_PRESENT_ENTER, &args, changed, postgres);
}

void postgres_present_leave(struct broker *broker, struct span room, struct span sid, bool may_return)
{
    struct postgres_broker *postgres = postgres_of(broker);
    struct pg_args args = {.count = 0};
    if (!broker->is_up)
        return;
    pg_add_text(&args, postgres->epoch);
    pg_add_text(&args, postgres->life);
    pg_add_bytes(&args, room);
    pg_add_bytes(&args, sid);
    pg_add_big(&args, may_return ? POSTGRES_AWAY_MS : 0);
    postgres_feed_call(postgres, PG_PRESENT_LEAVE, &args, changed, postgres);
}

static void stats_answered(void *arg, const PGresult *result)
{
    struct call *call = arg;
    struct broker_stats stats = {0};
    bool ok =
        result != NULL && !postgres_is_error(call->postgres, result, "asking for figures") && PQntuples(result) == 1;
    if (ok)
        stats = (struct broker_stats){.memory_bytes = pg_number(result, 0, 0), .instances = pg_number(result, 0, 1)};
    call->tell.stats(call->arg, ok ? BROKER_OK : BROKER_LOST, &stats);
    free(call);
}

void postgres_stats(struct broker *broker, broker_stats_fn *done, void *arg)
{
    struct postgres_broker *postgres = postgres_of(broker);
    struct call *call = call_create(postgres, SPAN_LIT(""), arg);
    call->tell.stats = done;
    postgres_call(postgres, PG_STATS, NULL, stats_answered, call);
}

static void mail_answered(void *arg, const PGresult *result)
{
    struct call *call = arg;
    struct mail_receivers receivers = {0};
    bool ok = result != NULL && !postgres_is_error(call->postgres, result, "asking other instances") &&
              PQntuples(result) == 1;
    if (ok)
        receivers = (struct mail_receivers){.living = pg_number(result, 0, 0), .reached = pg_number(result, 0, 1)};
    if (call->tell.sent != NULL)
        call->tell.sent(call->arg, ok ? &receivers : NULL);
    free(call);
}

static void send_mail(struct broker *broker, struct span to, struct span message, mail_sent_fn *done, void *arg)
{
    struct postgres_broker *postgres = postgres_of(broker);
    struct call *call = call_create(postgres, SPAN_LIT(""), arg);
    struct pg_args args = {.count = 0};
    call->tell.sent = done;
    if (!broker->is_up) {
        postgres_refuse(postgres, mail_answered, call);
        return;
    }
    pg_add_text(&args, postgres->epoch);
    pg_add_text(&args, postgres->instance);
    pg_add_bytes(&args, to);
    pg_add_bytes(&args, message);
    postgres_call(postgres, PG_MAIL_SEND, &args, mail_answered, call);
}

static void owners_told(void *arg, const PGresult *result)
{
    struct call *call = arg;
    bool ok = result != NULL && !postgres_is_error(call->postgres, result, "asking who owns leases");
    size_t count = ok ? (size_t)PQntuples(result) : 0;
    struct mail_owner *owners = mem_zero(count + 1, sizeof *owners);
    for (size_t i = 0; i < count; i++)
        owners[i] = (struct mail_owner){pg_bytes(result, (int)i, 0), pg_bytes(result, (int)i, 1)};
    call->tell.owners(call->arg, ok ? owners : NULL, count);
    free(owners);
    free(call);
}

static void ask_owners(struct broker *broker, const struct span *heard, size_t count, mail_owners_fn *done, void *arg)
{
    struct postgres_broker *postgres = postgres_of(broker);
    struct call *call = call_create(postgres, SPAN_LIT(""), arg);
    struct pg_args args = {.count = 0};
    struct buf names = {0};
    call->tell.owners = done;
    if (!broker->is_up) {
        postgres_refuse(postgres, owners_told, call);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        buf_append(&names, heard[i]);
        buf_append_char(&names, '\n');
    }
    pg_add_bytes(&args, buf_span(&names));
    pg_add_int(&args, MAIL_OWNERS_MAX);
    postgres_call(postgres, PG_MAIL_OWNERS, &args, owners_told, call);
    buf_finish(&names);
}

const struct mail_ops postgres_mail_ops = {send_mail, ask_owners};
