/* test_pool: objects that are taken and given back at random lie apart and are zeroed, and slabs follow their number.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/pool.h"

enum { OBJECTS = 3000, OBJECT_BYTES = 100, ROUNDS = 20000, SLAB_OBJECTS_MIN = 70 };

static unsigned char *objects[OBJECTS];

static void take(struct pool *pool, int i)
{
    objects[i] = pool_take(pool);
    assert_true((uintptr_t)objects[i] % 8 == 0);
    for (int k = 0; k < OBJECT_BYTES; k++)
        assert_int_equal(objects[i][k], 0);
    memset(objects[i], i % 251 + 1, OBJECT_BYTES);
}

static void give(struct pool *pool, int i)
{
    for (int k = 0; k < OBJECT_BYTES; k++)
        assert_int_equal(objects[i][k], i % 251 + 1);
    pool_give(pool, objects[i]);
    objects[i] = NULL;
}

static void objects_lie_apart(void **state)
{
    struct pool pool;
    size_t count = 0;
    pool_init(&pool, OBJECT_BYTES);
    srand(1);
    for (int round = 0; round < ROUNDS; round++) {
        int i = rand() % OBJECTS;
        if (objects[i] == NULL)
            take(&pool, i);
        else
            give(&pool, i);
        count += objects[i] != NULL ? 1 : (size_t)-1;
        assert_int_equal(pool.count, count);
    }
    for (int i = 0; i < OBJECTS; i++)
        if (objects[i] != NULL)
            give(&pool, i);
    assert_true(pool.slab_count <= 1);
    pool_give(&pool, NULL);
    pool_finish(&pool);
    assert_int_equal(pool.slab_count, 0);
}

/* What is given back is used before new memory is. */
static void slabs_are_bounded(void **state)
{
    struct pool pool;
    pool_init(&pool, OBJECT_BYTES);
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < OBJECTS; i++)
            take(&pool, i);
        assert_true(pool.slab_count <= OBJECTS / SLAB_OBJECTS_MIN);
        for (int i = 0; i < OBJECTS; i += 2)
            give(&pool, i);
        for (int i = 0; i < OBJECTS; i += 2)
            take(&pool, i);
        assert_true(pool.slab_count <= OBJECTS / SLAB_OBJECTS_MIN);
        for (int i = OBJECTS - 1; i >= 0; i--)
            give(&pool, i);
        assert_true(pool.slab_count <= 1);
    }
    pool_finish(&pool);
}

static void zeroed_memory_is_finished(void **state)
{
    struct pool pool = {.count = 0};
    pool_finish(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_lie_apart),
        cmocka_unit_test(slabs_are_bounded),
        cmocka_unit_test(zeroed_memory_is_finished),
    };
    return cmocka_run_group_tests_name("base/pool", tests, NULL, NULL);
}
