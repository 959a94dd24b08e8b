/* audience: the audience of an entry as Redis returns it. Items lie inside of it; items that are encoded again are the
 * same; and an audience that cannot be read admits nobody. */
#include <assert.h>

#include "hub/audience.h"
#include "hub/hub_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span all = span_of(data, len), rest = all, text, again_text;
    struct buf again = {0};
    enum audience_sign sign, again_sign;
    struct member member = {.sid = "aaaaaaaaaaaaaaaaaaaa", .sid_len = 20};
    int got;
    while ((got = audience_next(&rest, &sign, &text)) == 1) {
        assert(text.data >= all.data && text.data + text.len <= all.data + all.len);
        audience_add(&again, sign, text);
    }
    if (got == 0)
        assert(span_equal(all, buf_span(&again)) || span_find(all, '0') >= 0); /* zeros in front of a length */
    bool admits = audience_admits(all, &member, 5), shows = audience_shows(all, &member, 5);
    assert(got == 0 || (!admits && !shows));
    struct span first = all, second = buf_span(&again);
    while (audience_next(&second, &again_sign, &again_text) == 1) {
        got = audience_next(&first, &sign, &text);
        assert(got == 1 && sign == again_sign && span_equal(text, again_text));
    }
    buf_finish(&again);
    return 0;
}
