/* test_once: instances that see the same messages and marks in the same order give the same names, whenever they began;
 * and two equal messages get two names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bridge/once.h"

static const uint64_t seed[2] = {1, 2};

/* The name of the next message, in a static text; NULL: none. */
static const char *name_of(struct once *once, const char *message)
{
    static char texts[4][256];
    static int next;
    struct buf name = {0};
    char *text = texts[next++ % 4];
    bool named = once_name(once, span_str(message), &name);
    snprintf(text, sizeof texts[0], SPAN_FMT, SPAN_ARG(buf_span(&name)));
    assert_int_equal(named, name.len > 0);
    buf_finish(&name);
    return named ? text : NULL;
}

static void equal_messages_get_two_names(void **state)
{
    struct once once;
    (void)state;
    once_init(&once, seed);
    once_mark(&once, SPAN_LIT("m1"));
    const char *first = name_of(&once, "hi"), *second = name_of(&once, "hi"), *other = name_of(&once, "ho");
    assert_string_not_equal(first, second);
    assert_string_not_equal(first, other);
    once_mark(&once, SPAN_LIT("m2"));
    assert_string_not_equal(first, name_of(&once, "hi"));
    once_finish(&once);
}

static void instances_agree(void **state)
{
    struct once old, fresh;
    (void)state;
    once_init(&old, seed);
    once_init(&fresh, (uint64_t[]){3, 4});
    once_mark(&old, SPAN_LIT("m1"));
    name_of(&old, "hi");
    name_of(&old, "hi");
    /* The fresh one subscribes: it names nothing before its own mark, which all see. */
    assert_null(name_of(&fresh, "hi"));
    name_of(&old, "hi");
    once_mark(&old, SPAN_LIT("m2"));
    once_mark(&fresh, SPAN_LIT("m2"));
    for (int i = 0; i < 10; i++) {
        const char *message = i % 3 == 0 ? "hi" : "ho";
        assert_string_equal(name_of(&old, message), name_of(&fresh, message));
    }
    once_forget(&fresh);
    assert_null(name_of(&fresh, "hi"));
    once_finish(&old);
    once_finish(&fresh);
}

static void the_count_has_a_bound(void **state)
{
    struct once once;
    char text[32];
    (void)state;
    once_init(&once, seed);
    once_mark(&once, SPAN_LIT("m1"));
    for (int i = 0; i < ONCE_DIGESTS_MAX; i++) {
        assert_int_equal(once_is_full(&once), i >= ONCE_DIGESTS_FULL);
        snprintf(text, sizeof text, "message %d", i);
        assert_non_null(name_of(&once, text));
    }
    assert_null(name_of(&once, "one more"));
    assert_non_null(name_of(&once, "message 7"));
    once_mark(&once, SPAN_LIT("m2"));
    assert_false(once_is_full(&once));
    assert_non_null(name_of(&once, "one more"));
    once_finish(&once);
}

static void strange_marks_are_ignored(void **state)
{
    struct once once;
    char mark[ONCE_MARK_BYTES_MAX + 1] = "";
    (void)state;
    once_init(&once, seed);
    memset(mark, 'm', sizeof mark);
    once_mark(&once, SPAN_LIT(""));
    once_mark(&once, span_of(mark, sizeof mark));
    assert_null(name_of(&once, "hi"));
    once_mark(&once, span_of(mark, sizeof mark - 1));
    assert_non_null(name_of(&once, "hi"));
    once_finish(&once);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_messages_get_two_names),
        cmocka_unit_test(instances_agree),
        cmocka_unit_test(the_count_has_a_bound),
        cmocka_unit_test(strange_marks_are_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
