/* msgpack: MessagePack to JSON. One item after the other, with a stack of MSGPACK_DEPTH_MAX open containers. A
 * container announces its length, but nothing is allocated for it before its items come. */
#include "wire/msgpack.h"

#include <math.h>

enum kind {
    KIND_BAD,
    KIND_NIL,
    KIND_UNDEFINED,
    KIND_FALSE,
    KIND_TRUE,
    KIND_UINT,
    KIND_INT,
    KIND_FLOAT,
    KIND_DATE,
    KIND_STR,
    KIND_BIN,
    KIND_ARRAY,
    KIND_MAP,
};

struct item {
    enum kind kind;
    uint64_t number; /* UINT, INT and DATE (as two's complement); length of an ARRAY or MAP */
    double real;
    struct span bytes; /* STR, BIN */
};

static bool number_take(struct span *rest, size_t len, uint64_t *number)
{
    if (rest->len < len)
        return false;
    *number = 0;
    for (size_t i = 0; i < len; i++)
        *number = *number << 8 | (unsigned char)rest->data[i];
    *rest = span_from(*rest, len);
    return true;
}

static bool bytes_take(struct span *rest, uint64_t len, struct span *bytes)
{
    if (len > rest->len)
        return false;
    *bytes = span_sub(*rest, 0, (size_t)len);
    *rest = span_from(*rest, (size_t)len);
    return true;
}

/* A number of `len` bytes, sign extended. */
static bool int_take(struct span *rest, size_t len, struct item *item)
{
    unsigned shift = 64 - 8 * (unsigned)len;
    if (!number_take(rest, len, &item->number))
        return false;
    item->number = (uint64_t)((int64_t)(item->number << shift) >> shift);
    item->kind = KIND_INT;
    return true;
}

static bool float_take(struct span *rest, size_t len, struct item *item)
{
    uint64_t bits;
    uint32_t bits32;
    float single;
    if (!number_take(rest, len, &bits))
        return false;
    bits32 = (uint32_t)bits;
    memcpy(&single, &bits32, sizeof single);
    memcpy(&item->real, &bits, sizeof bits);
    if (len == sizeof single)
        item->real = single;
    item->kind = KIND_FLOAT;
    return true;
}

enum { EXT_TIMESTAMP = 0xff, SECONDS_BITS = 34 };

/* The specification's timestamp: seconds in 4 bytes; nanoseconds and seconds together in 8; or one behind the other in
 * 12. A time that no millisecond count expresses becomes one that is out of range. */
static bool timestamp_read(struct span bytes, struct item *item)
{
    uint64_t seconds = 0, nanoseconds = 0;
    if (bytes.len == 12) {
        number_take(&bytes, 4, &nanoseconds);
        number_take(&bytes, 8, &seconds);
    } else if (bytes.len == 8) {
        number_take(&bytes, 8, &seconds);
        nanoseconds = seconds >> SECONDS_BITS;
        seconds &= (UINT64_C(1) << SECONDS_BITS) - 1;
    } else if (bytes.len != 4 || !number_take(&bytes, 4, &seconds)) {
        return false;
    }
    int64_t whole = (int64_t)seconds, ms = INT64_MAX;
    if (whole > -INT64_C(1000000000000) && whole < INT64_C(1000000000000))
        ms = whole * 1000 + (int64_t)(nanoseconds / 1000000);
    item->kind = KIND_DATE;
    item->number = (uint64_t)ms;
    return true;
}

/* An extension: its type, then so many bytes. */
static bool ext_take(struct span *rest, uint64_t len, bool fixed, struct item *item)
{
    uint64_t type;
    if (!number_take(rest, 1, &type) || !bytes_take(rest, len, &item->bytes))
        return false;
    if (type == EXT_TIMESTAMP)
        return timestamp_read(item->bytes, item);
    if (type != 0)
        return false;
    item->kind = fixed && len == 1 ? KIND_UNDEFINED : fixed && len == 8 ? KIND_DATE : KIND_BIN;
    struct span date = item->bytes;
    return item->kind != KIND_DATE || number_take(&date, 8, &item->number);
}

