/* asking: the two tables of a socket, and the life of a question in each. */
#include "session/asking.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "session/asking_entry.h"
#include "session/survey.h"

/* An answer that has not come yet. */
struct awaited {
    struct map_node by_id;
    struct timer timer; /* its time is over */
    struct subscriber *subscriber;
    bool for_client; /* our client awaits it; else it is our client that is to answer */
    bool of_survey;  /* to a survey (survey.h), under its number */
    uint8_t id_len, their_id_len;
    char id[CALL_ID_BYTES_MAX];       /* our client's, or the one that we gave our client */
    char their_id[CALL_ID_BYTES_MAX]; /* the asker's, if our client is to answer; else the question's own, see ask_id */
    char their_sid[ENGINEIO_SID_BYTES]; /* the other socket */
    uint64_t until_us;
};

struct asking {
    struct map for_client, from_client;
    /* Of the next question to this client. The first is random: a client may answer a question of an earlier connection
     * late, and must not answer a new one by that. */
    uint64_t next_id;
};

enum { FIRST_ID_MAX = 1 << 30, MOVING_MS = 20 };

static struct span id_of(const struct awaited *awaited)
{
    return span_of(awaited->id, awaited->id_len);
}

static struct asking *asking_of(struct subscriber *subscriber)
{
    struct sessions *sessions = subscriber_sessions(subscriber);
    if (subscriber_has(subscriber).asking == NULL) {
        struct asking *asking = subscriber_extra(subscriber)->asking = mem_zero(1, sizeof *asking);
        map_init(&asking->for_client, sessions->sockets.seed);
        map_init(&asking->from_client, sessions->sockets.seed);
        asking->next_id = loop_random_below(sessions->loop, FIRST_ID_MAX) + 1;
    }
    return subscriber_has(subscriber).asking;
}

static struct map *table_of(struct asking *asking, bool for_client)
{
    return for_client ? &asking->for_client : &asking->from_client;
}

static struct awaited *find(struct subscriber *subscriber, bool for_client, struct span id)
{
    struct asking *asking = subscriber_has(subscriber).asking;
    struct map_node *node = asking != NULL ? map_find(table_of(asking, for_client), id) : NULL;
    return node != NULL ? container_of(node, struct awaited, by_id) : NULL;
}

static void forget(struct awaited *awaited)
{
    struct sessions *sessions = subscriber_sessions(awaited->subscriber);
    timer_stop(sessions->loop, &awaited->timer);
    map_remove(table_of(subscriber_has(awaited->subscriber).asking, awaited->for_client), &awaited->by_id);
    sessions->asking.count--;
    free(awaited);
}

/* The asker is told. The receiver's instance forgets the question by itself, a little later. */
static void time_over(struct timer *timer)
{
    struct awaited *awaited = container_of(timer, struct awaited, timer);
    struct subscriber *subscriber = awaited->subscriber;
    struct awaited copy = *awaited;
    if (awaited->for_client && subscriber->is_moved) { /* it cannot be told yet */
        timer_start(subscriber_sessions(subscriber)->loop, timer, LOOP_MS(MOVING_MS));
        return;
    }
    forget(awaited);
    if (copy.for_client && subscriber_is_connected(subscriber))
        subscriber_refuse(subscriber, REFUSAL_ANSWER_LATE, span_of(copy.their_sid, sizeof copy.their_sid),
                          id_of(&copy));
}

static struct awaited *note(struct subscriber *subscriber, bool for_client, struct span id, uint64_t ms)
{
    struct asking *asking = asking_of(subscriber);
    struct awaited *awaited = mem_zero(1, sizeof *awaited);
    assert(id.len <= sizeof awaited->id);
    awaited->subscriber = subscriber;
    awaited->for_client = for_client;
    awaited->id_len = (uint8_t)id.len;
    memcpy(awaited->id, id.data, id.len);
    timer_init(&awaited->timer, time_over);
    awaited->until_us = loop_now_us(subscriber_sessions(subscriber)->loop) + LOOP_MS(ms);
    timer_start(subscriber_sessions(subscriber)->loop, &awaited->timer, LOOP_MS(ms));
    map_add(table_of(asking, for_client), &awaited->by_id, id_of(awaited));
    subscriber_sessions(subscriber)->asking.count++;
    return awaited;
}

/* One more question would be too many, of this subscriber or of the instance. */
static bool is_full(const struct subscriber *subscriber, bool for_client)
{
    const struct sessions *sessions = subscriber_sessions(subscriber);
    struct asking *asking = subscriber_has(subscriber).asking;
    return sessions->asking.count >= sessions->limits.asks_total_max ||
           (asking != NULL && table_of(asking, for_client)->count >= sessions->limits.asks_max) ||
           sessions->limits.asks_max == 0;
}

