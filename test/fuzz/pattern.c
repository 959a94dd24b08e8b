/* pattern: a length, a pattern and a text, against a matcher that is slow and plain. */
#include <assert.h>

#include "base/pattern.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { BYTES_MAX = 64 };

/* reached[i]: the first i bytes of the text match the part of the pattern that was read so far. */
static bool plainly(struct span pattern, struct span text)
{
    bool reached[2 * BYTES_MAX + 1] = {true};
    for (size_t p = 0; p < pattern.len; p++) {
        if (pattern.data[p] == '*') {
            for (size_t t = 0; t < text.len; t++)
                reached[t + 1] |= reached[t];
            continue;
        }
        for (size_t t = text.len; t > 0; t--)
            reached[t] = reached[t - 1] && text.data[t - 1] == pattern.data[p];
        reached[0] = false;
    }
    return reached[text.len];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0 || data[0] >= len || len > BYTES_MAX)
        return 0;
    /* The first byte says how long the pattern is: both may hold any byte. */
    struct span pattern = span_of(data + 1, data[0]), text = span_of(data + 1 + data[0], len - 1 - data[0]);
    assert(pattern_matches(pattern, text) == plainly(pattern, text));
    return 0;
}
