/* test_publish: what is published comes to everybody in one order, as it was given, and is accepted once. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "instances.h"

static bool all_ok(struct call **calls, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (calls[i]->answers == 0)
            return false;
        assert_int_equal(calls[i]->result, BROKER_OK);
    }
    return true;
}

static struct call *publish_number(struct instance *by, const char *room, int number)
{
    char body[16];
    snprintf(body, sizeof body, "%d", number);
    return publish(by, room, body);
}

static void entries_come_to_all_in_one_order(void **state)
{
    enum { COUNT = 60 };
    struct instance *a = instance_up("A"), *b = instance_up("B");
    struct call *calls[COUNT];
    int last_of[2] = {-1, -1};
    bool had[COUNT] = {false};
    subscribe_now(a, "one");
    subscribe_now(a, "two");
    for (int i = 0; i < COUNT; i++) {
        calls[i] = publish_number(i / 3 % 2 == 0 ? a : b, i % 2 == 0 ? "one" : "two", i);
        if (i % 7 == 0)
            instances_pass();
    }
    AWAIT(all_ok(calls, COUNT) && told_count(a, TOLD_PUSHED, "") == COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        /* That seqs rise and name the one before is what the recorder looks at. */
        const struct told *pushed = told_at(a, TOLD_PUSHED, "", i);
        int number = number_of(pushed->body);
        assert_false(had[number]);
        had[number] = true;
        assert_true(number > last_of[number / 3 % 2]);
        last_of[number / 3 % 2] = number;
        assert_span(pushed->name, number % 2 == 0 ? "one" : "two");
        assert_int_equal(pushed->audience.len, 0);
        assert_true(pushed->number > 0);
    }
}

static void it_is_accepted_once_it_stands_among_the_pushes(void **state)
{
    struct instance *a = instance_up("A");
    subscribe_now(a, "r");
    struct call *first = publish(a, "r", "1"), *second = publish(a, "r", "2");
    AWAIT(first->answers > 0 && second->answers > 0);
    struct call *log = read_all(a, "r");
    assert_int_equal(log->page.count, 2);
    AWAIT(told_count(a, TOLD_PUSHED, "r") == 2);
    /* On Redis the two come on different links. */
    if (!kind_is_shared()) {
        assert_true(first->told_before > told_place(a, told_at(a, TOLD_PUSHED, "r", 0)));
        assert_true(second->told_before > told_place(a, told_at(a, TOLD_PUSHED, "r", 1)));
    }
}

static void nobody_need_be_told(void **state)
{
    struct instance *a = instance_up("A");
    subscribe_now(a, "r");
    struct broker_publish what = {.room = SPAN_LIT("r"), .body = SPAN_LIT("x"), .retention = &keep};
    assert_true(broker_publish(a->broker, &what, NULL, NULL));
    AWAIT(told_count(a, TOLD_PUSHED, "r") == 1);
}

static void fill(char *bytes, size_t len, unsigned seed)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)((seed = seed * 1103515245 + 12345) >> 16);
}

static void check_bytes(const struct told *pushed, const struct broker_entry *read, struct span audience,
                        struct span body)
{
    assert_true(span_equal(pushed->audience, audience) && span_equal(pushed->body, body));
    assert_true(span_equal(read->audience, audience) && span_equal(read->body, body));
    assert_int_equal(read->seq, pushed->number);
    assert_int_equal(read->prev, pushed->second);
    assert_int_equal(read->time_ms, pushed->time_ms);
    assert_span(read->room, "r");
}

