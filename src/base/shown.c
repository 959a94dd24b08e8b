/* shown: the ranges of harmful characters, and writers that escape them, cut long texts, or hide likely secrets. */
#include "base/shown.h"

#include <stdio.h>

enum { FOUND_BYTES_MAX = 40 };

struct range {
    uint32_t first, last;
};

/* In order. Unicode's categories Cc, Zl, Zp and Cf (but for the joiners, and marks of numbers and music). */
static const struct range harmful[] = {
    {0x0000, 0x001f},   /* C0 controls */
    {0x007f, 0x009f},   /* DEL, C1 controls */
    {0x00ad, 0x00ad},   /* soft hyphen */
    {0x061c, 0x061c},   /* Arabic letter mark */
    {0x180e, 0x180e},   /* Mongolian vowel separator */
    {0x200b, 0x200b},   /* zero width space */
    {0x200e, 0x200f},   /* left-to-right and right-to-left marks */
    {0x2028, 0x202e},   /* line and paragraph separators, embeddings, overrides */
    {0x2060, 0x206f},   /* invisible operators, isolates, deprecated formats */
    {0xd800, 0xdfff},   /* surrogates, which are no characters */
    {0xfeff, 0xfeff},   /* byte order mark */
    {0xfff9, 0xfffb},   /* interlinear annotations */
    {0xe0000, 0xe0fff}, /* tags, and what is reserved beside them */
    {SHOWN_BROKEN, UINT32_MAX},
};

size_t shown_next(struct span text, uint32_t *code)
{
    const unsigned char *c = (const unsigned char *)text.data;
    size_t len = c[0] < 0x80                    ? 1
                 : c[0] >= 0xc2 && c[0] <= 0xdf ? 2
                 : (c[0] & 0xf0) == 0xe0        ? 3
                 : c[0] >= 0xf0 && c[0] <= 0xf4 ? 4
                                                : 0;
    *code = SHOWN_BROKEN;
    if (len == 0 || text.len < len)
        return 1;
    uint32_t sum = len == 1 ? c[0] : c[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((c[i] & 0xc0) != 0x80)
            return 1;
        sum = sum << 6 | (c[i] & 0x3f);
    }
    /* Overlong, a surrogate, or beyond Unicode. */
    if ((len == 3 && sum < 0x800) || (len == 4 && sum < 0x10000) || (sum >= 0xd800 && sum <= 0xdfff) || sum > 0x10ffff)
        return 1;
    *code = sum;
    return len;
}

bool shown_is_harmless(uint32_t code)
{
    for (size_t i = 0; i < sizeof harmful / sizeof harmful[0] && code >= harmful[i].first; i++)
        if (code <= harmful[i].last)
            return false;
    return true;
}

bool shown_all_harmless(struct span text)
{
    uint32_t code;
    while (text.len > 0) {
        text = span_from(text, shown_next(text, &code));
        if (!shown_is_harmless(code))
            return false;
    }
    return true;
}

struct span shown_cut(struct span text, size_t bytes_max)
{
    size_t len = bytes_max;
    if (text.len <= bytes_max)
        return text;
    while (len > 0 && bytes_max - len < 3 && ((unsigned char)text.data[len] & 0xc0) == 0x80)
        len--;
    return span_sub(text, 0, len);
}

size_t shown_plain_run(struct span text)
{
    size_t at = 0;
    while (at < text.len && (unsigned char)text.data[at] >= ' ' && (unsigned char)text.data[at] < 0x7f &&
           text.data[at] != '"' && text.data[at] != '\\')
        at++;
    return at;
}

static void escape_append(struct buf *to, uint32_t code, unsigned char byte)
{
    if (code == '\n')
        buf_append(to, SPAN_LIT("\\n"));
    else if (code == SHOWN_BROKEN || code < 0x100)
        buf_printf(to, "\\x%02x", code == SHOWN_BROKEN ? byte : code);
    else
        buf_printf(to, "\\u{%x}", code);
}

static void append_escaped(struct buf *to, struct span text, size_t bytes_max, bool in_quotes)
{
    struct span rest = shown_cut(text, bytes_max);
    bool cut = rest.len < text.len;
    while (rest.len > 0) {
        uint32_t code;
        size_t len = shown_plain_run(rest);
        if (len != 0) {
            buf_append(to, span_sub(rest, 0, len));
            rest = span_from(rest, len);
            continue;
        }
        len = shown_next(rest, &code);
        if (in_quotes && (code == '"' || code == '\\'))
            buf_append_char(to, '\\');
        if (shown_is_harmless(code))
            buf_append(to, span_sub(rest, 0, len));
        else if (code == '\t' && !in_quotes)
            buf_append(to, SPAN_LIT("    "));
        else
            escape_append(to, code, (unsigned char)rest.data[0]);
        rest = span_from(rest, len);
    }
    if (cut)
        buf_append(to, SPAN_LIT("..."));
}

void shown_append(struct buf *to, struct span text, size_t bytes_max)
{
    append_escaped(to, text, bytes_max, false);
}

static bool is_word(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] == ' ' || text.data[i] == '=')
            return false;
    return text.len != 0 && shown_plain_run(text) == text.len;
}

void shown_append_value(struct buf *to, struct span text, size_t bytes_max)
{
    bool bare = text.len <= bytes_max && is_word(text);
    if (!bare)
        buf_append_char(to, '"');
    append_escaped(to, text, bytes_max, true);
    if (!bare)
        buf_append_char(to, '"');
}

bool shown_may_be_secret(struct span value)
{
    for (size_t i = 0; i < value.len; i++)
        if (value.data[i] == '@' || span_starts_with(span_from(value, i), SPAN_LIT("://")))
            return true;
    return false;
}

const char *shown_found(struct span value, struct shown_found *found)
{
    struct buf out = {0};
    if (shown_may_be_secret(value))
        return "an address (not repeated here: it may hold a password)";
    buf_append_char(&out, '"');
    shown_append(&out, value, FOUND_BYTES_MAX);
    buf_append_char(&out, '"');
    snprintf(found->text, sizeof found->text, SPAN_FMT, SPAN_ARG(buf_span(&out)));
    buf_finish(&out);
    return found->text;
}

void shown_append_json_text(struct buf *to, struct span json)
{
    while (json.len > 0) {
        uint32_t code;
        size_t len = shown_next(json, &code);
        if (shown_is_harmless(code))
            buf_append(to, span_sub(json, 0, len));
        else if (code == '\t' || code == '\r' || code == '\n')
            buf_append_char(to, ' '); /* between tokens: inside of strings valid JSON has none */
        else
            buf_append_json(to, span_sub(json, 0, len));
        json = span_from(json, len);
    }
}
