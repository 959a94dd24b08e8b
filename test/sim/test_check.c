/* test_check: the checker objects to what it is there to object to, and to nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "check.h"

static struct sim *sim;
static struct check check;
static struct witness witness;

#define EPOCH SPAN_LIT("e1")
#define OTHER_EPOCH SPAN_LIT("e2")

/* A client that is in rooms 0 and 1 from the beginning, and four messages of room 1 that are accepted. */
static int set_up(void **state)
{
    sim = sim_create(1);
    check_init(&check, sim);
    witness = (struct witness){.name = "client"};
    check_fresh(&check, &witness, SPAN_LIT("sid"), false);
    check_joining(&check, &witness, 1, false);
    check_joined(&check, &witness, 1);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(check_message_create(&check, 1), i);
        check_accepted(&check, 1, i, EPOCH, i == 2 ? SPAN_LIT("sid") : SPAN_LIT(""));
    }
    assert_null(check.failure);
    return 0;
}

static int tear_down(void **state)
{
    check_finish(&check);
    sim_destroy(sim);
    return 0;
}

static void shown(uint32_t message)
{
    check_shown(&check, &witness, 1, message, EPOCH);
}

static void expect_failure(const char *words)
{
    assert_non_null(check.failure);
    assert_non_null(strstr(check.failure, words));
}

static void in_order_and_once_is_well(void **state)
{
    shown(0);
    assert_false(check_is_settled(&check, &witness));
    shown(1);
    shown(3); /* 2 is not meant for it */
    check_settled(&check, &witness);
    assert_null(check.failure);
}

static void a_loss_is_seen_at_the_next(void **state)
{
    shown(0);
    shown(3);
    expect_failure("message 1 of room 1 was lost: 3 came");
}

static void a_loss_at_the_end_is_seen_then(void **state)
{
    shown(0);
    check_settled(&check, &witness);
    expect_failure("message 1 of room 1 never came");
}

static void twice_is_seen(void **state)
{
    shown(0);
    shown(0);
    expect_failure("twice or out of order");
}

static void disorder_is_seen(void **state)
{
    shown(0);
    shown(1);
    shown(0);
    expect_failure("twice or out of order");
}

static void what_was_for_others_is_seen(void **state)
{
    shown(0);
    shown(1);
    shown(2);
    expect_failure("was not meant for it");
}

static void what_nobody_accepted_is_seen(void **state)
{
    check_message_create(&check, 1);
    shown(4);
    expect_failure("was never accepted");
}

static void a_room_that_was_left_ends_with_the_leaving(void **state)
{
    shown(0);
    check_left(&check, &witness, 1);
    shown(1); /* was under way */
    assert_null(check.failure);
    sim_run(sim, sim_now_us(sim) + 1, NULL, NULL);
    uint32_t message = check_message_create(&check, 1);
    shown(3);
    check_accepted(&check, 1, message, EPOCH, SPAN_LIT(""));
    assert_null(check.failure);
    shown(message);
    expect_failure("accepted after it had left");
}

static void a_room_it_never_was_in_is_silent(void **state)
{
    check_message_create(&check, 2);
    check_accepted(&check, 2, 4, EPOCH, SPAN_LIT(""));
    check_shown(&check, &witness, 2, 4, EPOCH);
    expect_failure("in which it never was");
}

static void an_acknowledgement_is_a_promise(void **state)
{
    check_acked(&check, &witness, 3);
    assert_null(check.failure);
    check_acked(&check, &witness, check_message_create(&check, 1));
    expect_failure("is not in the log");
}

static void a_message_stands_in_the_log_once(void **state)
{
    check_accepted(&check, 1, 3, EPOCH, SPAN_LIT(""));
    expect_failure("is in the log of room 1 twice");
}

static void who_was_told_what_the_broker_lost_is_told_so(void **state)
{
    check_snapshot(&check);
    check_accepted(&check, 1, check_message_create(&check, 1), EPOCH, SPAN_LIT(""));
    check_restored(&check);
    shown(0);
    shown(1);
    shown(3);
    assert_true(check_is_settled(&check, &witness)); /* what was lost is not owed */
    shown(4);
    assert_false(check_is_settled(&check, &witness));
    check_settled(&check, &witness);
    expect_failure("was not told so");
}

static void lost_and_published_again_is_shown_again_to_the_new(void **state)
{
    check_snapshot(&check);
    uint32_t message = check_message_create(&check, 1);
    check_accepted(&check, 1, message, EPOCH, SPAN_LIT(""));
    check_restored(&check);
    check_accepted(&check, 1, message, OTHER_EPOCH, SPAN_LIT(""));
    shown(0);
    shown(1);
    shown(3);
    check_shown(&check, &witness, 1, message, OTHER_EPOCH);
    check_settled(&check, &witness);
    assert_null(check.failure);
}

/* In doubt, entries may be missing once; doubles may not come, unless the broker lost what it knew. */
static void a_doubt_allows_a_gap_and_no_doubles(void **state)
{
    shown(0);
    check_doubt(&witness, 1, false);
    shown(3);
    assert_null(check.failure);
    check_doubt(&witness, 1, false);
    shown(1);
    expect_failure("twice or out of order");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(in_order_and_once_is_well),
        TEST(a_loss_is_seen_at_the_next),
        TEST(a_loss_at_the_end_is_seen_then),
        TEST(twice_is_seen),
        TEST(disorder_is_seen),
        TEST(what_was_for_others_is_seen),
        TEST(what_nobody_accepted_is_seen),
        TEST(a_room_that_was_left_ends_with_the_leaving),
        TEST(a_room_it_never_was_in_is_silent),
        TEST(an_acknowledgement_is_a_promise),
        TEST(a_message_stands_in_the_log_once),
        TEST(who_was_told_what_the_broker_lost_is_told_so),
        TEST(lost_and_published_again_is_shown_again_to_the_new),
        TEST(a_doubt_allows_a_gap_and_no_doubles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
