/* test_logfile: the log's file is bounded, turns, drops a torn line, and gives entries back in their order. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "loop/file.h"
#include "platform/logbook.h"
#include "platform/logfile.h"

static char directory[] = "/tmp/sennit-logfile-XXXXXX", last[32];
static char *path, *old;
static struct loop *loop;
static struct err err;
static unsigned count, first, latest;

static int begin(void **state)
{
    loop = loop_create(&err);
    assert_non_null(mkdtemp(directory));
    path = mem_printf("%s/logs.jsonl", directory);
    old = mem_printf("%s/logs.old.jsonl", directory);
    return 0;
}

static int end(void **state)
{
    unlink(path);
    unlink(old);
    rmdir(directory);
    free(path);
    free(old);
    loop_destroy(loop);
    return 0;
}

static void on_entry(struct span entry, void *context)
{
    const char *number = memmem(entry.data, entry.len, "\"number ", 8);
    assert_non_null(number);
    latest = (unsigned)strtoul(number + 8, NULL, 10);
    if (count++ == 0)
        first = latest;
}

static bool read_with(struct logfile_query query)
{
    count = first = latest = 0;
    return logfile_read(directory, &query, on_entry, NULL, last, &err);
}

/* Through a logbook, as the platform does. */
static void entries_add(struct logfile *logfile, unsigned from, unsigned to, size_t bytes)
{
    struct logbooks books;
    struct logbook book = {0};
    char *padding = mem_zero(bytes + 1, 1);
    memset(padding, 'x', bytes);
    logbooks_init(&books, loop);
    books.file = logfile;
    logbook_open(&book, &books, "board");
    for (unsigned i = from; i < to; i++) {
        char *members = mem_printf("\"textPayload\":\"number %u %s\"", i, padding);
        logbook_add(&book, LOG_OF_STDOUT, i % 2 == 0 ? SEVERITY_WARNING : SEVERITY_INFO,
                    (struct log_origin){"board-00001", i % 3 == 0 ? "board-00001-1" : "board-00001-2"},
                    span_str(members));
        free(members);
    }
    logbook_finish(&book);
    free(padding);
}

static void test_nothing_is_there(void **state)
{
    assert_false(read_with((struct logfile_query){0}));
    assert_non_null(strstr(err.text, "there is no "));
}

static void test_entries_come_back(void **state)
{
    struct logfile logfile;
    struct stat about;
    logfile_open(&logfile, loop, directory);
    entries_add(&logfile, 0, 12, 1);
    logfile_close(&logfile);
    logfile_close(&logfile);
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
    assert_true(read_with((struct logfile_query){0}));
    assert_int_equal(count, 12);
    assert_int_equal(latest, 11);
    assert_int_equal(strlen(last), 24);
    assert_true(read_with((struct logfile_query){.severity_min = SEVERITY_WARNING}));
    assert_int_equal(count, 6);
    assert_true(read_with((struct logfile_query){.instance = "board-00001-1"}));
    assert_int_equal(count, 4);
    assert_true(read_with((struct logfile_query){.revision = "board-00002"}));
    assert_int_equal(count, 0);
    assert_true(read_with((struct logfile_query){.service = "board", .since = "2020"}));
    assert_int_equal(count, 12);
    assert_true(read_with((struct logfile_query){.since = "2999-01-01T00:00:00.000Z"}));
    assert_int_equal(count, 0);
}

static void test_a_torn_line_is_dropped_and_the_next_ones_follow(void **state)
{
    struct logfile logfile;
    int fd = open(path, O_WRONLY | O_APPEND);
    assert_int_equal(write(fd, "{\"timestamp\":", 13), 13);
    close(fd);
    assert_true(read_with((struct logfile_query){0}));
    assert_int_equal(count, 12);
    logfile_open(&logfile, loop, directory);
    entries_add(&logfile, 12, 14, 1);
    logfile_close(&logfile);
    assert_true(read_with((struct logfile_query){0}));
    assert_int_equal(count, 14);
    assert_int_equal(latest, 13);
}

/* 60,000 entries of more than 1 KB: the file turns several times. */
static void test_two_files_bound_it(void **state)
{
    struct logfile logfile;
    struct stat about;
    logfile_open(&logfile, loop, directory);
    entries_add(&logfile, 0, 60000, 1024);
    logfile_close(&logfile);
    assert_int_equal(stat(path, &about), 0);
    assert_true(about.st_size <= LOGFILE_BYTES_MAX + LOGFILE_PENDING_BYTES_MAX);
    assert_int_equal(stat(old, &about), 0);
    assert_true(about.st_size >= LOGFILE_BYTES_MAX && about.st_size <= LOGFILE_BYTES_MAX + LOGFILE_PENDING_BYTES_MAX);
    assert_true(read_with((struct logfile_query){0}));
    assert_int_equal(latest, 59999);
    assert_int_equal(count, latest - first + 1); /* without a gap */
    assert_true(count > 10000);
}

/* The folder has gone: lines wait up to a bound, and later ones are counted. */
static void test_what_the_disk_does_not_take(void **state)
{
    struct logfile logfile;
    logfile_open(&logfile, loop, "/nowhere/at/all");
    assert_null(logfile.lines.path);
    entries_add(&logfile, 0, 10, 1);
    logfile_open(&logfile, loop, directory);
    append_close(&logfile.lines.file);
    free(logfile.lines.path);
    logfile.lines.path = mem_printf("%s/gone/logs.jsonl", directory);
    entries_add(&logfile, 0, 3000, 1024);
    assert_true(logfile.lines.failing);
    assert_true(logfile.lines.lost > 0);
    assert_true(logfile.lines.pending.len <= LOGFILE_PENDING_BYTES_MAX);
    logfile_close(&logfile);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_there), cmocka_unit_test(test_entries_come_back),
        cmocka_unit_test(test_a_torn_line_is_dropped_and_the_next_ones_follow),
        cmocka_unit_test(test_two_files_bound_it), cmocka_unit_test(test_what_the_disk_does_not_take)};
    return cmocka_run_group_tests(tests, begin, end);
}
