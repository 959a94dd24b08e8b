/* fake_redis_table: names with values, found by hash and listed in the order in which they came: hashes, and sets. */
#include <stdlib.h>

#include "base/mem.h"
#include "fake_redis_parts.h"

struct fake_table *fake_table_create(void)
{
    struct fake_table *table = mem_zero(1, sizeof *table);
    fake_map_init(&table->by_name);
    list_init(&table->fields);
    return table;
}

static void field_destroy(struct fake_table *table, struct fake_field *field)
{
    map_remove(&table->by_name, &field->by_name);
    list_remove(&field->node);
    buf_finish(&field->value);
    free(field);
}

void fake_table_destroy(struct fake_table *table)
{
    list_each (node, &table->fields) {
        field_destroy(table, container_of(node, struct fake_field, node));
    }
    map_finish(&table->by_name);
    free(table);
}

struct fake_table *fake_table_copy(const struct fake_table *table)
{
    struct fake_table *copy = fake_table_create();
    list_each (node, (struct list *)&table->fields) {
        const struct fake_field *field = container_of(node, struct fake_field, node);
        fake_table_put(copy, fake_field_name(field), buf_span(&field->value));
    }
    return copy;
}

struct fake_field *fake_table_find(const struct fake_table *table, struct span name)
{
    struct map_node *node = map_find(&table->by_name, name);
    return node != NULL ? container_of(node, struct fake_field, by_name) : NULL;
}

bool fake_table_put(struct fake_table *table, struct span name, struct span value)
{
    struct fake_field *field = fake_table_find(table, name);
    bool is_new = field == NULL;
    if (is_new) {
        field = mem_zero(1, sizeof *field + name.len + 1);
        memcpy(field->name, name.len != 0 ? name.data : "", name.len);
        list_init(&field->node);
        list_append(&table->fields, &field->node);
        map_add(&table->by_name, &field->by_name, span_of(field->name, name.len));
    }
    buf_clear(&field->value);
    buf_append(&field->value, value);
    return is_new;
}

bool fake_table_remove(struct fake_table *table, struct span name)
{
    struct fake_field *field = fake_table_find(table, name);
    if (field != NULL)
        field_destroy(table, field);
    return field != NULL;
}
