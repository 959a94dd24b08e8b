/* redis_record: records of polling sessions on Redis: a hash each, asked for, passed and ended by scripts. A record is
 * given through the inbox, in the order of the pushes, with the leases of its sockets. */
#include <stdlib.h>

#include "base/mem.h"
#include "broker/redis_parts.h"

enum { RECORD_MOVED_MS = 60000 };

struct record_call {
    struct redis_broker *redis;
    record_done_fn *done;
    void *arg;
};

static struct record_call *call_create(struct redis_broker *redis, record_done_fn *done, void *arg)
{
    struct record_call *call = mem_zero(1, sizeof *call);
    call->redis = redis;
    call->done = done;
    call->arg = arg;
    return call;
}

static enum record_result result_of(struct redis_broker *redis, const struct resp *reply)
{
    static const enum record_result results[] = {RECORD_NONE, RECORD_OK, RECORD_WAITING, RECORD_MOVED, RECORD_OVERLAP};
    if (reply == NULL)
        return RECORD_LOST;
    if (redis_is_spoiled(redis, reply, "moving a polling session"))
        return RECORD_NONE;
    if (redis_is_error(redis, reply, "moving a polling session"))
        return RECORD_LOST;
    struct answer answer = answer_of_one(reply);
    uint64_t number = answer_number(&answer);
    if (answer_is_good(&answer) && number < sizeof results / sizeof results[0])
        return results[number];
    redis_invalid(redis, "the answer about a polling session");
    return RECORD_LOST;
}

static void answered(void *arg, const struct resp *reply)
{
    struct record_call *call = arg;
    enum record_result result = result_of(call->redis, reply);
    if (call->done != NULL)
        call->done(call->arg, result);
    free(call);
}

/* `args`: how many are to come behind the keys. False: the link is down, and the call is answered. */
static bool call_start(struct eval *eval, enum redis_script script, size_t args, struct span sid,
                       struct record_call *call)
{
    struct redis_broker *redis = call->redis;
    if (!redis->broker.is_up) {
        redis_refuse(redis, answered, call);
        return false;
    }
    eval_start(eval, redis, script, 3, args);
    eval_add_key(eval, redis, "session", sid);
    eval_add(eval, span_str(redis->names.lives));
    eval_add(eval, span_str(redis->names.state));
    return true;
}

static void leases_encode(struct buf *to, const struct record_passing *passing)
{
    for (size_t i = 0; i < passing->lease_count; i++) {
        const struct record_lease *lease = &passing->leases[i];
        buf_append_u64(to, lease->pid.len);
        buf_append_char(to, ' ');
        buf_append_u64(to, lease->generation);
        buf_append_char(to, ' ');
        buf_append(to, lease->epoch.len > 0 ? lease->epoch : SPAN_LIT("-"));
        buf_append_char(to, ' ');
        buf_append_u64(to, lease->seq);
        buf_append_char(to, ' ');
        buf_append(to, lease->pid);
        buf_append_char(to, '\n');
    }
}

static void add_want(struct eval *eval, enum record_want want)
{
    char kind = (char)want;
    eval_add(eval, span_of(&kind, 1));
}

static void pass(struct broker *broker, struct span sid, uint64_t ticket, const struct record_passing *passing,
                 record_done_fn *done, void *arg)
{
    struct redis_broker *redis = redis_of(broker);
    struct record_call *call = call_create(redis, done, arg);
    struct eval eval;
    struct buf leases = {0};
    if (!call_start(&eval, SCRIPT_RECORD_PASS, 13, sid, call))
        return;
    leases_encode(&leases, passing);
    eval_add_u64(&eval, ticket);
    eval_add(&eval, span_str(redis->names.life));
    eval_add(&eval, span_str(redis->names.inbox));
    eval_add(&eval, passing->record);
    eval_add(&eval, buf_span(&leases));
    eval_add(&eval, passing->awaits_pong ? SPAN_LIT("1") : SPAN_LIT("0"));
    eval_add_u64(&eval, passing->life_ms > 0 ? passing->life_ms : 1);
    eval_add_u64(&eval, passing->hold_ms > 0 ? passing->hold_ms : 1);
    eval_add_u64(&eval, RECORD_MOVED_MS);
    eval_add(&eval, sid);
    eval_add_u64(&eval, passing->again);
    add_want(&eval, passing->again > 0 ? passing->want : RECORD_FOR_GET);
    eval_add_u64(&eval, passing->kept);
    eval_send(&eval, redis, answered, call);
    buf_finish(&leases);
}

