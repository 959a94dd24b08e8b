/* test_rootfs: nothing that a layer says leads out of the folder, and a child in an image sees that alone. */
#include <fcntl.h>
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

#include "base/mem.h"
#include "loop/child.h"
#include "loop/rootfs.h"
#include "loop/tree.h"

static char top[64], inside[80], outside[80];
static struct rootfs rootfs;
static struct err err;
static const struct rootfs_about about = {0755, 0, 0, 1700000000};

static int begin(void **state)
{
    snprintf(top, sizeof top, "/tmp/sennit-rootfs-XXXXXX");
    assert_non_null(mkdtemp(top));
    snprintf(inside, sizeof inside, "%s/inside", top);
    snprintf(outside, sizeof outside, "%s/outside", top);
    assert_int_equal(mkdir(inside, 0755) | mkdir(outside, 0755), 0);
    assert_true(rootfs_open(&rootfs, inside, &err));
    return 0;
}

static int finish(void **state)
{
    rootfs_close(&rootfs);
    tree_remove(top);
    return 0;
}

static bool file_make(const char *path, const char *text)
{
    return rootfs_file_begin(&rootfs, path, &err) && rootfs_file_write(&rootfs, span_str(text), &err) &&
           rootfs_file_end(&rootfs, &about, &err);
}

static const char *contents(const char *path)
{
    static char text[64];
    size_t len = sizeof text - 1;
    if (!rootfs_read(inside, path, text, &len))
        return NULL;
    text[len] = '\0';
    return text;
}

static bool is_empty(const char *folder)
{
    struct rootfs other;
    assert_true(rootfs_open(&other, folder, &err));
    char **names = rootfs_list(&other, "");
    bool empty = names[0] == NULL;
    for (size_t i = 0; names[i] != NULL; i++)
        free(names[i]);
    free(names);
    rootfs_close(&other);
    return empty;
}

static void test_links_lead_nowhere_else(void **state)
{
    char *up = mem_printf("../../../..%s", outside);
    assert_true(rootfs_symlink(&rootfs, "absolute", outside, &about, &err));
    assert_true(rootfs_symlink(&rootfs, "relative", up, &about, &err));
    assert_true(rootfs_symlink(&rootfs, "top", "/", &about, &err));
    file_make("absolute/file", "x");
    file_make("relative/file", "x");
    rootfs_link(&rootfs, "absolute/hard", "top", &err);
    rootfs_folder(&rootfs, "absolute/folder", &about, &err);
    rootfs_symlink(&rootfs, "relative/link", "x", &about, &err);
    assert_true(is_empty(outside));
    assert_true(file_make("top/file", "text")); /* the image's own root */
    assert_string_equal(contents("/file"), "text");
    assert_null(contents(outside));
    free(up);
}

static void test_one_takes_the_place_of_another(void **state)
{
    assert_true(file_make("a/b/c", "one") && file_make("a/b/c", "two"));
    assert_string_equal(contents("/a/b/c"), "two");
    assert_true(rootfs_link(&rootfs, "same", "a/b/c", &err));
    assert_true(file_make("a/b", "a file now"));
    assert_string_equal(contents("/a/b"), "a file now");
    assert_string_equal(contents("/same"), "two");
    assert_true(rootfs_folder(&rootfs, "a/b", &about, &err));
    assert_true(rootfs_is_folder(inside, "/a/b"));
    assert_true(rootfs_symlink(&rootfs, "a/b", "/same", &about, &err));
    assert_string_equal(contents("/a/b"), "two");
    assert_true(file_make("a/b", "of its own")); /* the link goes, and what it led to stays */
    assert_string_equal(contents("/same"), "two");
    rootfs_remove(&rootfs, "a");
    assert_false(rootfs_is_there(inside, "/a"));
    assert_false(rootfs_link(&rootfs, "other", "none", &err));
}

static void test_where_paths_lead(void **state)
{
    assert_true(file_make("usr/bin/tool", "x") && rootfs_symlink(&rootfs, "bin", "/usr/bin", &about, &err));
    char *real = rootfs_real(inside, "/bin/tool"), *root = rootfs_real(inside, "/bin/../..");
    assert_string_equal(real, "/usr/bin/tool");
    assert_string_equal(root, "/");
    assert_null(rootfs_real(inside, "/bin/none"));
    assert_true(rootfs_is_program(inside, "/bin/tool"));
    assert_false(rootfs_is_program(inside, "/bin"));
    free(real);
    free(root);
}

/* It runs, and is no zombie that waits for the machine's first process. */
static bool is_alive(pid_t pid)
{
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY);
    ssize_t got = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    if (fd >= 0)
        close(fd);
    const char *state_ = got > 0 ? strrchr(text, ')') : NULL;
    return state_ != NULL && strchr("ZX", state_[2]) == NULL;
}

/* A child in an image: its output. */
static struct loop *loop;
static struct child child;
static struct buf output;

static void on_line(struct child *of, bool is_stderr, struct span line)
{
    buf_append(&output, line);
    buf_append_char(&output, '\n');
}

static void on_ended(struct child *of, struct child_end how)
{
    loop_stop(loop);
}

