/* audience: see audience.h. */
#include "hub/audience.h"

#include "hub/hub.h"

void audience_add(struct buf *to, enum audience_sign sign, struct span text)
{
    buf_append_char(to, (char)sign);
    buf_append_u64(to, text.len);
    buf_append_char(to, ' ');
    buf_append(to, text);
}

bool audience_next(struct span *rest, enum audience_sign *sign, struct span *text)
{
    struct span number;
    uint64_t len;
    if (rest->len < 2)
        return false;
    *sign = (enum audience_sign)rest->data[0];
    *rest = span_from(*rest, 1);
    if (!span_next(rest, ' ', &number) || rest->data == NULL || !span_to_u64(number, &len) || len > rest->len)
        return false;
    *text = span_sub(*rest, 0, len);
    *rest = span_from(*rest, len);
    return true;
}

bool audience_admits(struct span audience, const struct member *member, uint64_t seq)
{
    enum audience_sign sign;
    struct span text;
    bool named = false, among = false;
    /* The most usual one: everybody but the sender. */
    if (audience.len == member->sid.len + sizeof "!20 " - 1 && audience.data[0] == AUDIENCE_EXCEPT_SID)
        return memcmp(audience.data + sizeof "!20 " - 1, member->sid.data, member->sid.len) != 0;
    while (audience_next(&audience, &sign, &text)) {
        if (sign == AUDIENCE_EXCEPT_SID && span_equal(text, member->sid))
            return false;
        if (sign == AUDIENCE_EXCEPT && member_was_in(member, text, seq))
            return false;
        if (sign == AUDIENCE_TO) {
            named = true;
            among = among || member_was_in(member, text, seq);
        }
    }
    return !named || among;
}
