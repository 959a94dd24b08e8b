/* test_subscribe: a confirmation stands among the pushes and says where; between it and the end nothing is missing. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "instances.h"

static void a_confirmation_says_what_was_before(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    struct call *last = NULL;
    for (int i = 0; i < 5; i++)
        last = publish(a, "r", "before");
    for (int i = 0; i < 3; i++)
        last = publish(a, "other", "before");
    AWAIT_ANSWER(last);
    if (kind ==
        KIND_FIRESTORE) { /* where a subscription begins at this instance's place, which may be behind another's */
        struct call *arrived = probe(b);
        AWAIT_ANSWER(arrived);
    }
    subscribe_now(b, "r");
    const struct told *fence = told_at(b, TOLD_SUBSCRIBED, "r", 0);
    uint64_t newest = read_all(a, "r")->page.last;
    assert_int_equal(fence->number, newest);
    assert_int_equal(fence->second, read_all(a, "other")->page.last);
    publish(a, "r", "after");
    AWAIT(told_count(b, TOLD_PUSHED, "r") == 1);
    assert_true(told_at(b, TOLD_PUSHED, "r", 0)->number > fence->second);
    assert_int_equal(told_at(b, TOLD_PUSHED, "r", 0)->second, newest);
}

static void a_room_without_entries_has_none(void **state)
{
    struct instance *a = instance_up("A");
    subscribe_now(a, "r");
    assert_int_equal(told_at(a, TOLD_SUBSCRIBED, "r", 0)->number, 0);
    assert_int_equal(told_at(a, TOLD_SUBSCRIBED, "r", 0)->second, 0);
    publish_with(a, &(struct broker_publish){.room = SPAN_LIT("r"), .body = SPAN_LIT("x")}, NOT_LOGGED);
    AWAIT(told_count(a, TOLD_PUSHED, "r") == 1);
    subscribe_now(a, "r");
    assert_int_equal(told_at(a, TOLD_SUBSCRIBED, "r", 1)->number, 0);
}

/* Entries above the fence were pushed behind it, those below are in the log: nothing between, nothing twice. Some
 * of the latter may have been pushed as well, before it. */
static void check_no_gap(struct instance *by, const char *room)
{
    struct call *log = read_all(by, room);
    const struct told *fence = told_at(by, TOLD_SUBSCRIBED, room, 0);
    AWAIT(told_count(by, TOLD_PUSHED, room) > 0 && told_last(by, TOLD_PUSHED, room)->number == log->page.last);
    size_t at = 0, pushes = told_count(by, TOLD_PUSHED, room);
    while (told_at(by, TOLD_PUSHED, room, at)->number <= fence->number)
        at++;
    for (size_t i = 0; i < log->page.count; i++) {
        if (log->page.entries[i].seq <= fence->number)
            continue;
        assert_true(log->page.entries[i].seq > fence->second);
        assert_int_equal(told_at(by, TOLD_PUSHED, room, at++)->number, log->page.entries[i].seq);
    }
    assert_int_equal(at, pushes);
}

static void subscribing_amid_traffic_leaves_no_gap(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    char room[16];
    for (int round = 0; round < 30; round++) {
        struct call *of_b = NULL;
        snprintf(room, sizeof room, "r%d", round);
        for (int i = 0; i < 12; i++) {
            struct call *published = publish(i % 3 == 0 ? b : a, room, "x");
            of_b = i % 3 == 0 ? published : of_b;
            publish(a, "busy", "x");
            if (i == round % 12)
                subscribe(b, room);
            if (i % 4 == round % 4)
                instances_turn();
        }
        AWAIT(told_count(b, TOLD_SUBSCRIBED, room) == 1);
        AWAIT_ANSWER(of_b); /* or it might come behind the last one */
        publish(a, room, "last");
    }
    AWAIT(told_count(b, TOLD_PUSHED, "r29") > 0 &&
          span_equal(told_last(b, TOLD_PUSHED, "r29")->body, SPAN_LIT("last")));
    for (int round = 0; round < 30; round++) {
        snprintf(room, sizeof room, "r%d", round);
        check_no_gap(b, room);
    }
}

