/* firestore_apply: carries out calls. Whatever it does follows from the call, its time and the replica's state, and
 * from nothing else: every instance does the same. */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/firestore_parts.h"

enum {
    PASS_US = 1000000,
    LIFE_KEPT_S = 86400, /* a publisher is remembered for so long, to know a repeated call of it */
};

static struct life *life_find(struct firestore *fs, struct span publisher)
{
    list_each (node, &fs->lives) {
        struct life *life = container_of(node, struct life, of_all);
        if (span_equal(span_str(life->publisher), publisher))
            return life;
    }
    return NULL;
}

struct life *firestore_life_add(struct firestore *fs, struct span publisher, struct span instance)
{
    struct life *life = mem_zero(1, sizeof *life);
    snprintf(life->publisher, sizeof life->publisher, SPAN_FMT, SPAN_ARG(publisher));
    life->instance = mem_text(instance);
    life->ended = true;
    list_init(&life->of_all);
    list_append(&fs->lives, &life->of_all);
    return life;
}

static void life_remove(struct life *life)
{
    list_remove(&life->of_all);
    free(life->instance);
    free(life);
}

void firestore_lives_finish(struct firestore *fs)
{
    while (!list_empty(&fs->lives))
        life_remove(container_of(fs->lives.next, struct life, of_all));
}

/* Of this instance, or of all (empty). */
static size_t lives_of(const struct firestore *fs, struct span instance)
{
    size_t count = 0;
    list_each (node, &fs->lives) {
        const struct life *life = container_of(node, struct life, of_all);
        count += !life->ended && (instance.len == 0 || span_equal(span_str(life->instance), instance));
    }
    return count;
}

size_t firestore_lives_count(const struct firestore *fs)
{
    return lives_of(fs, SPAN_LIT(""));
}

static bool is_ours(const struct firestore *fs, const struct life *life)
{
    return strcmp(life->publisher, fs->publisher) == 0;
}

static void life_end(struct firestore *fs, struct life *life)
{
    life->ended = true;
    memory_leases_leave(&fs->memory, life->number);
    memory_presents_leave(&fs->memory, life->number);
    if (!is_ours(fs, life) || life->run != fs->run)
        return;
    fs->shared.self = UINT64_MAX;
    if (!fs->memory.broker.is_up)
        return;
    log_event(LOG_WARNING, "this instance was silent for too long, and others counted it as dead: it begins anew");
    firestore_went_down(fs);
}

/* A time in which nobody called anything counts against no instance: then Firestore stood still. */
static void lives_pass(struct firestore *fs, uint64_t now_us)
{
    uint64_t gap = fs->last_us != 0 && now_us - fs->last_us > FIRESTORE_LIFE_US / 2 ? now_us - fs->last_us : 0;
    fs->last_us = now_us;
    list_each (node, &fs->lives) {
        struct life *life = container_of(node, struct life, of_all);
        if (!life->ended)
            life->heard_us += gap;
        if (!life->ended && now_us - life->heard_us > FIRESTORE_LIFE_US)
            life_end(fs, life);
        else if (life->ended && now_us - life->heard_us > LOOP_S(LIFE_KEPT_S))
            life_remove(life);
    }
}

static void clock_pass(struct firestore *fs, uint64_t now_us)
{
    fs->shared.now_us = now_us;
    lives_pass(fs, now_us);
    memory_presents_pass(&fs->memory);
    if (now_us - fs->passed_us < PASS_US)
        return;
    fs->passed_us = now_us;
    memory_pass(&fs->memory);
}

/* The number of the instance with this name, whose former process has ended; 0: it has none yet. */
static uint64_t instance_number(struct firestore *fs, struct span instance)
{
    uint64_t number = 0;
    list_each (node, &fs->lives) {
        struct life *life = container_of(node, struct life, of_all);
        if (!span_equal(span_str(life->instance), instance))
            continue;
        if (!life->ended)
            life_end(fs, life);
        number = life->number;
    }
    return number;
}

