/* test_bounds: rooms and logs that the public can make are bounded as a whole, and whoever fills what there is is
 * refused, not everybody. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "instances.h"

static enum broker_result result_of(struct call *call)
{
    AWAIT_ANSWER(call);
    return call->result;
}

static void rooms_are_bounded(void **state)
{
    instances_bounds.rooms_max = 3;
    struct instance *a = instance_up("A");
    char name[16];
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "r%d", i);
        assert_int_equal(result_of(publish(a, name, "x")), BROKER_OK);
    }
    assert_int_equal(result_of(publish(a, "one more", "x")), BROKER_FULL_ROOMS);
    /* Not even in a turn with others, which go on. */
    struct call *calls[] = {publish(a, "r0", "y"), publish(a, "two more", "x"), publish(a, "r1", "y")};
    assert_int_equal(result_of(calls[0]), BROKER_OK);
    assert_int_equal(result_of(calls[1]), BROKER_FULL_ROOMS);
    assert_int_equal(result_of(calls[2]), BROKER_OK);
    assert_int_equal(read_all(a, "r0")->page.count, 2);
    assert_int_equal(read_all(a, "two more")->page.count, 0);
    struct broker_publish passing = {.room = SPAN_LIT("two more"), .body = SPAN_LIT("x")};
    assert_int_equal(result_of(publish_with(a, &passing, NOT_LOGGED)), BROKER_OK);
}

static void whoever_fills_the_store_is_refused(void **state)
{
    enum { BYTES = 50000 };
    instances_bounds.store_bytes_max = 4 * BROKER_SHARE_BYTES_MIN;
    struct instance *a = instance_up("A");
    char *body = mem_zero(1, BYTES);
    struct broker_publish large = {.room = SPAN_LIT("large"), .body = span_of(body, BYTES)};
    assert_int_equal(result_of(publish(a, "small", "x")), BROKER_OK);
    int accepted = 0;
    while (accepted < 10 && result_of(publish_with(a, &large, NULL)) == BROKER_OK)
        accepted++;
    assert_in_range(accepted, 4, 5);
    assert_int_equal(result_of(publish_with(a, &large, NULL)), BROKER_FULL);
    for (int i = 0; i < 20; i++)
        assert_int_equal(result_of(publish(a, "small", "x")), BROKER_OK);
    assert_int_equal(read_all(a, "small")->page.count, 21);
    assert_int_equal(read_all(a, "large")->page.count, (size_t)accepted);
    free(body);
}

/* A name that is refused is not taken for known when it comes again. */
static void what_was_refused_may_come_again(void **state)
{
    instances_bounds.rooms_max = 1;
    struct instance *a = instance_up("A");
    struct broker_publish named = {.room = SPAN_LIT("r"), .body = SPAN_LIT("x"), .id = SPAN_LIT("name")};
    struct broker_publish other = {.room = SPAN_LIT("s"), .body = SPAN_LIT("x"), .id = SPAN_LIT("name")};
    assert_int_equal(result_of(publish_with(a, &named, NULL)), BROKER_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(result_of(publish_with(a, &other, NULL)), BROKER_FULL_ROOMS);
    assert_int_equal(result_of(publish_with(a, &named, NULL)), BROKER_OK);
    assert_int_equal(read_all(a, "r")->page.count, 1);
}

static void names_are_bounded_by_their_room(void **state)
{
    enum { COUNT = 1400 };
    const struct broker_retention few = {.entries_max = 5, .bytes_max = 1 << 20, .age_ms_max = 3600000};
    struct instance *a = instance_up("A");
    struct call *last = NULL;
    char name[16];
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "%d", i);
        struct broker_publish named = {.room = SPAN_LIT("r"), .body = SPAN_LIT("x"), .id = span_str(name)};
        last = publish_with(a, &named, &few);
        if (i % 100 == 99)
            AWAIT_ANSWER(last);
    }
    AWAIT_ANSWER(last);
    uint64_t newest = read_all(a, "r")->page.last;
    /* The last ones are known, the first one is not any more. */
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "%d", i == 0 ? COUNT - BROKER_NAMES_MIN / 2 : 0);
        struct broker_publish named = {.room = SPAN_LIT("r"), .body = SPAN_LIT("x"), .id = span_str(name)};
        assert_int_equal(result_of(publish_with(a, &named, &few)), BROKER_OK);
        assert_int_equal(read_all(a, "r")->page.last, newest + (uint64_t)i);
    }
}

/* Many entries of a byte, and their names, take much more than their bytes. */
static void small_entries_and_names_are_weighed(void **state)
{
    enum { COUNT = 2000 };
    instances_bounds.store_bytes_max = 4 * BROKER_SHARE_BYTES_MIN;
    struct instance *a = instance_up("A");
    struct call *calls[COUNT];
    char name[16];
    publish_now(a, "small", "x");
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "%d", i);
        struct broker_publish named = {.room = SPAN_LIT("r"), .body = SPAN_LIT("x"), .id = span_str(name)};
        calls[i] = publish_with(a, &named, NULL);
        if (i % 100 == 99)
            AWAIT_ANSWER(calls[i]);
    }
    int accepted = 0;
    for (int i = 0; i < COUNT; i++)
        accepted += result_of(calls[i]) == BROKER_OK;
    assert_in_range(accepted, 1000, 1500);
    assert_int_equal(result_of(calls[COUNT - 1]), BROKER_FULL);
    assert_int_equal(result_of(publish(a, "small", "x")), BROKER_OK);
}

static void a_page_says_when_it_was_read(void **state)
{
    struct instance *a = instance_up("A");
    publish_now(a, "r", "x");
    publish_now(a, "s", "x");
    struct call *page = read_range(a, SPAN_LIT("r"), &(struct broker_range){.limit = 1});
    AWAIT_ANSWER(page);
    assert_int_equal(page->page.last, 1);
    assert_int_equal(page->page.position, 2);
    page = read_range(a, SPAN_LIT("never"), &(struct broker_range){.limit = 1});
    AWAIT_ANSWER(page);
    assert_int_equal(page->page.last, 0);
    assert_int_equal(page->page.position, 2);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BROKER_TEST(rooms_are_bounded),
        BROKER_TEST(whoever_fills_the_store_is_refused),
        BROKER_TEST(what_was_refused_may_come_again),
        BROKER_TEST(names_are_bounded_by_their_room),
        BROKER_TEST(small_entries_and_names_are_weighed),
        BROKER_TEST(a_page_says_when_it_was_read),
    };
    return instances_main(argc, argv, "broker/bounds", tests, sizeof tests / sizeof tests[0], NULL);
}
