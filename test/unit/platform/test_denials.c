/* test_denials: every answer of the ingress' own says why, names the cure, and stands in the manual. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "loop/file.h"
#include "platform/denials.h"
#include "platform/request_log.h"
#include "wire/http1.h"

static void test_answers(void **state)
{
    static struct http1_head head;
    for (int i = 0; i < DENIAL_COUNT; i++) {
        struct buf text = {0}, without = {0};
        denial_encode(&text, (enum denial)i, 431, false, true);
        denial_encode(&without, (enum denial)i, 431, false, false);
        ptrdiff_t used = http1_response_decode(buf_span(&text), 0, SPAN_LIT("GET"), &head);
        assert_true(used > 0);
        assert_int_equal((size_t)used + head.content_length, text.len);
        assert_int_equal(used, without.len); /* to HEAD */
        assert_true(head.status >= 400);
        assert_true(head.reason.len > 0);
        assert_true(
            span_equal(http1_field_get(&head, SPAN_LIT("X-Sennit-Reason")), span_str(denial_reason((enum denial)i))));
        assert_true(span_equal(http1_field_get(&head, SPAN_LIT("X-Content-Type-Options")), SPAN_LIT("nosniff")));
        assert_true((head.status == 429 || head.status == 503) ==
                    (http1_field_get(&head, SPAN_LIT("Retry-After")).data != NULL));
        buf_finish(&text);
        buf_finish(&without);
    }
}

/* A row of the table in docs/up.md for each: | status | `reason` | cure | */
static void test_the_manual_has_them(void **state)
{
    static const struct {
        const char *reason;
        int status;
        const char *cure;
    } rows[] = {
#define X(constant, reason, status, level, line, cure) {reason, status, cure},
        DENIALS(X)
#undef X
    };
    struct buf manual = {0};
    struct err err;
    assert_true(file_read(DOCS_UP, 1 << 20, &manual, &err));
    buf_append_char(&manual, '\0');
    for (int i = 0; i < DENIAL_COUNT; i++) {
        char row[512], status[8] = "4xx";
        if (rows[i].status != 0)
            snprintf(status, sizeof status, "%d", rows[i].status);
        snprintf(row, sizeof row, "\n| %s | `%s` | %s |\n", status, rows[i].reason, rows[i].cure);
        if (strstr(manual.data + manual.off, row) == NULL)
            fail_msg("docs/up.md lacks the row%s", row);
    }
    buf_finish(&manual);
}

/* The same for the reasons of the request log: | who | why | */
static void test_the_manual_has_the_ends_of_requests(void **state)
{
    static const struct {
        const char *who, *why;
    } rows[] = {
#define X(constant, who, why, level) {who, why},
        REQUEST_ENDS(X)
#undef X
    };
    struct buf manual = {0};
    struct err err;
    assert_true(file_read(DOCS_UP, 1 << 20, &manual, &err));
    buf_append_char(&manual, '\0');
    for (int i = 0; i < REQUEST_ENDS_COUNT; i++) {
        char row[512];
        snprintf(row, sizeof row, "\n| %s | %s |\n", rows[i].who, rows[i].why);
        if (i != REQUEST_REFUSED && strstr(manual.data + manual.off, row) == NULL)
            fail_msg("docs/up.md lacks the row%s", row);
    }
    buf_finish(&manual);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_the_manual_has_them),
        cmocka_unit_test(test_the_manual_has_the_ends_of_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
