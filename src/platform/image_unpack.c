/* image_unpack: first the digests of all blobs, before anything reads what is in one; then layer after layer, the
 * lowest first, made into files as sennit-untar says its entries. A name that begins with `.wh.` takes a file of a
 * lower layer away (opencontainers/image-spec, layer.md). */
#include "platform/image_unpack.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "loop/file.h"
#include "loop/process.h"
#include "loop/rootfs.h"
#include "loop/tree.h"
#include "platform/image_archive.h"

#define PATH_SHOWN(path) (int)((path).len < 300 ? (path).len : 300), (path).data
#define WHITEOUT ".wh."
#define WHITEOUT_ALL ".wh..wh..opq"

/* One layer under way. */
struct unpacking {
    struct rootfs rootfs;
    struct words made;         /* paths of this layer */
    struct rootfs_about about; /* of the file that is being written */
    bool in_file;
    uint64_t file_left; /* of its contents */
    /* Of files' contents, and of what the layers decompress to. Each is bounded: holes are only in the former, and
     * bytes behind an archive's end only in the latter. */
    uint64_t bytes, layers_bytes;
    size_t files, names_bytes;
    atomic_bool *stop;
    struct err *err;
};

/* A path without `.` and slashes too many; false: it has a `..`, or a name that no file has. */
static bool path_clean(struct buf *to, struct span path)
{
    struct span rest = path, part;
    while (span_next(&rest, '/', &part)) {
        if (part.len == 0 || span_equal(part, SPAN_LIT(".")))
            continue;
        if (part.len > 255 || span_equal(part, SPAN_LIT("..")))
            return false;
        if (to->len > 0)
            buf_append_char(to, '/');
        buf_append(to, part);
    }
    buf_append_char(to, '\0');
    return true;
}

static bool file_end(struct unpacking *unpacking)
{
    bool ok = unpacking->file_left == 0 || err_set(unpacking->err, "a file is shorter than its header says");
    ok = ok && (!unpacking->in_file || rootfs_file_end(&unpacking->rootfs, &unpacking->about, unpacking->err));
    unpacking->in_file = false;
    return ok;
}

/* Whether this layer has made that path, or one below it. */
static bool is_made(const struct unpacking *unpacking, const char *path)
{
    size_t len = strlen(path);
    for (size_t i = 0; i < unpacking->made.count; i++) {
        const char *made = unpacking->made.list[i];
        if (strncmp(made, path, len) == 0 && (made[len] == '\0' || made[len] == '/'))
            return true;
    }
    return false;
}

/* Takes away what lower layers have in a folder. */
static void folder_empty(struct unpacking *unpacking, const char *folder)
{
    char **names = rootfs_list(&unpacking->rootfs, folder);
    for (size_t i = 0; names != NULL && names[i] != NULL; i++) {
        char *path = mem_printf("%s%s%s", folder, folder[0] != '\0' ? "/" : "", names[i]);
        if (!is_made(unpacking, path))
            rootfs_remove(&unpacking->rootfs, path);
        free(path);
        free(names[i]);
    }
    free(names);
}

/* True: the path is a whiteout, and done. */
static bool whiteout_take(struct unpacking *unpacking, const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    if (strncmp(name, WHITEOUT, strlen(WHITEOUT)) != 0)
        return false;
    char *folder = mem_text(span_of(path, slash != NULL ? (size_t)(slash - path) : 0));
    const char *gone = name + strlen(WHITEOUT);
    if (strcmp(name, WHITEOUT_ALL) == 0) {
        folder_empty(unpacking, folder);
    } else if (strncmp(gone, WHITEOUT, strlen(WHITEOUT)) != 0 && gone[0] != '\0' && strcmp(gone, ".") != 0 &&
               strcmp(gone, "..") != 0) { /* other names of two such beginnings are AUFS' own */
        char *target = mem_printf("%s%s%s", folder, folder[0] != '\0' ? "/" : "", gone);
        rootfs_remove(&unpacking->rootfs, target);
        free(target);
    }
    free(folder);
    return true;
}

static bool hard_link_make(struct unpacking *unpacking, const char *path, struct span to)
{
    struct buf target = {0};
    bool ok = path_clean(&target, to) || err_set(unpacking->err, "%.300s: a link leads out of the image", path);
    ok = ok && rootfs_link(&unpacking->rootfs, path, buf_span(&target).data, unpacking->err);
    buf_finish(&target);
    return ok;
}