static void ask(struct broker *broker, struct span sid, uint64_t ticket, enum record_want want, uint64_t hold_ms,
                record_done_fn *done, void *arg)
{
    struct redis_broker *redis = redis_of(broker);
    struct record_call *call = call_create(redis, done, arg);
    struct eval eval;
    if (!call_start(&eval, SCRIPT_RECORD_ASK, 8, sid, call))
        return;
    eval_add_u64(&eval, ticket);
    eval_add(&eval, span_str(redis->names.inbox));
    eval_add(&eval, span_str(redis->names.life));
    add_want(&eval, want);
    eval_add_u64(&eval, hold_ms);
    eval_add(&eval, sid);
    eval_add_u64(&eval, RECORD_MOVED_MS);
    eval_add_u64(&eval, RECORD_LOST_MS);
    eval_send(&eval, redis, answered, call);
}

static void end_call(struct broker *broker, struct span sid, struct span what, uint64_t ticket, uint64_t ms,
                     record_done_fn *done, void *arg)
{
    struct redis_broker *redis = redis_of(broker);
    struct record_call *call = call_create(redis, done, arg);
    struct eval eval;
    if (!call_start(&eval, SCRIPT_RECORD_END, 5, sid, call))
        return;
    eval_add(&eval, what);
    eval_add_u64(&eval, ticket);
    eval_add(&eval, span_str(redis->names.life));
    eval_add_u64(&eval, ms);
    eval_add(&eval, sid);
    eval_send(&eval, redis, answered, call);
}

static void end(struct broker *broker, struct span sid, uint64_t ticket)
{
    end_call(broker, sid, SPAN_LIT("end"), ticket, 0, NULL, NULL);
}

static void disown(struct broker *broker, struct span sid, uint64_t ticket)
{
    end_call(broker, sid, SPAN_LIT("disown"), ticket, 0, NULL, NULL);
}

static void probe(struct broker *broker, struct span sid, uint64_t ticket, uint64_t until_ms, record_done_fn *done,
                  void *arg)
{
    end_call(broker, sid, SPAN_LIT("probe"), ticket, until_ms, done, arg);
}

static void pong(struct broker *broker, struct span sid, uint64_t life_ms, record_done_fn *done, void *arg)
{
    end_call(broker, sid, SPAN_LIT("pong"), 0, life_ms, done, arg);
}

struct list_call {
    struct redis_broker *redis;
    record_list_fn *done;
    void *arg;
};

/* Five texts for each socket, see record_list.lua. */
static bool page_take(const struct resp *reply, struct record_page *page, struct record_socket *sockets)
{
    struct answer answer = answer_of(reply);
    page->next = answer_text(&answer);
    page->sockets = sockets;
    while (!answer.bad && answer.at < answer.count) {
        struct record_socket *socket = &sockets[page->count++];
        socket->head = answer_text(&answer);
        socket->instance = answer_text(&answer);
        socket->pid = answer_text(&answer);
        socket->sid = answer_text(&answer);
        socket->rooms = answer_text(&answer);
        answer.bad |= !text_is_sid(socket->sid);
    }
    return answer_is_good(&answer);
}

static void listed(void *arg, const struct resp *reply)
{
    enum { TEXTS = 5 };
    struct list_call *call = arg;
    struct record_page page = {.count = 0};
    struct record_socket *sockets = NULL;
    bool ok = reply != NULL && !redis_is_spoiled(call->redis, reply, "listing polling sessions") &&
              !redis_is_error(call->redis, reply, "listing polling sessions");
    if (ok) {
        sockets = mem_zero(reply->item_count / TEXTS + 1, sizeof *sockets);
        ok = page_take(reply, &page, sockets);
        if (!ok)
            redis_invalid(call->redis, "the list of polling sessions");
    }
    call->done(call->arg, ok ? &page : NULL);
    free(sockets);
    free(call);
}

static void list_sockets(struct broker *broker, struct span cursor, record_list_fn *done, void *arg)
{
    struct redis_broker *redis = redis_of(broker);
    struct list_call *call = mem_zero(1, sizeof *call);
    struct eval eval;
    *call = (struct list_call){redis, done, arg};
    if (!broker->is_up) {
        redis_refuse(redis, listed, call);
        return;
    }
    struct buf polls = {0};
    buf_printf(&polls, "%spolls", redis->names.prefix);
    eval_start(&eval, redis, SCRIPT_RECORD_LIST, 2, 3);
    eval_add(&eval, buf_span(&polls));
    eval_add(&eval, span_str(redis->names.lives));
    eval_add(&eval, cursor.len > 0 ? cursor : SPAN_LIT("-inf"));
    eval_add_u64(&eval, RECORD_LIST_MAX);
    eval_add_u64(&eval, RECORD_HEAD_BYTES_MAX);
    eval_send(&eval, redis, listed, call);
    buf_finish(&polls);
}

const struct record_ops redis_record_ops = {ask, pass, end, disown, probe, pong, list_sockets};

/* A record is given: see record.lua. */

enum { TOLD_NONE, TOLD_CLAIMED, TOLD_SUPERSEDED, TOLD_SPOILED };

