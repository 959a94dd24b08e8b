/* untar: numbers of a fixed length first, then the two names, one behind the other. */
#include "wire/untar.h"

#include <assert.h>
#include <string.h>

enum { HEAD_BYTES = 5, ENTRY_BYTES = 36, NAME_LEN_BYTES = 2, TOTAL_BYTES = 8 };

static void number_put(struct buf *to, uint64_t value, size_t bytes)
{
    for (; bytes > 0; bytes--, value >>= 8)
        buf_append_char(to, (char)(value & 0xff));
}

/* From the front; the bytes are there. */
static uint64_t number_take(struct span *from, size_t bytes)
{
    uint64_t value = 0;
    assert(from->len >= bytes);
    for (size_t i = bytes; i > 0; i--)
        value = value << 8 | (unsigned char)from->data[i - 1];
    *from = span_from(*from, bytes);
    return value;
}

static void head_put(struct buf *to, enum untar_kind kind, size_t body_bytes)
{
    buf_append_char(to, (char)kind);
    number_put(to, body_bytes, HEAD_BYTES - 1);
}

void untar_entry_encode(struct buf *to, const struct untar_entry *entry)
{
    assert(entry->path.len <= UNTAR_PATH_BYTES_MAX && entry->link.len <= UNTAR_PATH_BYTES_MAX);
    head_put(to, UNTAR_ENTRY, ENTRY_BYTES + entry->path.len + entry->link.len);
    number_put(to, entry->type, 4);
    number_put(to, entry->mode, 4);
    number_put(to, entry->uid, 4);
    number_put(to, entry->gid, 4);
    number_put(to, entry->bytes, 8);
    number_put(to, (uint64_t)entry->modified_s, 8);
    number_put(to, entry->path.len, NAME_LEN_BYTES);
    number_put(to, entry->link.len, NAME_LEN_BYTES);
    buf_append(to, entry->path);
    buf_append(to, entry->link);
}

void untar_bytes_encode(struct buf *to, struct span bytes)
{
    assert(bytes.len <= UNTAR_PIECE_BYTES_MAX);
    head_put(to, UNTAR_BYTES, bytes.len);
    buf_append(to, bytes);
}

void untar_end_encode(struct buf *to, const char *digest, uint64_t total)
{
    head_put(to, UNTAR_END, SHA256_HEX_LEN + TOTAL_BYTES);
    buf_append(to, span_of(digest, SHA256_HEX_LEN));
    number_put(to, total, TOTAL_BYTES);
}

void untar_fault_encode(struct buf *to, enum untar_fault fault, struct span why)
{
    why = span_sub(why, 0, UNTAR_WHY_BYTES_MAX);
    head_put(to, UNTAR_FAULT, 1 + why.len);
    number_put(to, fault, 1);
    buf_append(to, why);
}

static bool name_take(struct span *body, size_t len, struct span *name)
{
    return len <= UNTAR_PATH_BYTES_MAX && span_take(body, len, name) && span_find(*name, '\0') < 0;
}

static bool entry_decode(struct span body, struct untar_entry *entry)
{
    if (body.len < ENTRY_BYTES)
        return false;
    uint64_t type = number_take(&body, 4);
    entry->mode = (uint32_t)number_take(&body, 4);
    entry->uid = (uint32_t)number_take(&body, 4);
    entry->gid = (uint32_t)number_take(&body, 4);
    entry->bytes = number_take(&body, 8);
    entry->modified_s = (int64_t)number_take(&body, 8);
    size_t path_len = (size_t)number_take(&body, NAME_LEN_BYTES), link_len = (size_t)number_take(&body, NAME_LEN_BYTES);
    if (type > UNTAR_OTHER || entry->mode > 07777 || (type != UNTAR_FILE && entry->bytes > 0))
        return false;
    entry->type = (enum untar_type)type;
    return name_take(&body, path_len, &entry->path) && name_take(&body, link_len, &entry->link) && body.len == 0;
}

static bool end_decode(struct span body, struct untar_record *record)
{
    if (body.len != SHA256_HEX_LEN + TOTAL_BYTES)
        return false;
    memcpy(record->digest, body.data, SHA256_HEX_LEN);
    record->digest[SHA256_HEX_LEN] = '\0';
    for (size_t i = 0; i < SHA256_HEX_LEN; i++)
        if (strchr("0123456789abcdef", record->digest[i]) == NULL || record->digest[i] == '\0')
            return false;
    body = span_from(body, SHA256_HEX_LEN);
    record->total = number_take(&body, TOTAL_BYTES);
    return true;
}

static bool fault_decode(struct span body, struct untar_record *record)
{
    uint64_t fault = body.len > 0 ? number_take(&body, 1) : UNTAR_FAULTS;
    record->why = body;
    if (fault >= UNTAR_FAULTS || body.len > UNTAR_WHY_BYTES_MAX)
        return false;
    record->fault = (enum untar_fault)fault;
    return true;
}

static bool body_decode(char kind, struct span body, struct untar_record *record)
{
    switch (kind) {
    case UNTAR_ENTRY:
        return entry_decode(body, &record->entry);
    case UNTAR_BYTES:
        record->bytes = body;
        return body.len > 0;
    case UNTAR_END:
        return end_decode(body, record);
    case UNTAR_FAULT:
        return fault_decode(body, record);
    default:
        return false;
    }
}

ptrdiff_t untar_decode(struct span input, struct untar_record *record)
{
    struct span rest = span_from(input, 1), body;
    if (input.len < HEAD_BYTES)
        return 0;
    char kind = input.data[0];
    uint64_t len = number_take(&rest, HEAD_BYTES - 1);
    if (len > UNTAR_PIECE_BYTES_MAX ||
        (kind != UNTAR_ENTRY && kind != UNTAR_BYTES && kind != UNTAR_END && kind != UNTAR_FAULT))
        return -1;
    if (!span_take(&rest, len, &body))
        return 0;
    *record = (struct untar_record){.kind = (enum untar_kind)kind};
    return body_decode(kind, body, record) ? (ptrdiff_t)(HEAD_BYTES + len) : -1;
}
