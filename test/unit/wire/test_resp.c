/* resp: commands; replies cut in every way; a reply stays valid until the next call; bounds. Replies of every shape are
 * in test/vectors/resp. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "wire/resp.h"

static void feed(struct resp_reader *reader, const char *text)
{
    assert_true(resp_feed(reader, span_str(text)));
}

static void test_command(void **state)
{
    const struct span args[] = {SPAN_LIT("XADD"), SPAN_LIT(""), {"a\r\n\0b", 5}};
    struct buf to = {0};
    resp_command_encode(&to, args, 3);
    assert_true(span_equal(buf_span(&to), SPAN_LIT("*3\r\n$4\r\nXADD\r\n$0\r\n\r\n$5\r\na\r\n\0b\r\n")));
    /* A command is itself a reply that can be read. */
    struct resp_reader *reader = resp_reader_create(5);
    const struct resp *reply;
    assert_true(resp_feed(reader, buf_span(&to)));
    assert_int_equal(resp_next(reader, &reply), 1);
    assert_int_equal(reply->item_count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_true(span_equal(reply->items[i].text, args[i]));
    assert_int_equal(resp_next(reader, &reply), 0);
    resp_reader_destroy(reader);
    buf_finish(&to);
    resp_reader_destroy(NULL);
}

/* A page of a stream, the reply with most nesting that Redis gives us. */
static void page_write(struct buf *to, unsigned entries)
{
    buf_printf(to, "*%u\r\n", entries);
    for (unsigned i = 0; i < entries; i++) {
        struct buf id = {0};
        buf_printf(&id, "%u-%u", 1000 + i, i);
        buf_printf(to, "*2\r\n$%zu\r\n" SPAN_FMT "\r\n*2\r\n$1\r\nk\r\n$%u\r\n", id.len, SPAN_ARG(buf_span(&id)), i);
        for (unsigned j = 0; j < i; j++)
            buf_append_char(to, (char)i);
        buf_append(to, SPAN_LIT("\r\n"));
        buf_finish(&id);
    }
}

static void page_check(const struct resp *page, unsigned entries)
{
    assert_int_equal(page->type, RESP_ARRAY);
    assert_int_equal(page->item_count, entries);
    for (unsigned i = 0; i < entries; i++) {
        const struct resp *entry = &page->items[i];
        assert_int_equal(entry->item_count, 2);
        assert_int_equal(entry->items[0].type, RESP_STRING);
        const struct resp *fields = &entry->items[1];
        assert_int_equal(fields->item_count, 2);
        assert_true(span_equal(fields->items[0].text, SPAN_LIT("k")));
        assert_int_equal(fields->items[1].text.len, i);
        for (unsigned j = 0; j < i; j++)
            assert_int_equal((unsigned char)fields->items[1].text.data[j], (unsigned char)i);
        assert_int_equal(fields->items[1].text.data[i], '\0');
    }
}

static void cut_check(struct span text, unsigned entries, unsigned seed, size_t piece_max)
{
    struct resp_reader *reader = resp_reader_create(1 << 20);
    const struct resp *reply;
    unsigned replies = 0;
    for (size_t at = 0; at < text.len;) {
        seed = seed * 1103515245 + 12345;
        struct span piece = span_sub(text, at, 1 + (seed >> 16) % piece_max);
        at += piece.len;
        assert_true(resp_feed(reader, piece));
        int got;
        while ((got = resp_next(reader, &reply)) == 1) {
            page_check(reply, entries);
            replies++;
        }
        assert_int_equal(got, 0);
    }
    assert_int_equal(replies, 2);
    resp_reader_destroy(reader);
}

static void test_cuts(void **state)
{
    enum { ENTRIES = 70 };
    struct buf text = {0};
    page_write(&text, ENTRIES);
    page_write(&text, ENTRIES);
    cut_check(buf_span(&text), ENTRIES, 1, 1);
    for (unsigned seed = 1; seed <= 50; seed++)
        cut_check(buf_span(&text), ENTRIES, seed, seed < 25 ? 20 : 2000);
    buf_finish(&text);
}

static void test_large(void **state)
{
    struct resp_reader *reader = resp_reader_create(1 << 20);
    const struct resp *reply;
    struct buf text = {0};
    buf_append(&text, SPAN_LIT("*2\r\n$1048576\r\n"));
    memset(buf_reserve(&text, 1 << 20), 'x', 1 << 20);
    buf_added(&text, 1 << 20);
    buf_append(&text, SPAN_LIT("\r\n:7\r\n"));
    for (size_t at = 0; at < text.len; at += 65536) {
        assert_true(resp_feed(reader, span_sub(buf_span(&text), at, 65536)));
        assert_int_equal(resp_next(reader, &reply), at + 65536 >= text.len);
    }
    assert_int_equal(reply->items[0].text.len, 1 << 20);
    assert_int_equal(reply->items[1].integer, 7);
    buf_finish(&text);
    resp_reader_destroy(reader);
}

static void assert_refused(const char *text, uint32_t bulk_bytes_max)
{
    struct resp_reader *reader = resp_reader_create(bulk_bytes_max);
    const struct resp *reply;
    feed(reader, text);
    assert_int_equal(resp_next(reader, &reply), -1);
    /* It stays so. */
    assert_false(resp_feed(reader, SPAN_LIT("+OK\r\n")));
    assert_int_equal(resp_next(reader, &reply), -1);
    resp_reader_destroy(reader);
}

static void test_bounds(void **state)
{
    assert_refused("$11\r\n", 10);
    assert_refused("$11\r\nhello world\r\n", 10);
    assert_refused("*1000000000\r\n", 10);
    assert_refused("*2\r\n*1\r\n:1\r\n*1048574\r\n", 10);
    assert_refused("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", 10);
    assert_refused("HTTP/1.1 400 Bad Request\r\n", 10);
    struct resp_reader *reader = resp_reader_create(10);
    const struct resp *reply;
    feed(reader, "$10\r\n0123456789\r\n*1048575\r\n");
    assert_int_equal(resp_next(reader, &reply), 1);
    assert_true(span_equal(reply->text, SPAN_LIT("0123456789")));
    assert_int_equal(resp_next(reader, &reply), 0);
    resp_reader_destroy(reader);
}

/* Bytes that are fed and never taken are bounded as well. */
static void test_backlog(void **state)
{
    struct resp_reader *reader = resp_reader_create(1000);
    const struct resp *reply;
    char *ok = malloc(RESP_FEED_BYTES_MAX);
    for (size_t i = 0; i < RESP_FEED_BYTES_MAX; i++)
        ok[i] = "+OK\r\n"[i % 5];
    assert_true(resp_feed(reader, span_of(ok, RESP_FEED_BYTES_MAX)));
    assert_false(resp_feed(reader, span_of(ok, RESP_FEED_BYTES_MAX)));
    assert_int_equal(resp_next(reader, &reply), -1);
    resp_reader_destroy(reader);
    free(ok);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command), cmocka_unit_test(test_cuts),    cmocka_unit_test(test_large),
        cmocka_unit_test(test_bounds),  cmocka_unit_test(test_backlog),
    };
    return cmocka_run_group_tests_name("resp", tests, NULL, NULL);
}
