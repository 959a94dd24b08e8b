/* reader: one struct archive, with one format. libarchive's warnings (a name that the locale cannot show, an
 * attribute of a kind that it does not know) are no errors: what a layer holds is checked by its digest. */
#include "untar/reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <archive.h>
#include <archive_entry.h>

#include "base/mem.h"
#include "base/shown.h"

enum { WHY_BYTES_MAX = 120, READERS_MAX = 2 /* the source, and a compression */ };

struct reader {
    struct archive *archive;
    struct source *source;
    struct buf why; /* once something is wrong */
    enum reader_kind kind;
    uint64_t left;       /* of the entry's contents */
    size_t header_bytes; /* read of the source for the header under way */
    char magic[4];       /* how the source begins */
    size_t magic_len;
    bool in_header;
    bool is_open;    /* libarchive has found what it is */
    bool has_begun;  /* the first header was read */
    bool has_ended;  /* the source has nothing more */
    bool has_failed; /* the source has */
};

/* The first bytes, for errors: libarchive forgets what it has refused. */
static void magic_note(struct reader *reader, struct span piece)
{
    for (size_t i = 0; i < piece.len && reader->magic_len < sizeof reader->magic; i++)
        reader->magic[reader->magic_len++] = piece.data[i];
}

/* A header may say how many bytes of other headers belong to it, and libarchive keeps them in memory. */
static la_ssize_t on_read(struct archive *archive, void *owner, const void **bytes)
{
    struct reader *reader = owner;
    ssize_t got = reader->source->next(reader->source, bytes);
    reader->has_failed = got < 0;
    reader->has_ended = got == 0;
    if (got < 0)
        archive_set_error(archive, EIO, "it cannot be read");
    if (got <= 0)
        return got;
    magic_note(reader, span_of(*bytes, (size_t)got));
    reader->header_bytes += (size_t)got;
    if (reader->in_header && reader->header_bytes > READER_HEADER_BYTES_MAX) {
        archive_set_error(archive, E2BIG, "a header of more than %d MiB", READER_HEADER_BYTES_MAX >> 20);
        return -1;
    }
    return got;
}

static la_int64_t on_skip(struct archive *archive, void *owner, la_int64_t bytes)
{
    struct reader *reader = owner;
    return reader->source->skip(reader->source, bytes);
}

static void why_set(struct reader *reader, const char *text)
{
    buf_clear(&reader->why);
    shown_append(&reader->why, span_str(text), WHY_BYTES_MAX);
}

/* `result` is libarchive's. */
static enum reader_result fault(struct reader *reader, int result)
{
    const char *text = archive_error_string(reader->archive);
    bool has_content = reader->kind == READER_PACKED || reader->has_begun;
    if (text != NULL)
        why_set(reader, text);
    if (reader->has_failed)
        return READER_FAILED;
    return reader->has_ended && has_content && result == ARCHIVE_FATAL ? READER_CUT : READER_DAMAGED;
}

static enum reader_result refuse(struct reader *reader, const char *text)
{
    why_set(reader, text);
    return READER_DAMAGED;
}

/* ARCHIVE_WARN would mean that another program decompresses. */
static bool formats_choose(struct reader *reader)
{
    struct archive *archive = reader->archive;
    if (reader->kind == READER_TAR)
        return archive_read_support_format_tar(archive) == ARCHIVE_OK;
    return archive_read_support_format_raw(archive) == ARCHIVE_OK &&
           archive_read_support_filter_gzip(archive) == ARCHIVE_OK &&
           archive_read_support_filter_zstd(archive) == ARCHIVE_OK;
}

struct reader *reader_open(struct source *source, enum reader_kind kind)
{
    struct reader *reader = mem_zero(1, sizeof *reader);
    reader->source = source;
    reader->kind = kind;
    reader->archive = archive_read_new();
    if (reader->archive == NULL)
        mem_gone();
    reader->in_header = kind == READER_TAR;
    archive_read_set_read_callback(reader->archive, on_read);
    archive_read_set_callback_data(reader->archive, reader);
    if (source->skip != NULL)
        archive_read_set_skip_callback(reader->archive, on_skip);
    reader->is_open = formats_choose(reader) && archive_read_open1(reader->archive) == ARCHIVE_OK;
    return reader;
}

