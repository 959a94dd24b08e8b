/* affinity: finds the token in a request's cookies (RFC 6265 section 4.2), and writes it into one. */
#include "platform/affinity.h"

struct span affinity_find(const struct http1_head *head)
{
    for (size_t i = 0; i < head->field_count; i++) {
        struct span rest = head->fields[i].value, pair, name;
        if (!span_equal_nocase(head->fields[i].name, SPAN_LIT("Cookie")))
            continue;
        while (span_next(&rest, ';', &pair)) {
            struct span value = span_trim(pair);
            if (span_next(&value, '=', &name) && span_equal(name, SPAN_LIT(AFFINITY_COOKIE)) &&
                value.len == AFFINITY_BYTES)
                return value;
        }
    }
    return SPAN_LIT("");
}

void affinity_encode(struct buf *to, const char token[AFFINITY_BYTES + 1])
{
    buf_printf(to, AFFINITY_COOKIE "=%s; Max-Age=%d; Path=/; HttpOnly; SameSite=Lax", token, AFFINITY_AGE_S);
}
