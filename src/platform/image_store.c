/* image_store: reads an archive's headers and passes over the contents. */
#include "platform/image_store.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "loop/file.h"
#include "wire/tar.h"

enum { LINKS_MAX = 8 };

struct image_entry {
    char *name, *link; /* `link`: the name of the entry that it leads to, or NULL */
    uint64_t at, bytes;
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

static void entry_add(struct image_store *store, const struct tar_entry *from, uint64_t at)
{
    bool is_link = from->type == TAR_SYMLINK || from->type == TAR_HARD_LINK;
    char *name = from->type == TAR_FILE || is_link ? name_make(SPAN_LIT(""), span_str(from->path)) : NULL;
    char *link = name != NULL && is_link
                     ? name_make(from->type == TAR_SYMLINK ? folder_of(name) : SPAN_LIT(""), span_str(from->link))
                     : NULL;
    if (name == NULL || (is_link && link == NULL)) {
        free(name);
        return;
    }
    store->entries = mem_resize(store->entries, (store->count + 1) * sizeof *store->entries);
    store->entries[store->count++] = (struct image_entry){name, link, at, from->bytes};
}

/* Reads header after header. */
static bool entries_read(struct image_store *store, const struct file *file, uint64_t bytes, struct err *err)
{
    struct tar tar = {0};
    char block[TAR_BLOCK_BYTES];
    struct span input = {0}, contents;
    uint64_t at = 0;
    ssize_t got = 1;
    enum tar_event event = TAR_MORE;
    while (event != TAR_OVER && event != TAR_BAD && store->count <= IMAGE_ENTRIES_MAX) {
        if (input.len == 0) {
            if ((got = file_read_at(file, at, block, sizeof block)) <= 0)
                break;
            input = span_of(block, (size_t)got);
        }
        size_t before = input.len;
        event = tar_next(&tar, &input, &contents);
        at += before - input.len;
        if (event != TAR_ENTRY)
            continue;
        entry_add(store, &tar.entry, at);
        at += tar_contents_skip(&tar);
        input.len = 0;
    }
    bool ok = event == TAR_OVER || (got == 0 && tar_may_end(&tar) && store->count > 0);
    tar_finish(&tar);
    if (at > bytes)
        return err_set(err, "%.300s is cut off: its last part is not whole", store->path);
    return ok || err_set(err,
                         "%.300s is no tar archive, or a damaged one: an image's archive is made by `podman save` or "
                         "`docker save`, and is not compressed as a whole",
                         store->path);
}

bool image_store_open(struct image_store *store, const char *path, bool is_archive, struct err *err)
{
    struct file file;
    struct file_about about;
    *store = (struct image_store){.path = path, .is_archive = is_archive};
    if (!is_archive)
        return file_is_directory(path) ||
               err_set(err, "there is no folder %.300s: an OCI layout is one, with index.json in it", path);
    if (file_open(&file, path, &about) != FILE_OPEN)
        return err_set(err, "there is no file %.300s", path);
    bool ok = entries_read(store, &file, about.bytes, err);
    file_close(&file);
    return ok;
}

/* The last of this name counts, as when it is unpacked. */
static const struct image_entry *entry_find(const struct image_store *store, const char *name)
{
    for (size_t i = store->count; i > 0; i--)
        if (strcmp(store->entries[i - 1].name, name) == 0)
            return &store->entries[i - 1];
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
        const struct image_entry *entry = entry_find(store, name);
        for (int i = 0; entry != NULL && entry->link != NULL; i++)
            entry = i < LINKS_MAX ? entry_find(store, entry->link) : NULL;
        if (entry != NULL) {
            *blob = (struct image_blob){mem_text(span_str(store->path)), entry->at, entry->bytes};
            return true;
        }
    }
    return err_set(err, "%.300s has no %.200s", store->path, name);
}

bool image_store_read(const struct image_store *store, const char *name, size_t bytes_max, struct buf *to,
                      struct err *err)
{
    struct image_blob blob;
    struct file file = {-1};
    struct file_about about;
    if (!image_store_find(store, name, &blob, err))
        return false;
    bool ok = blob.bytes <= bytes_max ||
              err_set(err, "%.300s: %.200s is larger than %zu bytes", store->path, name, bytes_max);
    ok = ok && (file_open(&file, blob.path, &about) == FILE_OPEN || err_set(err, "%.300s cannot be read", blob.path));
    uint64_t done = 0;
    ssize_t got = 1;
    while (ok && done < blob.bytes && got > 0) {
        got = file_read_at(&file, blob.at + done, buf_reserve(to, blob.bytes - done), blob.bytes - done);
        if (got > 0)
            buf_added(to, (size_t)got);
        done += got > 0 ? (uint64_t)got : 0;
    }
    if (ok && done < blob.bytes)
        ok = err_set(err, "%.300s: %.200s cannot be read whole", store->path, name);
    file_close(&file);
    image_blob_finish(&blob);
    return ok;
}

void image_store_close(struct image_store *store)
{
    for (size_t i = 0; i < store->count; i++) {
        free(store->entries[i].name);
        free(store->entries[i].link);
    }
    free(store->entries);
    *store = (struct image_store){0};
}
