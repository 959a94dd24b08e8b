/* meant: the closest name counts, by the fewest letters that differ. */
#include "base/meant.h"

#include <stdint.h>

enum { NAME_BYTES_MAX = 64 }; /* longer names are not compared */

/* Letters to change, add or drop to make one out of the other, case aside. */
static size_t name_distance(struct span a, struct span b)
{
    size_t row[NAME_BYTES_MAX + 1];
    if (a.len > NAME_BYTES_MAX || b.len > NAME_BYTES_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t best = diagonal + ((a.data[i - 1] | 32) != (b.data[j - 1] | 32));
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[b.len];
}

const char *name_meant(struct span name, const char *const *allowed)
{
    const char *meant = NULL;
    size_t best = name.len < 4 ? 2 : 3;
    for (; *allowed != NULL; allowed++) {
        size_t away = name_distance(name, span_str(*allowed));
        if (away < best && away < strlen(*allowed)) {
            best = away;
            meant = *allowed;
        }
    }
    return meant;
}
