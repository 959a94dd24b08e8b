/* inquiry: sends a question to all instances, gathers their answers, and puts them together. Messages:
 *
 *     ask <number> <kind> <limit> <rooms> <exceptions>\n, then namespace, sid, after, rooms, exceptions, each
 *     <bytes>\n<text>
 *     tell <number>\n<as inquiry_find encodes>
 *
 * Behind a question of the kind INQUIRY_ANSWERS comes `<timeout in ms>\n`, and the event like a text; then the sids
 * that are asked otherwise, if there are lists of the broker's, like a text, too. Its answers come later (survey.c); so
 * do the words `late` and `hold`.
 *
 * An instance that does not know the kind of a question is of an earlier version, and gives no answer: then the whole
 * is incomplete. */
#include <stdlib.h>

#include "base/mem.h"
#include "session/content.h"
#include "session/survey.h"

struct told {
    struct list node;
    struct buf from, text;
    bool partial; /* not the answer of an instance: what the broker lists, or of other servers, if not all answered */
};

struct gather {
    struct list node;
    struct inquiries *inquiries;
    uint64_t number;
    struct timer timer;
    struct list told;
    uint64_t answered, living, reached;
    struct timer patience; /* then those that have not answered are looked at */
    struct list awaited;   /* struct awaited: that own leases, or hold the answer back, and have not answered */
    size_t awaited_count;  /* that ever were */
    bool owners_known;     /* it is known who is awaited */
    bool outside_told;
    bool sent;    /* living and reached are known, or are `unsaid` */
    bool unsaid;  /* the link broke before the broker said: the question may have reached nobody */
    bool outside; /* other servers are asked, too, and count as one instance */
    bool polls;   /* what the broker lists of sessions that poll is awaited */
    bool lacking; /* it has not come whole */
    enum inquiry_kind kind;
    uint32_t limit;
    size_t bytes; /* told so far */
    inquiry_found_fn *done;
    void *arg;
};

/* The name of an instance. */
struct awaited {
    struct list node;
    struct buf instance;
};

struct inquiries {
    struct sessions *sessions;
    struct surveys *surveys;
    struct list gathers;
    size_t count, survey_count;
    uint64_t number;
};

static bool text_take(struct span *rest, struct span *text)
{
    uint64_t len;
    return span_take_u64(rest, '\n', &len) && span_take(rest, len, text);
}

struct items {
    struct inquiry_item *list;
    size_t count, cap;
};

static bool item_take(struct span *rest, struct inquiry_item *item)
{
    uint64_t key, text;
    return span_take_u64(rest, ' ', &key) && span_take_u64(rest, ' ', &text) &&
           span_take_u64(rest, '\n', &item->number) && span_take(rest, key, &item->key) &&
           span_take(rest, text, &item->text) && key > 0;
}

/* What one instance told: the last key up to which it told all, if there are more behind it. `missed`: it counts more
 * than it told. */
static bool told_read(struct span text, struct items *items, uint64_t *total, struct span *last, bool *missed)
{
    uint64_t more, here, count;
    struct inquiry_item item = {.number = 0};
    if (!span_take_u64(&text, ' ', &more) || !span_take_u64(&text, ' ', &here) || !span_take_u64(&text, '\n', &count) ||
        count > INQUIRY_SURVEYED_MAX)
        return false;
    for (uint64_t i = 0; i < count; i++) {
        if (!item_take(&text, &item))
            return false;
        if (items->count == items->cap) {
            items->cap = items->cap != 0 ? items->cap * 2 : 64;
            items->list = mem_resize(items->list, items->cap * sizeof *items->list);
        }
        items->list[items->count++] = item;
    }
    *total += here;
    *missed = here > count;
    *last = more != 0 ? item.key : (struct span){NULL, 0};
    return text.len == 0 && (more == 0 || count > 0);
}

static int by_key(const void *a, const void *b)
{
    return span_compare(((const struct inquiry_item *)a)->key, ((const struct inquiry_item *)b)->key);
}

/* Items behind `bound` (NULL data: none) may lack what an instance did not tell. Those with one key become one: a room
 * is on several instances; a socket that is just moving counts once. */
