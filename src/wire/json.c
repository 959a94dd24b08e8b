/* json: the validator. It keeps a stack of one bit per level (object or array), so depth is bounded and nothing
 * recurses. json_read.c reads valid text. */
#include "wire/json.h"

#include "wire/utf8.h"

struct scan {
    const char *at, *end;
};

/* The arrays and objects that are open. */
struct nesting {
    uint64_t objects[JSON_DEPTH_MAX / 64]; /* a bit for each level, set for an object; the outermost is the first */
    uint32_t depth, deepest;               /* `deepest`: JSON_DEPTH_MAX + 1 when it would have been more */
};

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static void skip_space(struct scan *scan)
{
    while (scan->at < scan->end && is_space(*scan->at))
        scan->at++;
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool scan_escape(struct scan *scan)
{
    if (scan->at == scan->end)
        return false;
    char c = *scan->at++;
    if (c != 'u')
        return memchr("\"\\/bfnrt", c, 8) != NULL;
    for (int i = 0; i < 4; i++)
        if (scan->at == scan->end || !is_hex(*scan->at++))
            return false;
    return true;
}

/* Bytes of a string that stand for themselves and are ASCII. */
static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* Skips plain bytes, eight at a time while a word has nothing else: the high bit of a byte of `stops` is set where the
 * byte is a quote, a backslash, a control character or not ASCII. (A borrow may set it one byte further up as well,
 * never without a true one below.) */
static void skip_plain(struct scan *scan)
{
    const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
    while (scan->end - scan->at >= 8) {
        uint64_t word;
        memcpy(&word, scan->at, 8);
        uint64_t quote = word ^ ones * '"', slash = word ^ ones * '\\';
        uint64_t stops = ((quote - ones) & ~quote) | ((slash - ones) & ~slash) | (word - ones * 0x20) | word;
        if ((stops & high) != 0)
            break;
        scan->at += 8;
    }
    while (scan->at < scan->end && is_plain((unsigned char)*scan->at))
        scan->at++;
}

/* From behind the opening quote to behind the closing one. */
static bool scan_string(struct scan *scan)
{
    for (;;) {
        skip_plain(scan);
        if (scan->at == scan->end)
            return false;
        const char *from = scan->at++;
        if (*from == '"')
            return true;
        if (*from == '\\') {
            if (!scan_escape(scan))
                return false;
            continue;
        }
        /* Control characters must be escaped. Anything else here is not ASCII: a run of whole characters. */
        if ((unsigned char)*from < 0x20)
            return false;
        while (scan->at < scan->end && (unsigned char)*scan->at >= 0x80)
            scan->at++;
        if (!utf8_is_valid(span_of(from, (size_t)(scan->at - from))))
            return false;
    }
}

static bool scan_digits(struct scan *scan)
{
    const char *from = scan->at;
    while (scan->at < scan->end && is_digit(*scan->at))
        scan->at++;
    return scan->at > from;
}

static bool scan_number(struct scan *scan)
{
    if (scan->at < scan->end && *scan->at == '-')
        scan->at++;
    if (scan->at < scan->end && *scan->at == '0')
        scan->at++;
    else if (!scan_digits(scan))
        return false;
    if (scan->at < scan->end && *scan->at == '.') {
        scan->at++;
        if (!scan_digits(scan))
            return false;
    }
    if (scan->at < scan->end && (*scan->at == 'e' || *scan->at == 'E')) {
        scan->at++;
        if (scan->at < scan->end && (*scan->at == '+' || *scan->at == '-'))
            scan->at++;
        return scan_digits(scan);
    }
    return true;
}

static bool scan_word(struct scan *scan, struct span word)
{
    if (!span_starts_with(span_of(scan->at, (size_t)(scan->end - scan->at)), word))
        return false;
    scan->at += word.len;
    return true;
}

/* A value that is no array and no object. */
static bool scan_scalar(struct scan *scan)
{
    if (scan->at == scan->end)
        return false;
    switch (*scan->at) {
    case '"':
        scan->at++;
        return scan_string(scan);
    case 't':
        return scan_word(scan, SPAN_LIT("true"));
    case 'f':
        return scan_word(scan, SPAN_LIT("false"));
    case 'n':
        return scan_word(scan, SPAN_LIT("null"));
    default:
        return scan_number(scan);
    }
}

/* `"key" :` and the white space around. */
static bool scan_key(struct scan *scan)
{
    skip_space(scan);
    if (scan->at == scan->end || *scan->at++ != '"' || !scan_string(scan))
        return false;
    skip_space(scan);
    return scan->at < scan->end && *scan->at++ == ':';
}

static void nesting_push(struct nesting *nesting, bool object)
{
    uint64_t *word = &nesting->objects[nesting->depth / 64], bit = UINT64_C(1) << nesting->depth % 64;
    *word = object ? *word | bit : *word & ~bit;
    nesting->depth++;
    if (nesting->depth > nesting->deepest)
        nesting->deepest = nesting->depth;
}

static bool nesting_is_object(const struct nesting *nesting)
{
    return (nesting->objects[(nesting->depth - 1) / 64] >> (nesting->depth - 1) % 64 & 1) != 0;
}

/* Opens the array or object that begins here, if one does. Returns -1 when it is nested too deep, 1 when a member must
 * follow, else 0. */
static int scan_open(struct scan *scan, struct nesting *nesting)
{
    if (scan->at == scan->end || (*scan->at != '[' && *scan->at != '{'))
        return 0;
    if (nesting->depth == JSON_DEPTH_MAX) {
        nesting->deepest = JSON_DEPTH_MAX + 1;
        return -1;
    }
    bool object = *scan->at++ == '{';
    nesting_push(nesting, object);
    skip_space(scan);
    if (scan->at < scan->end && *scan->at == (object ? '}' : ']'))
        return 0;
    return object && !scan_key(scan) ? -1 : 1;
}

/* Behind a value: closes the arrays and objects that end here. Returns 1 when a comma asks for another value, 0 when
 * everything is closed, -1 on an error. */
static int scan_close(struct scan *scan, struct nesting *nesting)
{
    while (nesting->depth > 0) {
        skip_space(scan);
        if (scan->at == scan->end)
            return -1;
        bool object = nesting_is_object(nesting);
        char c = *scan->at++;
        if (c == ',')
            return object && !scan_key(scan) ? -1 : 1;
        if (c != (object ? '}' : ']'))
            return -1;
        nesting->depth--;
    }
    return 0;
}

/* As json_value_len; `*deepest` is as for json_is_valid_to. */
static size_t value_scan(struct span text, uint32_t *deepest)
{
    struct scan scan = {text.data, text.len != 0 ? text.data + text.len : text.data};
    struct nesting nesting;
    int more = 1;
    _Static_assert(JSON_DEPTH_MAX % 64 == 0, "whole words");
    nesting.depth = nesting.deepest = 0; /* the bits are written before they are read */
    while (more == 1) {
        uint32_t before = nesting.depth;
        skip_space(&scan);
        int opened = scan_open(&scan, &nesting);
        *deepest = nesting.deepest;
        if (opened < 0)
            return 0;
        if (opened == 1)
            continue;
        if (nesting.depth == before && !scan_scalar(&scan))
            return 0;
        more = scan_close(&scan, &nesting);
    }
    return more == 0 ? (size_t)(scan.at - text.data) : 0;
}

size_t json_value_len(struct span text)
{
    uint32_t deepest;
    return value_scan(text, &deepest);
}

size_t json_string_len(struct span text)
{
    if (text.len == 0 || text.data[0] != '"')
        return 0;
    struct scan scan = {text.data + 1, text.data + text.len};
    return scan_string(&scan) ? (size_t)(scan.at - text.data) : 0;
}

bool json_is_valid_to(struct span text, uint32_t *deepest)
{
    size_t len = value_scan(text, deepest);
    if (len == 0)
        return false;
    struct scan behind = {text.data + len, text.data + text.len};
    skip_space(&behind);
    return behind.at == behind.end;
}

bool json_is_valid(struct span text)
{
    uint32_t deepest;
    return json_is_valid_to(text, &deepest);
}

enum json_type json_type(struct span value)
{
    if (value.len == 0)
        return JSON_INVALID;
    switch (value.data[0]) {
    case 'n':
        return JSON_NULL;
    case 't':
        return JSON_TRUE;
    case 'f':
        return JSON_FALSE;
    case '"':
        return JSON_STRING;
    case '[':
        return JSON_ARRAY;
    case '{':
        return JSON_OBJECT;
    default:
        return value.data[0] == '-' || is_digit(value.data[0]) ? JSON_NUMBER : JSON_INVALID;
    }
}
