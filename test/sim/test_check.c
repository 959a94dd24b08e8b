/* test_check: the checker objects to whatever a client is shown wrongly, and to nothing else: lost, doubled, reordered,
 * not meant for it, wrongly recovered, with a token that lies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "check_story.h"

static struct check *const check = &story.check;
static struct witness *const client = &story.witnesses[0];

static void in_order_and_once_is_well(void **state)
{
    for (uint32_t i = 0; i < 4; i++)
        story_say(i % 2);
    for (uint32_t i = 0; i < 4; i++) {
        assert_false(check_is_settled(check, client));
        story_show(i, i + 1);
    }
    check_settled(check, client);
    story_is_well();
}

static void a_loss_is_seen_at_the_next(void **state)
{
    for (int i = 0; i < 3; i++)
        story_say(1);
    story_show(0, 1);
    story_show(2, 3);
    story_fails("message 1 of log 1 was lost: 2 came");
}

static void a_loss_at_the_end_is_seen_then(void **state)
{
    story_say(1);
    story_say(1);
    story_show(0, 1);
    check_settled(check, client);
    story_fails("message 1 of log 1 never came");
}

static void twice_is_seen(void **state)
{
    story_say(1);
    story_show(0, 1);
    story_show(0, 1);
    story_fails("was shown twice or out of order");
}

static void disorder_within_a_room_is_seen(void **state)
{
    story_say(1);
    story_say(1);
    story_show(0, 1);
    story_show(1, 2);
    story_show(0, 2);
    story_fails("was shown twice or out of order");
}

static void disorder_between_rooms_is_seen(void **state)
{
    story_say(0);
    story_say(1);
    story_show(1, 1); /* a token that is right for what was shown of each room does not exist: so no token lies */
    story_fails("");
    story_end();
    story_begin(&(struct check_rules){.loses = true, .name_life_us = LOOP_S(3600)});
    story_say(0);
    story_say(1);
    client->lease->outdated = true; /* its tokens are not compared */
    story_show(1, 2);
    story_show(0, 2);
    story_fails("message 0 came behind what was accepted after it, in another room");
}

static void what_is_for_others_is_seen(void **state)
{
    uint32_t message = check_message_create(
        check, &(struct message){.rooms = 1 << 1, .except_sid = "sid0", .sender = 1, .logged = true});
    story_accept(message, "!4 sid0");
    story_is_well();
    check_settled(check, client);
    story_is_well();
    story_show(message, 1);
    story_fails("was not meant for it");
}

static void what_is_for_one_socket_is_for_no_other(void **state)
{
    uint32_t message = check_message_create(check, &(struct message){.to_sid = "sid1", .sender = 0, .logged = true});
    story_show(message, 0);
    story_fails("of log 9 was never accepted");
}

static void a_room_it_is_not_in_is_silent(void **state)
{
    story_say(2);
    story_show(0, 1);
    story_fails("was accepted when it was not in the room");
}

static void what_nobody_accepted_is_seen(void **state)
{
    story_show(story_send(1), 0);
    story_fails("was never accepted");
}

static void a_room_that_was_left_ends_there(void **state)
{
    story_say(1);
    story_show(0, 1);
    check_lease_written(check, SPAN_LIT("pid0"), SPAN_LIT("sid0"),
                        SPAN_LIT("0 0 0 - 0 0 1 /0 0 - 0 0 7 @/,sid00 0 1 0 0 7 /,room1"));
    check_left(check, client, 1);
    story_is_well();
    story_say(1);
    check_settled(check, client);
    story_is_well();
    story_show(1, 2);
    story_fails("was accepted when it was not in the room");
}

static void leaving_is_told_once_the_lease_knows(void **state)
{
    check_left(check, client, 1);
    story_fails("was told that it has left room 1 before its lease knew");
}

static void a_lease_does_not_take_back_what_was_shown(void **state)
{
    story_say(1);
    story_show(0, 1);
    check_lease_written(check, SPAN_LIT("pid0"), SPAN_LIT("sid0"),
                        SPAN_LIT("0 0 0 - 0 0 1 /0 0 - 0 0 7 @/,sid00 0 0 0 0 7 /,room1"));
    story_fails("log 1 was left at 0, and 1 of it was shown");
}

static void a_lease_does_not_forget_a_room(void **state)
{
    story_say(1);
    story_show(0, 1);
    check_lease_written(check, SPAN_LIT("pid0"), SPAN_LIT("sid0"), SPAN_LIT("0 0 0 - 0 0 1 /0 0 - 0 0 7 @/,sid0"));
    story_fails("a lease has forgotten log 1");
}