static void bytes_come_as_they_were_given(void **state)
{
    enum { BIG = 1 << 20 };
    struct instance *a = instance_up("A"), *b = instance_up("B");
    char all[256], *big = mem_alloc(BIG);
    fill(big, BIG, 7);
    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    const struct span texts[][2] = {
        {SPAN_LIT(""), SPAN_LIT("")},
        {SPAN_LIT(""), span_of(all, sizeof all)},
        {span_of(all, sizeof all), SPAN_LIT("")},
        {SPAN_LIT("\n5 6\n"), SPAN_LIT("$5\r\n*3\r\n\r\n")},
        {SPAN_LIT("\0"), SPAN_LIT("\0\0")},
        {span_of(all, sizeof all), span_of(big, BIG)},
    };
    size_t count = sizeof texts / sizeof texts[0];
    subscribe_now(b, "r");
    for (size_t i = 0; i < count; i++) {
        struct broker_publish what = {.room = SPAN_LIT("r"), .audience = texts[i][0], .body = texts[i][1]};
        publish_with(a, &what, NULL);
        publish_with(a, &what, NOT_LOGGED);
    }
    AWAIT(told_count(b, TOLD_PUSHED, "r") == 2 * count);
    struct call *log = read_all(a, "r");
    assert_int_equal(log->page.count, count);
    for (size_t i = 0; i < count; i++) {
        check_bytes(told_at(b, TOLD_PUSHED, "r", 2 * i), &log->page.entries[i], texts[i][0], texts[i][1]);
        const struct told *unlogged = told_at(b, TOLD_PUSHED, "r", 2 * i + 1);
        assert_true(span_equal(unlogged->audience, texts[i][0]) && span_equal(unlogged->body, texts[i][1]));
    }
    free(big);
}

static void names_of_rooms_are_bytes(void **state)
{
    char longest[BROKER_ROOM_BYTES_MAX + 1];
    memset(longest, 'x', sizeof longest - 1);
    longest[BROKER_ROOM_BYTES_MAX] = '\0';
    const char *const names[] = {"/,a b", "a\nb", "a:b", "{1}", "%s", "\xff\xfe\r\n", "#", longest};
    const char *const sids[] = {"/,a b", "a", "a:b", "{1}", "%s", "+1 2", "#", "x"};
    size_t count = sizeof names / sizeof names[0];
    struct instance *a = instance_up("A"), *b = instance_up("B");
    for (size_t i = 0; i < count; i++)
        subscribe(b, names[i]);
    AWAIT(told_count(b, TOLD_SUBSCRIBED, "") == count);
    for (size_t i = 0; i < count; i++) {
        publish(a, names[i], names[i]);
        enter(a, names[i], sids[i]);
    }
    AWAIT(told_count(b, TOLD_PUSHED, "") == count && told_count(b, TOLD_ENTERED, "") == count);
    for (size_t i = 0; i < count; i++) {
        assert_span(told_at(b, TOLD_PUSHED, names[i], 0)->body, names[i]);
        assert_span(told_at(b, TOLD_ENTERED, names[i], 0)->audience, sids[i]);
        struct call *log = read_all(a, names[i]), *there = list(a, names[i], 0, 10);
        assert_int_equal(log->page.count, 1);
        assert_span(log->page.entries[0].room, names[i]);
        AWAIT_ANSWER(there);
        assert_true(list_has(there, sids[i]));
    }
}

static void what_is_not_logged_keeps_its_place(void **state)
{
    enum { COUNT = 40 };
    struct instance *a = instance_up("A"), *b = instance_up("B");
    subscribe_now(b, "r");
    for (int i = 0; i < COUNT; i++) {
        char body[16];
        snprintf(body, sizeof body, "%d", i);
        publish_with(a, &(struct broker_publish){.room = SPAN_LIT("r"), .body = span_str(body)},
                     i % 3 == 0 ? NULL : NOT_LOGGED);
        if (i % 11 == 0)
            instances_pass();
    }
    AWAIT(told_count(b, TOLD_PUSHED, "r") == COUNT);
    for (int i = 0; i < COUNT; i++) {
        const struct told *pushed = told_at(b, TOLD_PUSHED, "r", (size_t)i);
        assert_int_equal(number_of(pushed->body), i);
        assert_true((pushed->number != 0) == (i % 3 == 0));
    }
    assert_int_equal(read_all(a, "r")->page.count, (COUNT + 2) / 3);
}