static void hello(struct firestore *fs, struct life *life, const struct fs_record *record, uint64_t run)
{
    if (run <= life->run)
        return;
    uint64_t number = instance_number(fs, record->texts[0]);
    free(life->instance);
    life->instance = mem_text(record->texts[0]);
    life->run = run;
    life->number = number != 0 ? number : ++fs->lives_given;
    life->ended = false;
    fs->shared.actor = life->number;
    if (!is_ours(fs, life) || run != fs->run)
        return;
    fs->shared.self = life->number;
    firestore_went_up(fs);
}

static void tell_mail(struct memory *memory, struct notice *notice)
{
    struct span text = buf_span(&notice->text);
    if (memory->broker.is_up)
        mail_received(&memory->broker, span_sub(text, 0, notice->number), span_from(text, notice->number));
}

static void tell_mailed(struct memory *memory, struct notice *notice)
{
    struct mail_receivers receivers = {.living = notice->number, .reached = notice->number};
    notice->call.mailed(notice->arg, notice->result == BROKER_OK ? &receivers : NULL);
}

static void mail(struct firestore *fs, const struct life *from, const struct fs_record *record,
                 const struct firestore_op *op)
{
    struct span to = record->texts[0];
    if (to.len == 0 || span_equal(to, span_str(fs->instance))) {
        struct notice *notice = memory_notice(&fs->memory, tell_mail);
        notice->number = strlen(from->instance);
        buf_append(&notice->text, span_str(from->instance));
        buf_append(&notice->text, record->texts[1]);
    }
    if (op == NULL || op->call.mailed == NULL)
        return;
    struct notice *notice = memory_notice(&fs->memory, tell_mailed);
    notice->call.mailed = op->call.mailed;
    notice->arg = op->arg;
    notice->number = lives_of(fs, to);
}

static void publish(struct firestore *fs, const struct fs_record *record, broker_done_fn *done, void *arg)
{
    struct broker_retention retention = {record->numbers[0], record->numbers[1], record->numbers[2]};
    struct broker_publish what = {.room = record->texts[0],
                                  .audience = record->texts[1],
                                  .body = record->texts[2],
                                  .id = record->texts[3],
                                  .retention = record->numbers[0] != 0 ? &retention : NULL};
    memory_publish(&fs->memory.broker, &what, done, arg);
}

static struct broker_lease lease_of(const struct fs_record *record)
{
    return (struct broker_lease){.generation = record->numbers[0],
                                 .window_ms = record->numbers[1],
                                 .pid = record->texts[0],
                                 .sid = record->texts[1],
                                 .own = record->texts[2],
                                 .rooms = record->texts[3],
                                 .data = record->texts[4],
                                 .watch = record->texts[5]};
}

/* An end and a release name the lease by less. */
static struct broker_lease lease_named(const struct fs_record *record)
{
    return (struct broker_lease){.generation = record->numbers[0], .pid = record->texts[0], .own = record->texts[1]};
}

static void enter(struct firestore *fs, const struct fs_record *record)
{
    struct broker_present who = {.generation = record->numbers[0], .sid = record->texts[1], .data = record->texts[2]};
    memory_present_enter(&fs->memory.broker, record->texts[0], &who);
}

static void touch(struct firestore *fs, struct span room)
{
    struct map_node *node = map_find(&fs->memory.channels, room);
    if (node != NULL)
        container_of(node, struct channel, by_room)->touched_ms = memory_now_ms(&fs->memory);
}

static void saved(struct firestore *fs, const struct life *life, const struct fs_record *record)
{
    struct firestore_place place;
    firestore_place_set(&place, record->numbers[0], record->texts[0]);
    firestore_saved_told(fs, &place, is_ours(fs, life));
}