/* "Take `start` before the subscription is confirmed." */
static void a_room_begins_where_its_instance_stands(void **state)
{
    story_say(2);
    struct check_ask asked = {.us = sim_now_us(story.sim), .position = 1};
    check_joined(check, client, 2, &asked);
    story_fails("was told that it is in room 2 before its lease knew");
    story_end();
    story_set_up(NULL);
    story_say(2);
    asked.us = sim_now_us(story.sim);
    story_lease(0, 0, 0, "0 0 - 0 0 7 /,room2");
    check_joined(check, client, 2, &asked);
    story_fails("is in log 2 from 0 on, and asked for it at 1");
}

static void what_is_to_be_replayed_is(void **state)
{
    story_end();
    story_begin(&(struct check_rules){.replay = 2, .name_life_us = LOOP_S(3600)});
    for (int i = 0; i < 3; i++)
        story_say(2);
    struct check_ask asked = {.us = sim_now_us(story.sim), .position = 3};
    story_lease(0, 0, 0, "1 3 - 0 0 7 /,room2");
    check_joined(check, client, 2, &asked);
    story_is_well();
    story_lease(1, 0, 0, "2 3 - 0 0 7 /,room2");
    check_joined(check, &story.witnesses[1], 2, &asked);
    story_fails("log 2 begins at 2 for it, and it was to be replayed from 2 on");
}

static void a_token_that_says_too_much_is_seen(void **state)
{
    story_say(1);
    story_say(1);
    story_show(0, 2);
    story_fails("its token claims message 1 of log 1, which it was not shown");
}

/* "Treat an unsettled socket as settled": another room's event carries a position that this one has not reached. */
static void a_token_that_says_too_much_of_another_room_is_seen(void **state)
{
    story_say(1);
    story_say(0);
    story_show(1, 2);
    story_fails("its token claims message 0 of log 1, which it was not shown");
}

static void a_token_that_says_too_little_is_seen(void **state)
{
    story_say(1);
    story_say(1);
    story_show(0, 1);
    story_show(1, 1);
    story_fails("its token says 1 of log 1, and it was shown 2");
}

static void a_token_is_one_of_ours(void **state)
{
    check_token(check, client, SPAN_LIT("hello"));
    story_fails("hello is no token");
    story_end();
    story_set_up(NULL);
    check_token(check, client, SPAN_LIT("1e9.0"));
    story_fails("a token of an epoch that never was");
}

static void an_acknowledgement_is_a_promise(void **state)
{
    check_acked(check, client, story_say(1));
    story_is_well();
    check_acked(check, client, story_send(1));
    story_fails("message 1 was acknowledged and is not in the log");
}

static void a_message_stands_in_the_log_once(void **state)
{
    story_accept(story_say(1), "");
    story_fails("message 0 is in the log 1 twice");
}

static void the_counter_counts(void **state)
{
    story.seq = 1;
    story_accept(story_send(1), "");
    story_fails("the counter went from 0 to 2");
}

static void the_chain_is_whole(void **state)
{
    story_say(1);
    story.last[1] = 0;
    story_accept(story_send(1), "");
    story_fails("says that 0 came before it in its log, and that was 1");
}

static void the_audience_is_the_senders(void **state)
{
    story_accept(story_send(1), "!4 sid0");
    story_fails("was pushed for others than it was meant for");
}

static void a_cut_loses_and_doubles_nothing(void **state)
{
    for (int i = 0; i < 3; i++)
        story_say(1);
    story_show(0, 1);
    check_away(check, client);
    story_connect(0, true, true);
    story_show(1, 2);
    story_show(2, 3);
    check_settled(check, client);
    story_is_well();
    check_away(check, client);
    story_connect(0, true, true);
    story_show(2, 3);
    story_fails("was shown twice or out of order");
}

static void recovered_with_a_hole_is_seen(void **state)
{
    for (int i = 0; i < 3; i++)
        story_say(1);
    story_show(0, 1);
    check_away(check, client);
    story_connect(0, true, true);
    story_show(2, 3);
    story_fails("message 1 of log 1 was lost");
}

static void recovered_as_somebody_else_is_seen(void **state)
{
    struct check_connect connect = {
        .sid = SPAN_LIT("sid1"), .pid = SPAN_LIT("pid0"), .recovered = true, .came_back = true};
    check_away(check, client);
    check_connected(check, client, &connect);
    story_fails("recovered under another sid");
}

static void not_recovered_needs_a_reason(void **state)
{
    story_say(1);
    story_show(0, 1);
    story_say(1);
    story.oldest = 3; /* what it needs is gone */
    check_away(check, client);
    story_connect(0, true, false);
    story_is_well();
    story_end();
    story_set_up(NULL);
    story_say(1);
    story_show(0, 1);
    check_away(check, client);
    story_connect(0, true, false);
    story_fails("was not recovered without need");
}

/* The broker comes back with what it had at the snapshot, and an epoch begins. */
static void broker_loses(uint64_t seq)
{
    check_restored(check);
    story.seq = seq;
    for (int i = 0; i < ROOMS; i++)
        story.last[i] = story.last[i] < seq ? story.last[i] : seq;
    check_opened(check, SPAN_LIT("e2"), seq);
    story_lease(0, 0, 0, "");
}

