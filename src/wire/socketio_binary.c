/* socketio_binary: the placeholders of binary packets. A relay passes them on to clients, whose parsers close the
 * connection on one that points beyond the attachments. So no client may send such a one to others.
 *
 * One walk over JSON that is known to be valid, with a stack of JSON_DEPTH_MAX levels. */
#include <assert.h>

#include "wire/json.h"
#include "wire/placeholder.h"
#include "wire/socketio.h"

/* Calls `found` with the number of each placeholder, until it returns false. */
static bool walk(struct span payload, bool (*found)(void *arg, struct span num), void *arg)
{
    struct placeholder levels[JSON_DEPTH_MAX + 1]; /* each is set when it begins; the outermost holds the one value */
    struct placeholder *level = levels;
    *level = placeholder_begin(false);
    while (payload.len != 0) {
        size_t taken = 1;
        switch (payload.data[0]) {
        case '[':
        case '{':
            placeholder_value(level, SPAN_LIT(""));
            level++;
            assert(level < levels + JSON_DEPTH_MAX + 1); /* valid, so no deeper */
            *level = placeholder_begin(payload.data[0] == '{');
            break;
        case ']':
        case '}':
            if (level->found && !found(arg, level->num))
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
            placeholder_string(level, span_sub(payload, 0, taken));
            break;
        case ':':
        case ' ':
        case '\t':
        case '\r':
        case '\n':
            break;
        default:
            taken = placeholder_word_len(payload);
            placeholder_value(level, span_sub(payload, 0, taken));
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
