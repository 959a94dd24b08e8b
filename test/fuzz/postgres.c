/* postgres: fields of rows as an instance reads them from a server that may be anybody's: what SQL has packed, arrays,
 * numbers; and the text of a URL. What is taken lies in the field. */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "broker/postgres_url.h"
#include "broker/postgres_value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { ELEMENTS_MAX = 16 };

static bool lies_in(struct span part, struct span whole)
{
    return part.len == 0 || (part.data >= whole.data && part.data + part.len <= whole.data + whole.len);
}

static void pack_try(struct span field)
{
    struct pg_pack pack = {.rest = field};
    while (pack.rest.len > 0 && !pack.bad) {
        size_t before = pack.rest.len;
        uint64_t number = pg_pack_number(&pack);
        struct span bytes = pg_pack_bytes(&pack);
        assert(number <= INT64_MAX && lies_in(bytes, field) && pack.rest.len < before);
        assert(!pack.bad || pack.rest.len == 0 || bytes.len == 0);
    }
}

static void row_try(struct span field)
{
    PGresAttDesc column = {.name = (char[]){"a"}, .format = 1};
    struct span elements[ELEMENTS_MAX];
    PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    bool ok = result != NULL && PQsetResultAttrs(result, 1, &column) &&
              PQsetvalue(result, 0, 0, (char *)(uintptr_t)field.data, (int)field.len) &&
              PQsetvalue(result, 1, 0, NULL, -1);
    assert(ok);
    for (int row = 0; row < 2; row++) {
        struct span bytes = pg_bytes(result, row, 0);
        size_t count = pg_elements(result, row, 0, elements, ELEMENTS_MAX);
        assert(bytes.len == (row == 0 ? field.len : 0) && count <= ELEMENTS_MAX);
        for (size_t i = 0; i < count; i++)
            assert(lies_in(elements[i], bytes));
        assert(pg_number(result, row, 0) <= INT64_MAX);
        pg_flag(result, row, 0);
        pg_is(result, row, 0, "a");
    }
    PQclear(result);
}

/* An array that we write is read again by the same rules. */
static void array_try(struct span rest)
{
    struct pg_args args = {0};
    struct span part, parts[ELEMENTS_MAX];
    uint32_t count = 0;
    while (count < ELEMENTS_MAX && span_next(&rest, '\0', &part))
        parts[count++] = part;
    pg_array_begin(&args, PG_BYTEAS, count);
    for (uint32_t i = 0; i < count; i++)
        pg_array_bytes(&args, parts[i]);
    pg_array_end(&args);
    PGresAttDesc column = {.name = (char[]){"a"}, .format = 1};
    struct span again[ELEMENTS_MAX];
    PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    bool ok = result != NULL && PQsetResultAttrs(result, 1, &column) &&
              PQsetvalue(result, 0, 0, args.bytes.data + args.at[0], (int)args.len[0]);
    assert(ok && pg_elements(result, 0, 0, again, ELEMENTS_MAX) == count);
    for (uint32_t i = 0; i < count; i++)
        assert(span_equal(parts[i], again[i]));
    PQclear(result);
    pg_args_finish(&args);
}

static void url_try(struct span bytes)
{
    char *text = mem_text(bytes);
    struct postgres_url url = {0};
    struct err err = {{0}};
    if (postgres_url_parse(&url, text, &err)) {
        assert(url.place_count >= 1 && url.place_count <= POSTGRES_HOSTS_MAX);
        assert(url.option_count <= POSTGRES_OPTIONS_MAX && url.poll_ms >= 10 && url.poll_ms <= 10000);
    } else {
        assert(err.text[0] != '\0' && strchr(err.text, '\n') == NULL);
    }
    postgres_url_finish(&url);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span field = span_of(data, len);
    pack_try(field);
    row_try(field);
    array_try(field);
    url_try(field);
    return 0;
}
