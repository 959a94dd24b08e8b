/* test_containers: list and map, the map against a dumb array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"

struct item {
    struct list node;
    struct map_node by_name;
    char name[16];
    bool in;
};

static void a_list_keeps_order(void **state)
{
    struct list head;
    struct item items[3];
    list_init(&head);
    assert_true(list_empty(&head) && list_take(&head) == NULL);
    for (int i = 0; i < 3; i++) {
        list_init(&items[i].node);
        list_append(&head, &items[i].node);
    }
    list_remove(&items[1].node);
    list_remove(&items[1].node); /* harmless */
    list_prepend(&head, &items[1].node);
    int order[3], n = 0;
    list_each (node, &head) {
        order[n++] = (int)(container_of(node, struct item, node) - items);
        list_remove(node);
    }
    assert_int_equal(n, 3);
    assert_true(order[0] == 1 && order[1] == 0 && order[2] == 2 && list_empty(&head));
}

static void a_map_agrees_with_an_array(void **state)
{
    enum { ITEMS = 2000, STEPS = 40000 };
    struct item *items = mem_zero(ITEMS, sizeof *items);
    struct map map;
    size_t count = 0;
    const uint64_t seed[2] = {1, 2};
    map_init(&map, seed);
    srand(7);
    for (int i = 0; i < ITEMS; i++)
        snprintf(items[i].name, sizeof items[i].name, "item-%d", i);
    for (int step = 0; step < STEPS; step++) {
        struct item *item = &items[rand() % ITEMS];
        struct map_node *found = map_find(&map, span_str(item->name));
        assert_true((found != NULL) == item->in && (found == NULL || found == &item->by_name));
        if (item->in)
            map_remove(&map, &item->by_name);
        else
            map_add(&map, &item->by_name, span_str(item->name));
        count = item->in ? count - 1 : count + 1;
        item->in = !item->in;
        assert_int_equal(map.count, count);
    }
    size_t walked = 0;
    for (struct map_node *node = map_next(&map, NULL); node != NULL; node = map_next(&map, node))
        walked += container_of(node, struct item, by_name)->in;
    assert_int_equal(walked, count);
    map_finish(&map);
    map_finish(NULL);
    free(items);
}

/* SipHash depends on its seed, and on every byte. */
static void hashes_differ(void **state)
{
    const uint64_t one[2] = {1, 2}, other[2] = {1, 3};
    assert_true(map_hash(one, SPAN_LIT("abcdefgh1")) != map_hash(one, SPAN_LIT("abcdefgh2")));
    assert_true(map_hash(one, SPAN_LIT("abcdefgh")) != map_hash(other, SPAN_LIT("abcdefgh")));
    assert_true(map_hash(one, SPAN_LIT("a")) != map_hash(one, span_of("a\0", 2)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_keeps_order),
        cmocka_unit_test(a_map_agrees_with_an_array),
        cmocka_unit_test(hashes_differ),
    };
    return cmocka_run_group_tests_name("base/containers", tests, NULL, NULL);
}
