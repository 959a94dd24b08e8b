/* test_untar: the three modes, on archives within archives; what each says of damage; and a sink that wants no more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../gzip.h"
#include "base/list.h"
#include "untar/untar.h"

enum { PIECE_BYTES = 100 };

static void member(struct buf *to, const char *name, char type, struct span contents)
{
    char block[512] = {0}, zeros[512] = {0};
    unsigned sum = 0;
    memcpy(block, name, strlen(name));
    memcpy(block + 100, "0000644", 7);
    snprintf(block + 124, 12, "%011zo", contents.len);
    memset(block + 148, ' ', 8);
    block[156] = type;
    for (size_t i = 0; i < sizeof block; i++)
        sum += (unsigned char)block[i];
    snprintf(block + 148, 8, "%06o", sum);
    buf_append(to, span_of(block, sizeof block));
    buf_append(to, contents);
    buf_append(to, span_of(zeros, (512 - contents.len % 512) % 512));
}

/* Bytes as a file. */
struct memory {
    struct source source;
    struct span rest;
};

static ssize_t memory_next(struct source *source, const void **bytes)
{
    struct memory *memory = container_of(source, struct memory, source);
    struct span piece = span_sub(memory->rest, 0, PIECE_BYTES);
    memory->rest = span_from(memory->rest, piece.len);
    *bytes = piece.data;
    return (ssize_t)piece.len;
}

/* Records, as text. */
struct shown {
    struct sink sink;
    struct buf text;
    size_t records, records_max;
};

static bool shown_put(struct sink *sink, struct span bytes)
{
    struct shown *shown = container_of(sink, struct shown, sink);
    struct untar_record record;
    assert_int_equal(untar_decode(bytes, &record), bytes.len);
    switch (record.kind) {
    case UNTAR_ENTRY:
        buf_printf(&shown->text, "[" SPAN_FMT " %llu]", SPAN_ARG(record.entry.path),
                   (unsigned long long)record.entry.bytes);
        break;
    case UNTAR_BYTES:
        buf_append(&shown->text, record.bytes);
        break;
    case UNTAR_END:
        buf_printf(&shown->text, "end %.6s %llu", record.digest, (unsigned long long)record.total);
        break;
    case UNTAR_FAULT:
        buf_printf(&shown->text, "fault %d", record.fault);
        break;
    }
    return ++shown->records < shown->records_max;
}

static const char *run(struct buf *file, enum untar_mode mode, uint64_t part, uint64_t bytes_max)
{
    static char text[4096];
    struct memory memory = {{memory_next, NULL}, buf_span(file)};
    struct shown shown = {.sink = {shown_put}, .records_max = SIZE_MAX};
    assert_true(untar_run(&(struct untar_order){mode, part, bytes_max}, &memory.source, &shown.sink));
    snprintf(text, sizeof text, SPAN_FMT, SPAN_ARG(buf_span(&shown.text)));
    buf_finish(&shown.text);
    return text;
}

static void expect(const char *found, const char *wanted, struct span digested)
{
    char digest[SHA256_HEX_LEN + 1], text[256];
    sha256_of(digested, digest);
    snprintf(text, sizeof text, "%send %.6s %zu", wanted, digest, digested.len);
    assert_string_equal(found, text);
}

static struct buf layer, packed, file;

static int begin(void **state)
{
    struct buf *all[] = {&layer, &packed, &file};
    for (size_t i = 0; i < 3; i++)
        buf_finish(all[i]);
    member(&layer, "a", '0', SPAN_LIT("hello"));
    member(&layer, "b/", '5', SPAN_LIT(""));
    gzip_append(&packed, buf_span(&layer));
    member(&file, "about", '0', SPAN_LIT("{}"));
    member(&file, "layer", '0', buf_span(&packed));
    return 0;
}

static int finish(void **state)
{
    buf_finish(&layer);
    buf_finish(&packed);
    buf_finish(&file);
    return 0;
}

