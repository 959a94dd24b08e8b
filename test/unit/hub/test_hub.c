/* test_hub: members that join get every entry once, in order: live ones, a room's log, held ones, missed pushes. */
#include <stdio.h>

#include "base/log.h"
#include "members.h"

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
    struct model *model = joined_and_started("one", "a", START_NEWEST, 2);
    expect_got(model, 2, (uint64_t[]){5, 6});
    model_destroy(model);
}

/* A page that is kept from earlier says nothing of where the log begins by now. */
static void the_oldest_entry_is_looked_for_in_the_log(void **state)
{
    for (int i = 0; i < 3; i++)
        script_publish(&script, 0, true, "");
    struct model *early = joined_and_started("one", "a", START_OLDEST, 0);
    expect_got(early, 3, (uint64_t[]){1, 2, 3});
    for (int i = 0; i < 3; i++)
        script_publish(&script, 0, true, "");
    script_run(&script);
    script.trimmed[0] = 5;
    struct model *late = joined_and_started("two", "a", START_OLDEST, 0);
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
    struct model *there = joined_and_started("one", "a", START_NOW, 0);
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
    assert_int_equal(member_find(&model->member, SPAN_LIT("a"))->log->stretch.start, 2);
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

/* What a settled member can do without is freed, made again when it lags, and kept where it says something: that room b
 * has had an entry. */
static void a_log_of_its_own_comes_and_goes(void **state)
{
    struct model *model = joined_and_started("one", "ab", START_NOW, 0);
    assert_true(model->settled);
    assert_int_equal(hub->logs.count, 0);
    script_publish(&script, 1, true, "");
    script_run(&script);
    assert_int_equal(hub->logs.count, 0);
    script_down(&script);
    assert_int_equal(hub->logs.count, 2);
    script_publish(&script, 1, true, "");
    script_up(&script);
    script_run(&script);
    expect_got(model, 2, (uint64_t[]){1, 2});
    assert_int_equal(hub->logs.count, 1);
    assert_int_equal(member_find(&model->member, SPAN_LIT("b"))->log->stretch.known, 2);
    struct model *later = joined_and_started("two", "a", START_NOW, 0); /* at position 2 */
    assert_int_equal(hub->logs.count, 2);
    model_destroy(model);
    model_destroy(later);
    assert_int_equal(hub->logs.count, 0);
}

int main(void)
{
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
        TEST(a_log_of_its_own_comes_and_goes),
    };
    return cmocka_run_group_tests_name("hub/hub", tests, NULL, NULL);
}
