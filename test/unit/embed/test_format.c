/* test_format: what sennit.h promises of arguments that are built: only JSON comes of them, whatever the locale. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "embed/embed_parts.h"
#include "kept_log.h"
#include "wire/json.h"

static int set_up(void **state)
{
    kept_log_begin();
    return 0;
}

static const char *formatted(struct format_result *result, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    bool good = args_format(result, "test", NULL, format, values);
    va_end(values);
    if (!good)
        return NULL;
    buf_append_char(&result->text, '\0');
    return result->text.data + result->text.off;
}

static void test_only_json_comes_of_a_format(void **state)
{
    struct format_result result;
    const struct sennit_blob blob = {"\x00\x01", 2};
    assert_string_equal(formatted(&result, "{'a':s,'b':[i,I,f]},b,n,j,s", "\"},x\n", -7, INT64_MIN, 0.25, 1,
                                  " {\"k\":[]} ", (char *)NULL),
                        "[{\"a\":\"\\\"},x\\u000a\",\"b\":[-7,-9223372036854775808,0.25]},true,null,{\"k\":[]},null]");
    buf_finish(&result.text);
    assert_string_equal(formatted(&result, "{'file':x}", &blob), "[{\"file\":{\"_placeholder\":true,\"num\":0}}]");
    assert_int_equal(result.content.count, 1);
    buf_finish(&result.text);
    assert_string_equal(formatted(&result, "s", "\xff"), "[\"\xef\xbf\xbd\"]");
    buf_finish(&result.text);
    assert_null(formatted(&result, "{s:}", "a"));
    assert_null(formatted(&result, "{s}", "a"));
    assert_null(formatted(&result, "i,", 1));
    assert_null(formatted(&result, "j", "1,2"));
    assert_null(formatted(&result, "j", (char *)NULL));
    assert_null(formatted(&result, "f", (double)INFINITY));
    assert_null(formatted(&result, "'open"));
    assert_null(formatted(&result, "%s", "a"));
    assert_null(formatted(&result, "x", (struct sennit_blob *)NULL));
}

/* The log says where. */
static void test_a_fault_of_a_format_is_located(void **state)
{
    static const struct {
        const char *format, *said;
    } faults[] = {
        {"{'a':%s}", "byte 5 of the format \\\"{'a':%s}\\\": no letter of a format"},
        {"i,'open", "byte 2 of the format \\\"i,'open\\\": the text that begins here has no end"},
        {"{'a':i", "byte 6 of the format \\\"{'a':i\\\": what it makes is no JSON"},
        {"i,i,q", "byte 4 of the format \\\"i,i,q\\\": no letter of a format"},
    };
    struct format_result result;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        kept_log_begin();
        assert_null(formatted(&result, faults[i].format, 1, 2));
        assert_non_null(strstr(logged, faults[i].said));
    }
    kept_log_begin();
    assert_null(formatted(&result, "s,j", "a", "1,2"));
    assert_non_null(strstr(logged, "byte 2 of the format \\\"s,j\\\": the value is no JSON"));
    kept_log_begin();
    assert_null(formatted(&result, " f", (double)INFINITY));
    assert_non_null(strstr(logged, "byte 1 of the format \\\" f\\\": the number is not finite"));
}

static void test_json_is_checked_too(void **state)
{
    struct format_result result;
    assert_true(args_build(&result, "test", "name", sennit_json(" [1, {\"a\":2}] ")));
    assert_true(span_equal(result.content.args, SPAN_LIT("[\"name\",1, {\"a\":2}]")));
    buf_finish(&result.text);
    assert_true(args_build(&result, "test", "name", sennit_no_args()));
    assert_true(span_equal(result.content.args, SPAN_LIT("[\"name\"]")));
    buf_finish(&result.text);
    assert_false(args_build(&result, "test", "name", sennit_json("{}")));
    assert_false(args_build(&result, "test", "name", sennit_json("[1],[2]")));
    assert_false(args_build(&result, "test", "disconnect", sennit_no_args()));
    assert_false(args_build(&result, "test", "", sennit_no_args()));
    const struct sennit_blob blobs[SENNIT_BLOBS_MAX + 1] = {{"", 0}};
    const struct sennit_args many = {"[]", blobs, SENNIT_BLOBS_MAX + 1};
    assert_false(args_build(&result, "test", "name", many));
    /* A blob that is not there. */
    const struct sennit_args none = {"[]", NULL, 1};
    assert_false(args_build(&result, "test", "name", none));
    const struct sennit_blob lost = {NULL, 100}, empty = {NULL, 0};
    const struct sennit_args missing = {"[{\"_placeholder\":true,\"num\":0}]", &lost, 1};
    assert_false(args_build(&result, "test", "name", missing));
    assert_null(formatted(&result, "x", &lost));
    assert_string_equal(formatted(&result, "x", &empty), "[{\"_placeholder\":true,\"num\":0}]");
    assert_non_null(result.content.attachments[0].data);
    buf_finish(&result.text);
    const struct sennit_args beyond = {"[{\"_placeholder\":true,\"num\":1}]", blobs, 1};
    assert_false(args_build(&result, "test", "name", beyond));
}

/* A locale of our own with a decimal comma, since a machine may have none. False: localedef is not here. */
static bool comma_begin(char directory[64])
{
    char command[512];
    snprintf(directory, 64, "/tmp/sennit-locale-XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(
        command, sizeof command,
        "cd %s && printf 'LC_NUMERIC\ndecimal_point \"<U002C>\"\nthousands_sep \"\"\ngrouping -1\nEND LC_NUMERIC\n' "
        ">comma; localedef --no-archive -c -i ./comma -f ANSI_X3.4-1968 ./xx_XX >log 2>&1",
        directory);
    int ran = system(command);
    (void)ran; /* it warns of the categories that are missing */
    setenv("LOCPATH", directory, 1);
    return setlocale(LC_NUMERIC, "xx_XX") != NULL;
}

static void comma_end(const char *directory)
{
    char command[128];
    setlocale(LC_NUMERIC, "C");
    unsetenv("LOCPATH");
    snprintf(command, sizeof command, "rm -rf %s", directory);
    int ran = system(command);
    assert_int_equal(ran, 0);
}

/* A program around the library has any locale. */
static void test_a_number_has_a_point(void **state)
{
    struct format_result result;
    char directory[64], text[JSON_NUMBER_BYTES];
    bool has_comma = comma_begin(directory);
    if (has_comma) {
        snprintf(text, sizeof text, "%.2f", 0.25);
        assert_string_equal(text, "0,25");
        assert_string_equal(formatted(&result, "f", 0.25), "[0.25]");
        buf_finish(&result.text);
        assert_true(json_number_read("-2.5e1", NULL) == -25.0);
        snprintf(text, sizeof text, "%.2f", 0.25); /* it is the program's again */
        assert_string_equal(text, "0,25");
    }
    comma_end(directory);
    if (!has_comma)
        skip(); /* localedef makes no locale: Debian's package locales is missing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_fault_of_a_format_is_located, set_up), /* first: ten lines a second */
        cmocka_unit_test_setup(test_only_json_comes_of_a_format, set_up),
        cmocka_unit_test_setup(test_json_is_checked_too, set_up),
        cmocka_unit_test_setup(test_a_number_has_a_point, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
