/* ask_check: the story of each question. See ask_check.h. */
#include "ask_check.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

enum {
    EARLY_US = 100000, /* each move rounds the time that is left */
    LATE_US = 1000000, /* for the way of an answer, also into the next poll */
    NEAR_US = 500000,  /* an event of a client and what the server knows of it are so far apart at most */
};

void ask_check_init(struct ask_check *asks, struct check *check, bool calm, uint64_t slack_us)
{
    *asks = (struct ask_check){.check = check, .calm = calm, .slack_us = slack_us, .ask_count = 1};
    asks->asks = mem_zero(asks->ask_cap = 256, sizeof *asks->asks);
}

void ask_check_finish(struct ask_check *asks)
{
    free(asks->asks);
}

void ask_check_add(struct ask_check *asks, struct ask_member *member, int number)
{
    snprintf(member->name, sizeof member->name, "asking client %d", number);
    member->number = number;
    asks->members[asks->count++] = member;
}

static uint64_t now_us(const struct ask_check *asks)
{
    return sim_now_us(asks->check->sim);
}

static const char *asker_of(const struct ask_check *asks, const struct ask *ask)
{
    return asks->members[ask->asker]->name;
}

uint32_t ask_check_asked(struct ask_check *asks, const struct ask_member *asker, const char *sid)
{
    if (asks->ask_count == asks->ask_cap)
        asks->asks = mem_resize(asks->asks, (asks->ask_cap *= 2) * sizeof *asks->asks);
    struct ask *ask = &asks->asks[asks->ask_count];
    *ask = (struct ask){.asker = asker->number, .receiver = ASK_NOBODY, .asked_us = now_us(asks)};
    snprintf(ask->sid, sizeof ask->sid, "%s", sid);
    for (int i = 0; i < asks->count; i++)
        if (strcmp(asks->members[i]->sid, sid) == 0)
            ask->receiver = i;
    asks->counts.asked++;
    return asks->ask_count++;
}

void ask_check_given_up(struct ask_check *asks, uint32_t number)
{
    asks->asks[number].over = true;
}

void ask_check_heard(struct ask_check *asks, const struct ask_member *member, uint64_t number, struct span sid)
{
    if (number == 0 || number >= asks->ask_count) {
        check_fail(asks->check, "%s: is asked what nobody has asked", member->name);
        return;
    }
    struct ask *ask = &asks->asks[number];
    asks->counts.heard++;
    if (strcmp(member->sid, ask->sid) != 0 || !span_equal(sid, span_str(ask->sid)))
        check_fail(asks->check, "%s: is asked question %llu of %s, which is for another socket", member->name,
                   (unsigned long long)number, asker_of(asks, ask));
    if (ask->heard_us != 0)
        check_fail(asks->check, "%s: is asked question %llu of %s twice", member->name, (unsigned long long)number,
                   asker_of(asks, ask));
    ask->heard_us = now_us(asks);
}

void ask_check_replied(struct ask_check *asks, uint32_t number)
{
    if (asks->asks[number].replied_us == 0)
        asks->asks[number].replied_us = now_us(asks);
}

/* In time, and once. */
static void check_end(struct ask_check *asks, uint32_t number, const char *how)
{
    struct ask *ask = &asks->asks[number];
    uint64_t took = now_us(asks) - ask->asked_us;
    check_digest(asks->check, 'q', number, took);
    if (ask->over)
        check_fail(asks->check, "%s: question %u ends twice: %s", asker_of(asks, ask), number, how);
    ask->over = true;
    if (asks->calm && took > LOOP_MS(ASK_TIMEOUT_MS) + LATE_US + asks->slack_us)
        check_fail(asks->check, "%s: question %u ends after %.3f s: %s", asker_of(asks, ask), number,
                   (double)took / 1e6, how);
}

void ask_check_answered(struct ask_check *asks, uint32_t number, uint64_t value)
{
    const struct ask *ask = &asks->asks[number];
    asks->counts.answered++;
    if (value != number)
        check_fail(asks->check, "%s: question %u is answered with the answer to %llu", asker_of(asks, ask), number,
                   (unsigned long long)value);
    else if (ask->replied_us == 0)
        check_fail(asks->check, "%s: question %u is answered, and nobody has", asker_of(asks, ask), number);
    check_end(asks, number, "with an answer");
}

/* Both have been there, under the same socket, since it was asked. */
static bool stayed(const struct ask_check *asks, const struct ask *ask)
{
    const struct ask_member *receiver = ask->receiver != ASK_NOBODY ? asks->members[ask->receiver] : NULL;
    return receiver != NULL && receiver->connected && receiver->changed_us + NEAR_US < ask->asked_us &&
           strcmp(receiver->sid, ask->sid) == 0;
}

static void late_check(struct ask_check *asks, uint32_t number)
{
    const struct ask *ask = &asks->asks[number];
    uint64_t took = now_us(asks) - ask->asked_us;
    asks->counts.late++;
    if (took + EARLY_US < LOOP_MS(ASK_TIMEOUT_MS))
        check_fail(asks->check, "%s: the time of question %u is over after %.3f s", asker_of(asks, ask), number,
                   (double)took / 1e6);
    if (!asks->calm || !stayed(asks, ask))
        return;
    if (ask->heard_us == 0)
        check_fail(asks->check, "%s: question %u has not reached its receiver, which was there", asker_of(asks, ask),
                   number);
    else if (ask->replied_us != 0 && ask->replied_us + NEAR_US + asks->slack_us < now_us(asks))
        check_fail(asks->check, "%s: question %u was answered in time, and the answer has not come",
                   asker_of(asks, ask), number);
}

void ask_check_failed(struct ask_check *asks, uint32_t number, struct span reason)
{
    const struct ask *ask = &asks->asks[number];
    if (span_equal(reason, SPAN_LIT("answer_late"))) {
        late_check(asks, number);
    } else if (span_equal(reason, SPAN_LIT("receiver_gone"))) {
        asks->counts.gone++;
        if (asks->calm && stayed(asks, ask))
            check_fail(asks->check, "%s: the receiver of question %u is called gone, and is there", asker_of(asks, ask),
                       number);
    } else {
        asks->counts.refused++;
        if (asks->calm || !span_equal(reason, SPAN_LIT("broker_backlog")))
            check_fail(asks->check, "%s: question %u is refused: " SPAN_FMT, asker_of(asks, ask), number,
                       SPAN_ARG(reason));
    }
    check_end(asks, number, "without an answer");
}
