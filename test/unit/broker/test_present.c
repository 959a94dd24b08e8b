/* test_present: who is in a room is known everywhere, and every change is told once. What takes seconds is in
 * slow_present.c. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "instances.h"

static void settle(struct instance *by)
{
    struct call *call = probe(by);
    AWAIT_ANSWER(call);
}

static void coming_and_going_is_told_once(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B"), *c = instance_up("C");
    subscribe_now(b, "r");
    enter_with_data(a, "r", "x", "{\"name\":\"X\"}");
    AWAIT(told_count(b, TOLD_ENTERED, "r") == 1);
    const struct told *told = told_at(b, TOLD_ENTERED, "r", 0);
    assert_span(told->audience, "x");
    assert_span(told->body, "{\"name\":\"X\"}");
    assert_int_equal(told->number, 1);
    enter_with_data(a, "r", "x", "{\"name\":\"X\"}"); /* nobody is told */
    enter(c, "r", "y");
    AWAIT(told_count(b, TOLD_ENTERED, "r") == 2);
    assert_span(told_at(b, TOLD_ENTERED, "r", 1)->audience, "y");
    assert_int_equal(told_at(b, TOLD_ENTERED, "r", 1)->number, 2);
    leave(a, "r", "x", false);
    leave(a, "r", "x", false);
    leave(a, "r", "never there", false);
    leave(a, "r", "never there", true);
    leave(a, "unused", "x", false);
    AWAIT(told_count(b, TOLD_LEFT, "r") == 1);
    told = told_at(b, TOLD_LEFT, "r", 0);
    assert_span(told->audience, "x");
    assert_span(told->body, "{\"name\":\"X\"}");
    assert_int_equal(told->number, 1);
    settle(a);
    leave(c, "r", "y", false);
    AWAIT(told_count(b, TOLD_LEFT, "r") == 2);
    assert_int_equal(told_at(b, TOLD_LEFT, "r", 1)->number, 0);
    enter(a, "r", "x");
    AWAIT(told_count(b, TOLD_ENTERED, "r") == 3);
    assert_int_equal(told_last(b, TOLD_ENTERED, "r")->number, 1);
}

static void texts_are_bytes(void **state)
{
    static const char *const sids[] = {"a b", "+", "5 6", "#", "-1"};
    struct instance *a = instance_up("A"), *b = instance_up("B");
    char longest[BROKER_DATA_BYTES_MAX + 1];
    memset(longest, 'y', sizeof longest - 1);
    longest[BROKER_DATA_BYTES_MAX] = '\0';
    const char *const data[] = {"", "a b\n", "\n\n", longest, "+"};
    subscribe_now(b, "r");
    for (int i = 0; i < 5; i++)
        enter_with_data(a, "r", sids[i], data[i]);
    AWAIT(told_count(b, TOLD_ENTERED, "r") == 5);
    struct call *there = list(b, "r", 0, 100);
    AWAIT_ANSWER(there);
    assert_int_equal(there->presence.member_count, 5);
    for (int i = 0; i < 5; i++) {
        assert_span(told_at(b, TOLD_ENTERED, "r", (size_t)i)->audience, sids[i]);
        assert_span(told_at(b, TOLD_ENTERED, "r", (size_t)i)->body, data[i]);
        for (size_t j = 0; j < 5; j++)
            if (span_equal(there->presence.members[j].sid, span_str(sids[i])))
                assert_span(there->presence.members[j].data, data[i]);
        assert_true(list_has(there, sids[i]));
        leave(a, "r", sids[i], false);
    }
    AWAIT(told_count(b, TOLD_LEFT, "r") == 5);
    for (int i = 0; i < 5; i++)
        assert_span(told_at(b, TOLD_LEFT, "r", (size_t)i)->body, data[i]);
}

