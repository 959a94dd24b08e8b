/* image_store: reads an archive's headers and passes over the contents. A part is found again by its number. */
#include "platform/image_store.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "loop/file.h"
#include "platform/image_archive.h"

enum { LINKS_MAX = 8, PIECE_BYTES = 64 * 1024 };

struct image_part {
    char *name, *link; /* `link`: the name of the part that it leads to, or NULL */
    size_t number;     /* of the archive's entries, from 1 */
    uint64_t bytes;
};

/* The bytes of a part, read one piece after the other. */
struct blob_reading {
    const struct image_blob *blob;
    struct file file;             /* of a blob that is a file */
    struct image_archive archive; /* of an entry */
    uint64_t done;
    atomic_bool *stop;
    char piece[PIECE_BYTES];
};

void image_blob_finish(struct image_blob *blob)
{
    free(blob->path);
    *blob = (struct image_blob){0};
}

/* A path below the archive's top; NULL: it leads out of it. Links of old `docker save` are like `../ID/layer.tar`. */
static char *name_make(struct span folder, struct span path)
{
    struct buf name = {0};
    struct span rest = path, part;
    if (path.len == 0 || path.data[0] != '/')
        buf_append(&name, folder);
    bool ok = true;
    while (ok && span_next(&rest, '/', &part)) {
        if (part.len == 0 || span_equal(part, SPAN_LIT(".")))
            continue;
        if (!span_equal(part, SPAN_LIT(".."))) {
            if (name.len > 0)
                buf_append_char(&name, '/');
            buf_append(&name, part);
            continue;
        }
        ok = name.len > 0;
        while (name.len > 0 && buf_span(&name).data[name.len - 1] != '/')
            name.len--;
        name.len -= name.len > 0;
    }
    char *text = ok ? mem_text(buf_span(&name)) : NULL;
    buf_finish(&name);
    return text;
}

static struct span folder_of(const char *name)
{
    const char *slash = strrchr(name, '/');
    return span_of(name, slash != NULL ? (size_t)(slash - name) : 0);
}

static void part_add(struct image_store *store, const struct untar_entry *from, size_t number)
{
    bool is_link = from->type == UNTAR_SYMLINK || from->type == UNTAR_HARD_LINK;
    char *name = from->type == UNTAR_FILE || is_link ? name_make(SPAN_LIT(""), from->path) : NULL;
    char *link = name != NULL && is_link
                     ? name_make(from->type == UNTAR_SYMLINK ? folder_of(name) : SPAN_LIT(""), from->link)
                     : NULL;
    if (name == NULL || (is_link && link == NULL)) {
        free(name);
        return;
    }
    store->parts = mem_resize(store->parts, (store->count + 1) * sizeof *store->parts);
    store->parts[store->count++] = (struct image_part){name, link, number, from->bytes};
}

/* Reads header after header. */
static bool parts_read(struct image_store *store, struct err *err)
{
    struct image_archive archive;
    struct untar_record record;
    size_t number = 0;
    bool ok = image_archive_open(&archive, IMAGE_ARCHIVE_LIST, store->path, 0, 0, NULL, err);
    while (ok && (ok = image_archive_next(&archive, &record, err)) && record.kind == UNTAR_ENTRY) {
        part_add(store, &record.entry, ++number);
        if (number > IMAGE_ENTRIES_MAX)
            ok = err_set(err, "it has more than %d files: save an image alone", IMAGE_ENTRIES_MAX);
    }
    image_archive_close(&archive);
    return ok || err_prefix(err, "%.300s: ", store->path);
}

bool image_store_open(struct image_store *store, const char *path, bool is_archive, struct err *err)
{
    *store = (struct image_store){.path = path, .is_archive = is_archive};
    if (!is_archive)
        return file_is_directory(path) ||
               err_set(err, "there is no folder %.300s: an OCI layout is one, with index.json in it", path);
    return file_exists(path) ? parts_read(store, err) : err_set(err, "there is no file %.300s", path);
}

/* The last of this name counts, as when it is unpacked. */
static const struct image_part *part_find(const struct image_store *store, const char *name)
{
    for (size_t i = store->count; i > 0; i--)
        if (strcmp(store->parts[i - 1].name, name) == 0)
            return &store->parts[i - 1];
    return NULL;
}