/* The id of a question on the broker: the client's, with a number of ours in front. A client may give an id again on
 * its next connection, and the answer to an earlier question of that id must not be taken for the answer to this one.
 * Without the number if the client's id is too long for it. */
static struct span ask_id(struct awaited *awaited)
{
    uint64_t number = asking_of(awaited->subscriber)->next_id++;
    int len = snprintf(awaited->their_id, sizeof awaited->their_id, "%llu.%.*s", (unsigned long long)number,
                       (int)awaited->id_len, awaited->id);
    if (len < 0 || (size_t)len >= sizeof awaited->their_id) {
        len = awaited->id_len;
        memcpy(awaited->their_id, awaited->id, awaited->id_len);
    }
    awaited->their_id_len = (uint8_t)len;
    return span_of(awaited->their_id, awaited->their_id_len);
}

/* The question that this id on the broker names, if its client still awaits the answer. */
static struct awaited *find_asked(struct subscriber *subscriber, struct span id)
{
    ptrdiff_t dot = span_find(id, '.');
    struct awaited *awaited = find(subscriber, true, dot >= 0 ? span_from(id, (size_t)dot + 1) : id);
    return awaited != NULL && span_equal(id, span_of(awaited->their_id, awaited->their_id_len)) ? awaited : NULL;
}

void asking_ask(struct subscriber *subscriber, const struct subscriber_emit *emit, uint32_t timeout_ms)
{
    struct sessions *sessions = subscriber_sessions(subscriber);
    struct awaited *before = find(subscriber, true, emit->ack_id);
    struct asking_entry entry = {
        .kind = ASKING_QUESTION, .ms = timeout_ms, .asker = subscriber_sid(subscriber), .content = *emit->content};
    if (before != NULL) /* no client gives an id twice; if one does, it gets one answer */
        forget(before);
    if (is_full(subscriber, true)) {
        subscriber_refuse(subscriber, REFUSAL_ASKS_FULL, emit->to_sid, emit->ack_id);
        return;
    }
    struct awaited *awaited = note(subscriber, true, emit->ack_id, timeout_ms);
    memcpy(awaited->their_sid, emit->to_sid.data, sizeof awaited->their_sid);
    entry.id = ask_id(awaited);
    if (!asking_entry_publish(sessions, subscriber->nsp, subscriber, emit->to_sid, &entry)) {
        forget(awaited);
        subscriber_refuse(subscriber, REFUSAL_BROKER_BACKLOG, emit->to_sid, emit->ack_id);
        return;
    }
    sessions->counters.asked++;
}

/* It may find the asker between two requests, for as long as the longest question may wait. */
static bool answer_publish(struct sessions *sessions, const struct nsp *nsp, struct subscriber *caller,
                           struct span asker, struct span id, const struct content *content)
{
    struct asking_entry entry = {
        .kind = ASKING_ANSWER, .ms = ASKING_MS_MAX, .asker = SPAN_LIT("-"), .id = id, .content = *content};
    return asking_entry_publish(sessions, nsp, caller, asker, &entry);
}

/* Answers the asker. Without a caller when our client has gone. */
static void answer(struct subscriber *subscriber, struct subscriber *caller, struct span asker, struct span id,
                   const struct content *content)
{
    if (!answer_publish(subscriber_sessions(subscriber), subscriber->nsp, caller, asker, id, content))
        refusals_note(&subscriber_sessions(subscriber)->refusals, REFUSAL_BROKER_BACKLOG, subscriber_sid(subscriber),
                      asker);
}

/* Tells the asker that there will be no answer. */
static void fail(struct subscriber *subscriber, struct subscriber *caller, struct span asker, struct span id,
                 enum refusal refusal)
{
    struct buf args = {0};
    refusals_note(&subscriber_sessions(subscriber)->refusals, refusal, subscriber_sid(subscriber), asker);
    buf_printf(&args, "[{\"error\":\"%s\",\"reason\":\"%s\"}]", refusal_text(refusal), refusal_name(refusal));
    struct content content = content_of(buf_span(&args));
    answer(subscriber, caller, asker, id, &content);
    buf_finish(&args);
}

static void question_deliver(struct subscriber *subscriber, const struct asking_entry *entry)
{
    struct session *session = subscriber->session;
    char id[CALL_ID_BYTES_MAX + 1];
    if (session->protocol->ask == NULL) {
        fail(subscriber, subscriber, entry->asker, entry->id, REFUSAL_RECEIVER_MUTE);
        return;
    }
    if (is_full(subscriber, false)) {
        fail(subscriber, subscriber, entry->asker, entry->id, REFUSAL_ASKED_FULL);
        return;
    }
    int len = snprintf(id, sizeof id, "%llu", (unsigned long long)asking_of(subscriber)->next_id++);
    struct awaited *awaited = note(subscriber, false, span_of(id, (size_t)len), entry->ms);
    memcpy(awaited->their_sid, entry->asker.data, sizeof awaited->their_sid);
    awaited->their_id_len = (uint8_t)entry->id.len;
    memcpy(awaited->their_id, entry->id.data, entry->id.len);
    session->moved = true;
    session->protocol->ask(subscriber, id_of(awaited), &entry->content);
}

