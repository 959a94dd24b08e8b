/* test_reader: archives as tar writes them, ustar, pax and GNU, packed in gzip, zstd or nothing, and what is no
 * such archive. Each is read whole and in pieces, down to single bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../gzip.h"
#include "base/list.h"
#include "untar/reader.h"

enum { BLOCK_BYTES = 512 };
static const struct span zstd_hello = SPAN_LIT("\x28\xb5\x2f\xfd\x04\x58\x29\0\0hello\xa3\x6d\x9f\x88");

/* An archive in the making. */
static struct buf archive;

static void header(const char *name, char type, size_t bytes, const char *link)
{
    char block[BLOCK_BYTES] = {0};
    unsigned sum = 0;
    memcpy(block, name, strlen(name) < 100 ? strlen(name) : 100);
    snprintf(block + 100, 8, "%07o", 0644);
    snprintf(block + 108, 8, "%07o", 1000);
    snprintf(block + 116, 8, "%07o", 1001);
    snprintf(block + 124, 12, "%011zo", bytes);
    snprintf(block + 136, 12, "%011o", 1700000000);
    memset(block + 148, ' ', 8);
    block[156] = type;
    memcpy(block + 157, link, strlen(link));
    memcpy(block + 257,
           "ustar\0"
           "00",
           8);
    for (size_t i = 0; i < sizeof block; i++)
        sum += (unsigned char)block[i];
    snprintf(block + 148, 8, "%06o", sum);
    buf_append(&archive, span_of(block, sizeof block));
}

static void contents(struct span bytes)
{
    char zeros[BLOCK_BYTES] = {0};
    buf_append(&archive, bytes);
    buf_append(&archive, span_of(zeros, (BLOCK_BYTES - bytes.len % BLOCK_BYTES) % BLOCK_BYTES));
}

static void end(void)
{
    char zeros[2 * BLOCK_BYTES] = {0};
    buf_append(&archive, span_of(zeros, sizeof zeros));
}

/* One "LEN KEY=VALUE\n" of pax. */
static void record(struct buf *to, const char *key, const char *value)
{
    size_t len = strlen(key) + strlen(value) + 3, digits = 1;
    for (size_t power = 10; len + digits >= power; power *= 10)
        digits++;
    buf_printf(to, "%zu %s=%s\n", len + digits, key, value);
}

/* The header in front of an entry that says more of it. */
static void pax(const char *key, const char *value)
{
    struct buf records = {0};
    record(&records, key, value);
    record(&records, "SCHILY.xattr.user.note", "x");
    header("PaxHeader", 'x', records.len, "");
    contents(buf_span(&records));
    buf_finish(&records);
}

/* `archive`, in pieces. */
struct pieces {
    struct source source;
    size_t at, piece, fails_at; /* `fails_at` 0: never */
};

static ssize_t pieces_next(struct source *source, const void **bytes)
{
    struct pieces *pieces = container_of(source, struct pieces, source);
    struct span piece = span_sub(buf_span(&archive), pieces->at, pieces->piece);
    if (pieces->fails_at > 0 && pieces->at >= pieces->fails_at)
        return -1;
    pieces->at += piece.len;
    *bytes = piece.data;
    return (ssize_t)piece.len;
}

static int64_t pieces_skip(struct source *source, int64_t bytes)
{
    struct pieces *pieces = container_of(source, struct pieces, source);
    size_t left = archive.len - pieces->at;
    left = (uint64_t)bytes < left ? (size_t)bytes : left;
    pieces->at += left;
    return (int64_t)left;
}

static const char *const results[] = {
    [READER_OVER] = "over", [READER_CUT] = "cut", [READER_DAMAGED] = "bad", [READER_FAILED] = "failed"};

