/* tar: one block at a time. Entries that only say more about the next one (pax 'x' and 'g', GNU 'L' and 'K') are read
 * here and never handed out. */
#include "wire/tar.h"

#include <string.h>

/* Where a header's fields are: offset and length. */
#define FIELD(tar, at, len) span_of((tar)->block + (at), (len))
enum {
    MODE_AT = 100,
    UID_AT = 108,
    GID_AT = 116,
    SIZE_AT = 124,
    TIME_AT = 136,
    SUM_AT = 148,
    TYPE_AT = 156,
    LINK_AT = 157,
    MAGIC_AT = 257,
    PREFIX_AT = 345,
    NUMBER_LEN = 8,
    LONG_LEN = 12,
    NAME_LEN = 100,
    PREFIX_LEN = 155,
};

/* Up to the first NUL. */
static struct span text_of(struct span field)
{
    size_t len = strnlen(field.data, field.len);
    return span_sub(field, 0, len);
}

/* Octal digits between blanks; or, with the highest bit set, the rest as a binary number (GNU). False: neither. */
static bool number_get(struct span field, uint64_t *value)
{
    const unsigned char *bytes = (const unsigned char *)field.data;
    size_t at = 0;
    *value = 0;
    if (bytes[0] & 0x80) {
        for (size_t i = 0; i < field.len; i++) {
            if (*value >> 56)
                return false;
            *value = *value << 8 | (i == 0 ? bytes[0] & 0x7f : bytes[i]);
        }
        return true;
    }
    while (at < field.len && bytes[at] == ' ')
        at++;
    for (; at < field.len && bytes[at] >= '0' && bytes[at] <= '7'; at++)
        *value = *value << 3 | (uint64_t)(bytes[at] - '0');
    return at == field.len || bytes[at] == ' ' || bytes[at] == '\0';
}

/* Old writers have summed up signed characters. */
static bool sum_is_right(const struct tar *tar)
{
    uint64_t said, sum = 0;
    int64_t with_signs = 0;
    if (!number_get(FIELD(tar, SUM_AT, NUMBER_LEN), &said))
        return false;
    for (size_t i = 0; i < TAR_BLOCK_BYTES; i++) {
        char c = i >= SUM_AT && i < SUM_AT + NUMBER_LEN ? ' ' : tar->block[i];
        sum += (unsigned char)c;
        with_signs += (signed char)c;
    }
    return said == sum || (int64_t)said == with_signs;
}

static bool is_zero(const struct tar *tar)
{
    for (size_t i = 0; i < TAR_BLOCK_BYTES; i++)
        if (tar->block[i] != 0)
            return false;
    return true;
}

/* A C string; false: it is too long, or has a NUL. */
static bool name_set(struct buf *to, struct span text)
{
    if (text.len > TAR_PATH_BYTES_MAX || span_find(text, '\0') >= 0)
        return false;
    buf_clear(to);
    buf_append(to, text);
    buf_append_char(to, '\0');
    return true;
}

/* The header's own name, unless an entry before it gave a longer one. */
static bool names_take(struct tar *tar)
{
    struct span name = text_of(FIELD(tar, 0, NAME_LEN)), prefix = {0};
    if (memcmp(tar->block + MAGIC_AT, "ustar\0", 6) == 0)
        prefix = text_of(FIELD(tar, PREFIX_AT, PREFIX_LEN));
    if (tar->path.len == 0) {
        buf_append(&tar->path, prefix);
        if (prefix.len > 0)
            buf_append_char(&tar->path, '/');
        buf_append(&tar->path, name);
        buf_append_char(&tar->path, '\0');
    }
    return tar->link.len > 0 || name_set(&tar->link, text_of(FIELD(tar, LINK_AT, NAME_LEN)));
}

static bool type_get(char letter, enum tar_type *type)
{
    switch (letter) {
    case '\0':
    case '0':
    case '7':
        *type = TAR_FILE;
        return true;
    case '1':
        *type = TAR_HARD_LINK;
        return true;
    case '2':
        *type = TAR_SYMLINK;
        return true;
    case '5':
        *type = TAR_FOLDER;
        return true;
    case '3':
    case '4':
    case '6':
        *type = TAR_OTHER;
        return true;
    default: /* among them GNU's sparse files */
        return false;
    }
}

static void contents_begin(struct tar *tar, uint64_t bytes)
{
    tar->left = bytes;
    tar->padding = (TAR_BLOCK_BYTES - bytes % TAR_BLOCK_BYTES) % TAR_BLOCK_BYTES;
}

static enum tar_event entry_begin(struct tar *tar, uint64_t bytes)
{
    struct tar_entry *entry = &tar->entry;
    uint64_t mode, uid, gid, modified;
    *entry = (struct tar_entry){0};
    if (!type_get(tar->block[TYPE_AT], &entry->type) || !number_get(FIELD(tar, MODE_AT, NUMBER_LEN), &mode) ||
        !number_get(FIELD(tar, UID_AT, NUMBER_LEN), &uid) || !number_get(FIELD(tar, GID_AT, NUMBER_LEN), &gid) ||
        !number_get(FIELD(tar, TIME_AT, LONG_LEN), &modified) || !names_take(tar))
        return TAR_BAD;
    entry->path = buf_span(&tar->path).data;
    entry->link = buf_span(&tar->link).data;
    /* Before POSIX, a folder was a file whose name ends with a slash. */
    if (entry->type == TAR_FILE && tar->path.len > 1 && entry->path[tar->path.len - 2] == '/')
        entry->type = TAR_FOLDER;
    if (entry->type == TAR_FILE)
        entry->bytes = tar->has_bytes_said ? tar->bytes_said : bytes;
    entry->mode = (uint32_t)mode & 07777;
    entry->uid = (uint32_t)uid;
    entry->gid = (uint32_t)gid;
    entry->modified_s = (int64_t)(modified & INT64_MAX);
    tar->has_bytes_said = false;
    contents_begin(tar, entry->bytes);
    return TAR_ENTRY;
}

