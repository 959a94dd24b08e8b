/* test_close_reasons: the sentences that peers are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "net/close_reasons.h"

/* A reason that goes out in a Close frame fits, is plain ASCII, and names a cure behind a colon. */
static void test_close_sentences(void **state)
{
    for (int i = CLOSE_NONE + 1; i < CLOSE_REASON_COUNT; i++) {
        const char *text = close_reason_text((enum close_reason)i);
        int code = close_reason_ws_code((enum close_reason)i);
        if (code == 0 || code == 1005 || i == CLOSE_NORMAL)
            continue;
        if (strlen(text) > CLOSE_TEXT_BYTES_MAX || strstr(text, ": ") == NULL)
            fail_msg("%s: %s", close_reason_name((enum close_reason)i), text);
        for (const char *at = text; *at != '\0'; at++)
            assert_in_range(*at, ' ', '~');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_close_sentences)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