static bool symlink_make(struct unpacking *unpacking, const char *path, const struct untar_entry *entry,
                         const struct rootfs_about *about)
{
    char *to = mem_text(entry->link);
    bool ok = rootfs_symlink(&unpacking->rootfs, path, to, about, unpacking->err);
    free(to);
    return ok;
}

static bool entry_make(struct unpacking *unpacking, const char *path, const struct untar_entry *entry)
{
    struct rootfs *rootfs = &unpacking->rootfs;
    struct err *err = unpacking->err;
    const struct rootfs_about about = {entry->mode, entry->uid, entry->gid, entry->modified_s};
    if (path[0] == '\0' && entry->type != UNTAR_FOLDER)
        return err_set(err, "an entry without a name");
    switch (entry->type) {
    case UNTAR_FILE:
        unpacking->about = about;
        unpacking->file_left = entry->bytes;
        unpacking->in_file = rootfs_file_begin(rootfs, path, err);
        return unpacking->in_file;
    case UNTAR_FOLDER:
        return rootfs_folder(rootfs, path, &about, err);
    case UNTAR_SYMLINK:
        return symlink_make(unpacking, path, entry, &about);
    case UNTAR_HARD_LINK:
        return hard_link_make(unpacking, path, entry->link);
    case UNTAR_OTHER: /* devices come from this machine, and nobody would write to a pipe */
        break;
    }
    return true;
}

static bool entry_take(struct unpacking *unpacking, const struct untar_entry *entry)
{
    struct buf path = {0};
    if (!file_end(unpacking))
        return false;
    bool ok = path_clean(&path, entry->path) ||
              err_set(unpacking->err, "%.*s: a path leads out of the image", PATH_SHOWN(entry->path));
    unpacking->names_bytes += path.len;
    if (ok && (++unpacking->files > IMAGE_FILES_MAX || unpacking->names_bytes > IMAGE_NAMES_BYTES_MAX))
        ok = err_set(unpacking->err, "it has more than %d files, or more than %d MiB of names", IMAGE_FILES_MAX,
                     IMAGE_NAMES_BYTES_MAX >> 20);
    if (ok && !whiteout_take(unpacking, buf_span(&path).data)) {
        ok = entry_make(unpacking, buf_span(&path).data, entry);
        words_add(&unpacking->made, mem_text(span_sub(buf_span(&path), 0, path.len - 1)));
    }
    buf_finish(&path);
    return ok;
}

static bool bytes_take(struct unpacking *unpacking, struct span bytes)
{
    if (bytes.len > unpacking->file_left)
        return err_set(unpacking->err, "a file is longer than its header says");
    unpacking->file_left -= bytes.len;
    unpacking->bytes += bytes.len;
    if (unpacking->bytes > IMAGE_BYTES_MAX)
        return err_set(unpacking->err, "it has more than %llu GiB", (unsigned long long)(IMAGE_BYTES_MAX >> 30));
    return rootfs_file_write(&unpacking->rootfs, bytes, unpacking->err);
}

/* A record of the layer. `*digest` is of its tar archive, once that is over. */
static bool record_take(struct unpacking *unpacking, const struct untar_record *record, const char **digest)
{
    switch (record->kind) {
    case UNTAR_ENTRY:
        return entry_take(unpacking, &record->entry);
    case UNTAR_BYTES:
        return bytes_take(unpacking, record->bytes);
    case UNTAR_END:
        if (record->total > IMAGE_BYTES_MAX - unpacking->layers_bytes)
            return err_set(unpacking->err, "it decompresses to more than an image may have");
        unpacking->layers_bytes += record->total;
        *digest = record->digest;
        break;
    case UNTAR_FAULT: /* image_archive_next has failed */
        break;
    }
    return file_end(unpacking);
}

static bool layer_take(struct unpacking *unpacking, const struct image_layer *layer)
{
    struct image_archive archive;
    struct untar_record record;
    const char *digest = NULL;
    uint64_t left = IMAGE_BYTES_MAX - unpacking->layers_bytes;
    bool ok = image_archive_open(&archive, IMAGE_ARCHIVE_UNPACK, layer->blob.path, layer->blob.number, left,
                                 unpacking->stop, unpacking->err);
    while (ok && digest == NULL)
        ok = image_archive_next(&archive, &record, unpacking->err) && record_take(unpacking, &record, &digest);
    image_archive_close(&archive);
    words_finish(&unpacking->made);
    unpacking->names_bytes = 0;
    return ok && (strcmp(digest, layer->digest) == 0 ||
                  err_set(unpacking->err,
                          "its digest is not the one that the image's configuration says: make the image anew"));
}

