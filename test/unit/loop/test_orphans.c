/* test_orphans: which processes of a group are killed, and which are left alone. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop/orphans.h"

#define OURS "SENNIT_INSTANCE=board-00001-1"

/* A process group: a shell, and a sleep that it has started. With `leads` false the shell is gone. */
static pid_t group_start(const char *variable, bool leads)
{
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        char *env[] = {(char *)variable, "PATH=/usr/bin:/bin", NULL};
        execle("/bin/sh", "sh", "-c", leads ? "sleep 100 & wait" : "sleep 100 & exit 0", NULL, env);
        _exit(127);
    }
    if (!leads)
        waitpid(pid, NULL, 0);
    for (int i = 0; i < 500 && !orphans_live(pid); i++)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    assert_true(orphans_live(pid));
    return pid;
}

static bool ends(pid_t group)
{
    for (int i = 0; i < 500 && orphans_live(group); i++)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    return !orphans_live(group);
}

static void group_end(pid_t group)
{
    kill(-group, SIGKILL);
    waitpid(group, NULL, 0);
}

static void a_group_with_its_first_process_ends(void **state)
{
    uint64_t birth;
    pid_t group = group_start(OURS, true);
    assert_true(process_birth_read(group, &birth));
    assert_true(orphans_kill(group, birth, OURS) >= 1);
    waitpid(group, NULL, 0);
    assert_true(ends(group));
    group_end(group);
}

static void one_that_stands_still_too(void **state)
{
    uint64_t birth;
    pid_t group = group_start(OURS, true);
    assert_int_equal(kill(-group, SIGSTOP), 0);
    assert_true(process_birth_read(group, &birth));
    assert_true(orphans_kill(group, birth, OURS) >= 1);
    waitpid(group, NULL, 0);
    assert_true(ends(group));
}

static void another_that_has_its_number_is_left_alone(void **state)
{
    uint64_t birth;
    pid_t group = group_start(OURS, true);
    assert_true(process_birth_read(group, &birth));
    assert_int_equal(orphans_kill(group, birth - 1, OURS), 0);
    assert_true(orphans_live(group));
    group_end(group);
}

static void members_without_the_first_are_known_by_their_environment(void **state)
{
    pid_t group = group_start(OURS, false);
    assert_int_equal(orphans_kill(group, 1, "SENNIT_INSTANCE=other-00001-1"), 0);
    assert_true(orphans_live(group));
    assert_int_equal(orphans_kill(group, 1, OURS), 1);
    assert_true(ends(group));
}

static void nothing_is_no_group(void **state)
{
    uint64_t birth;
    char boot[BOOT_ID_BYTES];
    assert_false(process_birth_read(0, &birth));
    assert_int_equal(orphans_kill(0, 1, OURS), 0); /* would be our own group */
    assert_int_equal(orphans_kill(-5, 1, OURS), 0);
    process_boot_read(boot);
    assert_true(boot[0] != '\0');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_with_its_first_process_ends),
        cmocka_unit_test(one_that_stands_still_too),
        cmocka_unit_test(another_that_has_its_number_is_left_alone),
        cmocka_unit_test(members_without_the_first_are_known_by_their_environment),
        cmocka_unit_test(nothing_is_no_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
