/* survey_check: the story of each survey. See survey_check.h. */
#include "survey_check.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

enum {
    NEAR_US = 500000,    /* an event of a client and what the server knows of it are so far apart at most */
    LATE_US = 500000,    /* for the way of a question and of the answers, where nothing is wrong */
    SILENT_US = 2000000, /* so much longer it takes if an instance does not answer */
    EARLY_US = 20000,    /* timers round */
    REPLY_US = 1000000,  /* so long an answer takes, also by a POST */
    BYTES_EACH = 5,
};

/* A socket that got the question. */
struct heard {
    char sid[SID_TEXT];
    uint64_t us, replied_us; /* 0: not yet */
};

/* A member when the survey began. */
struct voter {
    char sid[SID_TEXT];
    bool sure; /* it was there, and is meant */
    uint64_t changed_us;
};

struct listed {
    char sid[SID_TEXT];
    bool answered;
};

struct surveyed {
    struct survey_target target;
    int instance;
    uint64_t begun_us, timeout_us, over_us; /* 0: it is under way */
    bool complete, failed, judged;
    struct voter voters[SURVEY_MEMBERS_MAX];
    struct heard *heard;
    size_t heard_count;
    struct listed *listed;
    size_t listed_count;
};

void survey_check_init(struct survey_check *surveys, struct check *check, bool calm, uint64_t slack_us)
{
    *surveys =
        (struct survey_check){.check = check, .calm = calm, .slack_us = slack_us, .survey_count = 1, .judged = 1};
}

void survey_check_finish(struct survey_check *surveys)
{
    for (uint32_t i = 1; i < surveys->survey_count; i++) {
        free(surveys->surveys[i]->heard);
        free(surveys->surveys[i]->listed);
        free(surveys->surveys[i]);
    }
    free(surveys->surveys);
    free(surveys->sockets);
}

void survey_check_add(struct survey_check *surveys, struct survey_member *member, int number)
{
    snprintf(member->name, sizeof member->name, "surveyed client %d", number);
    member->number = number;
    member->room = number % SURVEY_ROOMS;
    surveys->members[surveys->count++] = member;
}

static uint64_t now_us(const struct survey_check *surveys)
{
    return sim_now_us(surveys->check->sim);
}

/* The member that has, or had, this socket; -1: there never was one. */
static int member_of(const struct survey_check *surveys, struct span sid)
{
    for (size_t i = surveys->socket_count; i > 0; i--)
        if (span_equal(sid, span_str(surveys->sockets[i - 1].sid)))
            return surveys->sockets[i - 1].member;
    return SURVEY_NOWHERE;
}

void survey_check_changed(struct survey_check *surveys, struct survey_member *member, bool connected, struct span sid)
{
    member->connected = connected;
    member->changed_us = now_us(surveys);
    if (sid.len == 0 || span_equal(sid, span_str(member->sid)))
        return;
    snprintf(member->sid, sizeof member->sid, SPAN_FMT, SPAN_ARG(sid));
    member->entered_us = 0;
    if (surveys->socket_count == surveys->socket_cap) {
        surveys->socket_cap = surveys->socket_cap != 0 ? surveys->socket_cap * 2 : 64;
        surveys->sockets = mem_resize(surveys->sockets, surveys->socket_cap * sizeof *surveys->sockets);
    }
    memcpy(surveys->sockets[surveys->socket_count].sid, member->sid, SID_TEXT);
    surveys->sockets[surveys->socket_count++].member = member->number;
}

/* Whether this socket may be asked. */
static bool may_be_meant(const struct survey_target *target, const struct survey_member *member, struct span sid)
{
    return (target->rooms == 0 || target->rooms & 1 << member->room) &&
           (target->sid[0] == '\0' || span_equal(sid, span_str(target->sid))) &&
           !span_equal(sid, span_str(target->except_sid));
}

/* It has been there for a while, and it is known in which room. */
static bool is_sure(const struct survey_check *surveys, const struct survey_target *target,
                    const struct survey_member *member)
{
    uint64_t before_us = now_us(surveys) - NEAR_US - surveys->slack_us;
    bool by_room = (target->rooms | target->excepts) != 0;
    if (now_us(surveys) < NEAR_US + surveys->slack_us || !member->connected || member->changed_us > before_us ||
        (by_room && (member->entered_us == 0 || member->entered_us > before_us)))
        return false;
    return may_be_meant(target, member, span_str(member->sid)) && !(target->excepts & 1 << member->room);
}

