/* test_uri: the parts of a URI, what is wrong with one, and decoding. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "wire/uri.h"

static void assert_part(const char *text, struct span got, const char *expected)
{
    bool there = got.data != NULL;
    if (there != (expected != NULL) || (there && !span_equal(got, span_str(expected))))
        fail_msg("%s: \"" SPAN_FMT "\", expected \"%s\"", text, SPAN_ARG(got), expected != NULL ? expected : "nothing");
}

static void test_parts(void **state)
{
    static const struct {
        const char *text, *scheme, *login, *host, *port, *path, *query;
    } cases[] = {
        {"http://h", "http", NULL, "h", NULL, "", NULL},
        {"http://h:80/a//b/../c?d=e&f?", "http", NULL, "h", "80", "/a//b/../c", "d=e&f?"},
        {"http://h?", "http", NULL, "h", NULL, "", ""},
        {"http://h:/", "http", NULL, "h", "", "/", NULL},
        {"http://h:0", "http", NULL, "h", "0", "", NULL},
        {"http://h:65536", "http", NULL, "h", "65536", "", NULL},
        {"redis://", "redis", NULL, "", NULL, "", NULL},
        {"redis://:6379", "redis", NULL, "", "6379", "", NULL},
        {"redis://@h", "redis", "", "h", NULL, "", NULL},
        {"redis://me:s%40%2f:@[fd00::1]:7000/1", "redis", "me:s%40%2f:", "fd00::1", "7000", "/1", NULL},
        {"redis://[::ffff:1.2.3.4]", "redis", NULL, "::ffff:1.2.3.4", NULL, "", NULL},
        {"unix:///run/a b#c.sock?db=1", "unix", NULL, "", NULL, "/run/a b#c.sock", "db=1"},
        {"redis://:a@b#c[d] \"%\xff@h:1", "redis", ":a@b#c[d] \"%\xff", "h", "1", "", NULL},
        {"redis://a b%zz/%/", "redis", NULL, "a b%zz", NULL, "/%/", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct uri uri;
        enum uri_fault fault;
        if (!uri_split(&uri, span_str(cases[i].text), &fault))
            fail_msg("%s: fault %d", cases[i].text, fault);
        assert_part(cases[i].text, uri.scheme, cases[i].scheme);
        assert_part(cases[i].text, uri.login, cases[i].login);
        assert_part(cases[i].text, uri.host, cases[i].host);
        assert_part(cases[i].text, uri.port, cases[i].port);
        assert_part(cases[i].text, uri.path, cases[i].path);
        assert_part(cases[i].text, uri.query, cases[i].query);
    }
}

static void test_faults(void **state)
{
    static const struct {
        const char *text;
        enum uri_fault fault;
    } cases[] = {
        {"", URI_NO_SCHEME},
        {"://h", URI_NO_SCHEME},
        {"http", URI_NO_SCHEME},
        {"http:/h", URI_NO_SCHEME},
        {"1http://h", URI_NO_SCHEME},
        {"ht tp://h", URI_NO_SCHEME},
        {"me@/h://", URI_NO_SCHEME},
        {"http://[::1", URI_BRACKET_OPEN},
        {"http://me:s@[::1/", URI_BRACKET_OPEN},
        {"http://[]", URI_BAD_HOST},
        {"http://[localhost]", URI_BAD_HOST},
        {"http://[v1.a]", URI_BAD_HOST},
        {"http://[fe80::1%eth0]", URI_BAD_HOST},
        {"http://a[b", URI_BAD_HOST},
        {"http://[::1]x", URI_BAD_PORT},
        {"http://h:x", URI_BAD_PORT},
        {"http://h:8x/", URI_BAD_PORT},
        {"http://h:1:2?q", URI_BAD_PORT},
        {"http://::1", URI_BAD_PORT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct uri uri;
        enum uri_fault fault;
        if (uri_split(&uri, span_str(cases[i].text), &fault))
            fail_msg("%s: is split", cases[i].text);
        if (fault != cases[i].fault)
            fail_msg("%s: fault %d, expected %d", cases[i].text, fault, cases[i].fault);
    }
}

static void test_long_ones(void **state)
{
    struct buf text = {0};
    struct uri uri;
    enum uri_fault fault;
    buf_append(&text, SPAN_LIT("http://h/"));
    while (text.len < URI_BYTES_MAX)
        buf_append_char(&text, text.len % 2 ? '/' : 'a');
    assert_true(uri_split(&uri, buf_span(&text), &fault));
    assert_int_equal(uri.path.len, URI_BYTES_MAX - strlen("http://h"));
    buf_append_char(&text, 'a');
    assert_false(uri_split(&uri, buf_span(&text), &fault));
    assert_int_equal(fault, URI_TOO_LONG);
    buf_finish(&text);
}

static void assert_decoded(struct span part, const char *expected)
{
    char *text = uri_decode(part);
    if (expected == NULL)
        assert_null(text);
    else
        assert_string_equal(text, expected);
    free(text);
}

static void test_decoding(void **state)
{
    assert_decoded(SPAN_LIT(""), "");
    assert_decoded((struct span){NULL, 0}, "");
    assert_decoded(SPAN_LIT("a+b c"), "a+b c");
    assert_decoded(SPAN_LIT("s%40%2F%3f%25%2500"), "s@/?%%00");
    assert_decoded(SPAN_LIT("%C3%a4\xff"), "\xc3\xa4\xff");
    assert_decoded(SPAN_LIT("%00"), NULL);
    assert_decoded(SPAN_LIT("a\0b"), NULL);
    assert_decoded(SPAN_LIT("%"), NULL);
    assert_decoded(SPAN_LIT("%4"), NULL);
    assert_decoded(SPAN_LIT("%zz"), NULL);
    assert_decoded(span_sub(SPAN_LIT("%40"), 0, 2), NULL); /* what is behind a piece is no part of it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_long_ones),
        cmocka_unit_test(test_decoding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
