/* asking: the relay is made with a loop of its own, which it needs only then; an answer is the line that begins with
 * 431. */
#include "asking.h"

#include <stdio.h>

const char *asked(struct browser *browser, const char *args)
{
    static char answer[2000];
    char text[1400];
    buf_clear(&browser->messages);
    snprintf(text, sizeof text, "421[%s]", args);
    say(browser, text);
    expect(browser, "431");
    struct span rest = buf_span(&browser->messages), line;
    while (span_next(&rest, '\n', &line))
        if (span_starts_with(line, SPAN_LIT("431")))
            snprintf(answer, sizeof answer, SPAN_FMT, SPAN_ARG(span_from(line, 3)));
    return answer;
}

void accepted(struct browser *browser, const char *args)
{
    assert_string_equal(asked(browser, args), "[]");
}

void refused(struct browser *browser, const char *args, enum refusal refusal)
{
    uint64_t before = sessions.refusals.counts[refusal];
    const char *answer = asked(browser, args);
    if (!span_starts_with(span_str(answer), SPAN_LIT("[{\"error\":\"")) ||
        strstr(answer, refusal_name(refusal)) == NULL)
        fail_msg("%s: %s", args, answer);
    assert_int_equal(sessions.refusals.counts[refusal], before + 1);
    assert_false(browser->closed);
}