/* What a survey asks a client that polls: once, since it may be named more than once by what another program writes. */
static void survey_deliver(struct subscriber *subscriber, const struct asking_entry *entry)
{
    struct session *session = subscriber->session;
    struct sessions *sessions = subscriber_sessions(subscriber);
    if (find(subscriber, false, entry->id) != NULL)
        return;
    if (session->protocol->ask == NULL || sessions->asking.count >= sessions->limits.asks_total_max) {
        refusals_note(&sessions->refusals, session->protocol->ask == NULL ? REFUSAL_RECEIVER_MUTE : REFUSAL_ASKED_FULL,
                      subscriber_sid(subscriber), subscriber->nsp->name);
        survey_unanswered(subscriber, entry->id);
        return;
    }
    note(subscriber, false, entry->id, entry->ms)->of_survey = true;
    session->moved = true;
    session->protocol->ask(subscriber, entry->id, &entry->content);
}

static void answer_deliver(struct subscriber *subscriber, const struct asking_entry *entry)
{
    struct awaited *awaited = find_asked(subscriber, entry->id);
    if (awaited == NULL)
        return; /* its time is over, it was answered before, or it was asked on an earlier connection */
    struct awaited copy = *awaited;
    forget(awaited);
    subscriber->session->moved = true;
    subscriber_sessions(subscriber)->counters.answered++;
    subscriber_answer(subscriber, id_of(&copy), &entry->content);
}

void asking_deliver(struct subscriber *subscriber, struct span body)
{
    struct asking_entry entry;
    if (!subscriber_is_connected(subscriber) || !asking_is_for(body, subscriber_sid(subscriber)))
        return;
    if (!asking_entry_decode(body, &entry)) {
        refusals_note(&subscriber_sessions(subscriber)->refusals, REFUSAL_EVENT_DAMAGED, subscriber_sid(subscriber),
                      subscriber->nsp->name);
    } else if (entry.kind == ASKING_ANSWER) {
        answer_deliver(subscriber, &entry);
    } else if (subscriber->state == SUBSCRIBER_CONNECTED) {
        (entry.kind == ASKING_SURVEY ? survey_deliver : question_deliver)(subscriber, &entry);
    }
}

struct span asking_promise(struct subscriber *subscriber, struct span ack_id)
{
    struct span sid = subscriber_sid(subscriber), none = {NULL, 0};
    struct awaited *before = find(subscriber, true, ack_id);
    if (!subscriber->roams || !subscriber->nsp->direct || subscriber->session->transport->format != TRANSPORT_POLLING ||
        before != NULL || is_full(subscriber, true))
        return none;
    struct awaited *awaited = note(subscriber, true, ack_id, ASKING_MS_MAX);
    memcpy(awaited->their_sid, sid.data, sizeof awaited->their_sid);
    return ask_id(awaited);
}

bool asking_keep(struct subscriber *subscriber, struct span id, const struct content *content)
{
    struct awaited *awaited = find_asked(subscriber, id);
    if (awaited == NULL)
        return false;
    struct awaited copy = *awaited;
    forget(awaited);
    if (content != NULL)
        subscriber_answer(subscriber, id_of(&copy), content);
    return true;
}

bool asking_keep_elsewhere(struct sessions *sessions, const struct nsp *nsp, struct span sid, struct span id,
                           const struct content *content)
{
    return answer_publish(sessions, nsp, NULL, sid, id, content);
}

bool asking_answered(struct subscriber *subscriber, struct span id, const struct content *content)
{
    struct awaited *awaited = find(subscriber, false, id);
    if (awaited == NULL || awaited->of_survey) {
        if (awaited != NULL)
            forget(awaited);
        return false;
    }
    answer(subscriber, subscriber, span_of(awaited->their_sid, sizeof awaited->their_sid),
           span_of(awaited->their_id, awaited->their_id_len), content);
    forget(awaited);
    return true;
}

void asking_answer_refused(struct subscriber *subscriber, struct span id, enum refusal refusal)
{
    struct awaited *awaited = find(subscriber, false, id);
    if (awaited == NULL)
        return;
    if (awaited->of_survey) {
        refusals_note(&subscriber_sessions(subscriber)->refusals, refusal, subscriber_sid(subscriber),
                      subscriber->nsp->name);
        survey_unanswered(subscriber, id);
    } else {
        fail(subscriber, subscriber, span_of(awaited->their_sid, sizeof awaited->their_sid),
             span_of(awaited->their_id, awaited->their_id_len), refusal);
    }
    forget(awaited);
}

