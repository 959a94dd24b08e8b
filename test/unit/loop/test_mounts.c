/* test_mounts: a child sees volumes at paths that are not there, and everything else as it was. Where this user may
 * make no mount namespace, the tests that need one are skipped. */
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
#include "loop/child.h"

static struct loop *loop;
static struct child child;
static struct timer patience;
static struct buf output;
static struct child_end end;
static char folder[64];

static const struct mount_volume volumes[] = {{"secret", 0}, {"memory", 65536}};
static const struct mount_file files[] = {{"secret/a/b", {"value", 5}, 0440}, {"secret/empty", {"", 0}, 0400}};

static void on_line(struct child *of, bool is_stderr, struct span line)
{
    buf_append(&output, line);
    buf_append_char(&output, '\n');
}

static void on_ended(struct child *of, struct child_end how)
{
    end = how;
    loop_stop(loop);
}

static void on_patience(struct timer *timer)
{
    fail_msg("the child goes on for too long");
}

static int begin(void **state)
{
    struct err err;
    struct mounts none = {0};
    struct mounts_wanted nothing = {0};
    loop = loop_create(&err);
    timer_init(&patience, on_patience);
    snprintf(folder, sizeof folder, "/tmp/sennit-mounts-XXXXXX");
    assert_non_null(mkdtemp(folder));
    *state = mounts_plan(&none, &nothing, &err) && child_may_mount(&none, &err) ? loop : NULL;
    if (*state == NULL)
        print_message("skipped: %s\n", err.text);
    mounts_finish(&none);
    return 0;
}

static int finish(void **state)
{
    rmdir(folder);
    buf_finish(&output);
    loop_destroy(loop);
    return 0;
}

static const char *below(const char *path)
{
    static char texts[4][128];
    static int next;
    char *text = texts[next++ % 4];
    snprintf(text, sizeof texts[0], "%s%s", folder, path);
    return text;
}

/* Runs a shell with two volumes: `folder`/x/secret and `folder`/memory. */
static void start(struct mounts *mounts, const char *script)
{
    struct err err;
    const struct mount_point points[] = {{below("/x/secret"), "secret", true}, {below("/memory"), "memory", false}};
    const struct mounts_wanted wanted = {volumes, files, points, 2, 2, 2, NULL, NULL};
    const char *const argv[] = {"sh", "-c", script, folder, NULL};
    const struct child_spec spec = {.argv = argv, .mounts = mounts};
    buf_clear(&output);
    if (!mounts_plan(mounts, &wanted, &err) || !child_start(&child, loop, &spec, on_line, on_ended, &err))
        fail_msg("%s", err.text);
    timer_start(loop, &patience, LOOP_MS(20000));
}

static void until_it_ends(void)
{
    loop_run(loop);
    timer_stop(loop, &patience);
    buf_append_char(&output, '\0');
}

static void test_a_child_sees_its_volumes(void **state)
{
    struct mounts mounts;
    if (*state == NULL)
        skip();
    start(&mounts, "exec 2>/dev/null; cat $0/x/secret/a/b; echo; echo >$0/x/secret/c; rm -f $0/x/secret/empty; echo "
                   "yes >$0/memory/d; cat "
                   "$0/memory/d; dd if=/dev/zero of=$0/memory/large bs=65536 count=2 2>&1 | grep -c space; pwd; ls $0 "
                   "$0/x/secret");
    until_it_ends();
    char *expected = mem_printf("value\nyes\n1\n%s\n%s:\nmemory\nx\n\n%s/x/secret:\na\nempty\n",
                                getcwd((char[256]){0}, 256), folder, folder);
    assert_string_equal(buf_span(&output).data, expected);
    assert_int_equal(access(below("/x"), F_OK), -1);
    assert_int_equal(access(below("/memory"), F_OK), -1);
    free(expected);
    mounts_finish(&mounts);
}

