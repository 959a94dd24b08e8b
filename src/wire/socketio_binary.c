/* socketio_binary: the placeholders of binary packets. A relay passes them on to clients, whose parsers close the
 * connection on one that points beyond the attachments. So no client may send such a one to others.
 *
 * One walk over JSON that is known to be valid, with a stack of JSON_DEPTH_MAX levels. As in JavaScript, the last of
 * equal keys counts. */
#include <assert.h>

#include "wire/json.h"
#include "wire/socketio.h"

enum member { MEMBER_OTHER, MEMBER_PLACEHOLDER, MEMBER_NUM };

struct level {
    bool object;
    bool placeholder;   /* has `"_placeholder":true` */
    bool in_range;      /* has a `num` that is an attachment's */
    bool key_next;      /* an object's next string is a key */
    enum member member; /* the meaning of the latest key; stays MEMBER_OTHER in an array */
};

static bool is_in_range(struct span value, uint32_t attachments)
{
    uint64_t number;
    return span_to_u64(value, &number) && number < attachments;
}

/* A value has begun at this level: `value` is its text when it is a literal or a number, else empty. */
static void level_value(struct level *level, struct span value, uint32_t attachments)
{
    if (level->member == MEMBER_PLACEHOLDER)
        level->placeholder = span_equal(value, SPAN_LIT("true"));
    else if (level->member == MEMBER_NUM)
        level->in_range = is_in_range(value, attachments);
}

static void level_string(struct level *level, struct span string, uint32_t attachments)
{
    if (!level->object || !level->key_next) {
        level_value(level, SPAN_LIT(""), attachments);
        return;
    }
    level->key_next = false;
    level->member = json_string_equal(string, SPAN_LIT("_placeholder")) ? MEMBER_PLACEHOLDER
                    : json_string_equal(string, SPAN_LIT("num"))        ? MEMBER_NUM
                                                                        : MEMBER_OTHER;
}

/* Length of the literal or number at the front. */
static size_t word_len(struct span text)
{
    size_t len = 0;
    while (len < text.len && memchr(",]} \t\r\n", text.data[len], 7) == NULL)
        len++;
    return len;
}

bool socketio_placeholders_valid(struct span payload, uint32_t attachments)
{
    struct level levels[JSON_DEPTH_MAX + 1] = {{0}}; /* the outermost holds the one value */
    struct level *level = levels;
    while (payload.len != 0) {
        size_t taken = 1;
        switch (payload.data[0]) {
        case '[':
        case '{':
            level_value(level, SPAN_LIT(""), attachments);
            level++;
            assert(level < levels + JSON_DEPTH_MAX + 1); /* valid, so no deeper */
            *level = (struct level){.object = payload.data[0] == '{', .key_next = true};
            break;
        case ']':
        case '}':
            if (level->placeholder && !level->in_range)
                return false;
            assert(level > levels);
            level--;
            break;
        case ',':
            level->key_next = true;
            break;
        case '"':
            taken = json_string_len(payload);
            assert(taken != 0);
            level_string(level, span_sub(payload, 0, taken), attachments);
            break;
        case ':':
        case ' ':
        case '\t':
        case '\r':
        case '\n':
            break;
        default:
            taken = word_len(payload);
            level_value(level, span_sub(payload, 0, taken), attachments);
        }
        payload = span_from(payload, taken);
    }
    return true;
}
