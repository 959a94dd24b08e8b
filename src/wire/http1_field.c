/* http1_field: looking things up among the fields of a decoded head. */
#include "wire/http1_parts.h"

struct span http1_field_get(const struct http1_head *head, struct span name)
{
    for (size_t i = 0; i < head->field_count; i++)
        if (span_equal_nocase(head->fields[i].name, name))
            return head->fields[i].value;
    return (struct span){NULL, 0};
}

bool http1_field_has_token(const struct http1_head *head, struct span name, struct span token)
{
    for (size_t i = 0; i < head->field_count; i++) {
        if (!span_equal_nocase(head->fields[i].name, name))
            continue;
        struct span rest = head->fields[i].value, element;
        while (span_next(&rest, ',', &element))
            if (span_equal_nocase(span_trim(element), token))
                return true;
    }
    return false;
}

static bool has_prefix_nocase(struct span s, struct span prefix)
{
    return span_equal_nocase(span_sub(s, 0, prefix.len), prefix);
}

/* Fields that a sender cannot have dropped on the way by naming them in Connection: those that frame, route or
 * identify the request. (RFC 9110 section 7.6.1 forbids senders to name them.) */
static bool is_end_to_end(struct span name)
{
    static const struct span names[] = {
        SPAN_LIT("Host"),   SPAN_LIT("Authorization"), SPAN_LIT("Cookie"),
        SPAN_LIT("Origin"), SPAN_LIT("Forwarded"),     SPAN_LIT("traceparent"),
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (span_equal_nocase(name, names[i]))
            return true;
    return has_prefix_nocase(name, SPAN_LIT("Content-")) || has_prefix_nocase(name, SPAN_LIT("X-Forwarded-")) ||
           has_prefix_nocase(name, SPAN_LIT("X-Cloud-")) || has_prefix_nocase(name, SPAN_LIT("K-")) ||
           has_prefix_nocase(name, SPAN_LIT("Sec-"));
}

bool http1_field_is_hop_by_hop(const struct http1_head *head, struct span name)
{
    static const struct span names[] = {
        SPAN_LIT("Connection"), SPAN_LIT("Keep-Alive"),        SPAN_LIT("TE"),
        SPAN_LIT("Trailer"),    SPAN_LIT("Transfer-Encoding"), SPAN_LIT("Upgrade"),
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (span_equal_nocase(name, names[i]))
            return true;
    if (has_prefix_nocase(name, SPAN_LIT("Proxy-")))
        return true;
    return !is_end_to_end(name) && http1_field_has_token(head, SPAN_LIT("Connection"), name);
}