static void test_modes(void **state)
{
    char list[64];
    snprintf(list, sizeof list, "[about 2][layer %zu]", packed.len);
    expect(run(&file, UNTAR_LIST, 0, 0), list, SPAN_LIT(""));
    expect(run(&file, UNTAR_PART, 1, 0), "{}", SPAN_LIT("{}"));
    expect(run(&file, UNTAR_UNPACK, 2, 1 << 20), "[a 5]hello[b/ 0]", buf_span(&layer));
    expect(run(&packed, UNTAR_UNPACK, 0, 1 << 20), "[a 5]hello[b/ 0]", buf_span(&layer));
    expect(run(&layer, UNTAR_UNPACK, 0, 1 << 20), "[a 5]hello[b/ 0]", buf_span(&layer));
    expect(run(&layer, UNTAR_UNPACK, 0, layer.len), "[a 5]hello[b/ 0]", buf_span(&layer));
}

/* What stands behind an archive's end counts for its digest, however much it is. */
static void test_bytes_behind_the_end(void **state)
{
    char zeros[1024] = {0};
    buf_append(&layer, span_of(zeros, sizeof zeros));
    for (int i = 0; i < 100000; i++)
        buf_append_char(&layer, 'x');
    expect(run(&layer, UNTAR_UNPACK, 0, 1 << 20), "[a 5]hello[b/ 0]", buf_span(&layer));
}

static const char *fault(enum untar_fault which)
{
    static char text[32];
    snprintf(text, sizeof text, "fault %d", which);
    return text;
}

static void test_faults(void **state)
{
    struct buf noise = {0};
    assert_string_equal(run(&file, UNTAR_PART, 3, 0), fault(UNTAR_NO_PART));
    assert_non_null(strstr(run(&layer, UNTAR_UNPACK, 0, layer.len - 1), fault(UNTAR_TOO_LARGE)));
    packed.len -= 10;
    assert_non_null(strstr(run(&packed, UNTAR_UNPACK, 0, 1 << 20), fault(UNTAR_CUT)));
    for (int i = 0; i < 600; i++)
        buf_append_char(&noise, 'x');
    assert_string_equal(run(&noise, UNTAR_UNPACK, 0, 1 << 20), fault(UNTAR_NO_ARCHIVE));
    assert_string_equal(run(&noise, UNTAR_LIST, 0, 0), fault(UNTAR_NO_ARCHIVE));
    assert_string_equal(run(&noise, UNTAR_PART, 1, 0), fault(UNTAR_NO_ARCHIVE));
    buf_clear(&noise);
    buf_append(&noise, SPAN_LIT("\x1f\x8b\x08\0 12345\x07 and more"));
    assert_string_equal(run(&noise, UNTAR_UNPACK, 0, 1 << 20), fault(UNTAR_BAD_GZIP));
    buf_clear(&noise);
    buf_append(&noise, SPAN_LIT("\x28\xb5\x2f\xfd\x60 and so on"));
    assert_string_equal(run(&noise, UNTAR_UNPACK, 0, 1 << 20), fault(UNTAR_BAD_ZSTD));
    buf_finish(&noise);
}

static void test_nobody_listens(void **state)
{
    static const enum untar_mode modes[] = {UNTAR_LIST, UNTAR_PART, UNTAR_UNPACK};
    for (size_t i = 0; i < 3; i++) {
        struct memory memory = {{memory_next, NULL}, buf_span(&layer)};
        struct shown shown = {.sink = {shown_put}, .records_max = 1};
        assert_false(untar_run(&(struct untar_order){modes[i], 0, 1 << 20}, &memory.source, &shown.sink));
        assert_int_equal(shown.records, 1);
        buf_finish(&shown.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_modes, begin, finish),
        cmocka_unit_test_setup_teardown(test_bytes_behind_the_end, begin, finish),
        cmocka_unit_test_setup_teardown(test_faults, begin, finish),
        cmocka_unit_test_setup_teardown(test_nobody_listens, begin, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
