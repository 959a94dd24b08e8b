/* test_redis_vanished: log and meta of a room are deleted from Redis. The list of rooms still names it, so that it is
 * not taken for a room that never had an entry. */
#include <stdio.h>

#include "instances.h"

static void room_delete(const char *room)
{
    char key[64];
    static const char *const kinds[] = {"log", "room"};
    for (size_t i = 0; i < 2; i++) {
        snprintf(key, sizeof key, "%s:%s", kinds[i], room);
        redis_ask(&redis, "DEL", instances_key(key), NULL);
    }
}

static struct call *read_behind(struct instance *by, const char *room, uint64_t seq)
{
    struct call *call = read_range(by, span_str(room), &(struct broker_range){.seq = seq, .limit = 10});
    AWAIT_ANSWER(call);
    assert_int_equal(call->result, BROKER_OK);
    return call;
}

/* A reader at 1 must see that 2 is gone. An instance whose feed missed nothing must not be told of a hole. */
static void the_next_entry_follows_what_is_lost(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    subscribe_now(b, "r");
    publish_now(a, "r", "1");
    publish_now(a, "r", "2");
    publish_now(a, "other", "3");
    AWAIT(told_count(b, TOLD_PUSHED, "r") == 2);
    room_delete("r");
    publish_now(a, "r", "4");
    AWAIT(told_count(b, TOLD_PUSHED, "r") == 3);
    const struct told *forgotten = told_last(b, TOLD_FORGOTTEN, "r"), *pushed = told_last(b, TOLD_PUSHED, "r");
    assert_int_equal(told_count(b, TOLD_FORGOTTEN, "r"), 1);
    assert_int_equal(forgotten->number, 3);
    assert_int_equal(pushed->number, 4);
    assert_int_equal(pushed->second, 3);
    assert_true(told_place(b, forgotten) < told_place(b, pushed));
    struct call *page = read_behind(b, "r", 1);
    assert_int_equal(page->page.count, 1);
    assert_int_equal(page->page.entries[0].prev, 3);
    publish_now(a, "r", "5");
    AWAIT(told_count(b, TOLD_PUSHED, "r") == 4);
    assert_int_equal(told_last(b, TOLD_PUSHED, "r")->second, 4);
    assert_int_equal(told_count(b, TOLD_FORGOTTEN, "r"), 1);
}

/* Nothing has been published since. */
static void a_subscription_shows_what_is_lost(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B"), *c = instance_up("C");
    subscribe_now(b, "r");
    publish_now(a, "r", "1");
    publish_now(a, "other", "2");
    AWAIT(told_count(b, TOLD_PUSHED, "r") == 1);
    room_delete("r");
    subscribe_now(c, "r");
    const struct told *forgotten = told_last(c, TOLD_FORGOTTEN, "r"), *confirmed = told_last(c, TOLD_SUBSCRIBED, "r");
    assert_int_equal(confirmed->number, 2);
    assert_true(told_place(c, forgotten) < told_place(c, confirmed));
    AWAIT(told_count(b, TOLD_FORGOTTEN, "r") == 1);
    struct call *page = read_behind(c, "r", 0);
    assert_int_equal(page->page.count, 0);
    assert_int_equal(page->page.last, 2);
    /* Whoever subscribes later is told the same, until an entry follows. */
    subscribe_now(a, "r");
    assert_int_equal(told_count(a, TOLD_FORGOTTEN, "r"), 1);
    publish_now(a, "r", "3");
    AWAIT(told_count(b, TOLD_PUSHED, "r") == 2);
    assert_int_equal(told_last(b, TOLD_PUSHED, "r")->second, 2);
}

static void a_room_that_never_had_an_entry_has_lost_none(void **state)
{
    struct instance *a = instance_up("A");
    publish_now(a, "other", "1");
    room_delete("r");
    subscribe_now(a, "r");
    publish_now(a, "r", "2");
    AWAIT(told_count(a, TOLD_PUSHED, "r") == 1);
    assert_int_equal(told_last(a, TOLD_PUSHED, "r")->second, 0);
    assert_int_equal(told_count(a, TOLD_FORGOTTEN, "r"), 0);
}

/* When the log would have ended anyway, the heartbeat strikes it off the lists. */
static void the_heartbeat_does_not_forget_what_is_lost(void **state)
{
    static const struct broker_retention brief = {.entries_max = 10, .bytes_max = 4096, .age_ms_max = 1000};
    struct instance *a = instance_up("A");
    struct broker_publish what = {.room = SPAN_LIT("r"), .body = SPAN_LIT("1")};
    struct call *call = publish_with(a, &what, &brief);
    AWAIT_ANSWER(call);
    room_delete("r");
    instances_run(3000);
    subscribe_now(a, "r");
    assert_int_equal(told_last(a, TOLD_SUBSCRIBED, "r")->number, 1);
    assert_int_equal(told_count(a, TOLD_FORGOTTEN, "r"), 1);
}

/* An owned room has no channel: its owner is told through the inbox. */
static void the_owner_of_a_room_is_told(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    struct broker_lease lease = {
        .pid = SPAN_LIT("pid"), .sid = SPAN_LIT("sid"), .own = SPAN_LIT("@own"), .generation = 1, .window_ms = 60000};
    struct call *written = lease_write(b, &lease);
    AWAIT_ANSWER(written);
    subscribe_now(b, "@own");
    publish_now(a, "@own", "1");
    AWAIT(told_count(b, TOLD_PUSHED, "@own") == 1);
    room_delete("@own");
    publish_now(a, "@own", "2");
    AWAIT(told_count(b, TOLD_PUSHED, "@own") == 2);
    assert_int_equal(told_count(b, TOLD_FORGOTTEN, "@own"), 1);
    assert_int_equal(told_last(b, TOLD_PUSHED, "@own")->second, 1);
}

/* Its entries go to the new owner: a confirmation would let the former one believe that it misses nothing. */
static void a_room_that_somebody_else_owns_is_not_confirmed(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    struct broker_lease lease = {
        .pid = SPAN_LIT("pid"), .sid = SPAN_LIT("sid"), .own = SPAN_LIT("@own"), .generation = 1, .window_ms = 60000};
    struct call *written = lease_write(a, &lease);
    AWAIT_ANSWER(written);
    subscribe_now(a, "@own");
    struct call *claimed = lease_claim(b, "pid", "", 0);
    AWAIT_ANSWER(claimed);
    subscribe_now(b, "@own");
    subscribe(a, "@own");
    subscribe_now(a, "r");
    assert_int_equal(told_count(a, TOLD_SUBSCRIBED, "@own"), 1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BROKER_TEST(the_next_entry_follows_what_is_lost),
        BROKER_TEST(a_subscription_shows_what_is_lost),
        BROKER_TEST(a_room_that_never_had_an_entry_has_lost_none),
        BROKER_TEST(the_heartbeat_does_not_forget_what_is_lost),
        BROKER_TEST(the_owner_of_a_room_is_told),
        BROKER_TEST(a_room_that_somebody_else_owns_is_not_confirmed),
    };
    return instances_main(argc, argv, "broker/redis_vanished", tests, sizeof tests / sizeof tests[0], NULL);
}
