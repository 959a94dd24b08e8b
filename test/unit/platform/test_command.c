/* test_command: a command line becomes words as a shell would split it, and nothing is dropped silently. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "platform/command.h"

/* The words between bars, or the error. */
static const char *split(struct span text)
{
    static char shown[512];
    struct words words = {0};
    struct err err = {""};
    size_t at = 0;
    if (!command_split(text, &words, &err)) {
        snprintf(shown, sizeof shown, "%s", err.text);
    } else {
        for (size_t i = 0; i < words.count && at < sizeof shown; i++)
            at += (size_t)snprintf(shown + at, sizeof shown - at, "%s%s", i > 0 ? "|" : "", words.list[i]);
        assert_null(words.list[words.count]);
    }
    words_finish(&words);
    return shown;
}

static void test_words(void **state)
{
    assert_string_equal(split(SPAN_LIT("node server.js")), "node|server.js");
    assert_string_equal(split(SPAN_LIT("  a\tb\n c ")), "a|b|c");
    assert_string_equal(split(SPAN_LIT("a 'b c' \"d e\" f\\ g")), "a|b c|d e|f g");
    assert_string_equal(split(SPAN_LIT("a'b'c\"d\"")), "abcd");
    assert_string_equal(split(SPAN_LIT("'' \"\"")), "|");
    assert_string_equal(split(SPAN_LIT("'\\'")), "\\");
    assert_string_equal(split(SPAN_LIT("\"\\\"\"")), "\"");
    assert_string_equal(split(SPAN_LIT("$HOME * ; |")), "$HOME|*|;||");
}

static void test_what_cannot_be_split(void **state)
{
    assert_string_equal(split(SPAN_LIT("")), "the command is empty");
    assert_string_equal(split(SPAN_LIT(" \n\t")), "the command is empty");
    assert_string_equal(split(SPAN_LIT("a 'b")), "the command has an opening ' without a closing one");
    assert_string_equal(split(SPAN_LIT("a \"b'")), "the command has an opening \" without a closing one");
}

static void test_too_many_words_are_an_error(void **state)
{
    char *text = mem_alloc((WORDS_MAX + 1) * 2);
    for (size_t i = 0; i <= WORDS_MAX; i++)
        memcpy(text + i * 2, "a ", 2);
    struct words words = {0};
    struct err err;
    assert_true(command_split(span_of(text, WORDS_MAX * 2), &words, &err));
    assert_int_equal(words.count, WORDS_MAX);
    words_finish(&words);
    assert_false(command_split(span_of(text, (WORDS_MAX + 1) * 2), &words, &err));
    assert_string_equal(err.text, "the command has more than 1000 words");
    words_finish(&words);
    free(text);
}

static void test_any_bytes(void **state)
{
    static const char alphabet[] = "ab '\"\\\n\t\0";
    srand(1);
    for (int i = 0; i < 100000; i++) {
        char text[24];
        size_t len = (size_t)rand() % sizeof text;
        for (size_t j = 0; j < len; j++)
            text[j] = alphabet[(size_t)rand() % (sizeof alphabet - 1)];
        split(span_of(text, len));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_what_cannot_be_split),
        cmocka_unit_test(test_too_many_words_are_an_error),
        cmocka_unit_test(test_any_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
