/* json_read: the members of valid JSON, and the text of its strings. */
#include "wire/json.h"

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

struct span json_trim(struct span s)
{
    while (s.len > 0 && is_space(s.data[0]))
        s = span_from(s, 1);
    while (s.len > 0 && is_space(s.data[s.len - 1]))
        s.len--;
    return s;
}

/* The value at the front of `*rest`, trimmed; `*rest` begins behind it. */
static struct span take_value(struct span *rest)
{
    size_t len = json_value_len(*rest);
    struct span value = json_trim(span_sub(*rest, 0, len));
    *rest = json_trim(span_from(*rest, len));
    return value;
}

/* Steps over the opening bracket, or the comma, in front of the next member. False at the closing bracket. */
static bool next_member(struct span *rest)
{
    *rest = json_trim(*rest);
    if (rest->len == 0)
        return false;
    char c = rest->data[0];
    if (c != '[' && c != '{' && c != ',')
        return false;
    *rest = json_trim(span_from(*rest, 1));
    return rest->len > 0 && rest->data[0] != ']' && rest->data[0] != '}';
}

bool json_array_next(struct span *rest, struct span *element)
{
    /* Behind an element stands a comma or the end; only the very first call sees the opening bracket. */
    if (!next_member(rest))
        return false;
    *element = take_value(rest);
    if (element->len == 0 || (rest->len > 0 && rest->data[0] != ',' && rest->data[0] != ']'))
        return false;
    return true;
}

struct span json_array_at(struct span array, size_t index)
{
    struct span element;
    array = json_trim(array);
    if (json_type(array) != JSON_ARRAY)
        return (struct span){NULL, 0};
    while (json_array_next(&array, &element))
        if (index-- == 0)
            return element;
    return (struct span){NULL, 0};
}

bool json_object_next(struct span *rest, struct span *key, struct span *value)
{
    if (!next_member(rest))
        return false;
    *key = take_value(rest);
    if (key->len == 0 || rest->len == 0 || rest->data[0] != ':')
        return false;
    *rest = span_from(*rest, 1);
    *value = take_value(rest);
    return value->len != 0;
}

struct span json_object_get(struct span object, struct span name)
{
    struct span key, value, found = {NULL, 0};
    object = json_trim(object);
    if (json_type(object) != JSON_OBJECT)
        return found;
    while (json_object_next(&object, &key, &value))
        if (json_string_equal(key, name))
            found = value;
    return found;
}

static void append_utf8(struct buf *to, uint32_t c)
{
    if (c < 0x80) {
        buf_append_char(to, (char)c);
    } else if (c < 0x800) {
        buf_append_char(to, (char)(0xc0 | c >> 6));
        buf_append_char(to, (char)(0x80 | (c & 0x3f)));
    } else if (c < 0x10000) {
        buf_append_char(to, (char)(0xe0 | c >> 12));
        buf_append_char(to, (char)(0x80 | (c >> 6 & 0x3f)));
        buf_append_char(to, (char)(0x80 | (c & 0x3f)));
    } else {
        buf_append_char(to, (char)(0xf0 | c >> 18));
        buf_append_char(to, (char)(0x80 | (c >> 12 & 0x3f)));
        buf_append_char(to, (char)(0x80 | (c >> 6 & 0x3f)));
        buf_append_char(to, (char)(0x80 | (c & 0x3f)));
    }
}

/* Four hex digits at `at`, or -1. */
static int32_t unit_at(struct span s, size_t at)
{
    int32_t unit = 0;
    if (s.len < at + 4)
        return -1;
    for (size_t i = at; i < at + 4; i++) {
        int digit = hex_digit(s.data[i]);
        if (digit < 0)
            return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

/* A \u escape whose digits start at `at`; returns how many bytes it takes from there on. */
static size_t append_unicode(struct buf *to, struct span s, size_t at)
{
    int32_t unit = unit_at(s, at), second = -1;
    if (unit >= 0xd800 && unit <= 0xdbff && s.len >= at + 10 && s.data[at + 4] == '\\' && s.data[at + 5] == 'u')
        second = unit_at(s, at + 6);
    if (second >= 0xdc00 && second <= 0xdfff) {
        append_utf8(to, 0x10000 + ((uint32_t)(unit - 0xd800) << 10) + (uint32_t)(second - 0xdc00));
        return 10;
    }
    append_utf8(to, unit < 0 || (unit >= 0xd800 && unit <= 0xdfff) ? 0xfffd : (uint32_t)unit);
    return 4;
}

bool json_string_decode(struct span value, struct buf *to)
{
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
    if (json_type(value) != JSON_STRING || value.len < 2)
        return false;
    struct span s = span_sub(value, 1, value.len - 2);
    for (size_t i = 0; i < s.len;) {
        if (s.data[i] != '\\' || i + 1 == s.len) {
            buf_append_char(to, s.data[i++]);
        } else if (s.data[i + 1] == 'u') {
            i += 2 + append_unicode(to, s, i + 2);
        } else {
            const char *at = memchr(from, s.data[i + 1], sizeof from - 1);
            buf_append_char(to, at != NULL ? into[at - from] : s.data[i + 1]);
            i += 2;
        }
    }
    return true;
}

bool json_string_equal(struct span value, struct span text)
{
    if (json_type(value) != JSON_STRING || value.len < 2)
        return false;
    struct span inside = span_sub(value, 1, value.len - 2);
    if (span_find(inside, '\\') < 0)
        return span_equal(inside, text);
    /* An escape takes two to six bytes for one to four, so a string whose length excludes equality costs no copy. */
    if (inside.len < text.len || inside.len / 6 > text.len)
        return false;
    struct buf decoded = {0};
    bool equal = json_string_decode(value, &decoded) && span_equal(buf_span(&decoded), text);
    buf_finish(&decoded);
    return equal;
}

struct buf json_text_get(struct span object, const char *name)
{
    struct buf text = {0};
    struct span value = json_object_get(object, span_str(name));
    if (value.data != NULL)
        json_string_decode(value, &text);
    return text;
}

void json_text_append(struct buf *to, const char *name, struct span text)
{
    buf_printf(to, "\"%s\":\"", name);
    buf_append_json(to, text);
    buf_append(to, SPAN_LIT("\","));
}
