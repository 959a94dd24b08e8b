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
    return c == AUDIENCE_TO || c == AUDIENCE_EXCEPT || c == AUDIENCE_SENDER || c == AUDIENCE_EXCEPT_SID ||
           c == AUDIENCE_TO_SID || c == AUDIENCE_DIRECTIVE;
}

int audience_next(struct span *rest, enum audience_sign *sign, struct span *text)
{
    uint64_t len;
    if (rest->len == 0)
        return 0;
    if (!is_sign(rest->data[0]))
        return -1;
    *sign = (enum audience_sign)rest->data[0];
    *rest = span_from(*rest, 1);
    return span_take_u64(rest, ' ', &len) && span_take(rest, len, text) ? 1 : -1;
}

void audience_directive(struct buf *to)
{
    audience_add(to, AUDIENCE_DIRECTIVE, (struct span){NULL, 0});
}

bool audience_is_directive(struct span audience)
{
    return audience.len > 0 && audience.data[0] == AUDIENCE_DIRECTIVE;
}

/* True only if every item could be read. `to_sender`: the sender counts as anybody else. */
static bool is_for(struct span audience, const struct member *member, uint64_t seq, bool to_sender)
{
    enum audience_sign sign;
    struct span text;
    bool named = false, among = false, kept = false;
    int more;
    while (!kept && (more = audience_next(&audience, &sign, &text)) > 0) {
        switch (sign) {
        case AUDIENCE_TO:
            named = true;
            among = among || member_was_in(member, text, seq);
            break;
        case AUDIENCE_TO_SID:
            named = true;
            among = among || span_equal(text, member_sid(member));
            break;
        case AUDIENCE_EXCEPT:
            kept = member_was_in(member, text, seq);
            break;
        case AUDIENCE_SENDER:
            kept = !to_sender && span_equal(text, member_sid(member));
            break;
        case AUDIENCE_EXCEPT_SID:
            kept = span_equal(text, member_sid(member));
            break;
        case AUDIENCE_DIRECTIVE:
            break;
        }
    }
    return !kept && more == 0 && (!named || among);
}

bool audience_admits(struct span audience, const struct member *member, uint64_t seq)
{
    /* The most common audience: all but the sender. */
    if (audience.len == member->sid_len + sizeof "!20 " - 1 && span_starts_with(audience, SPAN_LIT("!20 ")))
        return memcmp(audience.data + sizeof "!20 " - 1, member->sid, member->sid_len) != 0;
    return is_for(audience, member, seq, false);
}

bool audience_shows(struct span audience, const struct member *member, uint64_t seq)
{
    return !audience_is_directive(audience) && is_for(audience, member, seq, true);
}
