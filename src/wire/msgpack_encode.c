/* msgpack_encode: JSON to MessagePack. A container's length is written when it ends; so each has the longest header. An
 * object that turns out to be a placeholder is taken back, and its bytes are written instead. */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "wire/json.h"
#include "wire/msgpack.h"
#include "wire/placeholder.h"

struct level {
    size_t begin; /* of its header */
    uint32_t count;
    struct placeholder is;
};

static void number_append(struct buf *to, uint64_t value, size_t len)
{
    while (len-- > 0)
        buf_append_char(to, (char)(value >> 8 * len));
}

/* The shortest of the forms with 1, 2 or 4 bytes, whose tags follow each other. */
static void sized_append(struct buf *to, unsigned tag, struct span bytes)
{
    size_t size = bytes.len <= UINT8_MAX ? 1 : bytes.len <= UINT16_MAX ? 2 : 4;
    buf_append_char(to, (char)(tag + (size > 1) + (size > 2)));
    number_append(to, bytes.len, size);
    buf_append(to, bytes);
}

static void text_append(struct buf *to, struct span text)
{
    if (text.len < 32) {
        buf_append_char(to, (char)(0xa0 | text.len));
        buf_append(to, text);
    } else {
        sized_append(to, 0xd9, text);
    }
}

static void string_append(struct buf *to, struct span string)
{
    struct buf decoded = {0};
    if (span_find(string, '\\') < 0) {
        text_append(to, span_sub(string, 1, string.len - 2));
        return;
    }
    json_string_decode(string, &decoded);
    text_append(to, buf_span(&decoded));
    buf_finish(&decoded);
}

static void uint_append(struct buf *to, uint64_t value)
{
    unsigned size = value <= UINT8_MAX ? 0 : value <= UINT16_MAX ? 1 : value <= UINT32_MAX ? 2 : 3;
    if (value < 0x80) {
        buf_append_char(to, (char)value);
        return;
    }
    buf_append_char(to, (char)(0xcc + size));
    number_append(to, value, (size_t)1 << size);
}

static void negative_append(struct buf *to, int64_t value)
{
    if (value >= -32) {
        buf_append_char(to, (char)value);
        return;
    }
    buf_append_char(to, (char)0xd3);
    number_append(to, (uint64_t)value, 8);
}

static void real_append(struct buf *to, struct span number)
{
    char *text = mem_printf(SPAN_FMT, SPAN_ARG(number));
    double real = strtod(text, NULL);
    uint64_t bits;
    free(text);
    memcpy(&bits, &real, sizeof bits);
    buf_append_char(to, (char)0xcb);
    number_append(to, bits, 8);
}

static void number_encode(struct buf *to, struct span number)
{
    uint64_t value;
    bool negative = span_starts_with(number, SPAN_LIT("-"));
    if (!span_to_u64(span_from(number, negative), &value) || (negative && (value == 0 || value > INT64_MAX)))
        real_append(to, number);
    else if (negative)
        negative_append(to, -(int64_t)value);
    else
        uint_append(to, value);
}

static void word_encode(struct buf *to, struct span word)
{
    switch (word.len > 0 ? word.data[0] : 'n') {
    case 'n':
        buf_append_char(to, (char)0xc0);
        break;
    case 'f':
        buf_append_char(to, (char)0xc2);
        break;
    case 't':
        buf_append_char(to, (char)0xc3);
        break;
    default:
        number_encode(to, word);
    }
}

/* A value begins; `text`: a literal or number, else empty. */
static void level_value(struct level *level, struct span text)
{
    level->count += !level->is.object;
    placeholder_value(&level->is, text);
}

static void level_string(struct level *level, struct span string)
{
    bool is_key = placeholder_string(&level->is, string);
    level->count += is_key || !level->is.object;
}

static void level_open(struct buf *to, struct level *level, bool map)
{
    *level = (struct level){.begin = to->len, .is = placeholder_begin(map)};
    buf_append_char(to, (char)(map ? 0xdf : 0xdd));
    number_append(to, 0, 4);
}

static void level_close(struct buf *to, const struct level *level, const struct span *bins, uint32_t count)
{
    uint64_t num;
    if (level->is.found && span_to_u64(level->is.num, &num) && num < count) {
        to->len = level->begin;
        sized_append(to, 0xc4, bins[num]);
        return;
    }
    char *length = to->data + to->off + level->begin + 1;
    for (int i = 0; i < 4; i++)
        length[i] = (char)(level->count >> (24 - 8 * i));
}

void msgpack_from_json(struct buf *to, struct span json, const struct span *bins, uint32_t count)
{
    struct level levels[MSGPACK_DEPTH_MAX + 1], *level = levels; /* each is set when it begins */
    *level = (struct level){.count = 0};
    while (json.len != 0) {
        size_t taken = 1;
        switch (json.data[0]) {
        case '[':
        case '{':
            level_value(level, SPAN_LIT(""));
            assert(level < levels + MSGPACK_DEPTH_MAX); /* valid, so no deeper */
            level_open(to, ++level, json.data[0] == '{');
            break;
        case ']':
        case '}':
            level_close(to, level--, bins, count);
            assert(level >= levels);
            break;
        case ',':
            level->is.key_next = true;
            break;
        case '"':
            taken = json_string_len(json);
            assert(taken != 0);
            level_string(level, span_sub(json, 0, taken));
            string_append(to, span_sub(json, 0, taken));
            break;
        case ':':
        case ' ':
        case '\t':
        case '\r':
        case '\n':
            break;
        default:
            taken = placeholder_word_len(json);
            assert(taken != 0);
            level_value(level, span_sub(json, 0, taken));
            word_encode(to, span_sub(json, 0, taken));
        }
        json = span_from(json, taken);
    }
}
