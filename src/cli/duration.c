/* duration: numbers with units, added up. */
#include "cli/duration.h"

#include "base/span.h"

/* Takes one number with its unit off the front. */
static bool part_take(struct span *rest, uint64_t *seconds)
{
    static const struct {
        char unit;
        uint32_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    size_t digits = 0;
    uint64_t number;
    while (digits < rest->len && rest->data[digits] >= '0' && rest->data[digits] <= '9')
        digits++;
    if (!span_to_u64(span_sub(*rest, 0, digits), &number) || number > DURATION_S_MAX)
        return false;
    char unit = digits < rest->len ? rest->data[digits] : 's';
    *rest = span_from(*rest, digits < rest->len ? digits + 1 : digits);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (units[i].unit != unit)
            continue;
        *seconds += number * units[i].seconds;
        return *seconds <= DURATION_S_MAX;
    }
    return false;
}

bool duration_parse(const char *text, uint64_t *seconds)
{
    struct span rest = span_str(text);
    *seconds = 0;
    if (rest.len == 0)
        return false;
    while (rest.len > 0)
        if (!part_take(&rest, seconds))
            return false;
    return true;
}
