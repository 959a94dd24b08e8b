/* test_roster: what a killed `sennit up` has noted, the next one ends. */
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop/orphans.h"
#include "platform/roster.h"

#define OURS "SENNIT_TEST_ROSTER=board-00001-1"

static char folder[] = "/tmp/sennit-roster-XXXXXX";
static const struct cgroups no_groups;

static int set_up(void **state)
{
    strcpy(folder + sizeof folder - 7, "XXXXXX");
    assert_non_null(mkdtemp(folder));
    return 0;
}

static int remove_one(const char *path, const struct stat *about, int type, struct FTW *at)
{
    return remove(path);
}

static int tear_down(void **state)
{
    return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static bool is_sleep(pid_t pid)
{
    char path[64], name[32] = "";
    snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
    FILE *file = fopen(path, "r");
    bool ok = file != NULL && fgets(name, sizeof name, file) != NULL && strcmp(name, "sleep\n") == 0;
    if (file != NULL)
        fclose(file);
    return ok;
}

/* A group whose first process has ended, has been waited for, and has left another one. Returns that one. */
static pid_t group_leave(pid_t *group)
{
    int ends[2];
    pid_t left = 0;
    assert_int_equal(pipe(ends), 0);
    *group = fork();
    if (*group == 0) {
        char *const env[] = {OURS, NULL};
        setpgid(0, 0);
        left = fork();
        if (left == 0)
            execle("/bin/sleep", "sleep", "100", NULL, env);
        _exit(write(ends[1], &left, sizeof left) != sizeof left);
    }
    assert_int_equal(read(ends[0], &left, sizeof left), sizeof left);
    assert_int_equal(waitpid(*group, NULL, 0), *group);
    close(ends[0]);
    close(ends[1]);
    for (int i = 0; i < 1000 && !is_sleep(left); i++) /* it has its own environment then */
        usleep(5000);
    return left;
}

static void test_what_a_killed_one_has_noted_is_ended(void **state)
{
    struct roster roster = {0};
    char control[64], path[96], boot[BOOT_ID_BYTES];
    pid_t group, left = group_leave(&group);
    snprintf(control, sizeof control, "%s/control", folder);
    mkdir(control, 0700);
    snprintf(path, sizeof path, "%s/programs", control);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/programs/%d", control, (int)group);
    process_boot_read(boot);
    FILE *note = fopen(path, "w");
    fprintf(note, "1 %d 1 %s %s\n", (int)group, boot, OURS); /* as roster_note writes it */
    fclose(note);
    roster_open(&roster, control, &no_groups);
    roster_finish(&roster);
    bool lives = orphans_live(group);
    if (lives)
        kill(left, SIGKILL);
    assert_false(lives);
    assert_int_equal(access(path, F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_a_killed_one_has_noted_is_ended, set_up, tear_down)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
