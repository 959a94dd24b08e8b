/* test_private: a directory that root gives to the user of a server. As another user these tests are skipped. */
#include <ftw.h>
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

#include "loop/private.h"

static const struct child_user nobody = {65534, 65534};
static char top[] = "/tmp/sennit-private-XXXXXX";
static struct err err;

static int set_up(void **state)
{
    strcpy(top + sizeof top - 7, "XXXXXX");
    assert_non_null(mkdtemp(top));
    chmod(top, 0711);
    return 0;
}

static int remove_one(const char *path, const struct stat *about, int type, struct FTW *at)
{
    return remove(path);
}

static int tear_down(void **state)
{
    return nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static const char *path_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", top, name);
    return path;
}

static char *give(const char *name)
{
    return private_directory_give(path_of(name), &nobody, &err);
}

static void is(const char *name, unsigned uid, unsigned mode)
{
    struct stat about;
    assert_int_equal(lstat(path_of(name), &about), 0);
    assert_int_equal(about.st_uid, uid);
    assert_int_equal(about.st_mode & 07777, mode);
}

static void test_it_becomes_the_users(void **state)
{
    if (geteuid() != 0)
        skip();
    umask(077);
    char *path = give("a/b/data");
    umask(022);
    assert_non_null(path);
    assert_string_equal(path, path_of("a/b/data"));
    is("a", 0, 0711);
    is("a/b", 0, 0711);
    is("a/b/data", 65534, 0700);
    free(path);
    chmod(path_of("a/b/data"), 0777); /* others could read it */
    path = give("a/b/data");
    assert_non_null(path);
    is("a/b/data", 65534, 0700);
    free(path);
}

static void test_what_is_refused(void **state)
{
    if (geteuid() != 0)
        skip();
    mkdir(path_of("closed"), 0700);
    assert_null(give("closed/data"));
    assert_non_null(strstr(err.text, "/closed: the user 65534 cannot enter it: chmod o+x it"));
    mkdir(path_of("theirs"), 0700);
    assert_int_equal(chown(path_of("theirs"), 12345, 12345), 0);
    assert_null(give("theirs"));
    assert_non_null(strstr(err.text, "belongs to another user (12345) than 65534"));
    is("theirs", 12345, 0700);
    mkdir(path_of("open"), 0777);
    chmod(path_of("open"), 0777);
    assert_null(give("open/data"));
    assert_non_null(strstr(err.text, "everybody may write into the directory above it"));
    /* A link would give away what it leads to. */
    mkdir(path_of("roots"), 0700);
    char *to = strdup(path_of("roots"));
    assert_int_equal(symlink(to, path_of("link")), 0);
    free(to);
    assert_null(give("link"));
    is("roots", 0, 0700);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(it_becomes_the_users), TEST(what_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