static void items_merge(struct items *items, struct span bound, struct gather *gather, struct inquiry_found *found)
{
    size_t kept = 0;
    if (items->count > 0)
        qsort(items->list, items->count, sizeof *items->list, by_key);
    for (size_t i = 0; i < items->count; i++) {
        struct inquiry_item *item = &items->list[i];
        bool same = kept > 0 && span_equal(items->list[kept - 1].key, item->key);
        if (same) {
            items->list[kept - 1].number += item->number;
            if (items->list[kept - 1].text.len == 0)
                items->list[kept - 1].text = item->text; /* one instance was answered, another was not */
        } else if ((bound.data != NULL && span_compare(item->key, bound) > 0) || kept == gather->limit)
            break;
        else
            items->list[kept++] = *item;
    }
    found->more = bound.data != NULL || (kept > 0 && kept < items->count &&
                                         !span_equal(items->list[items->count - 1].key, items->list[kept - 1].key));
    found->items = items->list;
    found->count = kept;
}

/* How many questions of its kind are under way. */
static size_t *counter(struct inquiries *inquiries, enum inquiry_kind kind)
{
    return kind == INQUIRY_ANSWERS ? &inquiries->survey_count : &inquiries->count;
}

static void awaited_drop(struct awaited *awaited)
{
    list_remove(&awaited->node);
    buf_finish(&awaited->instance);
    free(awaited);
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Whether some have not answered who must: those that own leases, or hold the answer back; all, while the owners are
 * not known. */
static bool lacks_some(const struct gather *gather)
{
    if (!gather->owners_known && (gather->unsaid || gather->answered < least(gather->reached, gather->living)))
        return true;
    return !list_empty(&gather->awaited) || (gather->outside && !gather->outside_told);
}

static void gather_end(struct gather *gather)
{
    struct inquiry_found found = {.living = gather->living > 0 ? gather->living : 1}; /* this one, at least */
    struct items items = {.count = 0};
    struct span bound = {NULL, 0}, last;
    bool missed, any_missed = false, any_damaged = false;
    list_remove(&gather->node);
    *counter(gather->inquiries, gather->kind) -= 1;
    timer_stop(gather->inquiries->sessions->loop, &gather->timer);
    timer_stop(gather->inquiries->sessions->loop, &gather->patience);
    list_each (node, &gather->told) {
        size_t before = items.count;
        if (!told_read(buf_span(&container_of(node, struct told, node)->text), &items, &found.total, &last, &missed)) {
            items.count = before; /* another program writes on the broker */
            any_damaged = true;
            continue;
        }
        found.answered += !container_of(node, struct told, node)->partial;
        any_missed |= missed;
        if (last.data != NULL && (bound.data == NULL || span_compare(last, bound) < 0))
            bound = last;
    }
    found.incomplete = lacks_some(gather) || (gather->owners_known ? any_damaged : found.answered < found.living) ||
                       gather->polls || gather->lacking;
    items_merge(&items, bound, gather, &found);
    found.more |= gather->kind == INQUIRY_ANSWERS && any_missed;
    gather->done(gather->arg, &found);
    struct list *node;
    while ((node = list_take(&gather->told)) != NULL) {
        struct told *told = container_of(node, struct told, node);
        buf_finish(&told->from);
        buf_finish(&told->text);
        free(told);
    }
    list_each (awaited, &gather->awaited) {
        awaited_drop(container_of(awaited, struct awaited, node));
    }
    free(items.list);
    free(gather);
}

static void timed_out(struct timer *timer)
{
    gather_end(container_of(timer, struct gather, timer));
}

/* One that died a moment ago counts as living, but it was not reached, so its answer is not waited for. */
static void end_if_all(struct gather *gather)
{
    if (gather->sent && !lacks_some(gather) && !gather->polls)
        gather_end(gather);
}

static struct gather *gather_find(struct inquiries *inquiries, uint64_t number)
{
    list_each (node, &inquiries->gathers) {
        struct gather *gather = container_of(node, struct gather, node);
        if (gather->number == number)
            return gather;
    }
    return NULL;
}

static void told_add(struct gather *gather, struct span from, struct span text, bool partial)
{
    struct told *told = mem_zero(1, sizeof *told);
    told->partial = partial;
    buf_append(&told->from, from);
    gather->bytes += text.len;
    if (gather->kind != INQUIRY_ANSWERS || gather->bytes <= INQUIRY_SURVEYED_BYTES_MAX)
        buf_append(&told->text, text); /* an empty one does not count as an answer */
    list_init(&told->node);
    list_append(&gather->told, &told->node);
    gather->answered++;
}

bool inquiry_is_asked(const struct inquiries *inquiries, uint64_t number)
{
    return gather_find((struct inquiries *)(uintptr_t)inquiries, number) != NULL;
}

void inquiry_polls_told(struct inquiries *inquiries, uint64_t number, struct span text)
{
    struct gather *gather = gather_find(inquiries, number);
    if (gather == NULL)
        return; /* too late */
    gather->polls = false;
    gather->lacking = text.data == NULL;
    if (text.data != NULL) {
        told_add(gather, SPAN_LIT("polls"), text, true);
        gather->answered--; /* it is no instance */
    }
    end_if_all(gather);
}

static bool has_told(const struct gather *gather, struct span from)
{
    list_each (node, &gather->told) {
        if (span_equal(buf_span(&container_of(node, struct told, node)->from), from))
            return true;
    }
    return false;
}

static bool is_awaited(const struct gather *gather, struct span instance)
{
    list_each (node, &gather->awaited) {
        if (span_equal(buf_span(&container_of(node, struct awaited, node)->instance), instance))
            return true;
    }
    return false;
}

/* Unless it has answered. */
static void await_instance(struct gather *gather, struct span instance)
{
    if (has_told(gather, instance) || is_awaited(gather, instance))
        return;
    struct awaited *awaited = mem_zero(1, sizeof *awaited);
    buf_append(&awaited->instance, instance);
    list_init(&awaited->node);
    list_append(&gather->awaited, &awaited->node);
    gather->awaited_count++;
}

void inquiry_owners_told(struct inquiries *inquiries, uint64_t number, const struct span *instances, size_t count)
{
    struct gather *gather = gather_find(inquiries, number);
    if (gather == NULL)
        return; /* too late */
    gather->owners_known = true;
    for (size_t i = 0; i < count; i++)
        await_instance(gather, instances[i]);
    end_if_all(gather);
}

static void patience_over(struct timer *timer)
{
    struct gather *gather = container_of(timer, struct gather, patience);
    struct span *heard = mem_zero(gather->answered + 1, sizeof *heard);
    size_t count = 0;
    list_each (node, &gather->told) {
        const struct told *told = container_of(node, struct told, node);
        if (!told->partial)
            heard[count++] = buf_span(&told->from);
    }
    inquiry_owners_ask(gather->inquiries, gather->inquiries->sessions, gather->number, heard, count);
    free(heard);
}

static void tell_received(struct inquiries *inquiries, struct span from, struct span rest)
{
    uint64_t number;
    if (!span_take_u64(&rest, '\n', &number))
        return;
    struct gather *gather = gather_find(inquiries, number);
    if (gather == NULL || gather->answered == INQUIRY_INSTANCES_MAX)
        return; /* too late, or too many */
    if (has_told(gather, from))
        return;
    list_each (node, &gather->awaited) {
        if (span_equal(buf_span(&container_of(node, struct awaited, node)->instance), from))
            awaited_drop(container_of(node, struct awaited, node));
    }
    told_add(gather, from, rest, false);
    end_if_all(gather);
}

/* It has asked sockets, and will tell; whatever the broker says of its leases. */
static void hold_received(struct inquiries *inquiries, struct span from, struct span rest)
{
    uint64_t number;
    if (!span_take_u64(&rest, '\n', &number))
        return;
    struct gather *gather = gather_find(inquiries, number);
    if (gather != NULL && gather->kind == INQUIRY_ANSWERS && gather->awaited_count < INQUIRY_INSTANCES_MAX)
        await_instance(gather, from);
}

void inquiry_told(struct inquiries *inquiries, uint64_t number, struct span text, bool whole)
{
    struct gather *gather = gather_find(inquiries, number);
    if (gather == NULL || !gather->outside)
        return; /* too late */
    told_add(gather, SPAN_LIT("outside"), text, !whole);
    gather->outside_told = true;
    end_if_all(gather);
}

/* What follows for questions of one kind alone. False: no such kind is known, or it is damaged. */
static bool kind_take(struct span *rest, struct inquiry_question *question)
{
    switch (question->kind) {
    case INQUIRY_SOCKETS:
    case INQUIRY_ROOMS:
    case INQUIRY_COUNT:
        return true;
    case INQUIRY_ANSWERS:
        return span_take_u64(rest, '\n', &question->timeout_ms) && question->timeout_ms > 0 &&
               question->timeout_ms <= INQUIRY_SURVEY_MS_MAX && text_take(rest, &question->body) &&
               (rest->len == 0 || text_take(rest, &question->polls));
    }
    return false;
}

static bool question_take(struct span *rest, uint64_t *number, struct inquiry_question *question,
                          struct span texts[2 * INQUIRY_ROOMS_MAX])
{
    struct span kind;
    uint64_t limit, rooms, excepts;
    if (!span_take_u64(rest, ' ', number) || !span_next(rest, ' ', &kind) || kind.len != 1 ||
        !span_take_u64(rest, ' ', &limit) || !span_take_u64(rest, ' ', &rooms) ||
        !span_take_u64(rest, '\n', &excepts) || limit > INQUIRY_LIMIT_MAX || rooms > INQUIRY_ROOMS_MAX ||
        excepts > INQUIRY_ROOMS_MAX)
        return false;
    *question = (struct inquiry_question){.kind = (enum inquiry_kind)kind.data[0],
                                          .limit = (uint32_t)limit,
                                          .rooms = texts,
                                          .room_count = rooms,
                                          .excepts = texts + rooms,
                                          .except_count = excepts};
    bool good = text_take(rest, &question->nsp) && text_take(rest, &question->sid) && text_take(rest, &question->after);
    for (uint64_t i = 0; i < rooms + excepts && good; i++)
        good = text_take(rest, &texts[i]);
    return good && kind_take(rest, question);
}

static void tell_send(struct inquiries *inquiries, struct span from, uint64_t number, struct span text)
{
    struct buf answer = {0};
    buf_printf(&answer, "tell %llu\n", (unsigned long long)number);
    buf_append(&answer, text);
    mail_send(hub_broker(inquiries->sessions->hub), from, buf_span(&answer), NULL, NULL);
    buf_finish(&answer);
}

/* An empty `from` is this instance, which was asked alone, or sockets that poll. */
static void surveyed(void *arg, struct span from, uint64_t number, bool polls, struct span text)
{
    struct inquiries *inquiries = arg;
    if (polls) {
        inquiry_polls_told(inquiries, number, text);
        return;
    }
    struct gather *gather = from.len == 0 ? gather_find(inquiries, number) : NULL;
    if (from.len > 0)
        tell_send(inquiries, from, number, text);
    if (gather == NULL)
        return;
    told_add(gather, from, text, false);
    timer_start(inquiries->sessions->loop, &gather->timer, 0); /* it may be asked just now */
}

static void ask_received(struct inquiries *inquiries, struct span from, struct span rest)
{
    struct span texts[2 * INQUIRY_ROOMS_MAX];
    struct inquiry_question question;
    struct buf answer = {0};
    uint64_t number;
    if (!question_take(&rest, &number, &question, texts))
        return;
    if (question.kind == INQUIRY_ANSWERS) {
        survey_begin(inquiries->surveys, from, number, &question);
        return;
    }
    inquiry_find(inquiries->sessions, &question, &answer);
    tell_send(inquiries, from, number, buf_span(&answer));
    buf_finish(&answer);
}

static void received(void *arg, struct span from, struct span message)
{
    struct span word;
    if (!span_next(&message, ' ', &word))
        return;
    if (span_equal(word, SPAN_LIT("ask")))
        ask_received(arg, from, message);
    else if (span_equal(word, SPAN_LIT("tell")))
        tell_received(arg, from, message);
    else if (span_equal(word, SPAN_LIT("hold")))
        hold_received(arg, from, message);
    else if (span_equal(word, SPAN_LIT("late")))
        survey_late(((struct inquiries *)arg)->surveys, message);
}

static const struct mail_events mail_events = {received};

struct inquiries *inquiries_create(struct sessions *sessions)
{
    struct inquiries *inquiries = mem_zero(1, sizeof *inquiries);
    inquiries->sessions = sessions;
    list_init(&inquiries->gathers);
    /* Another process under this name may still be sent answers. */
    inquiries->number = loop_random_below(sessions->loop, UINT32_MAX) << 20;
    inquiries->surveys = surveys_create(sessions, surveyed, inquiries);
    mail_attach(hub_broker(sessions->hub), &mail_events, inquiries);
    return inquiries;
}

void inquiries_destroy(struct inquiries *inquiries)
{
    if (inquiries == NULL)
        return;
    list_each (node, &inquiries->gathers) {
        gather_end(container_of(node, struct gather, node));
    }
    surveys_destroy(inquiries->surveys);
    free(inquiries);
}

/* A question that the broker has taken. The gather may have ended since: it is known by its number. */
struct asked {
    struct inquiries *inquiries;
    uint64_t number;
};

static void sent(void *arg, const struct mail_receivers *receivers)
{
    struct asked *asked = arg;
    struct gather *gather = gather_find(asked->inquiries, asked->number);
    free(asked);
    if (gather == NULL)
        return;
    gather->sent = true;
    gather->unsaid = receivers == NULL;
    gather->living = (receivers != NULL ? receivers->living : 0) + gather->outside;
    gather->reached = (receivers != NULL ? receivers->reached : 0) + gather->outside;
    timer_start(gather->inquiries->sessions->loop, &gather->patience, LOOP_MS(INQUIRY_PATIENCE_MS));
    end_if_all(gather);
}

static void text_add(struct buf *to, struct span text)
{
    buf_printf(to, "%zu\n", text.len);
    buf_append(to, text);
}

static void ask_all(struct gather *gather, const struct inquiry_question *question)
{
    struct asked *asked = mem_zero(1, sizeof *asked);
    struct buf text = {0};
    *asked = (struct asked){gather->inquiries, gather->number};
    buf_printf(&text, "ask %llu %c %u %zu %zu\n", (unsigned long long)gather->number, (char)question->kind,
               question->limit, question->room_count, question->except_count);
    text_add(&text, question->nsp);
    text_add(&text, question->sid);
    text_add(&text, question->after);
    for (size_t i = 0; i < question->room_count; i++)
        text_add(&text, question->rooms[i]);
    for (size_t i = 0; i < question->except_count; i++)
        text_add(&text, question->excepts[i]);
    if (question->kind == INQUIRY_ANSWERS) {
        buf_printf(&text, "%llu\n", (unsigned long long)question->timeout_ms);
        text_add(&text, question->body);
        if (question->polls.data != NULL)
            text_add(&text, question->polls);
    }
    mail_send(hub_broker(gather->inquiries->sessions->hub), (struct span){NULL, 0}, buf_span(&text), sent, asked);
    buf_finish(&text);
}

/* Without a list the instances ask those of their sockets that poll. */
void inquiry_polls_ask_all(struct inquiries *inquiries, uint64_t number, const struct inquiry_question *question,
                           const struct span *sids, size_t count, size_t left)
{
    struct gather *gather = gather_find(inquiries, number);
    struct inquiry_question to_all = *question;
    struct buf named = {0};
    if (gather == NULL)
        return; /* too late */
    for (size_t i = 0; i < count; i++)
        buf_append(&named, sids[i]);
    to_all.polls = gather->lacking ? (struct span){NULL, 0} : count > 0 ? buf_span(&named) : SPAN_LIT("");
    ask_all(gather, &to_all);
    if (!gather->lacking)
        survey_begin_polls(inquiries->surveys, number, question, sids, count, left);
    buf_finish(&named);
}

/* Also the id under which the clients are asked. */
static uint64_t survey_number(struct inquiries *inquiries)
{
    uint64_t number;
    do
        number =
            survey_number_min + loop_random_below(inquiries->sessions->loop, survey_number_end - survey_number_min);
    while (gather_find(inquiries, number) != NULL);
    return number;
}

bool inquiry_ask(struct inquiries *inquiries, const struct inquiry_question *question, inquiry_found_fn *done,
                 void *arg)
{
    bool surveys = question->kind == INQUIRY_ANSWERS;
    if (*counter(inquiries, question->kind) == (surveys ? INQUIRY_SURVEYS_MAX : INQUIRY_QUESTIONS_MAX))
        return false;
    struct gather *gather = mem_zero(1, sizeof *gather);
    *gather = (struct gather){.inquiries = inquiries,
                              .number = surveys ? survey_number(inquiries) : ++inquiries->number,
                              .kind = question->kind,
                              .limit = surveys ? INQUIRY_SURVEYED_MAX : question->limit,
                              .done = done,
                              .arg = arg};
    list_init(&gather->told);
    list_init(&gather->awaited);
    timer_init(&gather->patience, patience_over);
    list_init(&gather->node);
    list_append(&inquiries->gathers, &gather->node);
    *counter(inquiries, question->kind) += 1;
    timer_init(&gather->timer, timed_out);
    timer_start(inquiries->sessions->loop, &gather->timer,
                LOOP_MS((surveys ? question->timeout_ms : 0) + INQUIRY_TIMEOUT_MS));
    if (question->here && surveys) {
        gather->living = 1;
        survey_begin(inquiries->surveys, SPAN_LIT(""), gather->number, question);
        return true;
    }
    if (question->here) {
        struct buf text = {0};
        inquiry_find(inquiries->sessions, question, &text);
        gather->living = 1;
        told_add(gather, SPAN_LIT(""), buf_span(&text), false);
        buf_finish(&text);
        timer_start(inquiries->sessions->loop, &gather->timer, 0);
        return true;
    }
    const struct outward *outward = inquiries->sessions->outward;
    gather->outside =
        !surveys && outward != NULL && outward->inquired(outward->arg, inquiries, question, gather->number);
    /* Then inquiry_polls_ask_all asks, and the gather may be over already. */
    bool behind_the_list = surveys && broker_has_records(hub_broker(inquiries->sessions->hub));
    gather->polls = broker_has_records(hub_broker(inquiries->sessions->hub));
    if (gather->polls)
        inquiry_polls_ask(inquiries, inquiries->sessions, question, gather->number);
    if (!behind_the_list)
        ask_all(gather, question);
    return true;
}
