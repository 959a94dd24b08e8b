/* test_store: versions of files on a real disk: shared while they are read, new when they have changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "serve/store.h"

enum { FILES_OPEN = 3 };
static const int64_t later_ms = (int64_t)1 << 42; /* long after anything was written */
static char directory[64];
static struct store store;

static int set_up(void **state)
{
    static const uint64_t seed[2] = {1, 2};
    snprintf(directory, sizeof directory, "/tmp/sennit-store-XXXXXX");
    assert_non_null(mkdtemp(directory));
    store_init(&store, seed, FILES_OPEN);
    return 0;
}

static int tear_down(void **state)
{
    char *command = mem_printf("rm -rf %s", directory);
    store_finish(&store);
    assert_int_equal(system(command), 0);
    free(command);
    return 0;
}

static char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

/* Replaces it by another, as editors and deployments do. */
static void put(const char *name, const char *text)
{
    char *new = mem_printf("%s/.new", directory);
    FILE *file = fopen(new, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(rename(new, path_of(name)), 0);
    free(new);
}

static struct stored *find(const char *name)
{
    struct stored *stored = NULL;
    assert_int_equal(store_find(&store, path_of(name), later_ms, &stored), STORE_FOUND);
    return stored;
}

static void holds(struct stored *stored, const char *text)
{
    char bytes[64];
    ssize_t got = stored->source.read(&stored->source, 0, bytes, sizeof bytes);
    assert_int_equal(got, strlen(text));
    assert_memory_equal(bytes, text, (size_t)got);
}

static void test_readers_share_a_version(void **state)
{
    put("a", "one");
    struct stored *first = find("a"), *second = find("a");
    assert_ptr_equal(first, second);
    assert_int_equal(store.open_count, 1);
    stored_unref(first);
    assert_int_equal(store.open_count, 1);
    holds(second, "one");
    stored_unref(second);
    assert_int_equal(store.open_count, 0);
    struct stored *again = find("a");
    holds(again, "one");
    stored_unref(again);
}

static void test_a_file_that_is_replaced_while_it_is_read(void **state)
{
    put("a", "one");
    struct stored *old = find("a");
    char tag[STORE_TAG_BYTES];
    memcpy(tag, old->etag, sizeof tag);
    put("a", "two");
    struct stored *new = find("a");
    assert_ptr_not_equal(new, old);
    assert_string_not_equal(new->etag, tag);
    holds(old, "one");
    holds(new, "two");
    stored_unref(old);
    unlink(path_of("a"));
    struct stored *none;
    assert_int_equal(store_find(&store, path_of("a"), later_ms, &none), STORE_ABSENT);
    holds(new, "two");
    stored_unref(new);
    assert_int_equal(store.open_count, 0);
    assert_int_equal(store.by_path.count, 0);
}

/* Times of files are coarse: one that was written just now may be written again without looking different. */
static void test_a_file_that_changes_and_looks_the_same(void **state)
{
    struct stat about;
    put("a", "one");
    assert_int_equal(stat(path_of("a"), &about), 0);
    int64_t now_ms = (int64_t)about.st_ctim.tv_sec * 1000;
    struct stored *stored = NULL;
    assert_int_equal(store_find(&store, path_of("a"), now_ms, &stored), STORE_FOUND);
    char tag[STORE_TAG_BYTES];
    memcpy(tag, stored->etag, sizeof tag);
    FILE *file = fopen(path_of("a"), "r+");
    fputs("two", file);
    fclose(file);
    assert_int_equal(stat(path_of("a"), &about), 0);
    stored->about.modified_ns = (int64_t)about.st_mtim.tv_sec * 1000000000 + about.st_mtim.tv_nsec;
    stored->about.changed_ns = (int64_t)about.st_ctim.tv_sec * 1000000000 + about.st_ctim.tv_nsec;
    stored_unref(stored);
    stored = find("a");
    assert_string_not_equal(stored->etag, tag);
    stored_unref(stored);
}

/* So that all instances agree, wherever the file came from. */
static void test_a_tag_is_of_the_bytes(void **state)
{
    put("a", "same");
    put("b", "same");
    put("c", "else");
    struct stored *a = find("a"), *b = find("b"), *c = find("c");
    assert_string_equal(a->etag, b->etag);
    assert_string_not_equal(a->etag, c->etag);
    stored_unref(a);
    stored_unref(b);
    stored_unref(c);
    char *large = mem_zero(1, STORE_HASHED_BYTES_MAX + 2);
    memset(large, 'x', STORE_HASHED_BYTES_MAX + 1);
    put("a", large);
    a = find("a");
    assert_non_null(strchr(a->etag, '-'));
    stored_unref(a);
    free(large);
}

/* Those who read slowly, of many files, keep nobody from another one. */
static void test_so_many_files_are_open_and_no_more(void **state)
{
    struct stored *reading[2 * FILES_OPEN];
    char name[2] = "", byte;
    for (int i = 0; i < 2 * FILES_OPEN; i++) {
        name[0] = (char)('a' + i);
        put(name, "one");
        reading[i] = find(name);
        assert_true(store.open_count <= FILES_OPEN);
    }
    for (int i = 0; i < 2 * FILES_OPEN; i++) {
        holds(reading[i], "one");
        assert_true(store.open_count <= FILES_OPEN);
    }
    assert_true(reading[0]->file.fd < 0);
    put("a", "two"); /* while it is closed: the old one cannot be had any more */
    assert_int_equal(reading[0]->source.read(&reading[0]->source, 0, &byte, 1), -1);
    struct stored *new = find("a");
    holds(new, "two");
    stored_unref(new);
    for (int i = 0; i < 2 * FILES_OPEN; i++)
        stored_unref(reading[i]);
    assert_int_equal(store.open_count, 0);
}

static void test_what_is_no_file(void **state)
{
    struct stored *none;
    assert_int_equal(store_find(&store, directory, later_ms, &none), STORE_ABSENT);
    assert_int_equal(mkfifo(path_of("pipe"), 0600), 0);
    assert_int_equal(store_find(&store, path_of("pipe"), later_ms, &none), STORE_ABSENT);
    assert_int_equal(store_find(&store, path_of("nothing"), later_ms, &none), STORE_ABSENT);
    put("empty", "");
    struct stored *empty = find("empty");
    assert_int_equal(empty->about.bytes, 0);
    stored_unref(empty);
}

static void test_not_every_name_is_remembered(void **state)
{
    for (int i = 0; i < STORE_FILES_MAX + 10; i++) {
        char name[16];
        snprintf(name, sizeof name, "f%d", i);
        put(name, "x");
        stored_unref(find(name));
    }
    assert_int_equal(store.by_path.count, STORE_FILES_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(readers_share_a_version),
        TEST(a_file_that_is_replaced_while_it_is_read),
        TEST(a_file_that_changes_and_looks_the_same),
        TEST(a_tag_is_of_the_bytes),
        TEST(so_many_files_are_open_and_no_more),
        TEST(what_is_no_file),
        TEST(not_every_name_is_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
