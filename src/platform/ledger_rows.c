/* ledger_rows: the sums of a ledger's lines by service and day. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "platform/ledger.h"
#include "wire/json.h"

#define TIME_MS_MAX 253402300799999 /* the last moment of the year 9999 */

struct parsed {
    char *service;
    int64_t day;
    int kind;
    struct used used;
};

static bool number(struct span line, const char *name, uint64_t *value)
{
    return span_to_u64(json_object_get(line, span_str(name)), value);
}

static int kind_of(struct span value)
{
    for (int i = 0; i < METER_KINDS; i++)
        if (value.data != NULL && json_type(value) == JSON_STRING &&
            json_string_equal(value, span_str(meter_kind_name((enum meter_kind)i))))
            return i;
    return -1;
}

/* The caller frees the name, also if it is false. */
static bool line_parse(struct parsed *parsed, struct span line)
{
    struct buf name = {0};
    uint64_t time_ms;
    *parsed = (struct parsed){.kind = -1};
    line = json_trim(line);
    if (!json_is_valid(line) || json_type(line) != JSON_OBJECT)
        return false;
    struct span service = json_object_get(line, SPAN_LIT("service"));
    if (service.data != NULL && json_string_decode(service, &name))
        parsed->service = mem_text(buf_span(&name));
    buf_finish(&name);
    parsed->kind = kind_of(json_object_get(line, SPAN_LIT("kind")));
    if (parsed->service == NULL || parsed->kind < 0 || !number(line, "time_ms", &time_ms) || time_ms > TIME_MS_MAX)
        return false;
    parsed->day = (int64_t)(time_ms / (uint64_t)LEDGER_DAY_MS);
    return number(line, "ms", &parsed->used.ms) && number(line, "vcpu_us", &parsed->used.vcpu_us) &&
           number(line, "mib_ms", &parsed->used.mib_ms) && number(line, "requests", &parsed->used.requests);
}

/* Lines of one day stand together, so the last rows come first. */
static struct ledger_row *row_get(struct ledger_rows *rows, const char *service, int64_t day)
{
    for (size_t i = rows->count; i > 0; i--)
        if (rows->list[i - 1].day == day && strcmp(rows->list[i - 1].service, service) == 0)
            return &rows->list[i - 1];
    if (rows->count == rows->cap) {
        rows->cap = rows->cap * 2 + 16;
        rows->list = mem_resize(rows->list, rows->cap * sizeof *rows->list);
    }
    struct ledger_row *row = &rows->list[rows->count++];
    *row = (struct ledger_row){.service = mem_text(span_str(service)), .day = day};
    return row;
}

static int compare(const void *a, const void *b)
{
    const struct ledger_row *left = a, *right = b;
    int order = strcmp(left->service, right->service);
    return order != 0 ? order : left->day < right->day ? -1 : left->day > right->day;
}

void ledger_rows_read(struct ledger_rows *rows, struct span text)
{
    struct span line;
    while (text.len > 0 && memchr(text.data, '\n', text.len) != NULL && span_next(&text, '\n', &line)) {
        struct parsed parsed;
        struct usage usage = {0};
        if (line_parse(&parsed, line)) {
            usage.kinds[parsed.kind] = parsed.used;
            usage_sum(&row_get(rows, parsed.service, parsed.day)->usage, &usage);
        } else {
            rows->faulty++;
        }
        free(parsed.service);
    }
    if (rows->count > 0)
        qsort(rows->list, rows->count, sizeof *rows->list, compare);
}

void ledger_rows_finish(struct ledger_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        free(rows->list[i].service);
    free(rows->list);
    *rows = (struct ledger_rows){0};
}