static void several_rooms_share_a_turn(void **state)
{
    enum { ROOMS = 130, EACH = 4 };
    struct instance *a = instance_up("A"), *b = instance_up("B");
    char names[ROOMS][16];
    for (int i = 0; i < ROOMS; i++) {
        snprintf(names[i], sizeof names[i], "room%d", i);
        subscribe(b, names[i]);
    }
    AWAIT(told_count(b, TOLD_SUBSCRIBED, "") == ROOMS);
    for (int i = 0; i < ROOMS * EACH; i++)
        publish_number(a, names[i % ROOMS], i);
    AWAIT(told_count(b, TOLD_PUSHED, "") == (size_t)ROOMS * EACH);
    for (int i = 0; i < ROOMS * EACH; i++) {
        const struct told *pushed = told_at(b, TOLD_PUSHED, "", (size_t)i);
        assert_int_equal(number_of(pushed->body), i);
        assert_span(pushed->name, names[i % ROOMS]);
    }
    assert_int_equal(read_all(a, names[ROOMS / 2])->page.count, EACH);
}

static void a_room_may_have_two_retentions_in_a_turn(void **state)
{
    static const struct broker_retention few = {.entries_max = 3, .bytes_max = 1 << 20, .age_ms_max = 60000};
    static const struct broker_retention many = {.entries_max = 300, .bytes_max = 1 << 20, .age_ms_max = 60000};
    enum { COUNT = 100, FEW_MOST = 3 + 16 };
    struct instance *a = instance_up("A"), *b = instance_up("B");
    struct broker_publish what = {.room = SPAN_LIT("r"), .body = SPAN_LIT("x")};
    struct call *calls[COUNT];
    subscribe_now(b, "r");
    for (size_t i = 0; i < COUNT; i++)
        calls[i] = publish_with(a, &what, i % 2 == 0 ? &few : &many);
    AWAIT(all_ok(calls, COUNT) && told_count(b, TOLD_PUSHED, "r") == COUNT);
    struct call *log = read_all(a, "r");
    /* Which of the two holds for a turn is open; entries are all pushed, and what is kept is the newest, in a chain. */
    assert_in_range(log->page.count, 1, COUNT);
    for (size_t i = 1; i < log->page.count; i++)
        assert_int_equal(log->page.entries[i].prev, log->page.entries[i - 1].seq);
    assert_int_equal(log->page.entries[log->page.count - 1].seq, log->page.last);
    publish_with(a, &what, &few);
    AWAIT(told_count(b, TOLD_PUSHED, "r") == COUNT + 1);
    assert_in_range(read_all(a, "r")->page.count, 3, FEW_MOST);
}

/* One message in each turn: brokers may have a shorter way for it. */
static void messages_that_come_one_at_a_time_are_trimmed(void **state)
{
    static const struct broker_retention few = {.entries_max = 3, .bytes_max = 1 << 20, .age_ms_max = 60000};
    static const struct broker_retention small = {.entries_max = 300, .bytes_max = 100, .age_ms_max = 60000};
    enum { COUNT = 60, FEW_MOST = 3 + 16 };
    struct instance *a = instance_up("A"), *b = instance_up("B");
    subscribe_now(b, "r");
    subscribe_now(b, "s");
    for (int i = 0; i < COUNT; i++) {
        struct broker_publish counted = {.room = SPAN_LIT("r"), .body = SPAN_LIT("x")};
        struct broker_publish sized = {.room = SPAN_LIT("s"), .body = SPAN_LIT("ten bytes.")};
        struct call *calls[] = {publish_with(a, &counted, &few)};
        AWAIT(all_ok(calls, 1));
        calls[0] = publish_with(a, &sized, &small);
        AWAIT(all_ok(calls, 1));
    }
    AWAIT(told_count(b, TOLD_PUSHED, "r") == COUNT && told_count(b, TOLD_PUSHED, "s") == COUNT);
    struct call *log = read_all(a, "r");
    assert_in_range(log->page.count, 3, FEW_MOST);
    for (size_t i = 1; i < log->page.count; i++)
        assert_int_equal(log->page.entries[i].prev, log->page.entries[i - 1].seq);
    assert_int_equal(log->page.entries[log->page.count - 1].seq, log->page.last);
    assert_in_range(read_all(a, "s")->page.count, 1, 10 + 2);
}