uint32_t survey_check_asked(struct survey_check *surveys, const struct survey_target *target, uint64_t timeout_ms,
                            int instance)
{
    if (surveys->survey_count >= surveys->survey_cap) {
        surveys->survey_cap = surveys->survey_cap != 0 ? surveys->survey_cap * 2 : 256;
        surveys->surveys = mem_resize(surveys->surveys, surveys->survey_cap * sizeof(struct surveyed *));
    }
    struct surveyed *survey = surveys->surveys[surveys->survey_count] = mem_zero(1, sizeof *survey);
    survey->target = *target;
    survey->instance = instance;
    survey->begun_us = now_us(surveys);
    survey->timeout_us = LOOP_MS(timeout_ms);
    for (int i = 0; i < surveys->count; i++) {
        const struct survey_member *member = surveys->members[i];
        memcpy(survey->voters[i].sid, member->sid, SID_TEXT);
        survey->voters[i].changed_us = member->changed_us;
        survey->voters[i].sure = is_sure(surveys, target, member);
    }
    surveys->counts.asked++;
    return surveys->survey_count++;
}

static struct heard *heard_by(const struct surveyed *survey, struct span sid)
{
    for (size_t i = 0; i < survey->heard_count; i++)
        if (span_equal(sid, span_str(survey->heard[i].sid)))
            return &survey->heard[i];
    return NULL;
}

void survey_check_heard(struct survey_check *surveys, const struct survey_member *member, uint64_t number)
{
    if (number == 0 || number >= surveys->survey_count) {
        check_fail(surveys->check, "%s: is asked what nobody has asked", member->name);
        return;
    }
    struct surveyed *survey = surveys->surveys[number];
    const struct survey_target *target = &survey->target;
    surveys->counts.heard++;
    check_digest(surveys->check, 'v', number, (uint64_t)member->number);
    /* In the room that is left out, and was when it began. */
    bool excepted = target->excepts & 1 << member->room && member->entered_us != 0 &&
                    member->entered_us + NEAR_US + surveys->slack_us < survey->begun_us;
    if (!may_be_meant(target, member, span_str(member->sid)) || excepted)
        check_fail(surveys->check, "%s: is asked survey %llu, which is not for it", member->name,
                   (unsigned long long)number);
    if (heard_by(survey, span_str(member->sid)) != NULL)
        check_fail(surveys->check, "%s: is asked survey %llu twice", member->name, (unsigned long long)number);
    survey->heard = mem_resize(survey->heard, (survey->heard_count + 1) * sizeof *survey->heard);
    struct heard *heard = &survey->heard[survey->heard_count++];
    *heard = (struct heard){.us = now_us(surveys)};
    memcpy(heard->sid, member->sid, SID_TEXT);
}

bool survey_check_replied(struct survey_check *surveys, const struct survey_member *member, uint32_t number)
{
    struct heard *heard = heard_by(surveys->surveys[number], span_str(member->sid));
    if (heard != NULL && heard->replied_us == 0)
        heard->replied_us = now_us(surveys);
    return heard != NULL;
}

bool survey_has_bytes(uint32_t number, int member)
{
    return (number + (uint32_t)member) % BYTES_EACH == 0;
}

/* The lists have each socket once, in order. */
static void listed_add(struct survey_check *surveys, uint32_t number, struct span sid, bool answered)
{
    struct surveyed *survey = surveys->surveys[number];
    const struct listed *last = survey->listed_count > 0 ? &survey->listed[survey->listed_count - 1] : NULL;
    if (last != NULL && last->answered == answered && span_compare(span_str(last->sid), sid) >= 0)
        check_fail(surveys->check, "survey %u: " SPAN_FMT " is listed behind %s", number, SPAN_ARG(sid), last->sid);
    for (size_t i = 0; i < survey->listed_count; i++)
        if (span_equal(sid, span_str(survey->listed[i].sid)))
            check_fail(surveys->check, "survey %u: " SPAN_FMT " is listed twice", number, SPAN_ARG(sid));
    survey->listed = mem_resize(survey->listed, (survey->listed_count + 1) * sizeof *survey->listed);
    struct listed *listed = &survey->listed[survey->listed_count++];
    *listed = (struct listed){.answered = answered};
    snprintf(listed->sid, sizeof listed->sid, SPAN_FMT, SPAN_ARG(sid));
}