/* What is read of the archive. `passes_over`: not of the contents. */
static const char *read_in(size_t piece, bool passes_over)
{
    static struct buf text;
    struct pieces pieces = {{pieces_next, passes_over ? pieces_skip : NULL}, 0, piece, 0};
    struct reader *reader = reader_open(&pieces.source, READER_TAR);
    struct untar_entry entry;
    enum reader_result result;
    char room[100];
    size_t got;
    buf_clear(&text);
    while ((result = reader_next(reader, &entry)) == READER_GOT) {
        buf_printf(&text, SPAN_FMT ":%d:%llu%s" SPAN_FMT " ", SPAN_ARG(entry.path), entry.type,
                   (unsigned long long)entry.bytes, entry.link.len > 0 ? ">" : "", SPAN_ARG(entry.link));
        while (!passes_over && (result = reader_read(reader, room, sizeof room, &got)) == READER_GOT)
            buf_append(&text, span_of(room, got));
        if (!passes_over && result != READER_OVER)
            break;
    }
    buf_printf(&text, "%s", results[result]);
    buf_append_char(&text, '\0');
    reader_close(reader);
    return buf_span(&text).data;
}

static void expect(const char *wanted)
{
    static const size_t pieces[] = {1, 7, 511, 512, 513, 1 << 20};
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++)
        assert_string_equal(read_in(pieces[i], false), wanted);
    buf_clear(&archive);
}

static void test_entries(void **state)
{
    header("a/", '5', 0, "");
    header("a/file", '0', 5, "");
    contents(SPAN_LIT("hello"));
    header("a/empty", '0', 0, "");
    header("a/link", '2', 0, "/a/file");
    header("a/same", '1', 99, "a/file"); /* some writers say the file's size */
    header("a/null", '3', 0, "");
    header("old/", '\0', 0, "");
    end();
    expect("a/:3:0 a/file:0:5 helloa/empty:0:0 a/link:2:0>/a/file a/same:1:0>a/file a/null:4:0 old/:3:0 over");
}

static void test_what_an_entry_says(void **state)
{
    struct pieces pieces = {{pieces_next, NULL}, 0, 100, 0};
    struct untar_entry entry;
    header("a", '0', 0, "");
    pax("uid", "70000");
    header("b", '0', 0, "");
    end();
    struct reader *reader = reader_open(&pieces.source, READER_TAR);
    assert_int_equal(reader_next(reader, &entry), READER_GOT);
    assert_true(entry.mode == 0644 && entry.uid == 1000 && entry.gid == 1001 && entry.modified_s == 1700000000);
    assert_int_equal(reader_next(reader, &entry), READER_GOT);
    assert_true(entry.uid == 70000 && entry.gid == 1001);
    reader_close(reader);
    buf_clear(&archive);
}

static void test_long_names(void **state)
{
    char name[301], wanted[1024];
    memset(name, 'n', 300);
    name[300] = '\0';
    header("././@LongLink", 'L', 301, "");
    contents(span_of(name, 301));
    header("short", '0', 2, "");
    contents(SPAN_LIT("hi"));
    pax("path", name);
    header("short", '0', 0, "");
    pax("linkpath", name);
    header("link", '2', 0, "here");
    header("next", '0', 0, "");
    end();
    snprintf(wanted, sizeof wanted, "%s:0:2 hi%s:0:0 link:2:0>%s next:0:0 over", name, name, name);
    expect(wanted);
    pax("size", "3");
    header("big", '0', 0, "");
    contents(SPAN_LIT("abc"));
    end();
    expect("big:0:3 abcover");
}

/* As they are, whatever the locale: UTF-8, and bytes that are none. */
static void test_names_of_other_bytes(void **state)
{
    header("\xc3\xa9\xff", '0', 0, "");
    pax("path", "\xc3\xa9/\xe6\x97\xa5");
    header("e", '0', 0, "");
    pax("path", "\xe9\xff");
    header("e", '0', 0, "");
    pax("linkpath", "\xc3\xa9");
    header("l", '2', 0, "e");
    pax("linkpath", "\xe9");
    header("h", '1', 0, "e");
    end();
    expect("\xc3\xa9\xff:0:0 \xc3\xa9/\xe6\x97\xa5:0:0 \xe9\xff:0:0 l:2:0>\xc3\xa9 h:1:0>\xe9 over");
}

