/* postgres_value: see postgres_value.h. The format of an array: number of dimensions, whether it may hold NULLs, type
 * of the elements, their number and the first index, then each element behind its length. */
#include "broker/postgres_value.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

static void put_u32(struct buf *to, uint32_t number)
{
    uint32_t big = htobe32(number);
    buf_append(to, span_of((const char *)&big, sizeof big));
}

static void put_u64(struct buf *to, uint64_t number)
{
    uint64_t big = htobe64(number <= INT64_MAX ? number : INT64_MAX);
    buf_append(to, span_of((const char *)&big, sizeof big));
}

static void begin(struct pg_args *args)
{
    assert(args->count < PG_ARGS_MAX);
    args->at[args->count] = args->bytes.len;
}

static void end(struct pg_args *args)
{
    args->len[args->count] = args->bytes.len - args->at[args->count];
    args->count++;
}

void pg_add_bytes(struct pg_args *args, struct span bytes)
{
    begin(args);
    buf_append(&args->bytes, bytes);
    end(args);
}

void pg_add_text(struct pg_args *args, const char *text)
{
    pg_add_bytes(args, span_str(text));
}

void pg_add_big(struct pg_args *args, uint64_t number)
{
    begin(args);
    put_u64(&args->bytes, number);
    end(args);
}

void pg_add_int(struct pg_args *args, uint32_t number)
{
    begin(args);
    put_u32(&args->bytes, number);
    end(args);
}

void pg_add_bool(struct pg_args *args, bool yes)
{
    begin(args);
    buf_append_char(&args->bytes, yes);
    end(args);
}

void pg_add_null(struct pg_args *args)
{
    begin(args);
    args->is_null[args->count] = true;
    end(args);
}

void pg_array_begin(struct pg_args *args, enum pg_array of, uint32_t count)
{
    static const uint32_t types[] = {[PG_BYTEAS] = 17, [PG_BIGS] = 20, [PG_INTS] = 23};
    begin(args);
    put_u32(&args->bytes, count > 0);
    put_u32(&args->bytes, 0);
    put_u32(&args->bytes, types[of]);
    if (count == 0)
        return;
    put_u32(&args->bytes, count);
    put_u32(&args->bytes, 1);
}

void pg_array_bytes(struct pg_args *args, struct span bytes)
{
    put_u32(&args->bytes, (uint32_t)bytes.len);
    buf_append(&args->bytes, bytes);
}

void pg_array_big(struct pg_args *args, uint64_t number)
{
    put_u32(&args->bytes, sizeof number);
    put_u64(&args->bytes, number);
}

void pg_array_int(struct pg_args *args, uint32_t number)
{
    put_u32(&args->bytes, sizeof number);
    put_u32(&args->bytes, number);
}

void pg_array_end(struct pg_args *args)
{
    end(args);
}

void pg_args_finish(struct pg_args *args)
{
    buf_finish(&args->bytes);
    args->count = 0;
}

struct span pg_bytes(const PGresult *result, int row, int column)
{
    return span_of(PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column));
}

size_t pg_elements(const PGresult *result, int row, int column, struct span *to, size_t max)
{
    enum { HEAD_BYTES = 20, LEN_BYTES = 4 };
    struct span array = pg_bytes(result, row, column);
    size_t count = 0;
    array = array.len >= HEAD_BYTES ? span_from(array, HEAD_BYTES) : SPAN_LIT("");
    while (array.len >= LEN_BYTES && count < max) {
        uint64_t len = pg_number_of(span_sub(array, 0, LEN_BYTES));
        array = span_from(array, LEN_BYTES);
        if (len > array.len)
            break;
        to[count++] = span_sub(array, 0, len);
        array = span_from(array, len);
    }
    return count;
}

uint64_t pg_number(const PGresult *result, int row, int column)
{
    return pg_number_of(pg_bytes(result, row, column));
}

uint64_t pg_number_of(struct span field)
{
    uint64_t big = 0;
    uint32_t small = 0;
    if (field.len == sizeof big) {
        memcpy(&big, field.data, sizeof big);
        big = be64toh(big);
        return big <= INT64_MAX ? big : 0;
    }
    if (field.len != sizeof small)
        return 0;
    memcpy(&small, field.data, sizeof small);
    small = be32toh(small);
    return small <= INT32_MAX ? small : 0;
}

static struct span pack_take(struct pg_pack *pack, size_t len)
{
    struct span taken = span_sub(pack->rest, 0, len);
    pack->bad |= taken.len < len;
    pack->rest = span_from(pack->rest, taken.len);
    return taken;
}

uint64_t pg_pack_number(struct pg_pack *pack)
{
    return pg_number_of(pack_take(pack, 8));
}

struct span pg_pack_bytes(struct pg_pack *pack)
{
    return pack_take(pack, pg_number_of(pack_take(pack, 4)));
}

bool pg_flag(const PGresult *result, int row, int column)
{
    struct span field = pg_bytes(result, row, column);
    return field.len == 1 && field.data[0] != 0;
}

bool pg_is(const PGresult *result, int row, int column, const char *text)
{
    return span_equal(pg_bytes(result, row, column), span_str(text));
}
