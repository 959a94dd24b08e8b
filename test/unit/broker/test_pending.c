/* test_pending: calls answered by number, in their order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/pending.h"

static void test_an_answer_takes_all_up_to_its_number(void **state)
{
    struct pending pending;
    struct pending_call calls[3];
    pending_init(&pending, 7);
    assert_null(pending_take(&pending, UINT64_MAX));
    assert_int_equal(pending_add(&pending, &calls[0]), 8);
    assert_int_equal(pending_number_next(&pending), 9);
    assert_int_equal(pending_add(&pending, &calls[1]), 10);
    assert_int_equal(pending_add(&pending, &calls[2]), 11);
    assert_null(pending_take(&pending, 7));
    assert_ptr_equal(pending_take(&pending, 10), &calls[0]);
    assert_ptr_equal(pending_take(&pending, 10), &calls[1]);
    assert_null(pending_take(&pending, 10));
    assert_ptr_equal(pending_take(&pending, UINT64_MAX), &calls[2]);
    assert_null(pending_take(&pending, UINT64_MAX));
}

static void test_a_number_that_was_not_given(void **state)
{
    struct pending pending;
    pending_init(&pending, 7);
    assert_true(pending_knows(&pending, 7));
    assert_false(pending_knows(&pending, 8));
    pending_number_next(&pending);
    assert_true(pending_knows(&pending, 8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_answer_takes_all_up_to_its_number),
        cmocka_unit_test(test_a_number_that_was_not_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