static void lease_call(struct firestore *fs, const struct fs_record *record, const struct firestore_op *op)
{
    struct broker *broker = &fs->memory.broker;
    struct broker_lease lease = record->kind == FS_LEASE_WRITE ? lease_of(record) : lease_named(record);
    broker_done_fn *done = op != NULL ? op->call.done : NULL;
    broker_claim_fn *claim = op != NULL ? op->call.claim : NULL;
    void *arg = op != NULL ? op->arg : NULL;
    switch (record->kind) {
    case FS_LEASE_WRITE:
        memory_lease_write(broker, &lease, done, arg);
        break;
    case FS_LEASE_CLAIM:
        memory_lease_claim(broker, record->texts[0], record->texts[1], record->numbers[0], claim, arg);
        break;
    case FS_LEASE_TAKE:
        memory_lease_take(broker, record->texts[0], record->numbers[0], claim, arg);
        break;
    case FS_LEASE_LAPSED:
        memory_lease_lapsed(broker, record->texts[0], claim, arg);
        break;
    case FS_LEASE_END:
        memory_lease_end(broker, &lease, done, arg);
        break;
    default:
        memory_lease_release(broker, &lease, record->numbers[1] != 0);
    }
}

/* `mine`: the next of this instance's own is answered. */
static void carry_out(struct firestore *fs, const struct life *life, const struct fs_record *record, bool mine)
{
    struct firestore_op *op = mine ? firestore_call_next(fs) : NULL;
    switch (record->kind) {
    case FS_PUBLISH:
        publish(fs, record, op != NULL ? op->call.done : NULL, op != NULL ? op->arg : NULL);
        break;
    case FS_ENTER:
        enter(fs, record);
        break;
    case FS_LEAVE:
        memory_present_leave(&fs->memory.broker, record->texts[0], record->texts[1], record->numbers[0] != 0);
        break;
    case FS_MAIL:
        mail(fs, life, record, op);
        break;
    case FS_PROBE:
        if (op != NULL && op->question != NULL)
            firestore_question_answer(fs, op->question);
        else
            memory_done_later(&fs->memory, op != NULL ? op->call.done : NULL, op != NULL ? op->arg : NULL, BROKER_OK);
        break;
    case FS_TOUCH:
        touch(fs, record->texts[0]);
        break;
    case FS_SAVED:
        saved(fs, life, record);
        break;
    default:
        lease_call(fs, record, op);
    }
    if (op != NULL)
        firestore_call_done(fs, op);
}

/* Why a call cannot be carried out here, for good; NULL: it can. */
static const char *refusal(uint64_t format)
{
    return format <= FIRESTORE_FORMAT ? NULL
                                      : "another instance of a later version writes what this one cannot read: update "
                                        "this instance";
}

void firestore_apply(struct firestore *fs, struct span publisher, uint64_t number, struct span call, uint64_t now_us)
{
    uint64_t format, run;
    struct fs_record record;
    struct life *life = life_find(fs, publisher);
    /* A replica that begins anew carries out earlier calls of ours again, which have been answered. */
    bool mine = span_equal(publisher, span_str(fs->publisher)) && fs->call_out && number == fs->call_number;
    if (life != NULL && number <= life->calls)
        return; /* it came twice: its document had gone in between */
    if (!fs_number_take(&call, &format) || !fs_number_take(&call, &run) || refusal(format) != NULL) {
        firestore_unusable(fs, refusal(format) != NULL ? refusal(format) : "a call makes no sense");
        return;
    }
    clock_pass(fs, now_us);
    if (life == NULL || life_find(fs, publisher) == NULL)
        life = firestore_life_add(fs, publisher, SPAN_LIT(""));
    life->calls = number;
    life->heard_us = now_us;
    fs->shared.actor = life->number;
    int got;
    while ((got = fs_record_take(&call, &record)) > 0) {
        if (record.kind == FS_HELLO)
            hello(fs, life, &record, run);
        life->dropped = life->ended || life->run != run ? number : life->dropped;
        if (record.kind != FS_HELLO && record.kind < FS_HEAD && life->dropped != number)
            carry_out(fs, life, &record, mine);
    }
    if (got < 0)
        log_event(LOG_ERROR, "a call of an instance makes no sense", LOG_C("instance", life->instance));
    if (mine)
        firestore_call_shown(fs, number);
}
