/* test_broker_config: which broker flags and environment choose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "serve/broker_config.h"

static struct err err;

static int set_up(void **state)
{
    unsetenv("SENNIT_BROKER");
    unsetenv("REDIS_URL");
    unsetenv("DATABASE_URL");
    unsetenv("K_SERVICE");
    return 0;
}

static void chosen(const char *broker, enum broker_choice choice, const char *url)
{
    const struct broker_options options = {.broker = broker};
    struct broker_config config = {0};
    assert_true(broker_config_read(&config, &options, &err));
    assert_int_equal(config.choice, choice);
    if (url != NULL)
        assert_string_equal(config.url, url);
    broker_config_finish(&config);
}

static void refused(const char *broker, const char *why)
{
    const struct broker_options options = {.broker = broker};
    struct broker_config config = {0};
    assert_false(broker_config_read(&config, &options, &err));
    if (strstr(err.text, why) == NULL)
        fail_msg("%s", err.text);
    assert_null(strstr(err.text, "secret"));
    broker_config_finish(&config);
}

static void test_postgres_by_its_url(void **state)
{
    setenv("DATABASE_URL", "postgres://other/one", 1);
    chosen("postgres://h/d", BROKER_CHOICE_POSTGRES, "postgres://h/d");
    chosen("postgresql:///board?host=/run/x", BROKER_CHOICE_POSTGRES, "postgresql:///board?host=/run/x");
    refused("postgresql", "write its URL");
    refused("postgres:secret", "write its URL");
}

/* Its name alone is the one that the platform has given; without a word, DATABASE_URL is the program's own business. */
static void test_postgres_by_its_name(void **state)
{
    refused("postgres", "set DATABASE_URL");
    setenv("DATABASE_URL", "postgresql://postgres@/board?host=/run/x", 1);
    chosen("postgres", BROKER_CHOICE_POSTGRES, "postgresql://postgres@/board?host=/run/x");
    chosen(NULL, BROKER_CHOICE_UNMADE, NULL);
    setenv("SENNIT_BROKER", "postgres", 1);
    setenv("K_SERVICE", "board", 1);
    chosen(NULL, BROKER_CHOICE_POSTGRES, "postgresql://postgres@/board?host=/run/x");
    setenv("REDIS_URL", "redis://127.0.0.1", 1);
    chosen(NULL, BROKER_CHOICE_POSTGRES, "postgresql://postgres@/board?host=/run/x");
    chosen("redis", BROKER_CHOICE_REDIS, "redis://127.0.0.1");
    setenv("DATABASE_URL", "mysql://u:secret@h/d", 1);
    refused("postgres", "DATABASE_URL is not the URL of a Postgres");
}

static void test_a_platform_wants_to_be_told(void **state)
{
    setenv("DATABASE_URL", "postgres://h/d", 1);
    setenv("K_SERVICE", "board", 1);
    refused(NULL, "K_SERVICE is set");
    chosen("memory", BROKER_CHOICE_MEMORY, NULL);
    setenv("REDIS_URL", "redis://127.0.0.1", 1);
    chosen(NULL, BROKER_CHOICE_REDIS, "redis://127.0.0.1");
    refused("oracle", "expected memory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_postgres_by_its_url, set_up),
        cmocka_unit_test_setup(test_postgres_by_its_name, set_up),
        cmocka_unit_test_setup(test_a_platform_wants_to_be_told, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