static void rooms_do_not_share_their_members(void **state)
{
    struct instance *a = instance_up("A");
    subscribe_now(a, "r");
    subscribe_now(a, "s");
    enter(a, "r", "x");
    enter(a, "s", "x");
    enter(a, "s", "y");
    leave(a, "r", "x", false);
    AWAIT(told_count(a, TOLD_LEFT, "r") == 1);
    struct call *r = list(a, "r", 0, 10), *s = list(a, "s", 0, 10);
    AWAIT(r->answers > 0 && s->answers > 0);
    assert_int_equal(r->presence.count, 0);
    assert_int_equal(r->presence.member_count, 0);
    assert_int_equal(r->presence.cursor, 0);
    assert_int_equal(s->presence.count, 2);
    assert_true(list_has(s, "x") && list_has(s, "y"));
    assert_int_equal(told_count(a, TOLD_LEFT, "s"), 0);
}

static void whoever_enters_again_tells_something_new(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    subscribe_now(a, "r");
    enter_with_data(a, "r", "x", "old");
    settle(a);
    enter_with_data(b, "r", "x", "new");
    settle(b);
    struct call *there = list(a, "r", 0, 10);
    AWAIT_ANSWER(there);
    assert_int_equal(there->presence.member_count, 1);
    assert_span(there->presence.members[0].data, "new");
    leave(b, "r", "x", false);
    AWAIT(told_count(a, TOLD_LEFT, "r") == 1);
    assert_span(told_at(a, TOLD_LEFT, "r", 0)->body, "new");
    assert_int_equal(told_count(a, TOLD_ENTERED, "r"), 1);
}

/* The client was faster than the news of its end: what its former instance says of it does not count any more. */
static void who_has_moved_is_not_taken_away(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    if (!kind_is_shared())
        return; /* there is one instance only */
    subscribe_now(a, "r");
    enter(a, "r", "x");
    settle(a);
    enter(b, "r", "x");
    settle(b);
    leave(a, "r", "x", false);
    leave(a, "r", "x", true);
    settle(a);
    struct call *there = list(b, "r", 0, 10);
    AWAIT_ANSWER(there);
    assert_true(list_has(there, "x"));
    assert_int_equal(told_count(a, TOLD_ENTERED, "r"), 1);
    assert_int_equal(told_count(a, TOLD_LEFT, "r"), 0);
    leave(b, "r", "x", false);
    AWAIT(told_count(a, TOLD_LEFT, "r") == 1);
}

/* Its lease has been claimed elsewhere, and its former instance, whose link was down, does not know yet. */
static void who_was_claimed_is_not_taken_back(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    subscribe_now(a, "r");
    enter_as(b, "r", "x", 2);
    settle(b);
    enter_as(a, "r", "x", 1);
    settle(a);
    if (kind_is_shared())
        leave(a, "r", "x", false);
    settle(a);
    assert_int_equal(told_count(a, TOLD_LEFT, "r"), 0);
    struct call *there = list(a, "r", 0, 10);
    AWAIT_ANSWER(there);
    assert_span(there->presence.members[0].data, "2");
    enter_as(a, "r", "x", 3);
    settle(a);
    there = list(a, "r", 0, 10);
    AWAIT_ANSWER(there);
    assert_span(there->presence.members[0].data, "3");
    leave(a, "r", "x", false);
    AWAIT(told_count(a, TOLD_LEFT, "r") == 1);
}

static void a_list_stands_among_the_changes(void **state)
{
    struct instance *a = instance_up("A");
    subscribe_now(a, "r");
    enter(a, "r", "x");
    struct call *before = list(a, "r", 0, 10);
    enter(a, "r", "y");
    struct call *between = list(a, "r", 0, 10);
    leave(a, "r", "x", false);
    struct call *after = list(a, "r", 0, 10);
    AWAIT(before->answers > 0 && between->answers > 0 && after->answers > 0);
    assert_true(list_has(before, "x") && !list_has(before, "y") && before->presence.count == 1);
    assert_true(list_has(between, "x") && list_has(between, "y") && between->presence.count == 2);
    assert_true(!list_has(after, "x") && list_has(after, "y") && after->presence.count == 1);
    AWAIT(told_count(a, TOLD_ENTERED, "r") == 2 && told_count(a, TOLD_LEFT, "r") == 1);
    assert_int_equal(before->told_before, told_place(a, told_at(a, TOLD_ENTERED, "r", 0)) + 1);
    assert_int_equal(between->told_before, told_place(a, told_at(a, TOLD_ENTERED, "r", 1)) + 1);
    assert_int_equal(after->told_before, told_place(a, told_at(a, TOLD_LEFT, "r", 0)) + 1);
}