/* GNU's, with a hole in front and one behind. */
static void test_holes(void **state)
{
    struct buf records = {0};
    record(&records, "GNU.sparse.size", "12");
    record(&records, "GNU.sparse.numblocks", "2");
    record(&records, "GNU.sparse.map", "4,4,12,0");
    header("PaxHeader", 'x', records.len, "");
    contents(buf_span(&records));
    header("a", '0', 4, "");
    contents(SPAN_LIT("data"));
    end();
    struct pieces pieces = {{pieces_next, NULL}, 0, 100, 0};
    struct reader *reader = reader_open(&pieces.source, READER_TAR);
    struct untar_entry entry;
    char room[64];
    size_t got, sum = 0;
    assert_int_equal(reader_next(reader, &entry), READER_GOT);
    assert_int_equal(entry.bytes, 12);
    while (reader_read(reader, room + sum, sizeof room - sum, &got) == READER_GOT)
        sum += got;
    assert_int_equal(sum, 12);
    assert_memory_equal(room, "\0\0\0\0data\0\0\0\0", 12);
    reader_close(reader);
    buf_clear(&archive);
    buf_finish(&records);
}

static void test_a_missing_end(void **state)
{
    header("a", '0', 1, "");
    contents(SPAN_LIT("x"));
    expect("a:0:1 xover");
    header("a", '0', 600, "");
    buf_append_char(&archive, 'x');
    expect("a:0:600 cut");
    header("a", '0', 0, "");
    header("b", '0', 0, "");
    archive.len -= 100;
    expect("a:0:0 cut");
}

static void test_what_is_no_archive(void **state)
{
    char noise[BLOCK_BYTES];
    memset(noise, 'x', sizeof noise);
    buf_append(&archive, span_of(noise, sizeof noise));
    expect("bad");
    header("a", '0', 0, "");
    buf_append(&archive, span_of(noise, sizeof noise));
    expect("a:0:0 bad");
    header("p", 'x', (1 << 20) + 1, "");
    expect("bad");
    char *path = calloc(1, UNTAR_PATH_BYTES_MAX + 2);
    memset(path, 'p', UNTAR_PATH_BYTES_MAX + 1);
    pax("path", path);
    header("a", '0', 0, "");
    expect("bad");
    free(path);
    /* Formats that libarchive knows, and is not told of. */
    buf_append(&archive, SPAN_LIT("PK\3\4 a zip, !<arch>\n"));
    expect("bad");
    buf_append(&archive, SPAN_LIT("070701"));
    buf_append(&archive, span_of(noise, sizeof noise));
    expect("bad");
}