static struct call *publish_named(struct instance *by, const char *room, const char *id, const char *body)
{
    struct broker_publish what = {.room = span_str(room), .body = span_str(body), .id = span_str(id)};
    return publish_with(by, &what, NULL);
}

static void a_named_message_is_logged_once(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    subscribe_now(b, "r");
    struct call *calls[] = {
        publish_named(a, "r", "id", "first"),
        publish_named(a, "r", "id", "first"), /* the same turn */
        publish_named(a, "r", "other", "second"),
    };
    AWAIT(all_ok(calls, 3));
    struct call *later[] = {publish_named(a, "r", "id", "first"), publish_named(b, "r", "id", "first"),
                            publish_named(b, "r", "", "unnamed"), publish_named(b, "r", "", "unnamed")};
    AWAIT(all_ok(later, 4));
    static const char *const expected[] = {"first", "second", "unnamed", "unnamed"};
    struct call *log = read_all(a, "r");
    assert_int_equal(log->page.count, 4);
    AWAIT(told_count(b, TOLD_PUSHED, "r") == 4);
    for (size_t i = 0; i < 4; i++) {
        assert_span(log->page.entries[i].body, expected[i]);
        assert_span(told_at(b, TOLD_PUSHED, "r", i)->body, expected[i]);
    }
}

/* Whoever guesses the name of another's message cannot make that vanish: its sender is told. */
static void another_message_under_a_name_is_refused(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    struct call *first = publish_named(a, "r", "id", "first");
    AWAIT_ANSWER(first);
    struct call *other = publish_named(b, "r", "id", "other"), *same = publish_named(b, "r", "id", "first"),
                *next = publish_named(b, "r", "next", "other");
    AWAIT_ANSWER(next);
    assert_int_equal(first->result, BROKER_OK);
    assert_int_equal(other->result, BROKER_TAKEN);
    assert_int_equal(same->result, BROKER_OK);
    assert_int_equal(next->result, BROKER_OK);
    struct call *log = read_all(a, "r");
    assert_int_equal(log->page.count, 2);
    assert_span(log->page.entries[1].body, "other");
}

static void a_name_is_the_rooms(void **state)
{
    struct instance *a = instance_up("A");
    struct call *calls[] = {
        publish_named(a, "r", "id", "x"),    publish_named(a, "s", "id", "x"),  publish_named(a, "a:b", "c", "x"),
        publish_named(a, "a", "b:c", "x"),   publish_named(a, "1:a", "b", "x"), publish_named(a, "1", "a:b", "x"),
        publish_named(a, "r", "a b\n", "y"),
    };
    AWAIT(all_ok(calls, 7));
    assert_int_equal(read_all(a, "r")->page.count, 2);
    static const char *const others[] = {"s", "a:b", "a", "1:a", "1"};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(read_all(a, others[i])->page.count, 1);
}

/* The name is remembered for as long as the log may keep entries, also when the entry itself has gone. */
static void a_name_outlives_its_entry(void **state)
{
    static const struct broker_retention two = {.entries_max = 2, .bytes_max = 1 << 20, .age_ms_max = 60000};
    struct instance *a = instance_up("A");
    struct broker_publish named = {.room = SPAN_LIT("r"), .body = SPAN_LIT("named"), .id = SPAN_LIT("id")};
    struct broker_publish other = {.room = SPAN_LIT("r"), .body = SPAN_LIT("other")};
    subscribe_now(a, "r");
    publish_with(a, &named, &two);
    for (int i = 0; i < 40; i++)
        publish_with(a, &other, &two);
    struct call *again = publish_with(a, &named, &two);
    publish_with(a, &other, &two);
    AWAIT(told_count(a, TOLD_PUSHED, "r") >= 42);
    AWAIT_ANSWER(again);
    assert_int_equal(again->result, BROKER_OK);
    assert_int_equal(told_count(a, TOLD_PUSHED, "r"), 42);
    struct call *log = read_all(a, "r");
    for (size_t i = 0; i < log->page.count; i++)
        assert_span(log->page.entries[i].body, "other");
}