/* There will be no answer of our client; to a survey it may still come from another connection. */
static void owed_end(struct awaited *awaited, bool may_return)
{
    struct subscriber *subscriber = awaited->subscriber;
    if (!awaited->of_survey)
        fail(subscriber, NULL, span_of(awaited->their_sid, sizeof awaited->their_sid),
             span_of(awaited->their_id, awaited->their_id_len), REFUSAL_RECEIVER_GONE);
    else if (!may_return)
        survey_unanswered(subscriber, id_of(awaited));
}

void asking_end(struct subscriber *subscriber, bool parked, bool may_return)
{
    struct asking *asking = subscriber_has(subscriber).asking;
    struct map_node *node;
    if (asking == NULL)
        return;
    while ((node = map_next(&asking->for_client, NULL)) != NULL)
        forget(container_of(node, struct awaited, by_id));
    while ((node = map_next(&asking->from_client, NULL)) != NULL) {
        struct awaited *awaited = container_of(node, struct awaited, by_id);
        if (!parked)
            owed_end(awaited, may_return);
        forget(awaited);
    }
    map_finish(&asking->for_client);
    map_finish(&asking->from_client);
    free(asking);
    subscriber->extra->asking = NULL;
}

/* `<next id>\n`, and for each question `q <ms left> <id> <receiver> <its id on the broker>\n`, `a <ms left> <id>
 * <asker> <its id>\n`, or of a survey `s <ms left> <number>\n`. */

static void table_park(struct buf *to, const struct sessions *sessions, const struct map *table)
{
    uint64_t now = loop_now_us(sessions->loop);
    for (struct map_node *node = map_next(table, NULL); node != NULL; node = map_next(table, node)) {
        const struct awaited *awaited = container_of(node, const struct awaited, by_id);
        buf_printf(to, "%c %llu " SPAN_FMT,
                   awaited->for_client  ? 'q'
                   : awaited->of_survey ? 's'
                                        : 'a',
                   (unsigned long long)(awaited->until_us > now ? (awaited->until_us - now) / 1000 : 0),
                   SPAN_ARG(id_of(awaited)));
        if (!awaited->of_survey)
            buf_printf(to, " %.*s %.*s", (int)sizeof awaited->their_sid, awaited->their_sid, (int)awaited->their_id_len,
                       awaited->their_id);
        buf_append_char(to, '\n');
    }
}

void asking_park(const struct subscriber *subscriber, struct buf *to)
{
    const struct asking *asking = subscriber_has(subscriber).asking;
    if (asking == NULL)
        return;
    buf_printf(to, "%llu\n", (unsigned long long)asking->next_id);
    table_park(to, subscriber_sessions(subscriber), &asking->for_client);
    table_park(to, subscriber_sessions(subscriber), &asking->from_client);
}

static bool id_is_good(struct span id)
{
    return id.len >= 1 && id.len <= CALL_ID_BYTES_MAX;
}

/* False: the line is none of ours. */
static bool line_restore(struct subscriber *subscriber, struct span line, uint64_t away_ms)
{
    struct span kind, ms, id, sid = {NULL, 0}, their_id = {NULL, 0};
    uint64_t left_ms;
    if (!span_next(&line, ' ', &kind) || !span_next(&line, ' ', &ms) || !span_next(&line, ' ', &id) || kind.len != 1 ||
        !span_to_u64(ms, &left_ms) || left_ms > ASKING_MS_MAX || !id_is_good(id))
        return false;
    bool for_client = kind.data[0] == 'q', of_survey = kind.data[0] == 's';
    if (!of_survey && (!span_next(&line, ' ', &sid) || !engineio_sid_is_valid(sid) ||
                       !span_next(&line, '\n', &their_id) || !id_is_good(their_id)))
        return false;
    if (find(subscriber, for_client, id) != NULL)
        return false;
    struct awaited *awaited = note(subscriber, for_client, id, left_ms > away_ms ? left_ms - away_ms : 0);
    awaited->of_survey = of_survey;
    if (of_survey)
        return true;
    memcpy(awaited->their_sid, sid.data, sizeof awaited->their_sid);
    awaited->their_id_len = (uint8_t)their_id.len;
    memcpy(awaited->their_id, their_id.data, their_id.len);
    return true;
}

void asking_restore(struct subscriber *subscriber, struct span parked, uint64_t away_ms)
{
    struct span line;
    if (parked.len == 0 || !span_next(&parked, '\n', &line) || !span_to_u64(line, &asking_of(subscriber)->next_id))
        return;
    while (span_next(&parked, '\n', &line) && !is_full(subscriber, true) && !is_full(subscriber, false) &&
           line_restore(subscriber, line, away_ms)) {
    }
}
