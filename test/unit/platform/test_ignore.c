/* test_ignore: the rules of gitignore(5), one table. */
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

#include "loop/file.h"
#include "platform/ignore.h"

static struct err err;

static const struct {
    const char *rules, *path; /* a path that ends with "/" is a folder */
    bool excluded;
} cases[] = {
    {"a.txt", "a.txt", true},
    {"a.txt", "b/a.txt", true},
    {"a.txt", "a.txt.old", false},
    {"/a.txt", "a.txt", true},
    {"/a.txt", "b/a.txt", false},
    {"b/a.txt", "b/a.txt", true},
    {"b/a.txt", "c/b/a.txt", false},
    {"build/", "build/", true},
    {"build/", "build", false}, /* a file */
    {"build/", "x/build/", true},
    {"*.log", "x/y.log", true},
    {"*.log", ".log", true},
    {"/*.log", "x/y.log", false},
    {"x/*.log", "x/y.log", true},
    {"x/*", "x/y/z", false}, /* a star stays within its part */
    {"*.log\n!keep.log", "keep.log", false},
    {"!keep.log\n*.log", "keep.log", true}, /* the last one counts */
    {"**/foo", "foo", true},
    {"**/foo", "a/b/foo", true},
    {"**/foo/bar", "a/foo/bar", true},
    {"a/**", "a/b", true},
    {"a/**", "a/", false},
    {"a/**", "b/a/c", false},
    {"a/**/b", "a/b", true},
    {"a/**/b", "a/x/y/b", true},
    {"a/**/b", "a/x/y/c", false},
    {"a/**/b/**/c", "a/b/x/b/y/c", true},
    {"a**b", "axyb", true},
    {"?.c", "a.c", true},
    {"?.c", ".c", false},
    {"[a-c].c", "b.c", true},
    {"[!a-c].c", "b.c", false},
    {"[^a-c].c", "d.c", true},
    {"[]].c", "].c", true},
    {"[a.c", "[a.c", true}, /* no class */
    {"# no rule", "# no rule", false},
    {"\\# a rule", "# a rule", true},
    {"\\!a", "!a", true},
    {"a  ", "a", true},
    {"a\\ ", "a ", true},
    {"a\r\n", "a", true},
    {"\\*", "*", true},
    {"\\*", "x", false},
    {"/", "x", false},
    {"*a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
};

static void rules_exclude(void **state)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ignore ignore = {0};
        char path[100];
        size_t len = strlen(cases[i].path);
        bool is_directory = cases[i].path[len - 1] == '/';
        snprintf(path, sizeof path, "%.*s", (int)(len - is_directory), cases[i].path);
        assert_true(ignore_add(&ignore, span_str(cases[i].rules), &err));
        if (ignore_excludes(&ignore, path, is_directory) != cases[i].excluded)
            fail_msg("%s on %s: expected %d", cases[i].rules, cases[i].path, cases[i].excluded);
        ignore_finish(&ignore);
    }
}

static void write_file(const char *directory, const char *name, const char *text)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    assert_true(file_new(path, span_str(text), &err));
}

static bool is_there(const char *directory, const char *name)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return access(path, F_OK) == 0;
}

/* gcloud reads .gcloudignore where there is one, and .gitignore else. */
static void a_source_is_copied_without_what_is_excluded(void **state)
{
    char directory[] = "/tmp/sennit-ignore-XXXXXX", from[64], to[64], inner[128];
    struct ignore ignore = {0};
    struct tree_count count;
    assert_non_null(mkdtemp(directory));
    snprintf(from, sizeof from, "%s/from", directory);
    snprintf(to, sizeof to, "%s/to", directory);
    snprintf(inner, sizeof inner, "%s/logs", from);
    assert_true(file_new_directory(from, &err) && file_new_directory(inner, &err));
    write_file(from, ".gitignore", "secret\nlogs/\n");
    write_file(from, ".gcloudignore", "#!include:.gitignore\n!logs/\n*.tmp\n");
    write_file(from, "server.js", "1");
    write_file(from, "secret", "2");
    write_file(from, "x.tmp", "3");
    write_file(inner, "kept", "4");
    snprintf(inner, sizeof inner, "%s/tool", from);
    assert_int_equal(symlink("server.js", inner), 0);
    snprintf(inner, sizeof inner, "%s/server.js", from);
    assert_int_equal(chmod(inner, 0755), 0);
    snprintf(inner, sizeof inner, "%s/pipe", from);
    assert_int_equal(mkfifo(inner, 0600), 0);
    assert_true(ignore_read(&ignore, from, &err));
    assert_true(tree_copy(from, to, &ignore.filter, &count, &err));
    assert_true(is_there(to, "server.js") && is_there(to, "logs/kept") && is_there(to, "tool"));
    assert_false(is_there(to, "secret") || is_there(to, "x.tmp") || is_there(to, ".gitignore") || is_there(to, "pipe"));
    snprintf(inner, sizeof inner, "%s/server.js", to);
    assert_int_equal(access(inner, X_OK), 0);
    assert_int_equal(count.skipped, 1);
    assert_int_equal(count.bytes, 2);
    assert_false(tree_copy(from, to, &ignore.filter, &count, &err)); /* a build never changes */
    ignore_finish(&ignore);
    tree_remove(directory);
    assert_int_equal(access(directory, F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_exclude),
        cmocka_unit_test(a_source_is_copied_without_what_is_excluded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
