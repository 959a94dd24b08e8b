/* test_hub_again: members that lose their link, resume or lag get what they lack, once and in order; those who were
 * sent what the broker has lost start anew. */
#include "members.h"

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
    struct model *model = joined_and_started("one", "a", START_NOW, 0);
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
    struct model *quiet = joined_and_started("one", "b", START_NOW, 0);
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

/* What is not logged waits for the first round only in rooms that the client was in. In a room that it enters now, the
 * log comes first. */
static void what_is_not_logged_does_not_overtake_the_log(void **state)
{
    static const struct stretch whole = {.end = STRETCH_OPEN};
    struct model *other = joined_and_started("one", "b", START_NOW, 0), *moved = model_create("two");
    script_publish(&script, 1, true, "");
    script_run(&script);
    script_publish(&script, 1, false, ""); /* arrives before the room "a" is confirmed */
    member_keep_begin(&moved->member);
    member_rejoin(&moved->member, SPAN_LIT("a"), &whole, 0);
    member_join(&moved->member, SPAN_LIT("b"), START_OLDEST, 0);
    member_joined(&moved->member);
    script_run(&script);
    start(moved);
    script_run(&script);
    expect_got(moved, 1, (uint64_t[]){1});
    assert_int_equal(moved->not_logged, 0);
    assert_int_equal(other->not_logged, 1);
    model_destroy(other);
    model_destroy(moved);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_broken_link_is_repaired_in_order),
        TEST(what_the_broker_lost_ends_those_who_got_it),
        TEST(an_epoch_that_is_forgotten_ends_everybody),
        TEST(leases_come_before_rooms),
        TEST(a_room_that_lost_its_entries_is_joined_all_the_same),
        TEST(a_resume_tells_whether_everything_is_there),
        TEST(a_slow_member_is_read_to_at_its_own_pace),
        TEST(resumes_share_their_reads),
        TEST(the_digest_shows_a_lost_tail),
        TEST(what_is_not_logged_does_not_overtake_the_log),
        TEST(what_the_digest_showed_is_not_sent_again),
        TEST(what_was_told_elsewhere_is_no_hole),
        TEST(what_was_told_elsewhere_is_not_read_again),
        TEST(several_rooms_are_meant_as_they_stood),
        TEST(a_queue_that_was_dropped_is_read_again),
    };
    return cmocka_run_group_tests_name("hub/hub_again", tests, NULL, NULL);
}
