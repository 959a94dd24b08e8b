/* test_tar: archives as tar writes them, long names of both kinds, and what is no archive. Each is read whole and byte
 * by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/gunzip.h"
#include "wire/sha256.h"
#include "wire/tar.h"

#include <zlib.h>

/* An archive in the making. */
static struct buf archive;

static void header(const char *name, char type, size_t bytes, const char *link)
{
    char block[TAR_BLOCK_BYTES] = {0};
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
    char zeros[TAR_BLOCK_BYTES] = {0};
    buf_append(&archive, bytes);
    buf_append(&archive, span_of(zeros, (TAR_BLOCK_BYTES - bytes.len % TAR_BLOCK_BYTES) % TAR_BLOCK_BYTES));
}

static void end(void)
{
    char zeros[2 * TAR_BLOCK_BYTES] = {0};
    buf_append(&archive, span_of(zeros, sizeof zeros));
}

/* What is read of the archive, in pieces of so many bytes. */
static const char *read_in(size_t piece)
{
    static struct buf text;
    struct tar tar = {0};
    struct span whole = buf_span(&archive), bytes;
    enum tar_event event = TAR_MORE;
    bool in_contents = false;
    buf_clear(&text);
    for (size_t at = 0; at < whole.len && event != TAR_OVER && event != TAR_BAD; at += piece) {
        struct span input = span_sub(whole, at, piece);
        while ((event = tar_next(&tar, &input, &bytes)) == TAR_ENTRY || event == TAR_BYTES) {
            if (event == TAR_BYTES && !in_contents)
                buf_append_char(&text, '=');
            if (event == TAR_BYTES)
                buf_append(&text, bytes);
            if (event == TAR_ENTRY)
                buf_printf(&text, "%s%s:%d:%llu%s%s", text.len > 0 ? " " : "", tar.entry.path, tar.entry.type,
                           (unsigned long long)tar.entry.bytes, tar.entry.link[0] != '\0' ? ">" : "", tar.entry.link);
            in_contents = event == TAR_BYTES;
        }
    }
    buf_append(&text, event == TAR_BAD    ? SPAN_LIT(" bad")
                      : event == TAR_OVER ? SPAN_LIT(" over")
                      : tar_may_end(&tar) ? SPAN_LIT(" end")
                                          : SPAN_LIT(" cut"));
    buf_append_char(&text, '\0');
    tar_finish(&tar);
    return buf_span(&text).data;
}

static void expect(const char *wanted)
{
    static const size_t pieces[] = {1, 7, 511, 512, 513, 1 << 20};
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++)
        assert_string_equal(read_in(pieces[i]), wanted);
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
    expect("a/:3:0 a/file:0:5=hello a/empty:0:0 a/link:2:0>/a/file a/same:1:0>a/file a/null:4:0 old/:3:0 over");
}

static void test_long_names(void **state)
{
    char name[301], records[512], wanted[1024];
    memset(name, 'n', 300);
    name[300] = '\0';
    header("././@LongLink", 'L', 301, "");
    contents(span_of(name, 301));
    header("short", '0', 2, "");
    contents(SPAN_LIT("hi"));
    int len = snprintf(records, sizeof records, "310 path=%s\n", name);
    assert_int_equal(len, 310);
    len += snprintf(records + len, sizeof records - (size_t)len,
                    "17 linkpath=there\n"
                    "20 mtime=1700000000\n");
    memcpy(records + 310, "18", 2);
    header("PaxHeader", 'x', (size_t)len, "");
    contents(span_of(records, (size_t)len));
    header("short", '2', 0, "here");
    header("next", '0', 0, "");
    end();
    snprintf(wanted, sizeof wanted, "%s:0:2=hi %s:2:0>there next:0:0 over", name, name);
    expect(wanted);
    len = snprintf(records, sizeof records, "8 size=3\n");
    records[0] = '9';
    header("PaxHeader", 'x', (size_t)len, "");
    contents(span_of(records, (size_t)len));
    header("big", '0', 0, "");
    contents(SPAN_LIT("abc"));
    end();
    expect("big:0:3=abc over");
}

