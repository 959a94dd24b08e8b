/* http1_chars: which bytes may stand where, as one table, and the checks that only need it. */
#include "wire/http1_parts.h"

enum {
    V = HTTP1_CHAR_VALUE,
    VG = V | HTTP1_CHAR_TARGET,                 /* delimiters */
    VGT = VG | HTTP1_CHAR_TOKEN,                /* punctuation of tokens */
    VGTN = VGT | HTTP1_CHAR_HOST,               /* punctuation of names, letters above f */
    VGTNX = VGTN | HTTP1_CHAR_HEX,              /* digits, a to f */
    HASH = HTTP1_CHAR_VALUE | HTTP1_CHAR_TOKEN, /* everywhere but in a target */
    TILDE = VGT | HTTP1_CHAR_HOST,
};

const uint8_t http1_chars[256] = {
    ['\t'] = V,
    [' '] = V,
    ['!'] = VGT,
    ['"'] = VG,
    ['#'] = HASH,
    ['$' ... '\''] = VGT,
    ['('] = VG,
    [')'] = VG,
    ['*'] = VGT,
    ['+'] = VGT,
    [','] = VG,
    ['-'] = VGTN,
    ['.'] = VGTN,
    ['/'] = VG,
    ['0' ... '9'] = VGTNX,
    [':' ... '@'] = VG,
    ['A' ... 'F'] = VGTNX,
    ['G' ... 'Z'] = VGTN,
    ['[' ... ']'] = VG,
    ['^'] = VGT,
    ['_'] = VGTN,
    ['`'] = VGT,
    ['a' ... 'f'] = VGTNX,
    ['g' ... 'z'] = VGTN,
    ['{'] = VG,
    ['|'] = VGT,
    ['}'] = VG,
    ['~'] = TILDE,
    [0x80 ... 0xff] = HTTP1_CHAR_OPAQUE,
};

bool http1_chars_are(struct span s, uint8_t kind)
{
    for (size_t i = 0; i < s.len; i++)
        if (!http1_char_is(s.data[i], kind))
            return false;
    return s.len != 0;
}

bool http1_name_is_valid(struct span name)
{
    return http1_chars_are(name, HTTP1_CHAR_TOKEN);
}

static bool is_value_of(struct span value, uint8_t kind)
{
    return value.len == 0 || (http1_chars_are(value, kind) && span_trim(value).len == value.len);
}

bool http1_value_is_valid(struct span value)
{
    return is_value_of(value, HTTP1_CHAR_VALUE);
}

bool http1_received_is_valid(struct span value)
{
    return is_value_of(value, HTTP1_CHAR_RECEIVED);
}

int http1_version_decode(struct span text, int *minor)
{
    if (text.len != 8 || !span_starts_with(text, SPAN_LIT("HTTP/")) || text.data[6] != '.')
        return 400;
    char major_digit = text.data[5], minor_digit = text.data[7];
    if (major_digit < '0' || major_digit > '9' || minor_digit < '0' || minor_digit > '9')
        return 400;
    if (major_digit != '1' || minor_digit > '1')
        return 505;
    *minor = minor_digit - '0';
    return 0;
}
