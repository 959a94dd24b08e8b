/* test_check_rooms: the checker objects to rosters and pages of history that are wrong, and to no others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "check_story.h"
#include "pages.h"
#include "roster.h"

static struct check *const check = &story.check;
static struct witness *const client = &story.witnesses[0];
static struct witness *witnesses[STORY_CLIENTS];
static struct rosters rosters;

#define BOTH "[{\"id\":\"sid0\",\"data\":0},{\"id\":\"sid1\",\"data\":1}]"

static int set_up(void **state)
{
    story_set_up(state);
    for (int i = 0; i < STORY_CLIENTS; i++)
        witnesses[i] = &story.witnesses[i];
    rosters_init(&rosters, check, witnesses, STORY_CLIENTS);
    rosters.strict = true;
    return 0;
}

static int tear_down(void **state)
{
    rosters_finish(&rosters);
    return story_tear_down(state);
}

/* Both clients are told this of a room. */
static void told(const char *room, const char *what, int count)
{
    char text[256];
    snprintf(text, sizeof text, "{\"room\":%s,%s,\"count\":%d}", room, what, count);
    roster_told(&rosters, client, span_str(text));
}

static void all_are_told(const char *members, int count)
{
    char text[256];
    for (int room = 0; room < 2; room++) {
        snprintf(text, sizeof text, "{\"room\":%s,\"members\":%s,\"count\":%d}", room == 0 ? "null" : "\"room1\"",
                 members, count);
        for (int i = 0; i < STORY_CLIENTS; i++)
            roster_told(&rosters, witnesses[i], span_str(text));
    }
}

static void quiet(void)
{
    story_wait(LOOP_S(ROSTER_QUIET_S + 1));
    rosters_compare(&rosters);
}

static void a_true_roster_is_well(void **state)
{
    all_are_told(BOTH, 2);
    quiet();
    story_is_well();
    assert_int_equal(rosters.compared_count, ROOMS);
}

static void who_was_never_told_is_seen(void **state)
{
    told("null", "\"members\":" BOTH, 2);
    quiet();
    story_fails("client 1: was never told who is in room 0");
}

static void who_is_missing_is_seen(void **state)
{
    all_are_told(BOTH, 2);
    rosters.strict = false;
    told("\"room1\"", "\"left\":[{\"id\":\"sid1\",\"data\":1}]", 1);
    story_is_well();
    quiet();
    story_fails("client 0: does not know that client 1 is in room 1");
}

/* Client 1 is gone, and nobody said so. */
static void who_is_no_longer_there_is_seen(void **state)
{
    all_are_told(BOTH, 2);
    check_away(check, &story.witnesses[1]);
    roster_changed(&rosters, 1);
    quiet();
    story_fails("client 0: was told that 2 are in room 0, and 1 are");
}

static void a_wrong_count_is_seen(void **state)
{
    told("\"room1\"", "\"members\":" BOTH, 3);
    story_fails("is told that 3 are in room 1, and knows of 2");
}

static void a_list_without_its_reader_is_seen(void **state)
{
    told("\"room1\"", "\"members\":[{\"id\":\"sid1\",\"data\":1}]", 1);
    story_fails("the list of room 1 leaves it out");
}

static void a_list_that_names_one_twice_is_seen(void **state)
{
    told("\"room1\"", "\"members\":[{\"id\":\"sid0\",\"data\":0},{\"id\":\"sid0\",\"data\":0}]", 2);
    story_fails("the list of room 1 names sid0 twice");
}

static void a_stranger_is_seen(void **state)
{
    told("\"room1\"", "\"entered\":[{\"id\":\"sid7\",\"data\":7}]", 2);
    story_fails("is told of somebody who does not exist");
    story_end();
    story_set_up(NULL);
    told("\"room1\"", "\"entered\":[{\"id\":\"sid1\",\"data\":0}]", 2); /* under another's name */
    story_fails("is told of somebody who does not exist");
}

static void what_was_known_is_not_told(void **state)
{
    told("\"room1\"", "\"members\":" BOTH, 2);
    told("\"room1\"", "\"entered\":[{\"id\":\"sid1\",\"data\":1}]", 2);
    story_fails("is told that sid1 entered room 1, and knew that");
}

static void a_cut_is_not_a_leave(void **state)
{
    told("\"room1\"", "\"members\":" BOTH, 2);
    check_away(check, &story.witnesses[1]);
    story_wait(LOOP_S(1));
    told("\"room1\"", "\"left\":[{\"id\":\"sid1\",\"data\":1}]", 1);
    story_fails("is told that sid1 left room 1, and it was cut for a moment only");
}

static void who_died_is_missed(void **state)
{
    uint64_t dead = 1ull << story.witnesses[1].lease->number;
    all_are_told(BOTH, 2);
    story_wait(1000);
    rosters_missed(&rosters, &dead, 1, sim_now_us(story.sim));
    story_fails("client 0: does not miss who was in room 0 on an instance that died");
}

/* Four messages of room 1, at 1 to 4; and the page behind position 1, two entries at most. */
static struct page_ask ask;