static bool lease_take(struct redis_broker *redis, struct words *words, struct giving_lease *to,
                       struct record_claim *claim)
{
    uint64_t what = words_number(words, ' ');
    to->lease.generation = words_number(words, ' ');
    to->lease.window_ms = words_number(words, ' ');
    uint64_t reached = words_number(words, ' ');
    to->own_last = words_number(words, ' ');
    uint64_t pid = words_number(words, ' '), sid = words_number(words, ' '), own = words_number(words, ' '),
             rooms = words_number(words, ' '), data = words_number(words, '\n');
    to->lease.pid = claim->pid = words_bytes(words, pid);
    to->lease.sid = words_bytes(words, sid);
    to->lease.own = words_bytes(words, own);
    to->lease.rooms = words_bytes(words, rooms);
    to->lease.data = words_bytes(words, data);
    if (!words_are_good(words))
        return false;
    bool is_ours = what == TOLD_CLAIMED && redis_lease_is_ours(&to->lease);
    if (what == TOLD_SPOILED || (what == TOLD_CLAIMED && !is_ours))
        redis_spoiled(redis, "claiming a lease", SPAN_LIT("(a lease)"));
    claim->lease = is_ours ? &to->lease : NULL;
    claim->superseded = what == TOLD_SUPERSEDED;
    claim->position_ok = reached == 1;
    return true;
}

static bool kept_take(struct words *words, struct record_kept *kept)
{
    kept->after = words_number(words, ' ');
    uint64_t room = words_number(words, ' '), audience = words_number(words, ' '), body = words_number(words, '\n');
    kept->room = words_bytes(words, room);
    kept->audience = words_bytes(words, audience);
    kept->body = words_bytes(words, body);
    return words_are_good(words) && record_kept_read(kept);
}

/* `granted <ticket> <probing> <away> <pong> <epoch> <counter> <leases> <kept> <kept events>
 * <lacking>\n<sid><leases><kept events><record>`; `pong`: one more than the ms since, 0: none. */
static bool granted_received(struct redis_broker *redis, struct words *words)
{
    struct broker *broker = &redis->broker;
    uint64_t ticket = words_number(words, ' '), probing = words_number(words, ' ');
    struct record_grant grant = {.probing = probing == 1, .away_ms = words_number(words, ' ')};
    uint64_t pong = words_number(words, ' ');
    struct span epoch = words_text(words, ' ');
    uint64_t position = words_number(words, ' ');
    size_t count = (size_t)words_number(words, ' ');
    grant.kept_number = words_number(words, ' ');
    size_t kept_count = (size_t)words_number(words, ' ');
    grant.kept_lost = words_number(words, '\n');
    struct span sid = words_bytes(words, RECORD_SID_BYTES);
    grant.ponged = pong > 0;
    grant.pong_ms = pong > 0 ? pong - 1 : 0;
    if (!words_are_good(words) || count > words->rest.len / 16 || kept_count > GIVING_KEPT_MAX ||
        !redis_epoch_is_ours(redis, epoch) || !redis_feed_rises_to(redis, position))
        return false;
    struct giving giving;
    giving_init(&giving, count);
    giving_kept_init(&giving, kept_count);
    bool ok = true;
    while (ok && giving.count < count) {
        ok = lease_take(redis, words, &giving.leases[giving.count], &giving.claims[giving.count]);
        giving.count++;
    }
    while (ok && giving.kept_count < kept_count)
        ok = kept_take(words, &giving.kept[giving.kept_count++]);
    grant.record = words->rest;
    if (ok && broker->record_events != NULL) {
        broker->events->reached(broker->hub, position);
        broker->events->kept(broker->hub, grant.kept_number);
        giving_tell(&giving, &redis->giving, broker, sid, ticket, &grant, position);
    }
    giving_finish(&giving);
    return ok;
}

bool redis_record_received(struct redis_broker *redis, struct words *words)
{
    const struct record_events *events = redis->broker.record_events;
    struct span what = words_text(words, ' ');
    void *arg = redis->broker.record_arg;
    if (span_equal(what, SPAN_LIT("granted")))
        return granted_received(redis, words);
    bool probed = span_equal(what, SPAN_LIT("probed")), wanted = span_equal(what, SPAN_LIT("wanted"));
    uint64_t ticket = words_number(words, probed || wanted ? ' ' : '\n');
    struct span detail = probed || wanted ? words_text(words, '\n') : SPAN_LIT("");
    struct span sid = words_bytes(words, RECORD_SID_BYTES);
    if (!words_are_good(words) || sid.len != RECORD_SID_BYTES)
        return false;
    if (events == NULL)
        return true;
    if (wanted)
        events->wanted(arg, sid, ticket, (enum record_want)(detail.len == 1 ? detail.data[0] : 'g'));
    else if (probed)
        events->probed(arg, sid, ticket, span_equal(detail, SPAN_LIT("1")));
    else if (span_equal(what, SPAN_LIT("ponged")))
        events->ponged(arg, sid, ticket);
    else if (span_equal(what, SPAN_LIT("gone")))
        events->gone(arg, sid, ticket);
    return true;
}
