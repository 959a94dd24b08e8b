/* fake_redis_reply: how commands read their arguments and write their replies. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "fake_redis_parts.h"

enum { NAME_BYTES = 32, QUOTED_BYTES_MAX = 128 };

void fake_reply_status(struct fake_call *call, const char *text)
{
    buf_printf(call->reply, "+%s\r\n", text);
}

void fake_reply_error(struct fake_call *call, const char *format, ...)
{
    struct buf text = {0};
    va_list args;
    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    /* One line, whatever a client's argument that is quoted in it holds. */
    for (size_t i = 0; i < text.len; i++)
        if (text.data[text.off + i] == '\r' || text.data[text.off + i] == '\n')
            text.data[text.off + i] = ' ';
    buf_append_char(call->reply, '-');
    buf_append(call->reply, buf_span(&text));
    buf_append(call->reply, SPAN_LIT("\r\n"));
    buf_finish(&text);
}

void fake_reply_syntax_error(struct fake_call *call)
{
    fake_reply_error(call, "ERR syntax error");
}

static void name_lower(struct span name, char lower[NAME_BYTES])
{
    snprintf(lower, NAME_BYTES, SPAN_FMT, SPAN_ARG(name));
    for (char *c = lower; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
}

void fake_reply_arity_error(struct fake_call *call)
{
    char name[NAME_BYTES];
    name_lower(call->args[0], name);
    fake_reply_error(call, "ERR wrong number of arguments for '%s' command", name);
}

void fake_reply_subcommand_error(struct fake_call *call, const char *const *known)
{
    char name[NAME_BYTES], upper[NAME_BYTES];
    name_lower(call->args[0], name);
    for (; *known != NULL; known++)
        if (fake_arg_is(call, 1, *known)) {
            fake_reply_error(call, "ERR wrong number of arguments for '%s|%s' command", name, *known);
            return;
        }
    for (size_t i = 0; i < sizeof upper; i++)
        upper[i] = (char)toupper((unsigned char)name[i]);
    fake_reply_error(call, "ERR unknown subcommand '" SPAN_FMT "'. Try %s HELP.",
                     SPAN_ARG(span_sub(call->args[1], 0, QUOTED_BYTES_MAX)), upper);
}

void fake_reply_integer(struct fake_call *call, int64_t value)
{
    buf_printf(call->reply, ":%lld\r\n", (long long)value);
}

void fake_append_bulk(struct buf *to, struct span text)
{
    buf_append_char(to, '$');
    buf_append_u64(to, text.len);
    buf_append(to, SPAN_LIT("\r\n"));
    buf_append(to, text);
    buf_append(to, SPAN_LIT("\r\n"));
}

void fake_reply_bulk(struct fake_call *call, struct span text)
{
    fake_append_bulk(call->reply, text);
}

void fake_reply_nil(struct fake_call *call)
{
    buf_append(call->reply, SPAN_LIT("$-1\r\n"));
}

void fake_reply_nil_array(struct fake_call *call)
{
    buf_append(call->reply, SPAN_LIT("*-1\r\n"));
}

void fake_reply_array(struct fake_call *call, size_t count)
{
    buf_printf(call->reply, "*%zu\r\n", count);
}

void fake_reply_double(struct fake_call *call, double value)
{
    char text[64];
    int len = isinf(value) ? snprintf(text, sizeof text, "%s", value > 0 ? "inf" : "-inf")
                           : snprintf(text, sizeof text, "%.17g", value);
    fake_reply_bulk(call, span_of(text, (size_t)len));
}

bool fake_span_i64(struct span text, int64_t *value)
{
    bool negative = text.len > 0 && text.data[0] == '-';
    struct span digits = span_from(text, negative);
    uint64_t number;
    if (digits.len == 0 || !span_to_u64(digits, &number))
        return false;
    if (digits.data[0] == '0' && (digits.len > 1 || negative))
        return false;
    if (number > (uint64_t)INT64_MAX + negative)
        return false;
    *value = negative ? (int64_t)(0 - number) : (int64_t)number;
    return true;
}

bool fake_span_double(struct span text, double *value)
{
    char copy[256], *end;
    if (text.len == 0 || text.len >= sizeof copy || isspace((unsigned char)text.data[0]))
        return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    errno = 0;
    *value = strtod(copy, &end);
    return end == copy + text.len && !isnan(*value) && !(errno == ERANGE && (isinf(*value) || *value == 0));
}

bool fake_arg_i64(struct fake_call *call, size_t at, int64_t *value)
{
    if (fake_span_i64(call->args[at], value))
        return true;
    fake_reply_error(call, "ERR value is not an integer or out of range");
    return false;
}

bool fake_arg_double(struct fake_call *call, size_t at, double *value, const char *error)
{
    if (fake_span_double(call->args[at], value))
        return true;
    fake_reply_error(call, "ERR %s", error);
    return false;
}

bool fake_arg_is(const struct fake_call *call, size_t at, const char *word)
{
    return at < call->count && span_equal_nocase(call->args[at], span_str(word));
}

/* One character of the text against the class behind a '['; `*at` moves behind the class. */
static bool class_matches(struct span pattern, size_t *at, char c)
{
    size_t i = *at;
    bool inverted = i < pattern.len && pattern.data[i] == '^', found = false;
    i += inverted;
    while (i < pattern.len && pattern.data[i] != ']') {
        if (pattern.data[i] == '\\' && i + 1 < pattern.len)
            i++;
        if (i + 2 < pattern.len && pattern.data[i + 1] == '-') {
            char low = pattern.data[i], high = pattern.data[i + 2];
            found |= (c >= low && c <= high) || (c >= high && c <= low);
            i += 3;
        } else {
            found |= pattern.data[i++] == c;
        }
    }
    *at = i < pattern.len ? i + 1 : i;
    return found != inverted;
}

bool fake_glob(struct span pattern, struct span text)
{
    /* Where to go on after the last star, with one more character given to it. */
    size_t p = 0, t = 0, star = SIZE_MAX, star_text = 0;
    while (t < text.len) {
        size_t next = p + 1;
        bool fits = false;
        if (p < pattern.len && pattern.data[p] == '*') {
            star = next;
            star_text = t;
            p = next;
            continue;
        }
        if (p < pattern.len && pattern.data[p] == '[') {
            fits = class_matches(pattern, &next, text.data[t]);
        } else if (p < pattern.len && pattern.data[p] == '\\' && next < pattern.len) {
            fits = pattern.data[next++] == text.data[t];
        } else if (p < pattern.len) {
            fits = pattern.data[p] == '?' || pattern.data[p] == text.data[t];
        }
        if (fits) {
            p = next;
            t++;
        } else if (star != SIZE_MAX) {
            p = star;
            t = ++star_text;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.data[p] == '*')
        p++;
    return p == pattern.len;
}