/* GNU's map of a file's parts stands in front of its contents, and may be as long as an archive. */
static void test_a_header_without_end(void **state)
{
    for (size_t bytes = READER_HEADER_BYTES_MAX / 2; bytes <= 2 * READER_HEADER_BYTES_MAX; bytes *= 4) {
        size_t parts = bytes / 4;
        struct buf records = {0}, map = {0};
        record(&records, "GNU.sparse.major", "1");
        record(&records, "GNU.sparse.minor", "0");
        record(&records, "GNU.sparse.realsize", "0");
        header("PaxHeader", 'x', records.len, "");
        contents(buf_span(&records));
        buf_printf(&map, "%zu\n", parts);
        for (size_t i = 0; i < parts; i++)
            buf_append(&map, SPAN_LIT("0\n0\n"));
        header("a", '0', (map.len + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES, "");
        contents(buf_span(&map));
        end();
        assert_string_equal(read_in(64 << 10, false), map.len > READER_HEADER_BYTES_MAX ? "bad" : "a:0:0 over");
        buf_clear(&archive);
        buf_finish(&records);
        buf_finish(&map);
    }
}

static void test_contents_are_passed_over(void **state)
{
    char zeros[1 << 17] = {0};
    header("a", '0', sizeof zeros, "");
    contents(span_of(zeros, sizeof zeros));
    header("b", '0', 1, "");
    contents(SPAN_LIT("x"));
    end();
    assert_string_equal(read_in(1000, true), "a:0:131072 b:0:1 over");
    archive.len -= 1 << 17;
    assert_string_equal(read_in(1000, true), "a:0:131072 cut");
    buf_clear(&archive);
}

static const char *const packings[] = {
    [UNTAR_BAD_GZIP] = "gzip", [UNTAR_BAD_ZSTD] = "zstd", [UNTAR_BAD_PACKING] = "compression"};

/* What is packed, with the end. */
static const char *unpacked(size_t piece, size_t fails_at)
{
    static struct buf text;
    struct pieces pieces = {{pieces_next, NULL}, 0, piece, fails_at};
    struct reader *reader = reader_open(&pieces.source, READER_PACKED);
    enum reader_result result;
    char room[3];
    size_t got;
    buf_clear(&text);
    while ((result = reader_read(reader, room, sizeof room, &got)) == READER_GOT)
        buf_append(&text, span_of(room, got));
    buf_printf(&text, " %s %s" SPAN_FMT, results[result], packings[reader_packing_fault(reader)],
               SPAN_ARG(reader_why(reader)));
    buf_append_char(&text, '\0');
    reader_close(reader);
    return buf_span(&text).data;
}

static void test_what_is_packed(void **state)
{
    for (size_t piece = 1; piece < 60; piece++) {
        buf_append(&archive, SPAN_LIT("as it is"));
        assert_string_equal(unpacked(piece, 0), "as it is over compression");
        buf_clear(&archive);
        gzip_append(&archive, SPAN_LIT("hello "));
        gzip_append(&archive, SPAN_LIT("world"));
        assert_string_equal(unpacked(piece, 0), "hello world over gzip");
        archive.len -= 4;
        assert_non_null(strstr(unpacked(piece, 0), " cut "));
        buf_clear(&archive);
        buf_append(&archive, zstd_hello);
        assert_string_equal(unpacked(piece, 0), "hello over zstd");
        archive.len -= 6;
        assert_non_null(strstr(unpacked(piece, 0), " cut "));
        buf_clear(&archive);
    }
    buf_append(&archive, SPAN_LIT("\x1f\x8b\x08\0 12345\x07 and more"));
    assert_non_null(strstr(unpacked(1000, 0), " bad gzip"));
    buf_clear(&archive);
    buf_append(&archive, zstd_hello);
    buf_append(&archive, zstd_hello);
    assert_string_equal(unpacked(1000, 0), "hellohello over zstd");
    archive.len -= 4;
    buf_append(&archive, SPAN_LIT("\1\2\3\4"));
    assert_non_null(strstr(unpacked(1000, 0), " bad zstd"));
    buf_clear(&archive);
}

static void test_packed_twice(void **state)
{
    gzip_append(&archive, SPAN_LIT("hello"));
    char once[256];
    size_t len = archive.len;
    memcpy(once, buf_span(&archive).data, len);
    buf_clear(&archive);
    gzip_append(&archive, span_of(once, len));
    assert_string_equal(unpacked(1000, 0), " bad gzipcompressed more than once");
    buf_clear(&archive);
}

static void test_a_source_that_fails(void **state)
{
    gzip_append(&archive, SPAN_LIT("hello"));
    assert_non_null(strstr(unpacked(8, 8), " failed gzip"));
    assert_non_null(strstr(unpacked(1, 20), " failed "));
    buf_finish(&archive);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entries),
        cmocka_unit_test(test_what_an_entry_says),
        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_names_of_other_bytes),
        cmocka_unit_test(test_holes),
        cmocka_unit_test(test_a_missing_end),
        cmocka_unit_test(test_what_is_no_archive),
        cmocka_unit_test(test_a_header_without_end),
        cmocka_unit_test(test_contents_are_passed_over),
        cmocka_unit_test(test_what_is_packed),
        cmocka_unit_test(test_packed_twice),
        cmocka_unit_test(test_a_source_that_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
