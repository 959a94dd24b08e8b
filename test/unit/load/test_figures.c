/* test_figures: percentiles against sorted values, within the bound that histogram.h states; and the process door. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "load/histogram.h"
#include "loop/process.h"

static struct histogram histogram;

static int compare(const void *a, const void *b)
{
    uint64_t one = *(const uint64_t *)a, two = *(const uint64_t *)b;
    return one < two ? -1 : one > two;
}

/* Never below the true value, and less than 0.8 % above it. */
static void assert_permilles(uint64_t *values, size_t count)
{
    static const uint32_t permilles[] = {1, 10, 250, 500, 900, 990, 999, 1000};
    histogram = (struct histogram){0};
    for (size_t i = 0; i < count; i++)
        histogram_add(&histogram, values[i]);
    qsort(values, count, sizeof *values, compare);
    for (size_t i = 0; i < sizeof permilles / sizeof permilles[0]; i++) {
        size_t rank = (count * permilles[i] + 999) / 1000;
        uint64_t truth = values[rank - 1], told = histogram_permille(&histogram, permilles[i]);
        assert_true(told >= truth);
        assert_true((double)told <= (double)truth * 1.008);
    }
    assert_int_equal(histogram_permille(&histogram, 1000), values[count - 1]);
}

static void test_percentiles(void **state)
{
    enum { COUNT = 20000 };
    uint64_t *values = mem_zero(COUNT, sizeof *values);
    srand(3);
    for (int spread = 4; spread <= 34; spread += 3) {
        for (int i = 0; i < COUNT; i++)
            values[i] = ((uint64_t)rand() << 20 ^ (uint64_t)rand()) & ((UINT64_C(1) << (1 + rand() % spread)) - 1);
        assert_permilles(values, COUNT);
    }
    uint64_t few[] = {7, 3, 5};
    assert_permilles(few, 3);
    assert_int_equal(histogram_permille(&histogram, 500), 5);
    free(values);
}

static void test_every_value_is_in_one_bucket(void **state)
{
    uint32_t last = 0;
    for (uint64_t value = 0; value < 1 << 20; value++) {
        uint32_t bucket = histogram_bucket(value);
        assert_true(bucket == last || bucket == last + 1);
        last = bucket;
    }
    assert_int_equal(histogram_bucket((UINT64_C(1) << HISTOGRAM_VALUE_LOG2_MAX) - 1), HISTOGRAM_BUCKETS - 1);
    assert_int_equal(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

static void test_between(void **state)
{
    histogram = (struct histogram){0};
    assert_int_equal(histogram_permille(&histogram, 500), 0);
    for (uint64_t value = 0; value < 4096; value++)
        histogram_add(&histogram, value);
    assert_int_equal(histogram_between(&histogram, 0, 128), 128);
    assert_int_equal(histogram_between(&histogram, 1024, 1536), 512);
    assert_int_equal(histogram_between(&histogram, 1536, 2048), 512);
    assert_int_equal(histogram_between(&histogram, 4096, 8192), 0);
}

static void test_process(void **state)
{
    struct err err;
    struct process_memory before, after;
    uint64_t cpu_us, later_us;
    assert_true(process_cpu_read(0, &cpu_us, &err));
    assert_true(process_memory_read(0, &before, &err));
    enum { BYTES = 32 << 20 };
    char *block = mem_alloc(BYTES);
    for (size_t i = 0; i < BYTES; i += 64)
        block[i] = (char)i;
    assert_true(process_memory_read(0, &after, &err));
    assert_true(after.resident >= before.resident + BYTES * 9 / 10);
    if (after.whole)
        assert_true(after.anonymous >= before.anonymous + BYTES * 9 / 10);
    assert_true(process_cpu_read(0, &later_us, &err));
    assert_true(later_us > cpu_us);
    free(block);
    assert_false(process_cpu_read(0x3fffffff, &cpu_us, &err));
    assert_false(process_memory_read(0x3fffffff, &after, &err));
    assert_true(process_files_allow(64) >= 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_percentiles),
        cmocka_unit_test(test_every_value_is_in_one_bucket),
        cmocka_unit_test(test_between),
        cmocka_unit_test(test_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
