/* test_environment: what a program starts with, and what of the operator's shell does not reach it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "platform/environment.h"

static const char *value(const struct words *env, const char *name)
{
    size_t len = strlen(name);
    const char *found = NULL;
    for (size_t i = 0; i < env->count; i++) {
        if (strncmp(env->list[i], name, len) != 0 || env->list[i][len] != '=')
            continue;
        assert_null(found); /* once */
        found = env->list[i] + len + 1;
    }
    return found;
}

static void test_the_last_one_counts(void **state)
{
    struct words env = {0};
    environment_set(&env, mem_text(SPAN_LIT("A=1")));
    environment_set(&env, mem_text(SPAN_LIT("AB=2")));
    environment_set(&env, mem_text(SPAN_LIT("A=3=4")));
    environment_set(&env, mem_text(SPAN_LIT("EMPTY=")));
    assert_int_equal(env.count, 3);
    assert_string_equal(value(&env, "A"), "3=4");
    assert_string_equal(value(&env, "AB"), "2");
    assert_string_equal(value(&env, "EMPTY"), "");
    assert_null(env.list[3]);
    words_finish(&env);
}

static void test_four_of_the_shell(void **state)
{
    struct words env = {0};
    setenv("PATH", "/a:/b", 1);
    setenv("HOME", "/home", 1);
    setenv("LANG", "C", 1);
    unsetenv("TMPDIR");
    setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
    environment_add_system(&env);
    assert_int_equal(env.count, 3);
    assert_string_equal(value(&env, "PATH"), "/a:/b");
    unsetenv("PATH");
    words_finish(&env);
    environment_add_system(&env);
    assert_string_equal(value(&env, "PATH"), "/usr/local/bin:/usr/bin:/bin");
    words_finish(&env);
}

static void pass(const char *name, const char *expected)
{
    struct words env = {0};
    struct err err = {""};
    bool ok = environment_pass(&env, &name, 1, &err);
    assert_int_equal(ok, expected == NULL);
    if (!ok) {
        assert_non_null(strstr(err.text, expected));
        assert_null(strstr(err.text, "secret"));
    }
    words_finish(&env);
}

static void test_passing_on(void **state)
{
    setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
    pass("AWS_SECRET_ACCESS_KEY", NULL);
    pass("AWS_SECRET_ACCESS_KEY=secret", "--env takes the name");
    pass("", "--env takes the name");
    pass("redis://default:secret@host", "--env takes the name");
    pass("1A", "--env takes the name");
    pass("NOT_SET", "NOT_SET: this variable is not set here");
    pass("K_SERVICE", "the platform sets this variable itself");
}

static void test_reserved(void **state)
{
    assert_true(environment_is_reserved(SPAN_LIT("PORT"), false, false));
    assert_true(environment_is_reserved(SPAN_LIT("SENNIT_INSTANCE"), false, false));
    assert_false(environment_is_reserved(SPAN_LIT("REDIS_URL"), false, false));
    assert_true(environment_is_reserved(SPAN_LIT("REDIS_URL"), true, false));
    assert_false(environment_is_reserved(SPAN_LIT("REDISHOST"), false, false));
    assert_true(environment_is_reserved(SPAN_LIT("REDISHOST"), true, false));
    assert_true(environment_is_reserved(SPAN_LIT("REDISPORT"), true, false));
    static const char *const of_postgres[] = {"DATABASE_URL", "PGHOST", "PGPORT", "PGDATABASE", "PGUSER"};
    for (size_t i = 0; i < sizeof of_postgres / sizeof of_postgres[0]; i++) {
        assert_false(environment_is_reserved(span_str(of_postgres[i]), true, false));
        assert_true(environment_is_reserved(span_str(of_postgres[i]), false, true));
    }
    assert_false(environment_is_reserved(SPAN_LIT("REDIS_URL"), false, true));
    assert_false(environment_is_reserved(SPAN_LIT("SENNIT_BROKER"), true, true)); /* the file may choose */
    assert_false(environment_is_reserved(SPAN_LIT("PORT2"), true, true));
    assert_false(environment_is_reserved(SPAN_LIT(""), true, false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_last_one_counts),
        cmocka_unit_test(test_four_of_the_shell),
        cmocka_unit_test(test_passing_on),
        cmocka_unit_test(test_reserved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