void survey_check_answer(struct survey_check *surveys, uint32_t number, struct span sid,
                         const struct survey_answer *answer)
{
    const struct heard *heard = heard_by(surveys->surveys[number], sid);
    char digits[16];
    int member = member_of(surveys, sid);
    listed_add(surveys, number, sid, true);
    surveys->counts.answers++;
    snprintf(digits, sizeof digits, "%u", number);
    if (heard == NULL || heard->replied_us == 0)
        check_fail(surveys->check, "survey %u: has an answer of " SPAN_FMT ", which has given none", number,
                   SPAN_ARG(sid));
    else if (answer->number != number || !span_equal(answer->sid, sid))
        check_fail(surveys->check, "survey %u: the answer of " SPAN_FMT " is one of " SPAN_FMT " to survey %llu",
                   number, SPAN_ARG(sid), SPAN_ARG(answer->sid), (unsigned long long)answer->number);
    else if (survey_has_bytes(number, member) ? !span_equal(answer->bytes, span_str(digits))
                                              : answer->bytes.data != NULL)
        check_fail(surveys->check, "survey %u: the answer of " SPAN_FMT " comes with the bytes \"" SPAN_FMT "\"",
                   number, SPAN_ARG(sid), SPAN_ARG(answer->bytes));
}

void survey_check_missing(struct survey_check *surveys, uint32_t number, struct span sid)
{
    listed_add(surveys, number, sid, false);
    surveys->counts.missing++;
}

/* Nothing has been wrong with the asker's instance since. */
static bool asker_was_well(const struct survey_check *surveys, const struct surveyed *survey)
{
    return surveys->trouble_us[survey->instance] < survey->begun_us;
}

static bool all_were_well(const struct survey_check *surveys, const struct surveyed *survey)
{
    bool well = true;
    for (int i = 0; i < SURVEY_INSTANCES_MAX; i++)
        well = well && surveys->trouble_us[i] < survey->begun_us;
    return well;
}

/* An instance that stands still for long counts as one that is gone, with its sockets. */
static bool member_was_well(const struct survey_check *surveys, const struct surveyed *survey,
                            const struct survey_member *member)
{
    return member->instance != SURVEY_NOWHERE ? surveys->trouble_us[member->instance] < survey->begun_us
                                              : all_were_well(surveys, survey);
}

static void end(struct survey_check *surveys, uint32_t number)
{
    struct surveyed *survey = surveys->surveys[number];
    if (survey->over_us != 0)
        check_fail(surveys->check, "survey %u ends twice", number);
    survey->over_us = now_us(surveys);
    check_digest(surveys->check, 'V', number, survey->listed_count);
}

void survey_check_over(struct survey_check *surveys, uint32_t number, bool complete)
{
    struct surveyed *survey = surveys->surveys[number];
    uint64_t took = now_us(surveys) - survey->begun_us;
    uint64_t most = survey->timeout_us + (surveys->calm && complete ? 0 : SILENT_US) + LATE_US + surveys->slack_us;
    end(surveys, number);
    survey->complete = complete;
    surveys->counts.incomplete += !complete;
    if (took > most && asker_was_well(surveys, survey))
        check_fail(surveys->check, "survey %u ends after %.3f s, and has %.3f s", number, (double)took / 1e6,
                   (double)survey->timeout_us / 1e6);
    if (surveys->calm && !complete && asker_was_well(surveys, survey))
        check_fail(surveys->check, "survey %u is called incomplete, and nothing is wrong", number);
}

void survey_check_failed(struct survey_check *surveys, uint32_t number)
{
    end(surveys, number);
    surveys->surveys[number]->failed = true;
    surveys->counts.failed++;
}

bool survey_is_over(const struct survey_check *surveys, uint32_t number)
{
    return surveys->surveys[number]->over_us != 0;
}

static const struct listed *listed_of(const struct surveyed *survey, const char *sid)
{
    for (size_t i = 0; i < survey->listed_count; i++)
        if (strcmp(survey->listed[i].sid, sid) == 0)
            return &survey->listed[i];
    return NULL;
}