static void test_files_change_while_it_runs(void **state)
{
    struct mounts mounts;
    if (*state == NULL)
        skip();
    start(&mounts, "while [ \"$(cat $0/x/secret/a/b 2>&1)\" = value ]; do sleep 0.01; done; cat $0/x/secret/a/b; echo; "
                   "while [ -e $0/x/secret/empty ]; do sleep 0.01; done; ls $0/x/secret");
    int store = mounts_store(&mounts);
    assert_true(store >= 0);
    mounts_finish(&mounts);
    assert_true(mounts_file_write(store, "secret/a/b", SPAN_LIT("later"), 0444));
    mounts_file_remove(store, "secret/empty");
    mounts_file_remove(store, "secret/empty");
    until_it_ends();
    assert_string_equal(buf_span(&output).data, "later\na\n");
    mounts_store_close(store);
}

/* The folder above may be busy: what was there when the steps were planned may have gone. */
static void test_an_entry_that_goes_meanwhile(void **state)
{
    struct mounts mounts;
    struct err err;
    const struct mount_point points[] = {{below("/x/secret"), "secret", true}};
    const struct mounts_wanted wanted = {volumes, files, points, 2, 2, 1, NULL, NULL};
    const char *names[] = {below("/folder"), below("/file")};
    if (*state == NULL)
        skip();
    assert_int_equal(mkdir(names[0], 0700), 0);
    int fd = open(names[1], O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_true(mounts_plan(&mounts, &wanted, &err));
    assert_true(child_may_mount(&mounts, &err));
    rmdir(names[0]);
    unlink(names[1]);
    if (!child_may_mount(&mounts, &err))
        fail_msg("%s", err.text);
    mounts_finish(&mounts);
}

static void test_a_crowded_folder_is_refused(void **state)
{
    struct mounts mounts;
    struct err err;
    const struct mount_point points[] = {{below("/x/secret"), "secret", true}};
    const struct mounts_wanted wanted = {volumes, files, points, 2, 2, 1, NULL, NULL};
    char name[128];
    for (int i = 0; i < MOUNTS_ENTRIES_MAX; i++) {
        snprintf(name, sizeof name, "%s/%d", folder, i);
        assert_int_equal(symlink("x", name), 0);
    }
    assert_false(mounts_plan(&mounts, &wanted, &err));
    assert_non_null(strstr(err.text, "entries, more than 4096: choose a mountPath in another folder"));
    mounts_finish(&mounts);
    for (int i = 0; i < MOUNTS_ENTRIES_MAX; i++) {
        snprintf(name, sizeof name, "%s/%d", folder, i);
        unlink(name);
    }
}

static void test_a_hosts_file_of_its_own(void **state)
{
    struct err err;
    struct mounts mounts;
    const char *const argv[] = {"cat", "/etc/hosts", NULL};
    const struct mounts_wanted wanted = {.hosts = "169.254.169.254 a.name\n"};
    const struct child_spec spec = {.argv = argv, .mounts = &mounts};
    if (*state == NULL || access("/etc/hosts", F_OK) != 0)
        skip();
    buf_clear(&output);
    if (!mounts_plan(&mounts, &wanted, &err) || !child_start(&child, loop, &spec, on_line, on_ended, &err))
        fail_msg("%s", err.text);
    timer_start(loop, &patience, LOOP_MS(20000));
    until_it_ends();
    assert_string_equal(buf_span(&output).data, wanted.hosts);
    mounts_finish(&mounts);
}

static void test_faults_are_told(void **state)
{
    struct mounts mounts;
    struct err err;
    const struct mount_point points[] = {{"/dev/null/x", "memory", false}};
    const struct mounts_wanted wanted = {volumes, files, points, 2, 2, 1, NULL, NULL};
    assert_false(mounts_plan(&mounts, &wanted, &err));
    assert_string_equal(err.text, "the mountPath /dev/null/x: /dev/null is no folder on this machine");
    mounts_finish(&mounts);
    struct mounts_wanted nothing = {0};
    assert_true(mounts_plan(&mounts, &nothing, &err));
    assert_false(mounts_error(&mounts, 1, 1, &err));
    assert_non_null(strstr(err.text, "this user may not make here (Operation not permitted): run sennit up as root"));
    mounts_finish(&mounts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_child_sees_its_volumes),     cmocka_unit_test(test_files_change_while_it_runs),
        cmocka_unit_test(test_an_entry_that_goes_meanwhile), cmocka_unit_test(test_a_crowded_folder_is_refused),
        cmocka_unit_test(test_a_hosts_file_of_its_own),      cmocka_unit_test(test_faults_are_told)};
    return cmocka_run_group_tests(tests, begin, finish);
}
