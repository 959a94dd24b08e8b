/* test_untar: each kind of record there and back, whole and cut off at every byte, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "wire/untar.h"

static struct buf bytes;

/* The one record of `bytes`, which is not there until its last byte is. */
static struct untar_record decoded(void)
{
    struct untar_record record = {0};
    for (size_t i = 0; i < bytes.len; i++)
        assert_int_equal(untar_decode(span_sub(buf_span(&bytes), 0, i), &record), 0);
    assert_int_equal(untar_decode(buf_span(&bytes), &record), bytes.len);
    return record;
}

static void test_entries(void **state)
{
    const struct untar_entry entry = {.path = SPAN_LIT("a/b"),
                                      .link = SPAN_LIT("../c"),
                                      .bytes = 0,
                                      .modified_s = -5,
                                      .mode = 04755,
                                      .uid = UINT32_MAX,
                                      .gid = 258,
                                      .type = UNTAR_SYMLINK};
    untar_entry_encode(&bytes, &entry);
    struct untar_record record = decoded();
    assert_int_equal(record.kind, UNTAR_ENTRY);
    assert_true(span_equal(record.entry.path, entry.path) && span_equal(record.entry.link, entry.link));
    assert_true(record.entry.modified_s == -5 && record.entry.mode == 04755 && record.entry.uid == UINT32_MAX &&
                record.entry.gid == 258 && record.entry.type == UNTAR_SYMLINK);
    buf_clear(&bytes);
    untar_entry_encode(&bytes, &(struct untar_entry){.path = SPAN_LIT("f"), .bytes = (uint64_t)1 << 40});
    assert_true(decoded().entry.bytes == (uint64_t)1 << 40);
    buf_clear(&bytes);
}

static void test_other_records(void **state)
{
    char digest[SHA256_HEX_LEN + 1];
    sha256_of(SPAN_LIT("abc"), digest);
    untar_bytes_encode(&bytes, SPAN_LIT("hello"));
    assert_true(span_equal(decoded().bytes, SPAN_LIT("hello")));
    buf_clear(&bytes);
    untar_end_encode(&bytes, digest, 3);
    struct untar_record record = decoded();
    assert_string_equal(record.digest, digest);
    assert_int_equal(record.total, 3);
    buf_clear(&bytes);
    untar_fault_encode(&bytes, UNTAR_BAD_ZSTD, SPAN_LIT("why"));
    record = decoded();
    assert_true(record.kind == UNTAR_FAULT && record.fault == UNTAR_BAD_ZSTD &&
                span_equal(record.why, SPAN_LIT("why")));
    buf_clear(&bytes);
}

static void test_what_is_none(void **state)
{
    struct untar_record record;
    static const struct span wrong[] = {
        SPAN_LIT("x\0\0\0\0"), /* no kind */
        SPAN_LIT("b\0\0\0\0"), /* bytes, and none */
        SPAN_LIT("b\1\0\1\0"), /* longer than any; it is not waited for */
        SPAN_LIT("b\0\0\0\xff"), SPAN_LIT("f\0\0\0\0"),         SPAN_LIT("f\1\0\0\0\x40"),
        SPAN_LIT("d\1\0\0\0a"),  SPAN_LIT("e\4\0\0\0\0\0\0\0"),
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(untar_decode(wrong[i], &record), -1);
    untar_end_encode(&bytes, "abc_567890123456789012345678901234567890123456789012345678901234", 3);
    assert_int_equal(untar_decode(buf_span(&bytes), &record), -1);
    buf_clear(&bytes);
    /* A name that a C string would cut, a folder with contents, a mode of more bits, names that are longer than said.
     */
    const struct untar_entry entries[] = {{.path = SPAN_LIT("a\0b")},
                                          {.path = SPAN_LIT("a"), .link = SPAN_LIT("\0")},
                                          {.path = SPAN_LIT("a"), .type = UNTAR_FOLDER, .bytes = 1},
                                          {.path = SPAN_LIT("a"), .type = UNTAR_OTHER + 1},
                                          {.path = SPAN_LIT("a"), .mode = 0100644}};
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
        untar_entry_encode(&bytes, &entries[i]);
        assert_int_equal(untar_decode(buf_span(&bytes), &record), -1);
        buf_clear(&bytes);
    }
    untar_entry_encode(&bytes, &(struct untar_entry){.path = SPAN_LIT("abc")});
    buf_reserve(&bytes, 1)[-5] = 2;
    assert_int_equal(untar_decode(buf_span(&bytes), &record), -1);
    buf_finish(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entries),
        cmocka_unit_test(test_other_records),
        cmocka_unit_test(test_what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
