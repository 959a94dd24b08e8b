/* test_filter: a program's output is read to its end, and its end is found out: by itself, by a signal, by us. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "loop/file.h"
#include "loop/filter.h"

enum { SILENT_MS_MAX = 20 * 1000 };
static struct err err;

/* /bin/sh, with `file` as its input. */
static struct filter shell(const char *script, const char *file)
{
    struct filter filter;
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    if (!filter_start(&filter, argv, file, &err))
        fail_msg("%s", err.text);
    return filter;
}

static void test_output(void **state)
{
    char text[4096], wanted[4096], room[7];
    size_t len = 0, got;
    FILE *file = fopen("/etc/passwd", "r");
    assert_non_null(file);
    size_t all = fread(wanted, 1, sizeof wanted, file);
    fclose(file);
    struct filter filter = shell("cat; kill -0 $$", "/etc/passwd");
    while (filter_read(&filter, room, sizeof room, &got, SILENT_MS_MAX, NULL) == FILTER_GOT &&
           len + got <= sizeof text) {
        memcpy(text + len, room, got);
        len += got;
    }
    assert_true(len >= all && memcmp(text, wanted, all) == 0);
    assert_int_equal(filter_end(&filter), 0);
    assert_int_equal(filter_end(&filter), 0);
}

/* Nothing of this process is there but the two ends, and no variable. */
static void test_what_it_has(void **state)
{
    char room[4096];
    size_t got, len = 0;
    int left_open = dup(STDOUT_FILENO);
    assert_true(left_open > 2);
    setenv("SECRET_OF_OURS", "x", 1);
    struct filter filter = shell("env; exec 2>&1; trap", "/dev/null");
    while (len < sizeof room - 1 &&
           filter_read(&filter, room + len, sizeof room - 1 - len, &got, SILENT_MS_MAX, NULL) == FILTER_GOT)
        len += got;
    room[len] = '\0';
    assert_null(strstr(room, "SECRET_OF_OURS"));
    filter_end(&filter);
    close(left_open);
}

static void test_ends(void **state)
{
    char room[8];
    size_t got;
    atomic_bool stop = false;
    struct filter filter = shell("kill -SEGV $$", "/dev/null");
    assert_int_equal(filter_read(&filter, room, sizeof room, &got, SILENT_MS_MAX, NULL), FILTER_OVER);
    assert_int_equal(filter_end(&filter), SIGSEGV);
    filter = shell("exec sleep 1000", "/dev/null");
    assert_int_equal(filter_read(&filter, room, sizeof room, &got, 300, &stop), FILTER_SILENT);
    stop = true;
    assert_int_equal(filter_read(&filter, room, sizeof room, &got, SILENT_MS_MAX, &stop), FILTER_STOPPED);
    pid_t pid = filter.pid;
    assert_int_equal(filter_end(&filter), 0); /* by us */
    assert_int_equal(kill(pid, 0), -1);
    filter = shell("exec >&-; exec sleep 1000", "/dev/null");
    assert_int_equal(filter_read(&filter, room, sizeof room, &got, SILENT_MS_MAX, NULL), FILTER_OVER);
    assert_int_equal(filter_end(&filter), 0);
}

static void test_what_is_not_there(void **state)
{
    struct filter filter;
    const char *none[] = {"/nonexistent/program", NULL}, *cat[] = {"/bin/cat", NULL};
    assert_false(filter_start(&filter, none, "/dev/null", &err));
    assert_non_null(strstr(err.text, "/nonexistent/program cannot be started: No such file"));
    assert_false(filter_start(&filter, cat, "/nonexistent/file", &err));
    assert_non_null(strstr(err.text, "/nonexistent/file: No such file"));
    assert_int_equal(filter_end(&filter), 0);
    filter = (struct filter){0};
    assert_int_equal(filter_end(&filter), 0);
    assert_null(filter_program("no-program-of-ours", &err));
    assert_non_null(strstr(err.text, "/no-program-of-ours nor /"));
}

static void test_programs_beside(void **state)
{
    struct buf self = {0};
    assert_true(file_self(&self));
    buf_append_char(&self, '\0');
    char *found = filter_program(strrchr(buf_span(&self).data, '/') + 1, &err);
    assert_non_null(found);
    assert_string_equal(found, buf_span(&self).data);
    free(found);
    buf_finish(&self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output),
        cmocka_unit_test(test_what_it_has),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_what_is_not_there),
        cmocka_unit_test(test_programs_beside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