static void subscribing_again_confirms_again(void **state)
{
    struct instance *a = instance_up("A");
    subscribe_now(a, "r");
    publish(a, "r", "1");
    AWAIT(told_count(a, TOLD_PUSHED, "r") == 1);
    subscribe(a, "r");
    subscribe(a, "r");
    AWAIT(told_count(a, TOLD_SUBSCRIBED, "r") == 3);
    assert_int_equal(told_last(a, TOLD_SUBSCRIBED, "r")->number, told_at(a, TOLD_PUSHED, "r", 0)->number);
    publish(a, "r", "2");
    AWAIT(told_count(a, TOLD_PUSHED, "r") == 2);
    assert_int_equal(told_count(a, TOLD_SUBSCRIBED, "r"), 3);
}

/* Publishes something and waits until it would have come. */
static void flush(struct instance *by, struct instance *to)
{
    struct call *call = publish(by, "r", "flush");
    AWAIT_ANSWER(call);
    call = probe(to);
    AWAIT_ANSWER(call);
}

static void unsubscribing_ends_the_pushes(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    subscribe_now(b, "r");
    subscribe_now(b, "s");
    unsubscribe(b, "r");
    unsubscribe(b, "never subscribed");
    flush(a, b);
    instance_forget(b);
    flush(a, b);
    enter(a, "r", "sid");
    flush(a, b);
    assert_int_equal(told_count(b, TOLD_PUSHED, ""), 0);
    assert_int_equal(told_count(b, TOLD_ENTERED, ""), 0);
    publish(a, "s", "x");
    AWAIT(told_count(b, TOLD_PUSHED, "s") == 1);
    subscribe_now(b, "r");
    publish(a, "r", "x");
    AWAIT(told_count(b, TOLD_PUSHED, "r") == 1);
}

static void the_last_word_of_a_turn_counts(void **state)
{
    struct instance *a = instance_up("A");
    subscribe(a, "r");
    unsubscribe(a, "r");
    subscribe(a, "s");
    unsubscribe(a, "s");
    subscribe(a, "s");
    AWAIT(told_count(a, TOLD_SUBSCRIBED, "s") > 0);
    instances_run(20);
    publish(a, "r", "x");
    publish(a, "s", "x");
    AWAIT(told_count(a, TOLD_PUSHED, "s") == 1);
    flush(a, a);
    assert_int_equal(told_count(a, TOLD_PUSHED, "r"), 0);
}

static void hundreds_of_rooms_are_subscribed_in_a_turn(void **state)
{
    enum { ROOMS = 700 };
    struct instance *a = instance_up("A"), *b = instance_up("B");
    char room[16];
    struct call *last = NULL;
    for (int i = 0; i < ROOMS; i += 7) {
        snprintf(room, sizeof room, "r%d", i);
        last = publish(a, room, "x");
    }
    AWAIT_ANSWER(last);
    if (kind == KIND_FIRESTORE) {
        struct call *arrived = probe(b);
        AWAIT_ANSWER(arrived);
    }
    for (int i = 0; i < ROOMS; i++) {
        snprintf(room, sizeof room, "r%d", i);
        subscribe(b, room);
    }
    AWAIT(told_count(b, TOLD_SUBSCRIBED, "") == ROOMS);
    for (int i = 0; i < ROOMS; i++) {
        snprintf(room, sizeof room, "r%d", i);
        const struct told *fence = told_at(b, TOLD_SUBSCRIBED, room, 0);
        assert_true((fence->number != 0) == (i % 7 == 0));
        publish(a, room, "y");
    }
    AWAIT(told_count(b, TOLD_PUSHED, "") == ROOMS);
}