/* A whole block. TAR_MORE: go on. */
static enum tar_event header_take(struct tar *tar)
{
    uint64_t bytes;
    char letter = tar->block[TYPE_AT];
    if (is_zero(tar)) {
        tar->is_over = true;
        return TAR_OVER;
    }
    if (!sum_is_right(tar) || !number_get(FIELD(tar, SIZE_AT, LONG_LEN), &bytes) || bytes > INT64_MAX)
        return TAR_BAD;
    if (letter != 'L' && letter != 'K' && letter != 'x' && letter != 'g')
        return entry_begin(tar, bytes);
    if (bytes > TAR_EXTRA_BYTES_MAX)
        return TAR_BAD;
    tar->extra_type = letter;
    buf_clear(&tar->extra);
    contents_begin(tar, bytes);
    return TAR_MORE;
}

/* One "LEN KEY=VALUE\n" of pax, off the front of `rest`. */
static bool record_take(struct tar *tar, struct span *rest)
{
    uint64_t len;
    struct span whole = *rest, number, key, value;
    ptrdiff_t blank = span_find(whole, ' ');
    if (blank <= 0)
        return false;
    number = span_sub(whole, 0, (size_t)blank);
    if (!span_to_u64(number, &len) || len <= (uint64_t)blank + 1 || len > whole.len || whole.data[len - 1] != '\n')
        return false;
    *rest = span_from(whole, (size_t)len);
    value = span_sub(whole, (size_t)blank + 1, (size_t)len - (size_t)blank - 2);
    ptrdiff_t equals = span_find(value, '=');
    if (equals < 0)
        return false;
    key = span_sub(value, 0, (size_t)equals);
    value = span_from(value, (size_t)equals + 1);
    if (span_equal(key, SPAN_LIT("path")))
        return name_set(&tar->path, value);
    if (span_equal(key, SPAN_LIT("linkpath")))
        return name_set(&tar->link, value);
    if (span_equal(key, SPAN_LIT("size")))
        return (tar->has_bytes_said = span_to_u64(value, &tar->bytes_said) && tar->bytes_said <= INT64_MAX);
    return !span_starts_with(key, SPAN_LIT("GNU.sparse."));
}

static bool extra_take(struct tar *tar)
{
    struct span rest = buf_span(&tar->extra);
    char letter = tar->extra_type;
    tar->extra_type = '\0';
    if (letter == 'L' || letter == 'K')
        return rest.len > 0 && name_set(letter == 'L' ? &tar->path : &tar->link, text_of(rest));
    while (letter == 'x' && rest.len > 0)
        if (!record_take(tar, &rest))
            return false;
    return true; /* what is said of all entries ('g') is the writer's comment */
}

static struct span take(struct span *input, uint64_t wanted)
{
    struct span bytes = span_sub(*input, 0, wanted < input->len ? (size_t)wanted : input->len);
    *input = span_from(*input, bytes.len);
    return bytes;
}

/* Contents that are read here, padding, and the next block. TAR_MORE: some of the input was used. */
static enum tar_event advance(struct tar *tar, struct span *input)
{
    struct span bytes;
    if (tar->left > 0) {
        bytes = take(input, tar->left);
        buf_append(&tar->extra, bytes);
        tar->left -= bytes.len;
    } else if (tar->padding > 0) {
        tar->padding -= take(input, tar->padding).len;
    } else if (tar->filled < TAR_BLOCK_BYTES) {
        bytes = take(input, TAR_BLOCK_BYTES - tar->filled);
        memcpy(tar->block + tar->filled, bytes.data, bytes.len);
        tar->filled += bytes.len;
    }
    if (tar->extra_type != '\0' && tar->left == 0 && tar->padding == 0 && !extra_take(tar))
        return TAR_BAD;
    if (tar->filled < TAR_BLOCK_BYTES)
        return TAR_MORE;
    tar->filled = 0;
    return header_take(tar);
}

enum tar_event tar_next(struct tar *tar, struct span *input, struct span *bytes)
{
    enum tar_event event = TAR_MORE;
    if (tar->is_over)
        return TAR_OVER;
    if (tar->entry.path != NULL && tar->left > 0 && tar->extra_type == '\0') {
        *bytes = take(input, tar->left);
        tar->left -= bytes->len;
        return bytes->len > 0 ? TAR_BYTES : TAR_MORE;
    }
    if (tar->entry.path != NULL) { /* the names of the next one are its own */
        tar->entry.path = NULL;
        buf_clear(&tar->path);
        buf_clear(&tar->link);
    }
    while (event == TAR_MORE && input->len > 0)
        event = advance(tar, input);
    return event;
}

uint64_t tar_contents_skip(struct tar *tar)
{
    uint64_t bytes = tar->left + tar->padding;
    tar->left = tar->padding = 0;
    return bytes;
}

bool tar_may_end(const struct tar *tar)
{
    return tar->is_over || (tar->filled == 0 && tar->left == 0 && tar->padding == 0 && tar->extra_type == '\0');
}

void tar_finish(struct tar *tar)
{
    buf_finish(&tar->path);
    buf_finish(&tar->link);
    buf_finish(&tar->extra);
    *tar = (struct tar){0};
}
