/* firestore_record: encodes and decodes records by their table. */
#include "broker/firestore_record.h"

enum { NUMBER_BYTES_MAX = 10 };

static const struct {
    unsigned char numbers, texts;
} shapes[FS_RECORD_KINDS] = {
#define SHAPE(name, count, text_count) [FS_##name] = {count, text_count},
    FS_RECORDS(SHAPE)
#undef SHAPE
};

void fs_number_append(struct buf *to, uint64_t number)
{
    while (number >= 0x80) {
        buf_append_char(to, (char)(number | 0x80));
        number >>= 7;
    }
    buf_append_char(to, (char)number);
}

bool fs_number_take(struct span *rest, uint64_t *number)
{
    *number = 0;
    for (size_t i = 0; i < NUMBER_BYTES_MAX && i < rest->len; i++) {
        unsigned char byte = (unsigned char)rest->data[i];
        if (i == NUMBER_BYTES_MAX - 1 && byte > 1)
            return false;
        *number |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte >= 0x80)
            continue;
        *rest = span_from(*rest, i + 1);
        return true;
    }
    return false;
}

void fs_record_append(struct buf *to, enum fs_record_kind kind, const uint64_t *numbers, const struct span *texts)
{
    buf_append_char(to, (char)kind);
    for (int i = 0; i < shapes[kind].numbers; i++)
        fs_number_append(to, numbers[i]);
    for (int i = 0; i < shapes[kind].texts; i++) {
        fs_number_append(to, texts[i].len);
        buf_append(to, texts[i]);
    }
}

int fs_record_take(struct span *rest, struct fs_record *record)
{
    uint64_t len;
    if (rest->len == 0)
        return 0;
    unsigned char kind = (unsigned char)rest->data[0];
    if (kind == FS_RECORD_NONE || kind >= FS_RECORD_KINDS)
        return -1;
    *rest = span_from(*rest, 1);
    *record = (struct fs_record){.kind = (enum fs_record_kind)kind};
    for (int i = 0; i < shapes[kind].numbers; i++)
        if (!fs_number_take(rest, &record->numbers[i]))
            return -1;
    for (int i = 0; i < shapes[kind].texts; i++)
        if (!fs_number_take(rest, &len) || !span_take(rest, len, &record->texts[i]))
            return -1;
    return 1;
}
