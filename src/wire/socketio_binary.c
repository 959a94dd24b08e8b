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
    struct span num;    /* its member `num`; empty: none, or no number */
    bool key_next;      /* an object's next string is a key */
    enum member member; /* the meaning of the latest key; stays MEMBER_OTHER in an array */
};

/* A value has begun at this level: `value` is its text when it is a literal or a number, else empty. */
static void level_value(struct level *level, struct span value)
{
    if (level->member == MEMBER_PLACEHOLDER)
        level->placeholder = span_equal(value, SPAN_LIT("true"));
    else if (level->member == MEMBER_NUM)
        level->num = value;
}

static void level_string(struct level *level, struct span string)
{
    if (!level->object || !level->key_next) {
        level_value(level, SPAN_LIT(""));
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

/* Calls `found` with the number of each placeholder, until it returns false. */
static bool walk(struct span payload, bool (*found)(void *arg, struct span num), void *arg)
{
    struct level levels[JSON_DEPTH_MAX + 1]; /* each is set when it begins; the outermost holds the one value */
    struct level *level = levels;
    *level = (struct level){.object = false};
    while (payload.len != 0) {
        size_t taken = 1;
        switch (payload.data[0]) {
        case '[':
        case '{':
            level_value(level, SPAN_LIT(""));
            level++;
            assert(level < levels + JSON_DEPTH_MAX + 1); /* valid, so no deeper */
            *level = (struct level){.object = payload.data[0] == '{', .key_next = true};
            break;
        case ']':
        case '}':
            if (level->placeholder && !found(arg, level->num))
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
            level_string(level, span_sub(payload, 0, taken));
            break;
        case ':':
        case ' ':
        case '\t':
        case '\r':
        case '\n':
            break;
        default:
            taken = word_len(payload);
            level_value(level, span_sub(payload, 0, taken));
        }
        payload = span_from(payload, taken);
    }
    return true;
}

static bool is_in_range(void *arg, struct span num)
{
    const uint32_t *attachments = arg;
    uint64_t number;
    return span_to_u64(num, &number) && number < *attachments;
}

bool socketio_placeholders_valid(struct span payload, uint32_t attachments)
{
    return walk(payload, is_in_range, &attachments);
}

struct shift {
    char *json;
    const char *begin; /* the same bytes */
    uint32_t by;
};

static bool shift(void *arg, struct span num)
{
    const struct shift *shift = arg;
    char *digit = shift->json + (num.data - shift->begin);
    assert(num.len == 1 && (uint32_t)(*digit - '0') + shift->by <= 9);
    *digit = (char)(*digit + (char)shift->by);
    return true;
}

void socketio_placeholders_shift(char *json, size_t len, uint32_t by)
{
    struct shift arg = {json, json, by};
    walk(span_of(json, len), shift, &arg);
}
