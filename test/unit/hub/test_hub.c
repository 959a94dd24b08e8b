/* test_hub: members that join, resume, lag and lose their link get every entry once, in order, and the token they were
 * last told is true at every moment: a cut there misses exactly what lies behind it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/log.h"
#include "hub/hub_parts.h"
#include "script_broker.h"

enum { GOT_MAX = 8192, ROOMS = 3 };

struct model {
    struct member member;
    char sid[24];
    bool whole, ready, lost, settled, full;
    uint64_t got[GOT_MAX];
    struct token told[GOT_MAX]; /* with each */
    size_t got_count, flushed;  /* what lies behind `flushed` may never go out */
    size_t not_logged;
    struct token token; /* the last one told */
    bool has_token;
};

static struct loop *loop;
static struct script_broker script;
static struct hub *hub;

static struct model *of(struct member *member)
{
    return container_of(member, struct model, member);
}

static void on_ready(struct member *member, bool whole)
{
    of(member)->ready = true;
    of(member)->whole = whole;
}

static void on_deliver(struct member *member, struct entry *entry, const struct token *token, bool shared)
{
    struct model *model = of(member);
    if (shared)
        assert_true(entry->token_seq == token->seq && token->late_count == 0);
    if (entry->seq == 0) {
        model->not_logged++;
    } else {
        assert_true(model->got_count < GOT_MAX);
        model->got[model->got_count] = entry->seq;
        model->told[model->got_count++] = *token;
    }
    model->token = *token;
    model->has_token = true;
}

static void on_settled(struct member *member)
{
    of(member)->settled = true;
}

static void on_lost(struct member *member)
{
    of(member)->lost = true;
}

static bool on_has_room(struct member *member)
{
    return !of(member)->full;
}

static const struct member_events events = {on_ready, on_deliver, on_settled, on_lost, on_has_room};

static int set_up(void **state)
{
    struct err err;
    loop = loop_create(&err);
    script_init(&script);
    hub = hub_create(loop, &script.broker);
    map_init(&hub->rooms, (uint64_t[2]){1, 2}); /* the order of walks is part of a seed */
    script_up(&script);
    return 0;
}

static int tear_down(void **state)
{
    /* A test that failed left its members behind. */
    list_each (node, &hub->members) {
        member_finish(container_of(node, struct member, of_hub));
    }
    hub_destroy(hub);
    while (script_read_step(&script))
        ;
    loop_destroy(loop);
    return 0;
}

static struct model *model_create(const char *sid)
{
    struct model *model = calloc(1, sizeof *model);
    snprintf(model->sid, sizeof model->sid, "%s", sid);
    member_init(&model->member, hub, &events, span_str(model->sid));
    return model;
}

static void model_destroy(struct model *model)
{
    member_finish(&model->member);
    free(model);
}

static struct model *joined(const char *sid, const char *rooms, enum start_mode mode, uint64_t argument)
{
    struct model *model = model_create(sid);
    for (; *rooms != '\0'; rooms++)
        member_join(&model->member, span_of(rooms, 1), mode, argument);
    member_joined(&model->member);
    return model;
}

/* As if the lease had been written. */
static void start(struct model *model)
{
    member_note(&model->member);
    member_start(&model->member);
}