void reader_close(struct reader *reader)
{
    if (reader == NULL)
        return;
    archive_read_free(reader->archive);
    buf_finish(&reader->why);
    free(reader);
}

static void entry_fill(struct untar_entry *entry, struct archive_entry *from)
{
    const char *hard = archive_entry_hardlink(from), *link = hard != NULL ? hard : archive_entry_symlink(from);
    int64_t bytes = archive_entry_size(from);
    mode_t type = archive_entry_filetype(from);
    *entry = (struct untar_entry){.path = span_str(archive_entry_pathname(from)),
                                  .link = span_str(link),
                                  .modified_s = archive_entry_mtime(from),
                                  .mode = archive_entry_perm(from) & 07777,
                                  .uid = (uint32_t)archive_entry_uid(from),
                                  .gid = (uint32_t)archive_entry_gid(from)};
    entry->type = hard != NULL       ? UNTAR_HARD_LINK
                  : type == AE_IFREG ? UNTAR_FILE
                  : type == AE_IFLNK ? UNTAR_SYMLINK
                  : type == AE_IFDIR ? UNTAR_FOLDER
                                     : UNTAR_OTHER;
    entry->bytes = entry->type == UNTAR_FILE && bytes > 0 ? (uint64_t)bytes : 0;
}

enum reader_result reader_next(struct reader *reader, struct untar_entry *entry)
{
    struct archive_entry *from;
    int result = ARCHIVE_FATAL;
    reader->in_header = false;
    if (reader->is_open && reader->has_begun && (result = archive_read_data_skip(reader->archive)) < ARCHIVE_WARN)
        return fault(reader, result);
    reader->in_header = true;
    reader->header_bytes = 0;
    if (reader->is_open)
        result = archive_read_next_header(reader->archive, &from);
    reader->in_header = false;
    if (result == ARCHIVE_EOF)
        return READER_OVER;
    if (result != ARCHIVE_OK && result != ARCHIVE_WARN)
        return fault(reader, result);
    reader->has_begun = true;
    entry_fill(entry, from);
    reader->left = entry->bytes;
    if (entry->path.data == NULL)
        return refuse(reader, "an entry without a name");
    if (entry->path.len > UNTAR_PATH_BYTES_MAX || entry->link.len > UNTAR_PATH_BYTES_MAX)
        return refuse(reader, "a path that is too long");
    return READER_GOT;
}

/* A raw reader has one entry. A second compression within the first is nothing that makers of images do, and would let
 * a small file be any number of bytes. */
static int packed_begin(struct reader *reader)
{
    struct archive_entry *ignored;
    int result = ARCHIVE_FATAL;
    if (reader->is_open && archive_filter_count(reader->archive) > READERS_MAX) {
        archive_set_error(reader->archive, EINVAL, "compressed more than once");
        return ARCHIVE_FAILED;
    }
    if (reader->is_open)
        result = archive_read_next_header(reader->archive, &ignored);
    reader->has_begun = result == ARCHIVE_OK || result == ARCHIVE_WARN;
    return result;
}

enum reader_result reader_read(struct reader *reader, char *to, size_t room, size_t *got)
{
    *got = 0;
    if (!reader->has_begun) {
        int result = packed_begin(reader);
        if (!reader->has_begun)
            return fault(reader, result);
    }
    la_ssize_t count = archive_read_data(reader->archive, to, room);
    if (count < 0)
        return fault(reader, (int)count);
    if (reader->kind == READER_TAR && ((uint64_t)count > reader->left || (count == 0 && reader->left > 0)))
        return refuse(reader, "a file has another length than its header says");
    reader->left -= reader->kind == READER_TAR ? (uint64_t)count : 0;
    *got = (size_t)count;
    return count > 0 ? READER_GOT : READER_OVER;
}

/* By the magic numbers of RFC 1952 and RFC 8878. */
enum untar_fault reader_packing_fault(const struct reader *reader)
{
    struct span magic = span_of(reader->magic, reader->magic_len);
    return span_starts_with(magic, SPAN_LIT("\x1f\x8b"))           ? UNTAR_BAD_GZIP
           : span_starts_with(magic, SPAN_LIT("\x28\xb5\x2f\xfd")) ? UNTAR_BAD_ZSTD
                                                                   : UNTAR_BAD_PACKING;
}

struct span reader_why(const struct reader *reader)
{
    return buf_span(&reader->why);
}
