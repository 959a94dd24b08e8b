/* store: looks files up, computes their entity tags, and opens and closes their versions.
 *
 * The entity tag of a file of up to 1 MiB is a hash of its bytes, so that all instances of a service agree, however
 * their disks came about, and so that a build which sets all times to one does not make two versions look the same.
 * Hashing more would hold up everybody: a larger file's tag is its time and its size. */
#include "serve/store.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "wire/deflate.h"

enum { FRESH_MS = 2000 /* coarser than any clock of a file system */ };

void store_init(struct store *store, const uint64_t seed[2], size_t open_max)
{
    *store = (struct store){.open_max = open_max, .piece = mem_alloc(NET_PIECE_BYTES)};
    map_init(&store->by_path, seed);
    list_init(&store->files);
    list_init(&store->open);
}

static void stored_close(struct stored *stored)
{
    if (stored->file.fd >= 0)
        stored->store->open_count--;
    file_close(&stored->file);
    list_remove(&stored->of_open);
}

/* `file` is open on this version. */
static void stored_open_with(struct stored *stored, struct file file)
{
    struct store *store = stored->store;
    assert(stored->file.fd < 0);
    if (store->open_count >= store->open_max && !list_empty(&store->open))
        stored_close(container_of(store->open.next, struct stored, of_open));
    stored->file = file;
    store->open_count++;
    list_append(&store->open, &stored->of_open);
}

/* One that was closed to make room is opened again; false when another version has taken its place meanwhile. */
static bool stored_open_again(struct stored *stored)
{
    struct file file;
    struct file_about about;
    if (file_open(&file, stored->path, &about) != FILE_OPEN)
        return false;
    if (!file_about_equal(&about, &stored->about)) {
        file_close(&file);
        return false;
    }
    stored_open_with(stored, file);
    return true;
}

static void stored_destroy(struct stored *stored)
{
    assert(stored->refs == 0);
    stored_close(stored);
    if (stored->newest)
        map_remove(&stored->store->by_path, &stored->by_path);
    list_remove(&stored->of_store);
    buf_finish(&stored->packed);
    free(stored->path);
    free(stored);
}

void stored_unref(struct stored *stored)
{
    assert(stored->refs > 0);
    if (--stored->refs > 0)
        return;
    stored_close(stored);
    if (!stored->newest)
        stored_destroy(stored);
}

void store_finish(struct store *store)
{
    struct list *node;
    while (store->piece != NULL && (node = list_take(&store->files)) != NULL)
        stored_destroy(container_of(node, struct stored, of_store));
    map_finish(&store->by_path);
    free(store->piece);
    store->piece = NULL;
}

static ssize_t source_read(struct conn_source *source, uint64_t offset, char *to, size_t size)
{
    struct stored *stored = container_of(source, struct stored, source);
    if (stored->file.fd < 0 && !stored_open_again(stored))
        return -1;
    list_remove(&stored->of_open);
    list_append(&stored->store->open, &stored->of_open);
    ssize_t got = file_read_at(&stored->file, offset, to, size);
    return got > 0 ? got : -1;
}

static void source_released(struct conn_source *source)
{
    stored_unref(container_of(source, struct stored, source));
}

/* False when the file cannot be read to its end. */
static bool bytes_hash(struct stored *stored, uint64_t *hash)
{
    static const uint64_t seed[2] = {0x53656e6e69742066ULL, 0x696c65732c207631ULL}; /* the same in all instances */
    char *piece = stored->store->piece;
    uint64_t offset = 0, link[2] = {stored->about.bytes, 0};
    while (offset < stored->about.bytes) {
        ssize_t got = file_read_at(&stored->file, offset, piece, NET_PIECE_BYTES);
        if (got <= 0)
            return false;
        link[1] = map_hash(seed, span_of(piece, (size_t)got));
        link[0] = map_hash(seed, span_of(link, sizeof link));
        offset += (uint64_t)got;
    }
    *hash = link[0];
    return true;
}

