/* scan: searches for the id, first where the last one was found. */
#include "load/scan.h"

void scan_init(struct scan *scan, const char run[SCAN_RUN_BYTES])
{
    *scan = (struct scan){0};
    scan->mark[0] = '"';
    memcpy(scan->mark + 1, run, SCAN_RUN_BYTES);
    scan->mark[SCAN_MARK_BYTES - 1] = '.';
}

/* A decimal of 32 bits at `*at`, which moves behind it. */
static bool number_read(const char **at, const char *end, uint32_t *value)
{
    uint64_t sum = 0;
    const char *start = *at;
    while (*at < end && **at >= '0' && **at <= '9' && sum <= UINT32_MAX)
        sum = sum * 10 + (uint64_t)(*(*at)++ - '0');
    *value = (uint32_t)sum;
    return *at > start && sum <= UINT32_MAX;
}

bool scan_id(struct scan *scan, struct span text, uint32_t *publisher, uint32_t *message)
{
    const char *end = text.data + text.len, *at;
    if (text.len < SCAN_MARK_BYTES)
        return false;
    if (scan->found_at <= text.len - SCAN_MARK_BYTES &&
        memcmp(text.data + scan->found_at, scan->mark, SCAN_MARK_BYTES) == 0)
        at = text.data + scan->found_at;
    else
        at = memmem(text.data, text.len, scan->mark, SCAN_MARK_BYTES);
    if (at == NULL)
        return false;
    scan->found_at = (size_t)(at - text.data);
    at += SCAN_MARK_BYTES;
    if (!number_read(&at, end, publisher) || at == end || *at++ != '-')
        return false;
    return number_read(&at, end, message) && at < end && (*at == '"' || *at == '.');
}

struct span scan_offset(struct span array)
{
    static const struct span none = {NULL, 0};
    if (array.len < 4 || !span_ends_with(array, SPAN_LIT("\"]")))
        return none;
    size_t close = array.len - 2, floor = close > SCAN_OFFSET_BYTES_MAX ? close - SCAN_OFFSET_BYTES_MAX : 0;
    /* The quote that opens it is the first one leftwards that is not escaped. */
    for (size_t open = close; open-- > floor;) {
        size_t slashes = 0;
        if (array.data[open] != '"')
            continue;
        while (slashes < open && array.data[open - 1 - slashes] == '\\')
            slashes++;
        if (slashes % 2 == 0)
            return span_sub(array, open, close + 1 - open);
    }
    return none;
}

struct span scan_at(struct span message)
{
    static const struct span none = {NULL, 0}, name = {",\"at\":", 6};
    if (!span_ends_with(message, SPAN_LIT("\"}")))
        return none;
    size_t close = message.len - 2, open = close;
    size_t floor = close > SCAN_AT_BYTES_MAX ? close - SCAN_AT_BYTES_MAX : 0;
    while (open > floor && message.data[open - 1] != '"' && message.data[open - 1] != '\\')
        open--;
    if (open <= name.len || message.data[open - 1] != '"' ||
        !span_equal(span_sub(message, open - 1 - name.len, name.len), name))
        return none;
    return span_sub(message, open - 1, close + 2 - open);
}