bool image_store_find(const struct image_store *store, const char *name, struct image_blob *blob, struct err *err)
{
    struct file_about about;
    *blob = (struct image_blob){0};
    if (!store->is_archive) {
        blob->path = mem_printf("%s/%s", store->path, name);
        if (file_about_get(blob->path, &about)) {
            blob->bytes = about.bytes;
            return true;
        }
        image_blob_finish(blob);
    } else {
        const struct image_part *part = part_find(store, name);
        for (int i = 0; part != NULL && part->link != NULL; i++)
            part = i < LINKS_MAX ? part_find(store, part->link) : NULL;
        if (part != NULL) {
            *blob = (struct image_blob){mem_text(span_str(store->path)), part->number, part->bytes};
            return true;
        }
    }
    return err_set(err, "%.300s has no %.200s", store->path, name);
}

static struct blob_reading *blob_open(const struct image_blob *blob, atomic_bool *stop, struct err *err)
{
    struct blob_reading *reading = mem_zero(1, sizeof *reading);
    struct file_about about;
    reading->blob = blob;
    reading->stop = stop;
    reading->file.fd = -1;
    bool ok = blob->number == 0
                  ? file_open(&reading->file, blob->path, &about) == FILE_OPEN || err_set(err, "it cannot be read")
                  : image_archive_open(&reading->archive, IMAGE_ARCHIVE_PART, blob->path, blob->number, 0, stop, err);
    if (ok)
        return reading;
    free(reading);
    return NULL;
}

static void blob_close(struct blob_reading *reading)
{
    if (reading == NULL)
        return;
    file_close(&reading->file);
    image_archive_close(&reading->archive);
    free(reading);
}

/* `piece` is empty at the blob's end. */
static bool blob_next(struct blob_reading *reading, struct span *piece, struct err *err)
{
    const struct image_blob *blob = reading->blob;
    struct untar_record record = {0};
    *piece = (struct span){0};
    if (reading->stop != NULL && atomic_load(reading->stop))
        return err_set(err, "sennit up stops");
    if (blob->number == 0) {
        ssize_t got = file_read_at(&reading->file, reading->done, reading->piece, sizeof reading->piece);
        *piece = span_of(reading->piece, got > 0 ? (size_t)got : 0);
    } else if (!image_archive_next(&reading->archive, &record, err)) {
        return false;
    } else if (record.kind == UNTAR_BYTES) {
        *piece = record.bytes;
    }
    reading->done += piece->len;
    if (reading->done > blob->bytes || (piece->len == 0 && reading->done < blob->bytes))
        return err_set(err, "it has changed meanwhile, or cannot be read whole");
    return true;
}

bool image_store_read(const struct image_store *store, const char *name, size_t bytes_max, struct buf *to,
                      struct err *err)
{
    struct image_blob blob;
    struct span piece;
    if (!image_store_find(store, name, &blob, err))
        return false;
    bool ok = blob.bytes <= bytes_max || err_set(err, "it is larger than %zu bytes", bytes_max);
    struct blob_reading *reading = ok ? blob_open(&blob, NULL, err) : NULL;
    ok = reading != NULL;
    while (ok && (ok = blob_next(reading, &piece, err)) && piece.len > 0)
        buf_append(to, piece);
    blob_close(reading);
    image_blob_finish(&blob);
    return ok || err_prefix(err, "%.300s: %.200s: ", store->path, name);
}

bool image_blob_digest(const struct image_blob *blob, char hex[SHA256_HEX_LEN + 1], atomic_bool *stop, struct err *err)
{
    struct blob_reading *reading = blob_open(blob, stop, err);
    struct sha256 *sum = sha256_create();
    struct span piece;
    bool ok = reading != NULL;
    while (ok && (ok = blob_next(reading, &piece, err)) && piece.len > 0)
        sha256_add(sum, piece);
    sha256_end(sum, hex);
    blob_close(reading);
    return ok;
}

void image_store_close(struct image_store *store)
{
    for (size_t i = 0; i < store->count; i++) {
        free(store->parts[i].name);
        free(store->parts[i].link);
    }
    free(store->parts);
    *store = (struct image_store){0};
}
