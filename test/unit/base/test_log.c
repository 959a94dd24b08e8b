/* test_log: the two formats, levels, and errors for operators. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/log.h"

static char last[512];

static void keep(struct span line)
{
    snprintf(last, sizeof last, SPAN_FMT, SPAN_ARG(line));
}

static int64_t clock_ms(void)
{
    return 1700000000123;
}

static void json_has_the_keys_of_cloud_logging(void **state)
{
    log_init(LOG_JSON, LOG_INFO, clock_ms, keep);
    log_event(LOG_WARNING, "say \"hi\"", LOG_N("port", 8080), LOG_C("who", "a\nb"));
    assert_string_equal(
        last, "{\"severity\":\"WARNING\",\"message\":\"say \\\"hi\\\"\",\"time\":\"2023-11-14T22:13:20.123Z\","
              "\"port\":8080,\"who\":\"a\\u000ab\"}\n");
}

static void text_is_for_people(void **state)
{
    log_init(LOG_TEXT, LOG_INFO, clock_ms, keep);
    log_event(LOG_INFO, "listening", LOG_N("port", 8080));
    assert_string_equal(last, "22:13:20.123 listening port=8080\n");
    log_event(LOG_ERROR, "gone");
    assert_string_equal(last, "22:13:20.123 ERROR gone\n");
}

static void low_levels_are_left_out(void **state)
{
    log_init(LOG_TEXT, LOG_WARNING, clock_ms, keep);
    last[0] = '\0';
    log_event(LOG_INFO, "quiet");
    assert_string_equal(last, "");
}

static void errors_are_prefixed_and_cut(void **state)
{
    struct err err;
    assert_false(err_set(&err, "line %d", 3));
    assert_false(err_prefix(&err, "%s: ", "board.yaml"));
    assert_string_equal(err.text, "board.yaml: line 3");
    err_set(&err, "%2000s", "x");
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    err_set(&err, "begin %2000s end", "x");
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_memory_equal(err.text, "begin ", 6);
    assert_non_null(strstr(err.text, "...  "));
    assert_string_equal(err.text + strlen(err.text) - 5, "x end");
    err_prefix(&err, "%1000s: ", "file");
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_string_equal(err.text + strlen(err.text) - 5, "x end");
    err_set(&err, "%1023s", "fits");
    assert_null(strstr(err.text, "..."));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_has_the_keys_of_cloud_logging),
        cmocka_unit_test(text_is_for_people),
        cmocka_unit_test(low_levels_are_left_out),
        cmocka_unit_test(errors_are_prefixed_and_cut),
    };
    return cmocka_run_group_tests_name("base/log", tests, NULL, NULL);
}