/* A length of `size` bytes, and then what it is the length of. */
static bool sized_take(struct span *rest, size_t size, enum kind kind, struct item *item)
{
    item->kind = kind;
    return number_take(rest, size, &item->number) &&
           (kind == KIND_ARRAY || kind == KIND_MAP || bytes_take(rest, item->number, &item->bytes));
}

static bool ext_sized_take(struct span *rest, size_t size, struct item *item)
{
    uint64_t len;
    return number_take(rest, size, &len) && ext_take(rest, len, false, item);
}

static bool is_kind(struct item *item, enum kind kind)
{
    item->kind = kind;
    return true;
}

/* Behind the first byte, 0xc0 to 0xdf. */
static bool tagged_take(struct span *rest, unsigned tag, struct item *item)
{
    switch (tag) {
    case 0xc0:
        return is_kind(item, KIND_NIL);
    case 0xc2:
    case 0xc3:
        return is_kind(item, tag == 0xc3 ? KIND_TRUE : KIND_FALSE);
    case 0xc4:
    case 0xc5:
    case 0xc6:
        return sized_take(rest, (size_t)1 << (tag - 0xc4), KIND_BIN, item);
    case 0xc7:
    case 0xc8:
    case 0xc9:
        return ext_sized_take(rest, (size_t)1 << (tag - 0xc7), item);
    case 0xca:
    case 0xcb:
        return float_take(rest, tag == 0xca ? 4 : 8, item);
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf:
        item->kind = KIND_UINT;
        return number_take(rest, (size_t)1 << (tag - 0xcc), &item->number);
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3:
        return int_take(rest, (size_t)1 << (tag - 0xd0), item);
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8:
        return ext_take(rest, UINT64_C(1) << (tag - 0xd4), true, item);
    case 0xd9:
    case 0xda:
    case 0xdb:
        return sized_take(rest, (size_t)1 << (tag - 0xd9), KIND_STR, item);
    case 0xdc:
    case 0xdd:
        return sized_take(rest, tag == 0xdc ? 2 : 4, KIND_ARRAY, item);
    case 0xde:
    case 0xdf:
        return sized_take(rest, tag == 0xde ? 2 : 4, KIND_MAP, item);
    default: /* 0xc1, never used */
        return false;
    }
}

static bool item_take(struct span *rest, struct item *item)
{
    *item = (struct item){KIND_BAD, 0, 0, {NULL, 0}};
    if (rest->len == 0)
        return false;
    unsigned tag = (unsigned char)rest->data[0];
    *rest = span_from(*rest, 1);
    if (tag < 0x80 || tag >= 0xe0) {
        item->kind = KIND_INT;
        item->number = (uint64_t)(int64_t)(signed char)tag;
        return true;
    }
    item->number = tag & 0x0f;
    if (tag < 0xa0)
        return is_kind(item, tag < 0x90 ? KIND_MAP : KIND_ARRAY);
    if (tag < 0xc0)
        return is_kind(item, KIND_STR) && bytes_take(rest, tag & 0x1f, &item->bytes);
    return tagged_take(rest, tag, item);
}

static void string_encode(struct buf *json, struct span text)
{
    buf_append_char(json, '"');
    buf_append_json(json, text);
    buf_append_char(json, '"');
}

/* The shortest of three forms that reads back as the same number. */
static void real_encode(struct buf *json, double real)
{
    char text[JSON_NUMBER_BYTES] = "null";
    if (isfinite(real)) {
        for (int digits = 15; digits <= 17; digits++) {
            json_number_write(text, real, digits);
            if (json_number_read(text, NULL) == real)
                break;
        }
    }
    buf_append(json, span_str(text));
}

enum { MS_PER_DAY = 86400000 };

/* Years 0 to 9999, as Date.toISOString writes them; other dates are null. Days to a date: Howard Hinnant,
 * "chrono-Compatible Low-Level Date Algorithms", civil_from_days. */