static void expect_got(const struct model *model, size_t count, const uint64_t *seqs)
{
    assert_int_equal(model->got_count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(model->got[i], seqs[i]);
}

static void live_entries_arrive_in_order(void **state)
{
    struct model *model = joined("one", "a", START_NOW, 0);
    script_run(&script);
    assert_true(model->ready);
    script_publish(&script, 0, true, ""); /* behind its start, before it begins */
    script_run(&script);
    start(model);
    script_run(&script);
    assert_true(model->settled);
    script_publish(&script, 0, true, "");
    script_publish(&script, 0, true, "!3 two!3 one");
    script_publish(&script, 0, false, "");
    script_publish(&script, 0, true, "!3 two");
    script_run(&script);
    expect_got(model, 3, (uint64_t[]){1, 2, 4});
    assert_int_equal(model->not_logged, 1);
    assert_int_equal(model->token.seq, 4);
    model_destroy(model);
}

static void a_late_joiner_gets_the_log_then_what_was_held(void **state)
{
    for (int i = 0; i < 8; i++)
        script_publish(&script, 0, true, "");
    struct model *model = joined("one", "a", START_OLDEST, 0);
    while (!model->ready)
        assert_true(script_feed_step(&script) || script_read_step(&script));
    start(model);
    script_publish(&script, 0, true, ""); /* arrives while the log is being read */
    while (script_feed_step(&script))
        ;
    assert_false(model->settled);
    script_run(&script);
    assert_true(model->settled);
    expect_got(model, 9, (uint64_t[]){1, 2, 3, 4, 5, 6, 7, 8, 9});
    model_destroy(model);
}

static void the_newest_entries_can_be_asked_for(void **state)
{
    for (int i = 0; i < 6; i++)
        script_publish(&script, 0, true, "");
    struct model *model = joined("one", "a", START_NEWEST, 2);
    script_run(&script);
    start(model);
    script_run(&script);
    expect_got(model, 2, (uint64_t[]){5, 6});
    model_destroy(model);
}

/* A page that is kept from earlier says nothing of where the log begins by now. */
static void the_oldest_entry_is_looked_for_in_the_log(void **state)
{
    for (int i = 0; i < 3; i++)
        script_publish(&script, 0, true, "");
    struct model *early = joined("one", "a", START_OLDEST, 0);
    script_run(&script);
    start(early);
    script_run(&script);
    expect_got(early, 3, (uint64_t[]){1, 2, 3});
    for (int i = 0; i < 3; i++)
        script_publish(&script, 0, true, "");
    script_run(&script);
    script.trimmed[0] = 5;
    struct model *late = joined("two", "a", START_OLDEST, 0);
    script_run(&script);
    start(late);
    script_run(&script);
    assert_false(late->lost);
    expect_got(late, 1, (uint64_t[]){6});
    model_destroy(early);
    model_destroy(late);
}

/* The broker has forgotten the room, which its members have not. */
static void a_room_that_was_forgotten_is_gone(void **state)
{
    for (int i = 0; i < 3; i++)
        script_publish(&script, 0, true, "");
    struct model *there = joined("one", "a", START_NOW, 0);
    script_run(&script);
    start(there);
    script_run(&script);
    script.trimmed[0] = 3;
    script.room_last[0] = 0;
    size_t reads = script.reads_answered;
    struct model *oldest = joined("two", "a", START_OLDEST, 0), *newest = joined("three", "a", START_NEWEST, 2),
                 *back = joined("four", "a", START_AT, 1);
    for (int i = 0; i < 100; i++)
        script_feed_step(&script), script_read_step(&script);
    assert_true(oldest->ready && newest->ready && back->ready);
    assert_false(back->whole);
    start(oldest);
    start(newest);
    for (int i = 0; i < 100; i++)
        script_feed_step(&script), script_read_step(&script);
    assert_in_range(script.reads_answered - reads, 1, 8);
    assert_false(oldest->lost || newest->lost);
    model_destroy(there);
    model_destroy(oldest);
    model_destroy(newest);
    model_destroy(back);
}

/* The log is read while the feed lags: what is still to be pushed will be sent, so the stretch begins below it. */
static void the_newest_entries_may_all_be_still_on_their_way(void **state)
{
    for (int i = 0; i < 2; i++)
        script_publish(&script, 0, true, "");
    struct model *model = joined("one", "a", START_NEWEST, 2);
    assert_true(script_feed_step(&script)); /* confirmed at 2 */
    for (int i = 0; i < 4; i++)
        script_publish(&script, 0, true, "");
    assert_true(script_read_step(&script)); /* 5 and 6 */
    assert_true(model->ready);
    start(model);
    assert_int_equal(member_find(&model->member, SPAN_LIT("a"))->stretch.start, 2);
    script_run(&script);
    expect_got(model, 4, (uint64_t[]){3, 4, 5, 6});
    model_destroy(model);
}

/* Design's example: B is joined and its 115 waits on the join; A's 120 goes out; a cut must not lose 115. */
static void a_room_joined_late_does_not_move_the_position(void **state)
{
    struct model *model = joined("one", "a", START_NOW, 0);
    script_run(&script);
    start(model);
    script_publish(&script, 1, true, "");
    script_publish(&script, 1, true, "");
    script_publish(&script, 0, true, ""); /* 3, to a */
    script_run(&script);
    assert_int_equal(model->token.seq, 3);
    member_join(&model->member, SPAN_LIT("b"), START_OLDEST, 0);
    member_joined(&model->member);
    script_run(&script);
    member_note(&model->member);
    script_publish(&script, 2, true, "");
    start(model);
    script_run(&script);
    /* 1 and 2 were replayed behind 3: their tokens say so. */
    expect_got(model, 3, (uint64_t[]){3, 1, 2});
    assert_int_equal(model->token.seq, 3);
    assert_int_equal(model->token.late_count, 1);
    assert_int_equal(token_position(&model->token, SPAN_LIT("b"), 3, 0, 3), 3);
    assert_int_equal(token_position(&model->token, SPAN_LIT("a"), 0, 0, 0), 3);
    script_publish(&script, 0, true, "");
    script_run(&script);
    assert_int_equal(model->token.late_count, 0);
    assert_int_equal(model->token.seq, 5);
    model_destroy(model);
}

static void a_lost_push_is_read_in_place(void **state)
{
    struct model *model = joined("one", "a", START_NOW, 0);
    script_run(&script);
    start(model);
    script_publish(&script, 0, true, "");
    script_run(&script);
    script_publish(&script, 0, true, "");
    script_feed_drop(&script);
    script_publish(&script, 0, true, "");
    script_publish(&script, 0, true, "");
    script_run(&script);
    expect_got(model, 4, (uint64_t[]){1, 2, 3, 4});
    assert_int_equal(hub->counters.holes, 1);
    model_destroy(model);
}

static size_t lines;

static void line_count(struct span line)
{
    lines++;
}

static void line_show(struct span line)
{
    fwrite(line.data, 1, line.len, stdout);
}

/* A link that loses much loses it in every room: that fills no log. */
static void many_holes_are_told_once(void **state)
{
    struct model *model = joined("one", "a", START_NOW, 0);
    script_run(&script);
    start(model);
    lines = 0;
    log_init(LOG_TEXT, LOG_INFO, NULL, line_count);
    for (int i = 0; i < 50; i++) {
        script_publish(&script, 0, true, "");
        script_feed_drop(&script);
        script_publish(&script, 0, true, "");
        script_run(&script);
    }
    log_init(LOG_TEXT, LOG_INFO, NULL, line_show);
    assert_int_equal(hub->counters.holes, 50);
    assert_int_equal(lines, 1);
    model_destroy(model);
}

static void what_comes_twice_is_delivered_once(void **state)
{
    struct model *model = joined("one", "a", START_NOW, 0);
    script_run(&script);
    start(model);
    script_publish(&script, 0, true, "");
    script_publish(&script, 0, true, "");
    for (size_t i = 0; i < 2; i++)
        script.feed[script.feed_tail + i] = script.feed[script.feed_head + i];
    script.feed_tail += 2;
    script_run(&script);
    expect_got(model, 2, (uint64_t[]){1, 2});
    assert_int_equal(model->token.seq, 2);
    model_destroy(model);
}

/* Room b takes part later than the reading of a began, so its target lies above what is held of a. */
static void what_is_held_and_what_is_read_are_merged(void **state)
{
    script_publish(&script, 1, true, "");
    struct model *model = joined("one", "a", START_NOW, 0);
    script_run(&script);
    start(model);
    script_publish(&script, 0, true, "");
    script_feed_drop(&script);
    script_publish(&script, 0, true, "");
    script_feed_step(&script); /* a hole: 2 and 3 are to be read */
    model->full = true;
    member_join(&model->member, SPAN_LIT("b"), START_OLDEST, 0);
    member_joined(&model->member);
    script_feed_step(&script);
    script_publish(&script, 0, true, ""); /* 4, of a, is held */
    script_publish(&script, 1, true, ""); /* 5, of b, comes before its start is known, and is read */
    script_run(&script);
    assert_int_equal(model->got_count, 0);
    start(model);
    model->full = false;
    member_continue(&model->member);
    script_run(&script);
    expect_got(model, 5, (uint64_t[]){1, 2, 3, 4, 5});
    for (size_t i = 0; i < model->got_count; i++)
        assert_true(model->told[i].seq <= model->got[i] || model->told[i].late_count > 0);
    model_destroy(model);
}

static void a_broken_link_is_repaired_in_order(void **state)
{
    struct model *model = joined("one", "ab", START_NOW, 0);
    script_run(&script);
    start(model);
    script_publish(&script, 0, true, "");
    script_run(&script);
    script_down(&script);
    for (int i = 0; i < 6; i++)
        script_publish(&script, i % 2, true, "");
    script_up(&script);
    script_feed_step(&script); /* room a is confirmed, b is not */
    script_publish(&script, 0, true, "");
    script_run(&script);
    expect_got(model, 8, (uint64_t[]){1, 2, 3, 4, 5, 6, 7, 8});
    assert_int_equal(model->token.late_count, 0);
    model_destroy(model);
}

static void what_the_broker_lost_ends_those_who_got_it(void **state)
{
    struct model *got = joined("one", "a", START_NOW, 0), *quiet = joined("two", "b", START_NOW, 0);
    script_run(&script);
    start(got);
    start(quiet);
    for (int i = 0; i < 5; i++)
        script_publish(&script, 0, true, "");
    script_run(&script);
    script_down(&script);
    script_forget(&script, 3);
    script_up(&script);
    script_run(&script);
    assert_true(got->lost);
    assert_false(quiet->lost);
    model_destroy(got);
    script_publish(&script, 1, true, ""); /* 4 again, in the next epoch */
    script_run(&script);
    expect_got(quiet, 1, (uint64_t[]){4});
    model_destroy(quiet);
}

/* A broker that came back from before the epoch began: what it has up to the same number is something else, and does
 * not belong to who joined later, though nothing was sent to it yet. */
static void an_epoch_that_is_forgotten_ends_everybody(void **state)
{
    for (int i = 0; i < 3; i++)
        script_publish(&script, 0, true, "");
    struct model *model = joined("one", "a", START_NOW, 0);
    script_run(&script);
    start(model);
    script_run(&script);
    script_down(&script);
    script_forget(&script, 2);
    script.ended_unknown = true;
    script_up(&script);
    script_run(&script);
    assert_true(model->lost);
    model_destroy(model);
}

static void on_owner_up(void *arg, bool lost)
{
    *(bool *)arg = script.feed_tail == 0;
}

/* Who owns a room is in its lease: it is written again before what comes for the room is waited for. */
static void leases_come_before_rooms(void **state)
{
    static const struct hub_owner owner = {.up = on_owner_up};
    struct model *model = joined("one", "a", START_NOW, 0);
    bool first = false;
    script_run(&script);
    start(model);
    script_publish(&script, 0, true, "");
    script_down(&script);
    hub_owner_set(hub, &owner, &first);
    script_up(&script);
    assert_true(first);
    script_run(&script);
    expect_got(model, 1, (uint64_t[]){1});
    model_destroy(model);
}

/* What the hub knew of a room that lost everything must not be waited for in its log. */
static void a_room_that_lost_its_entries_is_joined_all_the_same(void **state)
{
    script_publish(&script, 0, true, "");
    struct model *quiet = joined("one", "b", START_NOW, 0);
    script_run(&script);
    start(quiet);
    script_run(&script);
    script_publish(&script, 1, true, "one"); /* 2, which it is not told of */
    script_run(&script);
    script_down(&script);
    script_forget(&script, 1);
    script_up(&script);
    script_run(&script);
    struct model *resumed = joined("two", "b", START_AT, 0);
    for (int step = 0; step < 20 && !resumed->ready; step++)
        script_feed_step(&script), script_read_step(&script);
    assert_true(resumed->ready && resumed->whole);
    model_destroy(resumed);
    model_destroy(quiet);
}

static void a_resume_tells_whether_everything_is_there(void **state)
{
    for (int i = 0; i < 6; i++)
        script_publish(&script, 0, true, "");
    script.trimmed[0] = 3;
    struct model *whole = joined("one", "a", START_AT, 3), *gone = joined("two", "a", START_AT, 2),
                 *current = joined("three", "a", START_AT, 6);
    script_run(&script);
    assert_true(whole->ready && whole->whole);
    assert_true(gone->ready && !gone->whole);
    assert_true(current->ready && current->whole);
    start(whole);
    script_run(&script);
    expect_got(whole, 3, (uint64_t[]){4, 5, 6});
    model_destroy(whole);
    model_destroy(gone);
    model_destroy(current);
}

static void a_slow_member_is_read_to_at_its_own_pace(void **state)
{
    for (int i = 0; i < 10; i++)
        script_publish(&script, 0, true, "");
    struct model *slow = joined("one", "a", START_OLDEST, 0);
    script_run(&script);
    slow->full = true;
    start(slow);
    script_run(&script);
    assert_int_equal(slow->got_count, 0);
    for (int i = 0; i < HUB_HELD_MAX + 10; i++) /* more than is held: dropped, and read again */
        script_publish(&script, 0, true, "");
    script_run(&script);
    slow->full = false;
    member_continue(&slow->member);
    script_run(&script);
    assert_int_equal(slow->got_count, 10 + HUB_HELD_MAX + 10);
    for (size_t i = 0; i < slow->got_count; i++)
        assert_int_equal(slow->got[i], i + 1);
    model_destroy(slow);
}

static void resumes_share_their_reads(void **state)
{
    enum { MEMBERS = 50 };
    struct model *models[MEMBERS];
    for (int i = 0; i < 3; i++)
        script_publish(&script, 0, true, "");
    for (int i = 0; i < MEMBERS; i++)
        models[i] = joined("one", "a", START_AT, (uint64_t)(i % 2));
    script_run(&script);
    for (int i = 0; i < MEMBERS; i++)
        start(models[i]);
    script_run(&script);
    for (int i = 0; i < MEMBERS; i++) {
        assert_int_equal(models[i]->got_count, 3 - i % 2);
        model_destroy(models[i]);
    }
    assert_true(script.reads_answered <= 2);
}

static void the_digest_shows_a_lost_tail(void **state)
{
    struct model *model = joined("one", "a", START_NOW, 0);
    script_run(&script);
    start(model);
    script_publish(&script, 0, true, "");
    script_run(&script);
    script_publish(&script, 0, true, "");
    script_feed_drop(&script);
    script_run(&script);
    expect_got(model, 1, (uint64_t[]){1});
    script_tops(&script);
    script_run(&script);
    expect_got(model, 2, (uint64_t[]){1, 2});
    script_tops(&script);
    script_run(&script);
    assert_int_equal(hub->counters.holes, 1);
    model_destroy(model);
}

/* A client that was told elsewhere what this instance has missed resumes here. */
static void what_was_told_elsewhere_is_no_hole(void **state)
{
    struct model *other = joined("one", "a", START_NOW, 0), *resumed = model_create("two");
    static const struct stretch whole = {.end = STRETCH_OPEN};
    script_run(&script);
    start(other);
    script_publish(&script, 0, true, "");
    script_feed_drop(&script);
    resumed->member.sent_seq = 1;
    member_rejoin(&resumed->member, SPAN_LIT("a"), &whole, 1);
    member_joined(&resumed->member);
    script_run(&script);
    start(resumed);
    script_publish(&script, 0, true, "");
    script_run(&script);
    expect_got(resumed, 1, (uint64_t[]){2});
    expect_got(other, 2, (uint64_t[]){1, 2}); /* the fence has shown it */
    model_destroy(other);
    model_destroy(resumed);
}

static void what_was_told_elsewhere_is_not_read_again(void **state)
{
    static const struct stretch whole = {.end = STRETCH_OPEN};
    struct model *other = joined("one", "ab", START_NOW, 0), *resumed = model_create("two");
    script_run(&script);
    start(other);
    script_publish(&script, 0, true, "");
    script_feed_drop(&script);
    script_publish(&script, 1, true, ""); /* so that this instance stands at 2 */
    script_run(&script);
    resumed->member.sent_seq = 1;
    member_rejoin(&resumed->member, SPAN_LIT("a"), &whole, 1);
    member_joined(&resumed->member);
    start(resumed);
    script_tops(&script);
    script_run(&script);
    expect_got(resumed, 0, NULL);
    expect_got(other, 2, (uint64_t[]){2, 1});
    model_destroy(other);
    model_destroy(resumed);
}

/* Nothing but the digest may have told this instance how far the counter has come. */
static void what_the_digest_showed_is_not_sent_again(void **state)
{
    struct model *model = joined("one", "a", START_NOW, 0);
    script_run(&script);
    start(model);
    script_publish(&script, 0, true, "");
    script_feed_drop(&script);
    script_tops(&script);
    script_run(&script);
    expect_got(model, 1, (uint64_t[]){1});
    member_unsettle(&model->member);
    script_run(&script);
    expect_got(model, 1, (uint64_t[]){1});
    model_destroy(model);
}

/* An emit to several rooms lies in the namespace's log: here "a" is the namespace. */
static void several_rooms_are_meant_as_they_stood(void **state)
{
    struct model *model = joined("one", "a", START_NOW, 0);
    script_run(&script);
    start(model);
    script_publish(&script, 0, true, "+1 b+1 c"); /* 1: in neither */
    script_run(&script);
    member_join(&model->member, SPAN_LIT("b"), START_NOW, 0);
    member_joined(&model->member);
    script_run(&script);
    script_publish(&script, 0, true, "+1 b+1 c"); /* 2: the join waits for the lease */
    script_publish(&script, 1, true, "");         /* 3 */
    script_run(&script);
    assert_int_equal(model->got_count, 0);
    start(model);
    script_run(&script);
    expect_got(model, 2, (uint64_t[]){2, 3});
    script_publish(&script, 0, true, "-1 b"); /* 4: all but b */
    script_publish(&script, 0, true, "+1 c"); /* 5 */
    member_leave(&model->member, SPAN_LIT("b"));
    script_publish(&script, 0, true, "+1 b"); /* 6 */
    script_publish(&script, 0, true, "-1 b"); /* 7 */
    script_run(&script);
    assert_int_equal(model->got_count, 2); /* the lease does not know yet */
    start(model);
    script_run(&script);
    /* It was in b when 4 and 5 were accepted? It left before they came, so b ends at 3. */
    expect_got(model, 4, (uint64_t[]){2, 3, 4, 7});
    model_destroy(model);
}

static void a_queue_that_was_dropped_is_read_again(void **state)
{
    struct model *model = joined("one", "ab", START_NOW, 0);
    script_run(&script);
    start(model);
    for (int i = 0; i < 6; i++)
        script_publish(&script, i % 2, true, "");
    script_run(&script);
    assert_int_equal(model->got_count, 6);
    /* 4, 5 and 6 never left the queue. */
    member_leave(&model->member, SPAN_LIT("b"));
    start(model);
    model->got_count = 3;
    member_rewind(&model->member, &model->told[2]);
    script_publish(&script, 0, true, "");
    script_publish(&script, 1, true, "");
    script_run(&script);
    member_continue(&model->member);
    script_run(&script);
    expect_got(model, 7, (uint64_t[]){1, 2, 3, 4, 5, 6, 7});
    assert_int_equal(model->token.late_count, 0);
    model_destroy(model);
}

/* A lease as the session layer writes it. */
struct lease {
    int count;
    struct {
        int room;
        struct stretch stretch;
    } rooms[64];
};

static void lease_add(struct lease *lease, struct span room, const struct stretch *stretch)
{
    assert_true(lease->count < 64);
    lease->rooms[lease->count].room = script_room(room);
    lease->rooms[lease->count++].stretch = *stretch;
}

static void lease_of(struct model *model, struct lease *lease)
{
    lease->count = 0;
    list_each (node, &model->member.memberships) {
        struct membership *membership = container_of(node, struct membership, of_member);
        if (membership_is_noted(membership) && membership->stretch.end == STRETCH_OPEN)
            lease_add(lease, membership->room->node.key, &membership->stretch);
    }
    list_each (node, &model->member.pasts) {
        struct past *past = container_of(node, struct past, of_member);
        lease_add(lease, span_of(past->room, past->room_len), &past->stretch);
    }
}

static bool lease_was_in(const struct lease *lease, int room, uint64_t seq)
{
    for (int i = 0; i < lease->count; i++)
        if (lease->rooms[i].room == room && lease->rooms[i].stretch.since < seq && seq <= lease->rooms[i].stretch.end)
            return true;
    return false;
}

/* Audiences here: none, "+1 b" or "-1 c". */
static bool lease_admits(const struct lease *lease, const struct script_entry *entry)
{
    if (entry->audience[0] == '\0')
        return true;
    bool in = lease_was_in(lease, entry->audience[3] - 'a', entry->seq);
    return entry->audience[0] == '+' ? in : !in;
}

/* Nothing twice, and each room's entries rising. */
static void check_order(const struct model *model, bool seen[SCRIPT_ENTRIES_MAX + 1])
{
    uint64_t last[SCRIPT_ROOMS_MAX] = {0};
    memset(seen, 0, sizeof(bool[SCRIPT_ENTRIES_MAX + 1]));
    for (size_t i = 0; i < model->got_count; i++) {
        uint64_t seq = model->got[i];
        int room = script.log[seq - 1].room;
        assert_false(seen[seq]);
        assert_true(seq > last[room]);
        last[room] = seq;
        seen[seq] = true;
    }
}

/* What a client that was cut now would be sent again, by this lease and its token, must be exactly what it has not got.
 */
static void check_token(const struct model *model, const struct lease *lease)
{
    static bool seen[SCRIPT_ENTRIES_MAX + 1];
    check_order(model, seen);
    for (int i = 0; i < lease->count; i++) {
        const struct stretch *stretch = &lease->rooms[i].stretch;
        int room = lease->rooms[i].room;
        uint64_t position = stretch->start;
        if (model->has_token)
            position = token_position(&model->token, span_of(&"abc"[room], 1), stretch->since, stretch->start,
                                      stretch->joined_at);
        for (size_t n = 0; n < script.log_count; n++) {
            const struct script_entry *entry = &script.log[n];
            if (entry->room != room || entry->seq <= stretch->start || entry->seq > stretch->end)
                continue;
            assert_int_equal(seen[entry->seq], entry->seq <= position && lease_admits(lease, entry));
        }
    }
}

/* One client through many cuts, as the session layer would lead it. */
struct story {
    struct model *model;
    struct lease lease, writing; /* what the broker has; what is on its way to it */
    bool is_writing, again;      /* it may have arrived already; a join or leave came meanwhile */
    bool up, drops, joins;
    bool joined[ROOMS];
};

static const char *const audiences[] = {"", "", "", "+1 b", "-1 c"};

static void write_lease(struct story *story)
{
    member_note(&story->model->member);
    lease_of(story->model, &story->writing);
    story->is_writing = true;
    story->again = false;
}

static void written(struct story *story)
{
    story->is_writing = false;
    story->lease = story->writing;
    if (story->again || story->model->ready) {
        story->model->ready = false;
        write_lease(story);
        return;
    }
    member_start(&story->model->member);
}

/* Of what is queued, only some goes out. */
static void lose_queue(struct model *model)
{
    size_t kept = model->flushed + (size_t)rand() % (model->got_count - model->flushed + 1);
    model->got_count = model->flushed = kept;
    model->has_token = kept > 0;
    if (kept > 0)
        model->token = model->told[kept - 1];
}

/* A slow client: all but the first of what is queued is dropped. */
static void drop_queue(struct model *model)
{
    if (model->got_count == model->flushed)
        return;
    model->got_count = ++model->flushed;
    model->token = model->told[model->flushed - 1];
    member_rewind(&model->member, &model->token);
}

static void cut_and_resume(struct story *story)
{
    struct model *model = story->model;
    const struct lease *lease = story->is_writing && rand() % 2 ? &story->writing : &story->lease;
    if (lease != &story->lease)
        story->lease = *lease;
    lease = &story->lease;
    if (lease->count == 0)
        return;
    lose_queue(model);
    bool has_token = model->has_token;
    struct token token = model->token;
    member_finish(&model->member);
    member_init(&model->member, hub, &events, span_str(model->sid));
    model->member.sent_seq = has_token ? token.seq : 0;
    model->ready = model->settled = false;
    for (int i = 0; i < lease->count; i++) {
        const struct stretch *stretch = &lease->rooms[i].stretch;
        struct span room = span_of(&"abc"[lease->rooms[i].room], 1);
        uint64_t position = has_token ? token_position(&token, room, stretch->since, stretch->start, stretch->joined_at)
                                      : stretch->start;
        member_rejoin(&model->member, room, stretch, position);
    }
    member_joined(&model->member);
    story->is_writing = story->again = false;
}

static void join_or_leave(struct story *story)
{
    struct member *member = &story->model->member;
    int room = 1 + rand() % (ROOMS - 1);
    struct span name = span_of(&"abc"[room], 1);
    struct membership *membership = member_find(member, name);
    if (member->state == MEMBER_IDLE || member->state == MEMBER_WAITING || member->state == MEMBER_READY)
        return;
    if (membership == NULL) {
        /* Whoever joins with a replay again is sent it all again. */
        member_join(member, name, !story->joined[room] && rand() % 2 ? START_OLDEST : START_NOW, 0);
        story->joined[room] = true;
        member_joined(member);
    } else if (membership_is_active(membership)) {
        member_leave(member, name);
        if (story->is_writing)
            story->again = true;
        else
            write_lease(story);
    }
}

static void step(struct story *story)
{
    struct model *model = story->model;
    int what = rand() % 100;
    if (what < 28)
        script_publish(&script, rand() % ROOMS, rand() % 5 != 0, "");
    else if (what < 33)
        script_publish(&script, 0, true, audiences[rand() % 5]);
    else if (what < 60)
        script_feed_step(&script);
    else if (what < 82)
        script_read_step(&script);
    else if (what < 85 && story->drops && script.feed_head < script.feed_tail &&
             script.feed[script.feed_head].kind == SCRIPT_PUSH)
        /* One ordered link loses no single push while it stands; with one room a token would survive even that. */
        script_feed_drop(&script);
    else if (what < 87)
        (story->up ? script_down : script_up)(&script), story->up = !story->up;
    else if (what < 90)
        model->full = !model->full;
    else if (what < 94 && story->joins)
        join_or_leave(story);
    else if (what < 95)
        cut_and_resume(story);
    else if (what < 96)
        model->flushed = model->got_count;
    else if (what < 97)
        drop_queue(model);
    else
        member_continue(&model->member);
    if (model->ready && !story->is_writing && rand() % 3 == 0) {
        model->ready = false;
        if (model->member.state == MEMBER_READY && story->lease.count > 0)
            member_start(&model->member); /* a resume: the lease is as it was */
        else
            write_lease(story);
    } else if (story->is_writing && story->up && rand() % 3 == 0) {
        written(story);
    }
}

static void end_well(struct story *story)
{
    struct model *model = story->model;
    model->full = false;
    if (!story->up)
        script_up(&script);
    story->up = true;
    for (int round = 0; round < 8; round++) {
        script_run(&script);
        if (story->is_writing)
            written(story);
        if (model->ready) {
            model->ready = false;
            write_lease(story);
            written(story);
        }
        member_continue(&model->member);
        script_tops(&script); /* lost tails show */
    }
    script_run(&script);
    assert_false(model->lost);
    assert_int_equal(model->member.state, MEMBER_SETTLED);
}

static void tokens_are_true_at_every_moment(void **state)
{
    for (unsigned seed = 1; seed <= 600; seed++) {
        tear_down(NULL);
        set_up(NULL);
        srand(seed);
        script.reads_at_once = seed % 2;
        for (int i = rand() % 20; i > 0; i--)
            script_publish(&script, rand() % ROOMS, true, "");
        struct story story = {.up = true, .drops = seed % 3 == 0, .joins = seed % 3 != 0};
        story.model = joined("one", "a", rand() % 2 ? START_NOW : START_OLDEST, 0);
        for (int i = 0; i < 600; i++) {
            step(&story);
            check_token(story.model, &story.lease);
            if (story.is_writing)
                check_token(story.model, &story.writing);
        }
        end_well(&story);
        check_token(story.model, &story.lease);
        model_destroy(story.model);
    }
}

static void tokens_are_read_strictly(void **state)
{
    static const char *const bad[] = {"",
                                      "1",
                                      "1.",
                                      "1e",
                                      "1e.",
                                      "1e.1.",
                                      "1e.1.2.x",
                                      "1e.5.3",
                                      "3e.1",
                                      "1e.5.3.6",
                                      "1e.A",
                                      "hello",
                                      "1e.1.1.zzzzzzzzzz",
                                      "1e!.1",
                                      "1abcdefghijklmnopq.1"};
    struct token token, again;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(token_decode(span_str(bad[i]), &token));
    struct buf text = {0};
    token = (struct token){.epoch = "Ab9",
                           .epoch_len = 3,
                           .version = '2',
                           .seq = UINT64_MAX,
                           .late_count = 2,
                           .late = {{7, 35}, {UINT32_MAX, 36}}};
    token_encode(&text, &token);
    assert_true(token_decode(buf_span(&text), &again));
    assert_memory_equal(&token, &again, sizeof token);
    buf_finish(&text);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(live_entries_arrive_in_order),
        TEST(a_late_joiner_gets_the_log_then_what_was_held),
        TEST(the_newest_entries_can_be_asked_for),
        TEST(the_newest_entries_may_all_be_still_on_their_way),
        TEST(the_oldest_entry_is_looked_for_in_the_log),
        TEST(a_room_that_was_forgotten_is_gone),
        TEST(a_room_joined_late_does_not_move_the_position),
        TEST(a_lost_push_is_read_in_place),
        TEST(many_holes_are_told_once),
        TEST(what_comes_twice_is_delivered_once),
        TEST(what_is_held_and_what_is_read_are_merged),
        TEST(a_broken_link_is_repaired_in_order),
        TEST(what_the_broker_lost_ends_those_who_got_it),
        TEST(an_epoch_that_is_forgotten_ends_everybody),
        TEST(leases_come_before_rooms),
        TEST(a_room_that_lost_its_entries_is_joined_all_the_same),
        TEST(a_resume_tells_whether_everything_is_there),
        TEST(a_slow_member_is_read_to_at_its_own_pace),
        TEST(resumes_share_their_reads),
        TEST(the_digest_shows_a_lost_tail),
        TEST(what_the_digest_showed_is_not_sent_again),
        TEST(what_was_told_elsewhere_is_no_hole),
        TEST(what_was_told_elsewhere_is_not_read_again),
        TEST(several_rooms_are_meant_as_they_stood),
        TEST(a_queue_that_was_dropped_is_read_again),
        TEST(tokens_are_true_at_every_moment),
        cmocka_unit_test(tokens_are_read_strictly),
    };
    return cmocka_run_group_tests_name("hub/hub", tests, NULL, NULL);
}
