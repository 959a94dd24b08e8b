/* resp: decodes replies with hiredis' reader. Its callbacks build each reply in an arena that the next one reuses.
 * Arrays grow as their items arrive, never to an announced length, and announced lengths are checked as soon as they
 * are read. So memory follows the bytes received. */
#include "wire/resp.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "wire/resp_hiredis.h"

enum {
    CHUNK_BYTES = 16384,   /* the arena grows by this, or by one larger text */
    HEADER_BYTES_MAX = 32, /* of "$N", "*N" and ":N" with their line end */
    ITEMS_FIRST = 16,      /* room an array starts with; it doubles from there */
};

struct chunk {
    struct chunk *next;
    size_t used, cap;
    max_align_t bytes[];
};

struct resp_reader {
    redisReader *reader;
    struct chunk *chunks; /* the one in use first; the last is kept from reply to reply */
    uint32_t bulk_bytes_max;
    size_t items, bytes; /* of the reply under way: items that came or were announced, and text */
    bool given;          /* the reply in the arena was handed out */
    bool refused;        /* a bound was passed */
};

static void *arena_take(struct resp_reader *reader, size_t size)
{
    struct chunk *chunk = reader->chunks;
    size = (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    if (chunk == NULL || chunk->cap - chunk->used < size) {
        size_t cap = size > CHUNK_BYTES ? size : CHUNK_BYTES;
        chunk = mem_alloc(sizeof *chunk + cap);
        *chunk = (struct chunk){.next = reader->chunks, .cap = cap};
        reader->chunks = chunk;
    }
    void *at = (char *)chunk->bytes + chunk->used;
    chunk->used += size;
    return at;
}

/* Empties the arena, down to one chunk of the usual size. */
static void arena_reset(struct resp_reader *reader)
{
    struct chunk *chunk = reader->chunks, *kept = NULL;
    while (chunk != NULL) {
        struct chunk *next = chunk->next;
        if (kept == NULL && chunk->cap == CHUNK_BYTES)
            kept = chunk;
        else
            free(chunk);
        chunk = next;
    }
    if (kept != NULL) {
        kept->next = NULL;
        kept->used = 0;
    }
    reader->chunks = kept;
    reader->items = 0;
    reader->bytes = 0;
}

static void *refuse(struct resp_reader *reader)
{
    reader->refused = true;
    return NULL; /* which ends hiredis' parsing */
}

/* The place of a new item: the next of its array, or the reply itself. An array that is full moves to twice the room;
 * no pointer into it exists then, since its earlier items are complete. */
static struct resp *item_place(const redisReadTask *task, enum resp_type type)
{
    struct resp_reader *reader = task->privdata;
    struct resp *item;
    if (task->parent == NULL) {
        item = arena_take(reader, sizeof *item);
    } else {
        struct resp *array = task->parent->obj;
        size_t count = array->item_count, announced = (size_t)task->parent->elements;
        assert(count < announced);
        bool full = count == 0 || (count >= ITEMS_FIRST && (count & (count - 1)) == 0);
        if (full) {
            size_t cap = count == 0 ? ITEMS_FIRST : 2 * count;
            struct resp *items = arena_take(reader, (cap < announced ? cap : announced) * sizeof *items);
            if (count != 0)
                memcpy(items, array->items, count * sizeof *items);
            array->items = items;
        }
        item = (struct resp *)&array->items[array->item_count++];
    }
    *item = (struct resp){.type = type};
    return item;
}

static void *string_create(const redisReadTask *task, char *bytes, size_t len)
{
    struct resp_reader *reader = task->privdata;
    if (task->type != REDIS_REPLY_ERROR && task->type != REDIS_REPLY_STATUS && task->type != REDIS_REPLY_STRING)
        return refuse(reader);
    enum resp_type type = task->type == REDIS_REPLY_ERROR    ? RESP_ERROR
                          : task->type == REDIS_REPLY_STATUS ? RESP_STATUS
                                                             : RESP_STRING;
    size_t max = type == RESP_STRING ? reader->bulk_bytes_max : RESP_LINE_BYTES_MAX;
    if (len > max || len > RESP_REPLY_BYTES_MAX - reader->bytes)
        return refuse(reader);
    reader->bytes += len;
    struct resp *item = item_place(task, type);
    char *text = arena_take(reader, len + 1);
    memcpy(text, bytes, len);
    text[len] = '\0';
    item->text = span_of(text, len);
    return item;
}

static void *array_create(const redisReadTask *task, hiredis_count count)
{
    struct resp_reader *reader = task->privdata;
    int depth = 1;
    for (const redisReadTask *above = task->parent; above != NULL; above = above->parent)
        depth++;
    if (task->type != REDIS_REPLY_ARRAY || (long long)count < 0 || depth > RESP_DEPTH_MAX ||
        (size_t)count >= RESP_ITEMS_MAX - reader->items)
        return refuse(reader);
    reader->items += (size_t)count;
    return item_place(task, RESP_ARRAY);
}

static void *integer_create(const redisReadTask *task, long long value)
{
    struct resp *item = item_place(task, RESP_INTEGER);
    item->integer = value;
    return item;
}

static void *nil_create(const redisReadTask *task)
{
    /* Of a text or an array that is none; later parsers also know RESP3's own null, as a type of its own. */
    if (task->type == REDIS_REPLY_NIL)
        return NULL;
    return item_place(task, RESP_NIL);
}

/* The arena owns everything. */
static void object_free(void *object)
{
}

struct resp_reader *resp_reader_create(uint32_t bulk_bytes_max)
{
    /* hiredis takes a pointer to a table that is not const, but only reads it. */
    static const redisReplyObjectFunctions functions = {
        .createString = string_create,
        .createArray = array_create,
        .createInteger = integer_create,
        .createNil = nil_create,
        HIREDIS_REST(object_free),
    };
    struct resp_reader *reader = mem_zero(1, sizeof *reader);
    reader->reader = redisReaderCreateWithFunctions((redisReplyObjectFunctions *)&functions);
    assert(reader->reader != NULL);
    reader->reader->privdata = reader;
    reader->bulk_bytes_max = bulk_bytes_max < RESP_REPLY_BYTES_MAX ? bulk_bytes_max : RESP_REPLY_BYTES_MAX;
    return reader;
}

void resp_reader_destroy(struct resp_reader *reader)
{
    if (reader == NULL)
        return;
    redisReaderFree(reader->reader);
    arena_reset(reader);
    free(reader->chunks);
    free(reader);
}

bool resp_feed(struct resp_reader *reader, struct span bytes)
{
    const redisReader *in = reader->reader;
    if (reader->refused || in->len - in->pos + bytes.len > (size_t)reader->bulk_bytes_max + RESP_FEED_BYTES_MAX)
        reader->refused = true;
    else if (bytes.len != 0 && redisReaderFeed(reader->reader, bytes.data, bytes.len) != REDIS_OK)
        reader->refused = true;
    return !reader->refused;
}

/* hiredis waits for the rest of an item. True if that item keeps the bounds. Its type has been read; behind it stands a
 * line, or a bulk whose length is known before its bytes arrive. */
static bool awaited_is_bounded(const redisReader *in)
{
    struct resp_reader *reader = in->privdata;
    int type = hiredis_type_awaited(in);
    struct span unread = span_of(in->buf + in->pos, in->len - in->pos), line;
    uint64_t announced;
    if (type < 0)
        return true;
    if (type == REDIS_REPLY_STATUS || type == REDIS_REPLY_ERROR)
        return unread.len <= RESP_LINE_BYTES_MAX + 1; /* its line end may be cut */
    struct span header = span_sub(unread, 0, HEADER_BYTES_MAX);
    ptrdiff_t end = span_find(header, '\r');
    if (end < 0)
        return unread.len < HEADER_BYTES_MAX;
    if (type != REDIS_REPLY_STRING)
        return true;
    line = span_sub(header, 0, (size_t)end);
    return !span_to_u64(line, &announced) || announced <= reader->bulk_bytes_max;
}

int resp_next(struct resp_reader *reader, const struct resp **reply)
{
    void *object = NULL;
    if (reader->given)
        arena_reset(reader);
    reader->given = false;
    if (reader->refused)
        return -1;
    if (redisReaderGetReply(reader->reader, &object) != REDIS_OK ||
        (object == NULL && !awaited_is_bounded(reader->reader)))
        reader->refused = true;
    if (reader->refused)
        return -1;
    if (object == NULL)
        return 0;
    reader->given = true;
    *reply = object;
    return 1;
}

void resp_command_encode(struct buf *to, const struct span *args, size_t count)
{
    buf_append_char(to, '*');
    buf_append_u64(to, count);
    buf_append(to, SPAN_LIT("\r\n"));
    for (size_t i = 0; i < count; i++) {
        buf_append_char(to, '$');
        buf_append_u64(to, args[i].len);
        buf_append(to, SPAN_LIT("\r\n"));
        buf_append(to, args[i]);
        buf_append(to, SPAN_LIT("\r\n"));
    }
}
