/* test_child: processes that the loop starts: their lines, their ends, and those that behave badly. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../patience.h"
#include "loop/child.h"

enum { WAIT_MS = 10000, LINE_NS = 5000 };

static struct loop *loop;
static struct child child;
static struct child_end end;
static unsigned ended, lines;
static char last[256];

static void on_line(struct child *of, bool is_stderr, struct span line)
{
    lines++;
    snprintf(last, sizeof last, "%s" SPAN_FMT, is_stderr ? "!" : "", SPAN_ARG(line));
}

/* As slow as a log that is read. */
static void on_line_slowly(struct child *of, bool is_stderr, struct span line)
{
    struct timespec now, start;
    lines++;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while ((now.tv_sec - start.tv_sec) * 1000000000 + now.tv_nsec - start.tv_nsec < LINE_NS);
}

static void on_ended(struct child *of, struct child_end how)
{
    ended++;
    end = how;
    loop_stop(loop);
}

static bool start(const char *script, child_line_fn *line, struct err *err)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    const struct child_spec spec = {.argv = argv};
    return child_start(&child, loop, &spec, line, on_ended, err);
}

static int set_up(void **state)
{
    struct err err;
    loop = loop_create(&err);
    ended = lines = 0;
    return 0;
}

static int tear_down(void **state)
{
    if (ended == 0 && child.pid > 0) {
        child_signal_group(&child, SIGKILL);
        run_for(loop, WAIT_MS);
    }
    loop_destroy(loop);
    return 0;
}

static void test_lines_and_an_end(void **state)
{
    struct err err;
    assert_true(start("echo one; printf two; echo bad >&2; exit 3", on_line, &err));
    run_for(loop, WAIT_MS);
    assert_int_equal(ended, 1);
    assert_int_equal(end.exit_status, 3);
    assert_int_equal(lines, 3);
}

static void test_a_signal(void **state)
{
    struct err err;
    assert_true(start("exec sleep 60", on_line, &err));
    child_signal(&child, SIGTERM);
    run_for(loop, WAIT_MS);
    assert_int_equal(end.signal, SIGTERM);
}

static void test_a_program_that_is_not_there(void **state)
{
    const char *const argv[] = {"no-such-program", NULL};
    const struct child_spec spec = {.argv = argv};
    struct err err;
    assert_false(child_start(&child, loop, &spec, on_line, on_ended, &err));
    assert_string_equal(err.text, "no-such-program: not found in PATH");
    child.pid = 0;
}

/* It writes faster than its lines are handled. Other streams and timers must still have their turn. */
static void test_a_child_that_never_stops_talking(void **state)
{
    struct err err;
    alarm(20); /* a loop that is not left cannot be waited for */
    assert_true(start("exec yes", on_line_slowly, &err));
    run_for(loop, 200);
    assert_true(lines > 100);
    child_signal(&child, SIGKILL);
    run_for(loop, WAIT_MS);
    assert_int_equal(ended, 1);
    alarm(0);
}

/* Its own child holds the outputs and goes on writing after it has ended. */
static void test_a_grandchild_that_never_stops_talking(void **state)
{
    struct err err;
    alarm(20);
    assert_true(start("yes & echo $! >&2; exit 0", on_line_slowly, &err));
    run_for(loop, WAIT_MS);
    assert_int_equal(ended, 1);
    alarm(0);
}

/* A zombie counts as gone, because there may be no process to reap it. */
static bool is_gone(long pid)
{
    char path[64], name[64], state = 'Z';
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return true;
    bool read = fscanf(file, "%*d %63s %c", name, &state) == 2;
    fclose(file);
    return !read || state == 'Z';
}

/* A script that did not exec its server: nothing of it is left behind. */
static void test_a_grandchild_ends_with_its_parent(void **state)
{
    struct err err;
    alarm(20);
    assert_true(start("sleep 60 >&- 2>&- & echo $!; kill -TERM $$; sleep 60", on_line, &err));
    run_for(loop, WAIT_MS);
    assert_int_equal(ended, 1);
    assert_int_equal(end.signal, SIGTERM);
    long grandchild = strtol(last, NULL, 10);
    assert_true(grandchild > 1);
    for (int i = 0; i < 100 && !is_gone(grandchild); i++)
        run_for(loop, 10);
    assert_true(is_gone(grandchild));
    alarm(0);
}

/* Some sandboxes refuse pidfd_open. */
static void refuse_pidfd_open(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        _exit(77);
}

static void test_children_that_cannot_be_watched(void **state)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct err err;
        refuse_pidfd_open();
        bool started = start("exec sleep 60", on_line, &err);
        _exit(started || strstr(err.text, "cannot be watched") == NULL);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip();
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* All output until the end. */
static char all[4096];

static void on_line_kept(struct child *of, bool is_stderr, struct span line)
{
    size_t used = strlen(all);
    snprintf(all + used, sizeof all - used, SPAN_FMT "\n", SPAN_ARG(line));
}

static const char *said(const char *script, const char *const *env, bool is_private)
{
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    const struct child_spec spec = {.argv = argv, .env = env, .is_private = is_private};
    struct err err;
    all[0] = '\0';
    ended = 0;
    assert_true(child_start(&child, loop, &spec, on_line_kept, on_ended, &err));
    run_for(loop, WAIT_MS);
    assert_int_equal(ended, 1);
    return all;
}

