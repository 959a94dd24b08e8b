/* utf8: validates UTF-8. Runs of ASCII between other characters are skipped eight bytes at a time. */
#include "wire/utf8.h"

/* Length of the run of ASCII at the start of [at, end), counted in whole words and then in bytes. */
static size_t ascii_len(const char *at, const char *end)
{
    const char *start = at;
    while (end - at >= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        if ((word & 0x8080808080808080u) != 0)
            break;
        at += 8;
    }
    while (at < end && ((unsigned char)*at & 0x80) == 0)
        at++;
    return (size_t)(at - start);
}

/* Sets the bytes that must follow a first byte (RFC 3629 section 4); false for a byte that starts no character. */
static bool character_start(struct utf8 *state, unsigned char c)
{
    state->low = 0x80;
    state->high = 0xbf;
    if (c >= 0xc2 && c <= 0xdf) {
        state->need = 1;
    } else if (c >= 0xe0 && c <= 0xef) {
        state->need = 2;
        if (c == 0xe0)
            state->low = 0xa0; /* below: overlong */
        else if (c == 0xed)
            state->high = 0x9f; /* above: surrogates */
    } else if (c >= 0xf0 && c <= 0xf4) {
        state->need = 3;
        if (c == 0xf0)
            state->low = 0x90; /* below: overlong */
        else if (c == 0xf4)
            state->high = 0x8f; /* above: beyond U+10FFFF */
    } else {
        return false;
    }
    return true;
}

bool utf8_feed(struct utf8 *state, struct span piece)
{
    const char *at = piece.data, *end = piece.len != 0 ? piece.data + piece.len : piece.data;
    while (at < end) {
        if (state->need == 0) {
            at += ascii_len(at, end);
            if (at == end)
                break;
            if (!character_start(state, (unsigned char)*at++))
                return false;
            continue;
        }
        unsigned char c = (unsigned char)*at++;
        if (c < state->low || c > state->high)
            return false;
        state->low = 0x80;
        state->high = 0xbf;
        state->need--;
    }
    return true;
}

bool utf8_is_valid(struct span s)
{
    struct utf8 state = {0};
    return utf8_feed(&state, s) && utf8_complete(&state);
}
