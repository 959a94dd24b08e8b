/* conditional: If-Match and its relatives in the order of RFC 9110, one range, and HTTP dates. */
#include "serve/conditional.h"

#include <stdio.h>

enum { DAY_S = 86400 };

static const char days[7][4] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"}; /* the first of 1970 was a Thursday */
static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

/* Days since 1970 of a date of the Gregorian calendar; `month` from 1. Years begin with March, so that a leap day is
 * the last one of its year. */
static int64_t days_of(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return 365 * year + year / 4 - year / 100 + year / 400 + day_of_year - 719468;
}

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int days_in(int64_t year, int month)
{
    static const int count[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return count[month - 1] + (month == 2 && is_leap(year));
}

void conditional_date_encode(int64_t seconds, char text[CONDITIONAL_DATE_BYTES])
{
    char whole[64];
    int64_t last = days_of(9999, 12, 31) * DAY_S + DAY_S - 1;
    seconds = seconds < 0 ? 0 : seconds > last ? last : seconds;
    int64_t day = seconds / DAY_S, year = 1970 + day / 366;
    int month = 1;
    while (days_of(year + 1, 1, 1) <= day)
        year++;
    while (month < 12 && days_of(year, month + 1, 1) <= day)
        month++;
    snprintf(whole, sizeof whole, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[day % 7],
             (int)(day - days_of(year, month, 1)) + 1, months[month - 1], (int)year, (int)(seconds % DAY_S / 3600),
             (int)(seconds % 3600 / 60), (int)(seconds % 60));
    memcpy(text, whole, CONDITIONAL_DATE_BYTES);
}

/* Two or four digits at `at`. */
static bool digits(struct span text, size_t at, size_t count, uint64_t *value)
{
    return span_to_u64(span_sub(text, at, count), value);
}

static int month_of(struct span name)
{
    for (int i = 0; i < 12; i++)
        if (span_equal(name, span_str(months[i])))
            return i + 1;
    return 0;
}

bool conditional_date_decode(struct span text, int64_t *seconds)
{
    uint64_t day, year, hour, minute, second;
    if (text.len != CONDITIONAL_DATE_BYTES || !span_equal(span_sub(text, 3, 2), SPAN_LIT(", ")) ||
        !span_equal(span_from(text, 25), SPAN_LIT(" GMT")) || text.data[7] != ' ' || text.data[11] != ' ' ||
        text.data[16] != ' ' || text.data[19] != ':' || text.data[22] != ':')
        return false;
    int month = month_of(span_sub(text, 8, 3));
    if (month == 0 || !digits(text, 5, 2, &day) || !digits(text, 12, 4, &year) || !digits(text, 17, 2, &hour) ||
        !digits(text, 20, 2, &minute) || !digits(text, 23, 2, &second))
        return false;
    if (year < 1970 || day < 1 || day > (uint64_t)days_in((int64_t)year, month) || hour > 23 || minute > 59 ||
        second > 60)
        return false;
    *seconds = days_of((int64_t)year, month, (int)day) * DAY_S + (int64_t)(hour * 3600 + minute * 60 + second);
    return true;
}

/* A list of entity tags has ours, or is "*". A weak one counts where `weak` comparison is enough (section 8.8.3.2). */
static bool tags_have(const struct http1_head *head, struct span name, struct span etag, bool weak)
{
    for (size_t i = 0; i < head->field_count; i++) {
        if (!span_equal_nocase(head->fields[i].name, name))
            continue;
        struct span rest = head->fields[i].value, tag;
        while (span_next(&rest, ',', &tag)) {
            tag = span_trim(tag);
            if (weak && span_starts_with(tag, SPAN_LIT("W/")))
                tag = span_from(tag, 2);
            if (span_equal(tag, SPAN_LIT("*")) || span_equal(tag, etag))
                return true;
        }
    }
    return false;
}

/* The version is newer than the date of this field. Without a date that is understood: `otherwise`. */
static bool is_newer(const struct http1_head *head, struct span name, int64_t modified_s, bool otherwise)
{
    int64_t date;
    struct span text = http1_field_get(head, name);
    if (text.data == NULL || !conditional_date_decode(text, &date))
        return otherwise;
    return modified_s > date;
}

/* Section 13.2.2: 0 when the request is to be served. */
static int precondition(const struct http1_head *head, const struct conditional_version *version)
{
    if (http1_field_get(head, SPAN_LIT("If-Match")).data != NULL) {
        if (!tags_have(head, SPAN_LIT("If-Match"), version->etag, false))
            return 412;
    } else if (is_newer(head, SPAN_LIT("If-Unmodified-Since"), version->modified_s, false)) {
        return 412;
    }
    if (http1_field_get(head, SPAN_LIT("If-None-Match")).data != NULL)
        return tags_have(head, SPAN_LIT("If-None-Match"), version->etag, true) ? 304 : 0;
    return is_newer(head, SPAN_LIT("If-Modified-Since"), version->modified_s, true) ? 0 : 304;
}

/* If-Range: the range is of the version that the client has a part of. */
static bool range_applies(const struct http1_head *head, const struct conditional_version *version)
{
    int64_t date;
    struct span of = http1_field_get(head, SPAN_LIT("If-Range"));
    if (of.data == NULL || span_equal(of, version->etag))
        return true;
    return conditional_date_decode(of, &date) && date == version->modified_s;
}

enum range { RANGE_NONE, RANGE_SOME, RANGE_UNSATISFIABLE };

/* `bytes=` first "-" last, or "-" suffix-length. */
static enum range range_decode(struct span text, uint64_t bytes, uint64_t *from, uint64_t *end)
{
    struct span first;
    uint64_t last;
    if (!span_equal_nocase(span_sub(text, 0, 6), SPAN_LIT("bytes=")))
        return RANGE_NONE;
    struct span rest = span_trim(span_from(text, 6));
    if (!span_next(&rest, '-', &first) || rest.data == NULL)
        return RANGE_NONE;
    if (first.len == 0) {
        if (!span_to_u64(rest, &last))
            return RANGE_NONE;
        *from = last < bytes ? bytes - last : 0;
        *end = bytes;
        return last > 0 && bytes > 0 ? RANGE_SOME : RANGE_UNSATISFIABLE;
    }
    if (!span_to_u64(first, from) || (rest.len > 0 && (!span_to_u64(rest, &last) || last < *from)))
        return RANGE_NONE;
    *end = rest.len > 0 && last < bytes ? last + 1 : bytes;
    return *from < bytes ? RANGE_SOME : RANGE_UNSATISFIABLE;
}

struct conditional_answer conditional_answer(const struct http1_head *head, const struct conditional_version *version)
{
    struct conditional_answer answer = {.status = precondition(head, version)};
    if (answer.status != 0)
        return answer;
    struct span asked = http1_field_get(head, SPAN_LIT("Range"));
    enum range range = RANGE_NONE;
    if (asked.data != NULL && span_equal(head->method, SPAN_LIT("GET")) && range_applies(head, version))
        range = range_decode(asked, version->bytes, &answer.from, &answer.end);
    if (range == RANGE_NONE)
        return (struct conditional_answer){.status = 200, .end = version->bytes};
    if (range == RANGE_UNSATISFIABLE)
        return (struct conditional_answer){.status = 416};
    answer.status = 206;
    return answer;
}