static void who_may_return_is_there_meanwhile(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    subscribe_now(a, "r");
    enter(b, "r", "x");
    enter(b, "r", "y");
    leave(b, "r", "x", true);
    settle(b);
    struct call *there = list(a, "r", 0, 10);
    AWAIT_ANSWER(there);
    assert_true(list_has(there, "x"));
    assert_int_equal(there->presence.count, 2);
    enter(a, "r", "x");
    settle(a);
    /* It is here now, and may go for good. */
    leave(a, "r", "x", false);
    AWAIT(told_count(a, TOLD_LEFT, "r") == 1);
    assert_int_equal(told_at(a, TOLD_LEFT, "r", 0)->number, 1);
    assert_int_equal(told_count(a, TOLD_ENTERED, "r"), 2);
}

/* Pages of a room that changes while it is listed: whoever is there all the while comes at least once. */
static void everybody_is_listed(void **state)
{
    enum { STAY = 2600, LIMIT = 100 };
    struct instance *a = instance_up("A"), *b = instance_up("B");
    bool *had = mem_zero(STAY, sizeof *had);
    char sid[32];
    uint64_t cursor = 0;
    int pages = 0;
    for (int i = 0; i < STAY; i++) {
        snprintf(sid, sizeof sid, "stay%d", i);
        enter(i % 2 == 0 ? a : b, "r", sid);
        snprintf(sid, sizeof sid, "go%d", i);
        if (i % 10 == 0)
            enter(b, "r", sid);
    }
    settle(a);
    settle(b);
    do {
        struct call *page = list(a, "r", cursor, LIMIT);
        AWAIT_ANSWER(page);
        assert_int_equal(page->result, BROKER_OK);
        assert_in_range(page->presence.member_count, 0, 2 * LIMIT);
        for (size_t i = 0; i < page->presence.member_count; i++) {
            struct span who = page->presence.members[i].sid;
            uint64_t number;
            if (span_starts_with(who, SPAN_LIT("stay")) && span_to_u64(span_from(who, 4), &number))
                had[number] = true;
        }
        cursor = page->presence.cursor;
        for (int i = 0; i < 8; i++) {
            snprintf(sid, sizeof sid, "go%d", pages * 80 + 10 * i);
            leave(b, "r", sid, false);
            snprintf(sid, sizeof sid, "come%d", pages * 10 + i);
            enter(a, "r", sid);
        }
        assert_true(++pages < 100);
    } while (cursor != 0);
    for (int i = 0; i < STAY; i++)
        assert_true(had[i]);
    assert_true(pages >= STAY / (2 * LIMIT));
    free(had);
}

static void a_list_may_be_taken_whole(void **state)
{
    struct instance *a = instance_up("A");
    char sid[16];
    for (int i = 0; i < 50; i++) {
        snprintf(sid, sizeof sid, "%d", i);
        enter(a, "r", sid);
    }
    struct call *all = list(a, "r", 0, BROKER_PRESENT_LIMIT_MAX);
    AWAIT_ANSWER(all);
    assert_int_equal(all->presence.member_count, 50);
    assert_int_equal(all->presence.count, 50);
    assert_int_equal(all->presence.cursor, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BROKER_TEST(coming_and_going_is_told_once),
        BROKER_TEST(texts_are_bytes),
        BROKER_TEST(rooms_do_not_share_their_members),
        BROKER_TEST(whoever_enters_again_tells_something_new),
        BROKER_TEST(who_was_claimed_is_not_taken_back),
        BROKER_TEST(who_has_moved_is_not_taken_away),
        BROKER_TEST(a_list_stands_among_the_changes),
        BROKER_TEST(who_may_return_is_there_meanwhile),
        BROKER_TEST(everybody_is_listed),
        BROKER_TEST(a_list_may_be_taken_whole),
    };
    return instances_main(argc, argv, "broker/present", tests, sizeof tests / sizeof tests[0], NULL);
}
