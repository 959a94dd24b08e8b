/* span: comparing, searching, splitting, and reading numbers. */
#include "base/span.h"

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool span_equal_nocase(struct span a, struct span b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.data[i]) != lower(b.data[i]))
            return false;
    return true;
}

bool span_starts_with(struct span s, struct span prefix)
{
    return s.len >= prefix.len && span_equal(span_sub(s, 0, prefix.len), prefix);
}

bool span_ends_with(struct span s, struct span suffix)
{
    return s.len >= suffix.len && span_equal(span_from(s, s.len - suffix.len), suffix);
}

int span_compare(struct span a, struct span b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len != 0 ? memcmp(a.data, b.data, len) : 0;
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

ptrdiff_t span_find(struct span s, char c)
{
    const char *at = s.len != 0 ? memchr(s.data, c, s.len) : NULL;
    return at != NULL ? at - s.data : -1;
}

struct span span_trim(struct span s)
{
    while (s.len > 0 && (s.data[0] == ' ' || s.data[0] == '\t')) {
        s.data++;
        s.len--;
    }
    while (s.len > 0 && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t'))
        s.len--;
    return s;
}

bool span_next(struct span *rest, char separator, struct span *part)
{
    if (rest->data == NULL)
        return false;
    ptrdiff_t at = span_find(*rest, separator);
    if (at < 0) {
        *part = *rest;
        *rest = (struct span){NULL, 0};
        return true;
    }
    *part = span_sub(*rest, 0, (size_t)at);
    *rest = span_from(*rest, (size_t)at + 1);
    return true;
}

bool span_to_u64(struct span s, uint64_t *value)
{
    uint64_t sum = 0;
    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(s.data[i] - '0');
        if (sum > (UINT64_MAX - digit) / 10)
            return false;
        sum = sum * 10 + digit;
    }
    *value = sum;
    return true;
}

bool span_to_port(struct span s, uint16_t *port)
{
    uint64_t value;
    if (!span_to_u64(s, &value) || value == 0 || value > UINT16_MAX)
        return false;
    *port = (uint16_t)value;
    return true;
}

bool span_take(struct span *rest, uint64_t len, struct span *bytes)
{
    if (len > rest->len)
        return false;
    *bytes = span_sub(*rest, 0, (size_t)len);
    *rest = span_from(*rest, (size_t)len);
    return true;
}

bool span_take_u64(struct span *rest, char end, uint64_t *value)
{
    struct span part;
    return span_next(rest, end, &part) && rest->data != NULL && span_to_u64(part, value);
}

bool span_to_thousandths(struct span s, uint64_t *value)
{
    enum { THOUSAND = 1000, DECIMALS_MAX = 3 };
    struct span rest = s, whole;
    uint64_t ones, part = 0;
    if (!span_next(&rest, '.', &whole) || !span_to_u64(whole, &ones) || ones > UINT64_MAX / THOUSAND - 1)
        return false;
    if (rest.data != NULL && (rest.len > DECIMALS_MAX || !span_to_u64(rest, &part)))
        return false;
    for (size_t i = rest.len; rest.data != NULL && i < DECIMALS_MAX; i++)
        part *= 10;
    *value = ones * THOUSAND + part;
    return true;
}
