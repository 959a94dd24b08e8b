/* audience: encodes and decodes the items, and applies them to a member's rooms at the entry's seq. */
#include "hub/audience.h"

#include "hub/hub_parts.h"

void audience_add(struct buf *to, enum audience_sign sign, struct span text)
{
    buf_append_char(to, (char)sign);
    buf_append_u64(to, text.len);
    buf_append_char(to, ' ');
    buf_append(to, text);
}

static bool is_sign(char c)
{
    return c == AUDIENCE_TO || c == AUDIENCE_EXCEPT || c == AUDIENCE_SENDER || c == AUDIENCE_EXCEPT_SID;
}

int audience_next(struct span *rest, enum audience_sign *sign, struct span *text)
{
    struct span number;
    uint64_t len;
    if (rest->len == 0)
        return 0;
    if (!is_sign(rest->data[0]))
        return -1;
    *sign = (enum audience_sign)rest->data[0];
    *rest = span_from(*rest, 1);
    if (!span_next(rest, ' ', &number) || rest->data == NULL || !span_to_u64(number, &len) || len > rest->len)
        return -1;
    *text = span_sub(*rest, 0, len);
    *rest = span_from(*rest, len);
    return 1;
}

/* True only if every item could be read. */
static bool is_for(struct span audience, const struct member *member, uint64_t seq, bool to_sender)
{
    enum audience_sign sign;
    struct span text;
    bool named = false, among = false;
    int more;
    while ((more = audience_next(&audience, &sign, &text)) > 0) {
        if (sign == AUDIENCE_TO) {
            named = true;
            among = among || member_was_in(member, text, seq);
        } else if (sign == AUDIENCE_EXCEPT ? member_was_in(member, text, seq)
                                           : span_equal(text, member->sid) && !(to_sender && sign == AUDIENCE_SENDER)) {
            return false;
        }
    }
    return more == 0 && (!named || among);
}

bool audience_admits(struct span audience, const struct member *member, uint64_t seq)
{
    /* The most common audience: all but the sender. */
    if (audience.len == member->sid.len + sizeof "!20 " - 1 && span_starts_with(audience, SPAN_LIT("!20 ")))
        return memcmp(audience.data + sizeof "!20 " - 1, member->sid.data, member->sid.len) != 0;
    return is_for(audience, member, seq, false);
}

bool audience_shows(struct span audience, const struct member *member, uint64_t seq)
{
    return is_for(audience, member, seq, true);
}