static bool run(const struct mounts_wanted *wanted, const char *const *argv)
{
    struct mounts mounts = {0};
    const struct child_spec spec = {.argv = argv, .directory = wanted->image->directory, .mounts = &mounts};
    buf_clear(&output);
    bool ok = mounts_plan(&mounts, wanted, &err) && child_start(&child, loop, &spec, on_line, on_ended, &err);
    if (ok)
        loop_run(loop);
    mounts_finish(&mounts);
    buf_append_char(&output, '\0');
    return ok;
}

/* Copies programs of this machine into the image. */
static void programs_copy(void)
{
    char *command =
        mem_printf("set -e; for p in sh ls cat id sleep; do p=$(command -v $p); mkdir -p %s/bin; cp -L $p %s/bin/; "
                   "for l in $(ldd $p | grep -o '/[^ ]*\\.so[^ ]*'); do mkdir -p %s$(dirname $l); "
                   "cp -L $l %s$l; done; done",
                   inside, inside, inside, inside);
    assert_int_equal(system(command), 0);
    free(command);
    loop = loop_create(&err);
}

/* What the machine says of /proc/sys to a program that is root in there. */
#define IS_SEALED "[ -w /proc/sys/kernel/hostname ] || echo sealed; "

static void test_a_child_sees_the_image_alone(void **state)
{
    const char *const script = "exec 2>/dev/null; pwd; cat /made/by/us; echo; echo new >/tmp/x; cat /tmp/x /etc/hosts "
                               "/data/f; ls -d /outside; "
                               "echo >/dev/null && echo well; " IS_SEALED "id -u; id -G";
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    const struct mount_volume volumes[] = {{"data", 0}};
    const struct mount_file files[] = {{"data/f", {"volume\n", 7}, 0444}};
    const struct mount_point points[] = {{"/data", "data", true}};
    struct mount_image image = {.root = inside, .directory = "/srv", .hosts = "hosts\n", .uid = 7, .gid = 8};
    const struct mounts_wanted wanted = {volumes, files, points, 1, 1, 1, &image, NULL};
    programs_copy();
    mode_t before = umask(077); /* an operator's, who is careful: folders are for the image's user still */
    assert_true(file_make("made/by/us", "x"));
    bool ok = run(&wanted, argv);
    umask(before);
    if (!ok && (strstr(err.text, "mount namespace") != NULL || strstr(err.text, "overlayfs") != NULL)) {
        loop_destroy(loop);
        skip();
    }
    if (!ok)
        fail_msg("%s", err.text);
    assert_non_null(strstr(buf_span(&output).data, "/srv\nx\nnew\nhosts\nvolume\nwell\nsealed\n7\n8"));
    assert_false(rootfs_is_there(inside, "/tmp/x")); /* it stays as it was */
    image.uid = 0;
    assert_true(run(&wanted, argv));
    assert_non_null(strstr(buf_span(&output).data, "well\nsealed\n0\n8"));
    image.directory = "/bin/sh/below";
    assert_false(run(&wanted, argv));
    assert_non_null(strstr(err.text, "/bin/sh is no folder in the image"));
    image.directory = "/lost/below";
    assert_true(rootfs_symlink(&rootfs, "lost", "/old/etc", &about, &err));
    assert_false(run(&wanted, argv));
    assert_non_null(strstr(err.text, "a link at /lost that leads nowhere"));
    buf_finish(&output);
    loop_destroy(loop);
}

/* In a process that ends at once: starts a child in the image, and says its pid. */
static void child_leave(int to)
{
    const char *const argv[] = {"/bin/sleep", "1000", NULL};
    const struct mount_image image = {.root = inside, .directory = "/", .uid = 7, .gid = 8};
    const struct mounts_wanted wanted = {.image = &image};
    struct mounts mounts = {0};
    const struct child_spec spec = {.argv = argv, .mounts = &mounts};
    pid_t pid = 0;
    if (mounts_plan(&mounts, &wanted, &err) && child_start(&child, loop, &spec, on_line, on_ended, &err))
        pid = child.pid;
    _exit(write(to, &pid, sizeof pid) != sizeof pid);
}

/* The kernel forgets that when a process becomes another user. */
static void test_a_child_dies_with_us(void **state)
{
    enum { TRIES = 500 };
    int ends[2], tries = 0;
    pid_t pid = 0;
    programs_copy();
    assert_int_equal(pipe(ends), 0);
    pid_t parent = fork();
    if (parent == 0)
        child_leave(ends[1]);
    assert_int_equal(read(ends[0], &pid, sizeof pid), sizeof pid);
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    loop_destroy(loop);
    if (pid == 0)
        skip();
    while (is_alive(pid) && ++tries < TRIES)
        usleep(10000);
    if (tries == TRIES)
        kill(pid, SIGKILL);
    assert_int_not_equal(tries, TRIES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_links_lead_nowhere_else, begin, finish),
        cmocka_unit_test_setup_teardown(test_one_takes_the_place_of_another, begin, finish),
        cmocka_unit_test_setup_teardown(test_where_paths_lead, begin, finish),
        cmocka_unit_test_setup_teardown(test_a_child_sees_the_image_alone, begin, finish),
        cmocka_unit_test_setup_teardown(test_a_child_dies_with_us, begin, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