static void test_a_missing_end(void **state)
{
    header("a", '0', 1, "");
    contents(SPAN_LIT("x"));
    expect("a:0:1=x end");
    header("a", '0', 600, "");
    buf_append_char(&archive, 'x');
    expect("a:0:600=x cut");
}

static void test_what_is_no_archive(void **state)
{
    char noise[TAR_BLOCK_BYTES];
    memset(noise, 'x', sizeof noise);
    buf_append(&archive, span_of(noise, sizeof noise));
    expect(" bad");
    header("a", 'S', 0, ""); /* sparse */
    expect(" bad");
    header("p", 'x', 5, "");
    contents(SPAN_LIT("5 a=b"));
    header("a", '0', 0, "");
    expect(" bad");
    header("p", 'x', TAR_EXTRA_BYTES_MAX + 1, "");
    expect(" bad");
    header("p", 'x', 27, "");
    contents(SPAN_LIT("27 path=x\0aaaaaaaaaaaaaaaa\n"));
    header("a", '0', 0, "");
    expect(" bad");
}

static void test_contents_are_passed_over(void **state)
{
    struct tar tar = {0};
    struct span input, bytes;
    header("a", '0', 600, "");
    char zeros[1024] = {0};
    buf_append(&archive, span_of(zeros, sizeof zeros));
    header("b", '0', 0, "");
    input = buf_span(&archive);
    assert_int_equal(tar_next(&tar, &input, &bytes), TAR_ENTRY);
    assert_int_equal(tar_contents_skip(&tar), 1024);
    input = span_from(buf_span(&archive), TAR_BLOCK_BYTES + 1024);
    assert_int_equal(tar_next(&tar, &input, &bytes), TAR_ENTRY);
    assert_string_equal(tar.entry.path, "b");
    tar_finish(&tar);
    buf_finish(&archive);
}

static size_t gzip(char *to, size_t room, struct span bytes)
{
    z_stream stream = {
        .next_in = (Bytef *)bytes.data, .avail_in = (uInt)bytes.len, .next_out = (Bytef *)to, .avail_out = (uInt)room};
    deflateInit2(&stream, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY);
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    deflateEnd(&stream);
    return stream.total_out;
}

/* Two members, in pieces; the output has room for some of it at a time. */
static void test_gunzip(void **state)
{
    char packed[256], room[3];
    size_t len = gzip(packed, sizeof packed, SPAN_LIT("hello "));
    len += gzip(packed + len, sizeof packed - len, SPAN_LIT("world"));
    for (size_t piece = 1; piece <= len; piece++) {
        struct gunzip *gunzip = gunzip_create();
        struct buf text = {0};
        ptrdiff_t got;
        for (size_t at = 0; at < len; at += piece) {
            struct span input = span_sub(span_of(packed, len), at, piece);
            while ((got = gunzip_next(gunzip, &input, room, sizeof room)) > 0)
                buf_append(&text, span_of(room, (size_t)got));
            assert_int_equal(got, 0);
        }
        assert_true(gunzip_may_end(gunzip));
        assert_true(span_equal(buf_span(&text), SPAN_LIT("hello world")));
        buf_finish(&text);
        gunzip_destroy(gunzip);
    }
    struct gunzip *gunzip = gunzip_create();
    struct span cut = span_of(packed, len - 4), bad = SPAN_LIT("no gzip at all");
    while (gunzip_next(gunzip, &cut, room, sizeof room) > 0)
        continue;
    assert_false(gunzip_may_end(gunzip));
    gunzip_destroy(gunzip);
    gunzip = gunzip_create();
    assert_int_equal(gunzip_next(gunzip, &bad, room, sizeof room), -1);
    gunzip_destroy(gunzip);
}

static void test_sha256(void **state)
{
    char hex[SHA256_HEX_LEN + 1];
    sha256_of(SPAN_LIT("abc"), hex); /* FIPS 180-4's example */
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entries),
        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_a_missing_end),
        cmocka_unit_test(test_what_is_no_archive),
        cmocka_unit_test(test_contents_are_passed_over),
        cmocka_unit_test(test_gunzip),
        cmocka_unit_test(test_sha256),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