/* The lists have nobody else. (The server knows a socket before its client does.) */
static void judge_listed(struct survey_check *surveys, uint32_t number)
{
    const struct surveyed *survey = surveys->surveys[number];
    for (size_t i = 0; i < survey->listed_count; i++) {
        struct span sid = span_str(survey->listed[i].sid);
        int at = member_of(surveys, sid);
        if (at != SURVEY_NOWHERE && !may_be_meant(&survey->target, surveys->members[at], sid))
            check_fail(surveys->check, "survey %u: " SPAN_FMT " is listed, and is not meant", number, SPAN_ARG(sid));
    }
}

/* Nobody that was asked is left out. */
static void judge_heard(struct survey_check *surveys, uint32_t number)
{
    const struct surveyed *survey = surveys->surveys[number];
    for (size_t i = 0; i < survey->heard_count; i++) {
        const struct heard *heard = &survey->heard[i];
        if (heard->us < survey->over_us && listed_of(survey, heard->sid) == NULL && all_were_well(surveys, survey))
            check_fail(surveys->check, "survey %u: socket %s was asked, and is in neither list", number, heard->sid);
    }
}

/* A client that was there from before the beginning until now. */
static void judge_voter(struct survey_check *surveys, uint32_t number, const struct survey_member *member)
{
    const struct surveyed *survey = surveys->surveys[number];
    const struct listed *listed = listed_of(survey, member->sid);
    const struct heard *heard = heard_by(survey, span_str(member->sid));
    /* Each instance waits for the timeout; the asker may wait longer, for one that is silent. */
    uint64_t until_us = survey->begun_us + survey->timeout_us;
    until_us = survey->over_us < until_us ? survey->over_us : until_us;
    bool in_time =
        heard != NULL && heard->replied_us != 0 && heard->replied_us + REPLY_US + surveys->slack_us < until_us;
    if (survey->complete && listed == NULL && member_was_well(surveys, survey, member))
        check_fail(surveys->check, "%s: survey %u is called complete, and has it in neither list", member->name,
                   number);
    if (heard == NULL && surveys->calm && survey->over_us > survey->begun_us + REPLY_US + surveys->slack_us)
        check_fail(surveys->check, "%s: was there, and was not asked survey %u", member->name, number);
    if (listed == NULL || listed->answered)
        return;
    if (in_time && (surveys->calm || all_were_well(surveys, survey)))
        check_fail(surveys->check, "%s: has answered survey %u in time, and is called missing", member->name, number);
    if (survey->complete && survey->over_us + EARLY_US < survey->begun_us + survey->timeout_us)
        check_fail(surveys->check, "%s: survey %u ends %.3f s before its time, without its answer", member->name,
                   number, (double)(survey->begun_us + survey->timeout_us - survey->over_us) / 1e6);
}

static void judge(struct survey_check *surveys, uint32_t number)
{
    struct surveyed *survey = surveys->surveys[number];
    survey->judged = true;
    if (survey->failed)
        return;
    surveys->counts.judged++;
    judge_listed(surveys, number);
    if (survey->complete)
        judge_heard(surveys, number);
    for (int i = 0; i < surveys->count; i++) {
        const struct survey_member *member = surveys->members[i];
        const struct voter *voter = &survey->voters[i];
        if (voter->sure && member->connected && member->changed_us == voter->changed_us)
            judge_voter(surveys, number, member);
    }
}

void survey_check_trouble(struct survey_check *surveys, int instance, uint64_t lasts_us)
{
    uint64_t until_us = now_us(surveys) + lasts_us;
    for (int i = 0; i < SURVEY_INSTANCES_MAX; i++)
        if ((instance == SURVEY_NOWHERE || instance == i) && surveys->trouble_us[i] < until_us)
            surveys->trouble_us[i] = until_us;
}

void survey_check_due(struct survey_check *surveys, bool all)
{
    uint64_t wait_us = NEAR_US + surveys->slack_us;
    for (uint32_t i = surveys->judged; i < surveys->survey_count; i++) {
        struct surveyed *survey = surveys->surveys[i];
        if (survey->over_us != 0 && !survey->judged && survey->over_us + wait_us < now_us(surveys))
            judge(surveys, i);
        if (all && survey->over_us == 0)
            check_fail(surveys->check, "survey %u never ended", i);
    }
    while (surveys->judged < surveys->survey_count && surveys->surveys[surveys->judged]->judged)
        surveys->judged++;
}