/* A blob without a digest is checked when it is unpacked: by that of its tar archive. */
static bool blob_check(struct unpacking *unpacking, const struct image_layer *layer)
{
    char found[SHA256_HEX_LEN + 1];
    if (layer->packed_digest[0] == '\0')
        return true;
    return image_blob_digest(&layer->blob, found, unpacking->stop, unpacking->err) &&
           (strcmp(found, layer->packed_digest) == 0 ||
            err_set(unpacking->err,
                    "it is damaged: its digest is not the one that its manifest says: make the image anew"));
}

static bool each_layer(struct unpacking *unpacking, const struct image *image,
                       bool (*act)(struct unpacking *, const struct image_layer *))
{
    bool ok = true;
    for (size_t i = 0; ok && i < image->layer_count; i++)
        ok = act(unpacking, &image->layers[i]) || err_prefix(unpacking->err, "layer %zu of %zu in %.300s: ", i + 1,
                                                             image->layer_count, image->layers[i].blob.path);
    return ok;
}

bool image_unpack_into(const struct image *image, const char *folder, atomic_bool *stop, struct err *err)
{
    struct unpacking unpacking = {.stop = stop, .err = err};
    if (!rootfs_open(&unpacking.rootfs, folder, err))
        return false;
    bool ok = each_layer(&unpacking, image, blob_check) && each_layer(&unpacking, image, layer_take);
    rootfs_close(&unpacking.rootfs);
    return ok;
}

char *image_folder(const char *state_dir)
{
    char *home = state_dir == NULL ? process_state_home() : NULL;
    char *folder = mem_printf("%s/images", state_dir != NULL ? state_dir : home);
    free(home);
    return folder;
}

/* On the worker. Another process may have made the same image meanwhile. */
static void unpack_run(struct job *job)
{
    struct image_unpack *unpack = container_of(job, struct image_unpack, job);
    char *fresh = mem_printf("%s/%s-%d-%p", unpack->images, unpack->image->digest, process_self(), (void *)unpack);
    unpack->ok = file_make_directory(fresh, &unpack->err) &&
                 image_unpack_into(unpack->image, fresh, &unpack->stop, &unpack->err);
    if (unpack->ok && !file_move(fresh, unpack->root, &unpack->err))
        unpack->ok = file_is_directory(unpack->root);
    tree_remove(fresh);
    free(fresh);
}

/* Without symbolic links, for mounts. */
static void root_complete(struct image_unpack *unpack)
{
    char *given = unpack->root;
    unpack->root = file_absolute(given);
    free(given);
}

static void unpack_done(struct job *job)
{
    struct image_unpack *unpack = container_of(job, struct image_unpack, job);
    worker_finish(unpack->worker);
    unpack->worker = NULL;
    root_complete(unpack);
    if (!unpack->ok)
        err_prefix(&unpack->err, "the image cannot be unpacked: ");
    unpack->done(unpack);
}

bool image_unpack_begin(struct image_unpack *unpack, const struct image *image, const char *state_dir,
                        struct loop *loop, void (*done)(struct image_unpack *unpack))
{
    image_unpack_finish(unpack);
    unpack->image = image;
    unpack->done = done;
    unpack->job = (struct job){unpack_run, unpack_done};
    unpack->images = image_folder(state_dir);
    unpack->root = mem_printf("%s/%s", unpack->images, image->digest);
    unpack->ok = file_is_directory(unpack->root);
    if (unpack->ok) {
        root_complete(unpack);
        return true;
    }
    unpack->worker = worker_start(loop, &unpack->err);
    if (unpack->worker == NULL)
        return true;
    worker_give(unpack->worker, &unpack->job);
    return false;
}

void image_unpack_finish(struct image_unpack *unpack)
{
    atomic_store(&unpack->stop, true);
    worker_finish(unpack->worker);
    free(unpack->images);
    free(unpack->root);
    *unpack = (struct image_unpack){0};
}

static bool is_listed(const char *const *digests, const char *name)
{
    for (; *digests != NULL; digests++)
        if (strcmp(*digests, name) == 0)
            return true;
    return false;
}

void images_sweep(const char *state_dir, const char *const *digests)
{
    struct err ignored;
    char *folder = image_folder(state_dir), **names = file_list(folder, "", &ignored);
    for (size_t i = 0; names != NULL && names[i] != NULL; i++) {
        char *path = mem_printf("%s/%s", folder, names[i]);
        if (!is_listed(digests, names[i]))
            tree_remove(path);
        free(path);
        free(names[i]);
    }
    free(names);
    free(folder);
}