static void begin_losing(void)
{
    story_end();
    story_begin(&(struct check_rules){.loses = true, .name_life_us = LOOP_S(3600)});
}

static void who_was_shown_what_the_broker_lost_is_told_so(void **state)
{
    begin_losing();
    check_snapshot(check);
    story_say(1);
    story_show(0, 1);
    broker_loses(0);
    assert_false(check_is_settled(check, client));
    check_settled(check, client);
    story_fails("was shown what the broker lost, and was not told so");
    begin_losing();
    check_snapshot(check);
    story_say(1);
    broker_loses(0);
    check_settled(check, client);
    story_is_well();
    check_shown(check, client, 0, SPAN_LIT("1e1.1")); /* it was on its way */
    check_settled(check, client);
    story_fails("was shown what the broker lost, and was not told so");
}

static void lost_and_published_again_is_shown_again_to_the_new(void **state)
{
    begin_losing();
    check_snapshot(check);
    uint32_t message = story_say(1);
    broker_loses(0);
    story_accept(message, "");
    story_is_well();
    story_show(message, 1);
    check_settled(check, client);
    story_is_well();
}

static uint32_t pass(uint16_t rooms)
{
    uint32_t message = check_message_create(check, &(struct message){.rooms = rooms, .sender = 1});
    int log = rooms == 1 << 2 ? 2 : 1;
    check_pushed(check, &(struct pushed){.log = log, .epoch = SPAN_LIT("e1"), .message = message});
    story_wait(10);
    return message;
}

static void what_is_not_logged_comes_once_in_its_place(void **state)
{
    story_say(1);
    uint32_t message = pass(1 << 1);
    story_show(0, 1);
    story_show(message, 1);
    check_passed(check, client, message);
    story_is_well();
    story_show(message, 1);
    story_fails("was shown twice");
}

static void what_is_not_logged_does_not_overtake(void **state)
{
    story_say(1);
    story_show(pass(1 << 1), 0);
    story_fails("message 1, which is not logged, came before 0");
    story_end();
    story_set_up(NULL);
    uint32_t message = pass(1 << 1);
    story_say(1);
    story_show(1, 1);
    story_show(message, 1);
    story_fails("message 0, which is not logged, came behind what was accepted after it");
}

static void what_is_not_logged_is_for_whom_it_is_meant(void **state)
{
    story_show(pass(1 << 2), 0);
    story_fails("which is not logged, was not meant for it");
}

static void what_is_not_logged_comes_when_nothing_is_wrong(void **state)
{
    check_passed(check, client, pass(1 << 1));
    story_fails("which is not logged, never came");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, story_set_up, story_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(in_order_and_once_is_well),
        TEST(a_loss_is_seen_at_the_next),
        TEST(a_loss_at_the_end_is_seen_then),
        TEST(twice_is_seen),
        TEST(disorder_within_a_room_is_seen),
        TEST(disorder_between_rooms_is_seen),
        TEST(what_is_for_others_is_seen),
        TEST(what_is_for_one_socket_is_for_no_other),
        TEST(a_room_it_is_not_in_is_silent),
        TEST(what_nobody_accepted_is_seen),
        TEST(a_room_that_was_left_ends_there),
        TEST(leaving_is_told_once_the_lease_knows),
        TEST(a_lease_does_not_take_back_what_was_shown),
        TEST(a_lease_does_not_forget_a_room),
        TEST(a_room_begins_where_its_instance_stands),
        TEST(what_is_to_be_replayed_is),
        TEST(a_token_that_says_too_much_is_seen),
        TEST(a_token_that_says_too_much_of_another_room_is_seen),
        TEST(a_token_that_says_too_little_is_seen),
        TEST(a_token_is_one_of_ours),
        TEST(an_acknowledgement_is_a_promise),
        TEST(a_message_stands_in_the_log_once),
        TEST(the_counter_counts),
        TEST(the_chain_is_whole),
        TEST(the_audience_is_the_senders),
        TEST(a_cut_loses_and_doubles_nothing),
        TEST(recovered_with_a_hole_is_seen),
        TEST(recovered_as_somebody_else_is_seen),
        TEST(not_recovered_needs_a_reason),
        TEST(who_was_shown_what_the_broker_lost_is_told_so),
        TEST(lost_and_published_again_is_shown_again_to_the_new),
        TEST(what_is_not_logged_comes_once_in_its_place),
        TEST(what_is_not_logged_does_not_overtake),
        TEST(what_is_not_logged_is_for_whom_it_is_meant),
        TEST(what_is_not_logged_comes_when_nothing_is_wrong),
    };
    return cmocka_run_group_tests_name("sim/check", tests, NULL, NULL);
}