static void nothing_is_subscribed_while_the_link_is_down(void **state)
{
    struct instance *a = instance_open("A");
    subscribe(a, "r");
    unsubscribe(a, "r");
    AWAIT(a->up);
    subscribe_now(a, "s");
    flush(a, a);
    assert_int_equal(told_count(a, TOLD_SUBSCRIBED, "r"), 0);
    assert_int_equal(told_count(a, TOLD_PUSHED, "r"), 0);
}

/* All up to the position has been pushed; it comes about once a second, whether there is traffic or not. */
static void a_position_comes_every_second(void **state)
{
    struct instance *a = instance_up("A");
    subscribe_now(a, "r");
    publish(a, "r", "x");
    publish(a, "not subscribed", "x");
    publish(a, "not subscribed", "x");
    AWAIT_WITHIN(1500, told_count(a, TOLD_REACHED, "") > 0 && told_last(a, TOLD_REACHED, "")->number == 3);
    uint64_t before = now_ms();
    size_t count = told_count(a, TOLD_REACHED, "");
    AWAIT_WITHIN(1500, told_count(a, TOLD_REACHED, "") == count + 1);
    assert_true(now_ms() - before > 500);
}

static void a_probe_goes_the_way_of_the_pushes(void **state)
{
    struct instance *a = instance_up("A");
    subscribe_now(a, "r");
    struct call *first = publish(a, "r", "1");
    AWAIT_ANSWER(first);
    struct call *probed = probe(a), *again = probe(a);
    AWAIT(probed->answers > 0 && again->answers > 0);
    assert_int_equal(probed->result, BROKER_OK);
    assert_int_equal(again->result, BROKER_OK);
    /* Entries accepted before it are pushed before it. */
    assert_true(probed->told_before > told_place(a, told_at(a, TOLD_PUSHED, "r", 0)));
}

static void the_broker_tells_of_itself(void **state)
{
    struct instance *a = instance_up("A");
    struct call *before = stats(a);
    AWAIT_ANSWER(before);
    char body[100000];
    memset(body, 'x', sizeof body);
    publish_with(a, &(struct broker_publish){.room = SPAN_LIT("r"), .body = span_of(body, sizeof body)}, NULL);
    struct call *written = publish(a, "r", "x");
    AWAIT_ANSWER(written);
    instance_up("B");
    struct call *after;
    int tries = 0;
    do { /* on Firestore it may learn of the other a moment later */
        after = stats(a);
        AWAIT_ANSWER(after);
    } while (kind == KIND_FIRESTORE && after->stats.instances < 2 && ++tries < 100);
    assert_int_equal(before->result, BROKER_OK);
    assert_int_equal(after->result, BROKER_OK);
    assert_int_equal(after->stats.memory_bytes_max, 0);
    assert_int_equal(before->stats.instances, 1);
    assert_int_equal(after->stats.instances, kind_is_shared() ? 2 : 1);
    if (!kind_is_shared())
        assert_int_equal(after->stats.memory_bytes, sizeof body + 1 + 2 * BROKER_ENTRY_BYTES);
    else
        assert_true(after->stats.memory_bytes > sizeof body);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BROKER_TEST(a_confirmation_says_what_was_before),
        BROKER_TEST(a_room_without_entries_has_none),
        BROKER_TEST(subscribing_amid_traffic_leaves_no_gap),
        BROKER_TEST(subscribing_again_confirms_again),
        BROKER_TEST(unsubscribing_ends_the_pushes),
        BROKER_TEST(the_last_word_of_a_turn_counts),
        BROKER_TEST(hundreds_of_rooms_are_subscribed_in_a_turn),
        BROKER_TEST(nothing_is_subscribed_while_the_link_is_down),
        BROKER_TEST(a_position_comes_every_second),
        BROKER_TEST(a_probe_goes_the_way_of_the_pushes),
        BROKER_TEST(the_broker_tells_of_itself),
    };
    return instances_main(argc, argv, "broker/subscribe", tests, sizeof tests / sizeof tests[0], NULL);
}