/* Also one that is not close-on-exec: the shell that started us may have left it open. */
static void test_no_descriptor_of_ours_reaches_it(void **state)
{
    int one = open("/dev/null", O_RDONLY), far = fcntl(one, F_DUPFD, 700);
    assert_true(one > 2 && far >= 700);
    assert_string_equal(said("exec ls /proc/self/fd", NULL, false), "0\n1\n2\n3\n"); /* 3: what ls itself opens */
    close(one);
    close(far);
}

static void test_it_gains_no_privileges(void **state)
{
    assert_string_equal(said("grep NoNewPrivs /proc/self/status", NULL, false), "NoNewPrivs:\t1\n");
}

static void test_its_environment_is_what_it_is_given(void **state)
{
    const char *const env[] = {"ONE=1", "TWO=a b", NULL};
    setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
    assert_string_equal(said("exec /usr/bin/env -u PWD -u OLDPWD -u SHLVL -u _", env, false), "ONE=1\nTWO=a b\n");
    unsetenv("AWS_SECRET_ACCESS_KEY");
}

static void test_what_a_private_one_makes_is_its_users(void **state)
{
    umask(022);
    assert_string_equal(said("umask", NULL, true), "0077\n");
    assert_string_equal(said("umask", NULL, false), "0022\n");
}

static const struct child_user nobody = {65534, 65534};

static void test_another_user(void **state)
{
    const char *const argv[] = {"sh", "-c", "id -u; id -g; id -G", NULL};
    const struct child_spec spec = {.argv = argv, .user = &nobody};
    struct err err;
    if (geteuid() != 0) {
        assert_false(child_start(&child, loop, &spec, on_line, on_ended, &err));
        assert_string_equal(err.text, "sh: cannot become the user 65534: Operation not permitted");
        child.pid = 0;
        return;
    }
    assert_true(child_start(&child, loop, &spec, on_line, on_ended, &err));
    run_for(loop, WAIT_MS);
    assert_int_equal(lines, 3);
    assert_string_equal(last, "65534"); /* its groups: none of root's */
}

/* The kernel forgets the signal at the parent's death when a process becomes another user. */
static void test_another_user_ends_with_us_too(void **state)
{
    int ends[2];
    pid_t inner = 0;
    if (geteuid() != 0)
        skip();
    assert_int_equal(pipe(ends), 0);
    pid_t us = fork();
    if (us == 0) {
        const char *const argv[] = {"sleep", "60", NULL};
        const struct child_spec spec = {.argv = argv, .user = &nobody};
        struct err err;
        bool ok = child_start(&child, loop, &spec, on_line, on_ended, &err);
        _exit(!ok || write(ends[1], &child.pid, sizeof child.pid) != sizeof child.pid || pause() == 0);
    }
    assert_int_equal(read(ends[0], &inner, sizeof inner), sizeof inner);
    kill(us, SIGKILL);
    waitpid(us, NULL, 0);
    for (int i = 0; i < 500 && !is_gone(inner); i++)
        run_for(loop, 10);
    bool gone = is_gone(inner);
    if (!gone)
        kill(inner, SIGKILL);
    assert_true(gone);
    close(ends[0]);
    close(ends[1]);
}

/* It writes to the descriptor that it was named, has no other one of ours, and the wait ends with it. */
static void test_readiness(void **state)
{
    static const struct {
        const char *script;
        enum child_readiness wanted;
    } cases[] = {{"printf 1 >&$0; exec sleep 100", CHILD_READY},
                 {"exit 0", CHILD_NOT_READY},
                 {"eval \"exec $0>&-\"; exec sleep 100", CHILD_NOT_READY},
                 {"exec sleep 100", CHILD_LATE},
                 {"[ $(ls /proc/self/fd | wc -l) = 5 ] && printf 1 >&$0; exec sleep 100", CHILD_READY}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct child_ready ready;
        struct err err;
        char number[16];
        assert_true(child_ready_open(&ready, &err));
        snprintf(number, sizeof number, "%d", ready.its);
        const char *const argv[] = {"sh", "-c", cases[i].script, number, NULL};
        const struct child_spec spec = {.argv = argv, .ready = &ready};
        assert_true(child_start(&child, loop, &spec, on_line, on_ended, &err));
        int late = cases[i].wanted == CHILD_LATE ? 200 : WAIT_MS;
        if (child_ready_wait(&ready, (uint32_t)late) != cases[i].wanted)
            fail_msg("%s", cases[i].script);
        assert_true(ready.ours == -1 && ready.its == -1);
        child_discard(&child);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lines_and_an_end),
        TEST(a_signal),
        TEST(no_descriptor_of_ours_reaches_it),
        TEST(it_gains_no_privileges),
        TEST(its_environment_is_what_it_is_given),
        TEST(what_a_private_one_makes_is_its_users),
        TEST(another_user),
        TEST(another_user_ends_with_us_too),
        TEST(a_program_that_is_not_there),
        TEST(children_that_cannot_be_watched),
        TEST(a_child_that_never_stops_talking),
        TEST(a_grandchild_that_never_stops_talking),
        TEST(a_grandchild_ends_with_its_parent),
        TEST(readiness),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
