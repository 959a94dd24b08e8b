/* test_pattern: names by patterns, against a dumb recursive matcher, in memory that ends where the spans do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/pattern.h"

static bool dumb(struct span pattern, struct span text)
{
    if (pattern.len == 0)
        return text.len == 0;
    if (pattern.data[0] == '*')
        return dumb(span_from(pattern, 1), text) || (text.len > 0 && dumb(pattern, span_from(text, 1)));
    return text.len > 0 && pattern.data[0] == text.data[0] && dumb(span_from(pattern, 1), span_from(text, 1));
}

/* In a block of just its size, so that the sanitizers see a read beyond it. */
static struct span copy_of(struct span s)
{
    char *bytes = mem_alloc(s.len != 0 ? s.len : 1);
    memcpy(bytes, s.data, s.len);
    return span_of(bytes, s.len);
}

static bool matches(struct span pattern, struct span text)
{
    struct span a = copy_of(pattern), b = copy_of(text);
    bool is = pattern_matches(a, b);
    free((char *)a.data);
    free((char *)b.data);
    return is;
}

static void a_star_is_any_run(void **state)
{
    assert_true(matches(SPAN_LIT("game-*"), SPAN_LIT("game-")));
    assert_true(matches(SPAN_LIT("*"), SPAN_LIT("")));
    assert_true(matches(SPAN_LIT("a*b*c"), SPAN_LIT("aXbYbc")));
    assert_false(matches(SPAN_LIT("a*b*c"), SPAN_LIT("aXbYb")));
    assert_false(matches(SPAN_LIT(""), SPAN_LIT("x")));
}

/* A NUL in a name must not be taken for the end of the pattern. */
static void a_nul_is_a_byte(void **state)
{
    assert_true(matches(SPAN_LIT("n*"), SPAN_LIT("n\0\0")));
    assert_false(matches(SPAN_LIT("n"), SPAN_LIT("n\0")));
    assert_false(matches(SPAN_LIT("n\0x"), SPAN_LIT("n")));
    assert_true(matches(SPAN_LIT("n\0x"), SPAN_LIT("n\0x")));
}

static void it_agrees_with_a_dumb_one(void **state)
{
    static const char letters[] = {'a', 'b', '*', '\0'};
    srand(3);
    for (int round = 0; round < 200000; round++) {
        char p[8], t[8];
        struct span pattern = {p, (size_t)(rand() % 8)}, text = {t, (size_t)(rand() % 8)};
        for (size_t i = 0; i < sizeof p; i++) {
            p[i] = letters[rand() % 4];
            t[i] = letters[rand() % 4];
        }
        assert_int_equal(matches(pattern, text), dumb(pattern, text));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_star_is_any_run),
        cmocka_unit_test(a_nul_is_a_byte),
        cmocka_unit_test(it_agrees_with_a_dumb_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