static void begin_page(bool back, const char *at, uint32_t limit)
{
    for (int i = 0; i < 4; i++)
        story_say(1);
    ask = (struct page_ask){.room = 1, .back = back, .limit = limit};
    snprintf(ask.at, sizeof ask.at, "%s", at);
    page_asked(check, &ask);
}

#define ENTRY(at, id) "{\"at\":\"1e1." #at "\",\"time\":100" #at ",\"args\":[\"say\",\"room1\",{\"id\":" #id "}]}"

static void answered(const char *entries, bool more, bool gap)
{
    char text[512], first[PAGE_AT_TEXT], last[PAGE_AT_TEXT];
    snprintf(text, sizeof text, "{\"entries\":[%s],\"more\":%s,\"gap\":%s}", entries, more ? "true" : "false",
             gap ? "true" : "false");
    page_answered(check, client, &ask, span_str(text), first, last);
}

static void a_true_page_is_well(void **state)
{
    begin_page(false, "1e1.1", 2);
    answered(ENTRY(2, 1) "," ENTRY(3, 2), true, false);
    story_is_well();
    ask = (struct page_ask){.room = 1, .back = true, .limit = 2};
    page_asked(check, &ask);
    answered(ENTRY(3, 2) "," ENTRY(4, 3), true, false);
    story_is_well();
}

static void a_page_that_leaves_something_out_is_seen(void **state)
{
    begin_page(false, "1e1.1", 3);
    answered(ENTRY(2, 1) "," ENTRY(4, 3), false, false);
    story_fails("leaves something out (entry 3)");
}

/* "Clamp a history cursor wrongly." */
static void a_page_that_begins_wrongly_is_seen(void **state)
{
    begin_page(false, "1e1.1", 2);
    answered(ENTRY(3, 2) "," ENTRY(4, 3), false, false);
    story_fails("leaves something out (entry 2)");
    story_end();
    story_set_up(NULL);
    begin_page(false, "1e1.1", 3);
    answered(ENTRY(1, 0) "," ENTRY(2, 1), true, false);
    story_fails("holds an entry that does not belong there (entry 1)");
}

static void a_page_out_of_order_is_seen(void **state)
{
    begin_page(false, "1e1.1", 2);
    answered(ENTRY(3, 2) "," ENTRY(2, 1), true, false);
    story_fails("holds what is not in the log, or twice, or out of order");
}

static void a_wrong_position_is_seen(void **state)
{
    begin_page(false, "1e1.1", 2);
    answered(ENTRY(3, 1), true, false);
    story_fails("says position or time of an entry wrongly");
}

static void a_page_that_hides_what_follows_is_seen(void **state)
{
    begin_page(false, "1e1.1", 2);
    answered(ENTRY(2, 1) "," ENTRY(3, 2), false, false);
    story_fails("says that there is no more");
}

static void a_page_that_promises_too_much_is_seen(void **state)
{
    begin_page(true, "1e1.3", 5);
    answered(ENTRY(1, 0) "," ENTRY(2, 1), true, false);
    story_fails("says that there is more");
}

static void a_page_that_is_full_is_full(void **state)
{
    begin_page(false, "1e1.1", 3);
    answered(ENTRY(2, 1), true, false);
    story_fails("says that there is more, and all that there is fits");
}

static void a_gap_is_told(void **state)
{
    story.oldest = 3;
    begin_page(false, "1e1.1", 5);
    answered(ENTRY(3, 2) "," ENTRY(4, 3), false, true);
    story_is_well();
    answered(ENTRY(3, 2) "," ENTRY(4, 3), false, false);
    story_fails("hides a gap");
}

static void a_gap_that_is_none_is_seen(void **state)
{
    begin_page(false, "1e1.1", 5);
    answered(ENTRY(2, 1) "," ENTRY(3, 2) "," ENTRY(4, 3), false, true);
    story_fails("says that there is a gap");
}

static void what_is_no_position_is_refused(void **state)
{
    begin_page(false, "yesterday", 5);
    answered(ENTRY(1, 0), false, false);
    story_fails("is answered, and the position is none");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_true_roster_is_well),
        TEST(who_was_never_told_is_seen),
        TEST(who_is_missing_is_seen),
        TEST(who_is_no_longer_there_is_seen),
        TEST(a_wrong_count_is_seen),
        TEST(a_list_without_its_reader_is_seen),
        TEST(a_list_that_names_one_twice_is_seen),
        TEST(a_stranger_is_seen),
        TEST(what_was_known_is_not_told),
        TEST(a_cut_is_not_a_leave),
        TEST(who_died_is_missed),
        TEST(a_true_page_is_well),
        TEST(a_page_that_leaves_something_out_is_seen),
        TEST(a_page_that_begins_wrongly_is_seen),
        TEST(a_page_out_of_order_is_seen),
        TEST(a_wrong_position_is_seen),
        TEST(a_page_that_hides_what_follows_is_seen),
        TEST(a_page_that_promises_too_much_is_seen),
        TEST(a_page_that_is_full_is_full),
        TEST(a_gap_is_told),
        TEST(a_gap_that_is_none_is_seen),
        TEST(what_is_no_position_is_refused),
    };
    return cmocka_run_group_tests_name("sim/check_rooms", tests, NULL, NULL);
}