static bool tag(struct stored *stored, int64_t wall_ms)
{
    uint64_t hash;
    int64_t age_ms = wall_ms - stored->about.changed_ns / 1000000;
    stored->fresh = age_ms < FRESH_MS && age_ms > -FRESH_MS;
    if (stored->about.bytes > STORE_HASHED_BYTES_MAX) {
        snprintf(stored->etag, sizeof stored->etag, "\"%llx-%llx\"", (unsigned long long)stored->about.modified_ns,
                 (unsigned long long)stored->about.bytes);
        return true;
    }
    if (!bytes_hash(stored, &hash))
        return false;
    snprintf(stored->etag, sizeof stored->etag, "\"%016llx\"", (unsigned long long)hash);
    return true;
}

/* False when the file cannot be read to its end. */
static bool bytes_read(struct stored *stored, struct buf *to)
{
    char *piece = stored->store->piece;
    while (to->len < stored->about.bytes) {
        ssize_t got = file_read_at(&stored->file, to->len, piece, NET_PIECE_BYTES);
        if (got <= 0)
            return false;
        buf_append(to, span_of(piece, (size_t)got));
    }
    return true;
}

bool stored_pack(struct stored *stored)
{
    struct buf bytes = {0};
    char etag[STORE_TAG_BYTES];
    int tag_len = (int)strlen(stored->etag) - 1; /* without the last quote */
    snprintf(etag, sizeof etag, "%.*s-gzip\"", tag_len, stored->etag);
    if (stored->about.bytes > STORE_PACKED_BYTES_MAX)
        return false;
    if (strcmp(etag, stored->packed_etag) != 0) { /* not packed yet, or written to since, see `fresh` */
        buf_clear(&stored->packed);
        memcpy(stored->packed_etag, etag, sizeof etag);
        if (bytes_read(stored, &bytes))
            deflate_gzip(&stored->packed, buf_span(&bytes));
        buf_finish(&bytes);
    }
    return stored->packed.len > 0 && stored->packed.len < stored->about.bytes;
}

/* A newer one has come, or there is none any more. */
static void outdate(struct stored *stored)
{
    map_remove(&stored->store->by_path, &stored->by_path);
    stored->newest = false;
    if (stored->refs == 0)
        stored_destroy(stored);
}

/* Room for one more: the one that was not asked for for the longest time is forgotten. Those that are being read are
 * few. */
static void make_room(struct store *store)
{
    list_each (node, &store->files) {
        struct stored *stored = container_of(node, struct stored, of_store);
        if (store->by_path.count < STORE_FILES_MAX)
            return;
        if (stored->refs == 0)
            stored_destroy(stored);
    }
}

static struct stored *stored_create(struct store *store, const char *path, const struct file_about *about)
{
    make_room(store);
    struct stored *stored = mem_zero(1, sizeof *stored);
    stored->store = store;
    stored->source = (struct conn_source){source_read, source_released};
    stored->file.fd = -1;
    stored->about = *about;
    stored->path = mem_text(span_str(path));
    stored->newest = true;
    map_add(&store->by_path, &stored->by_path, span_str(stored->path));
    list_init(&stored->of_store);
    list_init(&stored->of_open);
    list_append(&store->files, &stored->of_store);
    return stored;
}

static struct stored *stored_at(struct store *store, const char *path)
{
    struct map_node *node = map_find(&store->by_path, span_str(path));
    return node != NULL ? container_of(node, struct stored, by_path) : NULL;
}

enum store_result store_find(struct store *store, const char *path, int64_t wall_ms, struct stored **found)
{
    struct file file;
    struct file_about about;
    enum file_result result = file_open(&file, path, &about);
    struct stored *stored = stored_at(store, path);
    if (result == FILE_EXHAUSTED)
        return STORE_BUSY;
    if (stored != NULL && (result != FILE_OPEN || !file_about_equal(&about, &stored->about))) {
        outdate(stored);
        stored = NULL;
    }
    if (result != FILE_OPEN)
        return STORE_ABSENT;
    bool seen = stored != NULL && !stored->fresh;
    if (stored == NULL)
        stored = stored_create(store, path, &about);
    if (stored->file.fd < 0)
        stored_open_with(stored, file);
    else
        file_close(&file);
    stored->refs++;
    list_remove(&stored->of_store);
    list_append(&store->files, &stored->of_store);
    if (!seen && !tag(stored, wall_ms)) {
        stored->fresh = true;
        stored_unref(stored);
        return STORE_ABSENT;
    }
    *found = stored;
    return STORE_FOUND;
}