static void date_encode(struct buf *json, int64_t ms)
{
    if (ms < INT64_C(-62167219200000) || ms > INT64_C(253402300799999)) {
        buf_append(json, SPAN_LIT("null"));
        return;
    }
    int64_t shifted = ms + INT64_C(719468) * MS_PER_DAY; /* since 0000-03-01 */
    int64_t days = shifted >= 0 ? shifted / MS_PER_DAY : (shifted - MS_PER_DAY + 1) / MS_PER_DAY;
    int64_t of_day = shifted - days * MS_PER_DAY, era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t of_era = days - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100), shifted_month = (5 * of_year + 2) / 153;
    int64_t month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
    buf_printf(json, "\"%04d-%02d-%02dT%02d:%02d:%02d.%03dZ\"", (int)(year + era * 400 + (month <= 2)), (int)month,
               (int)(of_year - (153 * shifted_month + 2) / 5 + 1), (int)(of_day / 3600000), (int)(of_day / 60000 % 60),
               (int)(of_day / 1000 % 60), (int)(of_day % 1000));
}

static void bin_encode(struct buf *json, struct span bytes, struct msgpack_bins *bins)
{
    buf_printf(json, "{\"_placeholder\":true,\"num\":%u}", bins->count);
    if (bins->count < bins->max)
        bins->list[bins->count] = bytes;
    bins->count++;
}

/* Anything but a container. */
static void scalar_encode(struct buf *json, const struct item *item, struct msgpack_bins *bins)
{
    switch (item->kind) {
    case KIND_FALSE:
    case KIND_TRUE:
        buf_append(json, item->kind == KIND_TRUE ? SPAN_LIT("true") : SPAN_LIT("false"));
        break;
    case KIND_UINT:
        buf_append_u64(json, item->number);
        break;
    case KIND_INT:
        buf_printf(json, "%lld", (long long)item->number);
        break;
    case KIND_FLOAT:
        real_encode(json, item->real);
        break;
    case KIND_DATE:
        date_encode(json, (int64_t)item->number);
        break;
    case KIND_STR:
        string_encode(json, item->bytes);
        break;
    case KIND_BIN:
        bin_encode(json, item->bytes, bins);
        break;
    default:
        buf_append(json, SPAN_LIT("null"));
    }
}

/* A container whose items are under way. */
struct level {
    uint64_t left; /* items of an array, members of a map */
    bool map, value_next, any;
    size_t member_at; /* where its member began */
};

static bool key_encode(struct buf *json, struct level *level, const struct item *item)
{
    level->member_at = json->len;
    if (level->any)
        buf_append_char(json, ',');
    if (item->kind == KIND_STR)
        string_encode(json, item->bytes);
    else if (item->kind == KIND_INT || item->kind == KIND_UINT)
        buf_printf(json, item->kind == KIND_INT ? "\"%lld\"" : "\"%llu\"", (long long)item->number);
    else
        return false;
    buf_append_char(json, ':');
    level->value_next = true;
    return true;
}

/* Stands in front of a value in its container. False: the value is left out, and its key goes. */
static bool value_begin(struct buf *json, struct level *level, const struct item *item)
{
    if (level->map)
        level->value_next = false;
    else if (level->any)
        buf_append_char(json, ',');
    level->left--;
    if (level->map && item->kind == KIND_UNDEFINED) {
        json->len = level->member_at;
        return false;
    }
    level->any = true;
    return true;
}

bool msgpack_to_json(struct span bytes, struct buf *json, struct msgpack_bins *bins)
{
    struct level levels[MSGPACK_DEPTH_MAX + 1]; /* each is set when it begins; the outermost holds the one value */
    struct level *level = levels, *top = levels + MSGPACK_DEPTH_MAX;
    *level = (struct level){.left = 1};
    bins->count = 0;
    for (;;) {
        struct item item;
        for (; level > levels && level->left == 0; level--)
            buf_append_char(json, level->map ? '}' : ']');
        if (level == levels && level->left == 0)
            return bytes.len == 0;
        if (!item_take(&bytes, &item))
            return false;
        if (level->map && !level->value_next) {
            if (!key_encode(json, level, &item))
                return false;
            continue;
        }
        if (!value_begin(json, level, &item))
            continue;
        if (item.kind != KIND_ARRAY && item.kind != KIND_MAP) {
            scalar_encode(json, &item, bins);
            continue;
        }
        if (level == top)
            return false;
        *++level = (struct level){.left = item.number, .map = item.kind == KIND_MAP};
        buf_append_char(json, level->map ? '{' : '[');
    }
}