static void names_do_not_matter_where_nothing_is_logged(void **state)
{
    struct instance *a = instance_up("A");
    struct broker_publish what = {.room = SPAN_LIT("r"), .body = SPAN_LIT("x"), .id = SPAN_LIT("id")};
    subscribe_now(a, "r");
    publish_with(a, &what, NOT_LOGGED);
    publish_with(a, &what, NOT_LOGGED);
    publish_with(a, &what, NULL);
    AWAIT(told_count(a, TOLD_PUSHED, "r") == 3);
    assert_true(told_at(a, TOLD_PUSHED, "r", 2)->number > 0);
}

static void what_is_published_before_the_link_is_up_is_kept(void **state)
{
    enum { COUNT = 30 };
    struct instance *b = instance_up("B"), *a = kind_is_shared() ? instance_open("A") : b;
    struct call *calls[COUNT];
    subscribe_now(b, "r");
    for (int i = 0; i < COUNT; i++)
        calls[i] = publish_number(a, "r", i);
    AWAIT(told_count(b, TOLD_PUSHED, "r") == COUNT && all_ok(calls, COUNT));
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(number_of(told_at(b, TOLD_PUSHED, "r", (size_t)i)->body), i);
}

/* Batches have bounds of their own: more than one call must be made of this. */
static void a_large_turn_is_accepted_in_order(void **state)
{
    enum { COUNT = 1700, BYTES = 4000 };
    struct instance *a = instance_up("A"), *b = instance_up("B");
    char body[BYTES];
    struct call *last = NULL;
    subscribe_now(b, "r");
    for (int i = 0; i < COUNT; i++) {
        memset(body, 'x', sizeof body);
        snprintf(body, sizeof body, "%d", i);
        last =
            publish_with(a, &(struct broker_publish){.room = SPAN_LIT("r"), .body = span_of(body, sizeof body)}, NULL);
    }
    AWAIT(told_count(b, TOLD_PUSHED, "r") == COUNT);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(number_of(told_at(b, TOLD_PUSHED, "r", (size_t)i)->body), i);
    AWAIT_ANSWER(last);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BROKER_TEST(entries_come_to_all_in_one_order),
        BROKER_TEST(it_is_accepted_once_it_stands_among_the_pushes),
        BROKER_TEST(nobody_need_be_told),
        BROKER_TEST(bytes_come_as_they_were_given),
        BROKER_TEST(names_of_rooms_are_bytes),
        BROKER_TEST(what_is_not_logged_keeps_its_place),
        BROKER_TEST(several_rooms_share_a_turn),
        BROKER_TEST(a_room_may_have_two_retentions_in_a_turn),
        BROKER_TEST(messages_that_come_one_at_a_time_are_trimmed),
        BROKER_TEST(a_named_message_is_logged_once),
        BROKER_TEST(another_message_under_a_name_is_refused),
        BROKER_TEST(a_name_is_the_rooms),
        BROKER_TEST(a_name_outlives_its_entry),
        BROKER_TEST(names_do_not_matter_where_nothing_is_logged),
        BROKER_TEST(what_is_published_before_the_link_is_up_is_kept),
        BROKER_TEST(a_large_turn_is_accepted_in_order),
    };
    return instances_main(argc, argv, "broker/publish", tests, sizeof tests / sizeof tests[0], NULL);
}
