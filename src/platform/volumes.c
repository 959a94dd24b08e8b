/* volumes: turns a service's volumes into mounts, and follows the secrets that they show. */
#include "platform/volumes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "loop/child.h"
#include "platform/secrets.h"

enum { MEMORY_BYTES_DEFAULT = 512 << 20 /* Cloud Run's memory of an instance */ };

void volumes_finish(struct volumes *volumes)
{
    for (size_t i = 0; i < volumes->count; i++) {
        struct volume *volume = &volumes->list[i];
        for (size_t k = 0; k < volume->item_count; k++) {
            free(volume->items[k].version);
            free(volume->items[k].path);
        }
        free(volume->items);
        free(volume->name);
        free(volume->secret);
    }
    for (size_t i = 0; i < volumes->mount_count; i++)
        free(volumes->mounts[i].path);
    free(volumes->list);
    free(volumes->mounts);
    *volumes = (struct volumes){0};
}

static char *store_path(const struct volume *volume, const struct volume_item *item)
{
    return mem_printf("%s/%s", volume->name, item->path);
}

/* Reads the value of an item as it is now, and notes which version that is. */
static bool item_read(struct volume_shown *shown, struct buf *to, const struct volume *volume,
                      const struct volume_item *item, const char *secrets, struct err *err)
{
    free(shown->path);
    shown->path = secret_find(secrets, volume->secret, item->version, err);
    return shown->path != NULL && file_about_get(shown->path, &shown->about) &&
           file_read(shown->path, SECRET_BYTES_MAX, to, err);
}

/* What mounts_plan is asked for. */
struct request {
    struct mount_volume volumes[MOUNTS_VOLUMES_MAX];
    struct mount_point points[MOUNTS_VOLUMES_MAX];
    struct mount_file *files;
    char **paths;
    struct buf *values;
    size_t file_count;
};

static bool files_read(struct request *request, struct volumes_shown *shown, const struct volumes *volumes,
                       const char *secrets, struct err *err)
{
    for (size_t i = 0; i < volumes->count; i++) {
        const struct volume *volume = &volumes->list[i];
        for (size_t k = 0; k < volume->item_count; k++) {
            const struct volume_item *item = &volume->items[k];
            size_t at = request->file_count++;
            request->paths[at] = store_path(volume, item);
            if (!item_read(&shown->items[at], &request->values[at], volume, item, secrets, err))
                return err_prefix(err, "the volume %s: ", volume->name);
            request->files[at] = (struct mount_file){request->paths[at], buf_span(&request->values[at]), item->mode};
        }
    }
    return true;
}

static bool request_plan(struct mounts *mounts, struct request *request, const struct volumes *volumes,
                         const struct volumes_place *place, struct err *err)
{
    struct mounts_wanted wanted = {.image = place->image,
                                   .hosts = place->hosts,
                                   .volumes = request->volumes,
                                   .files = request->files,
                                   .points = request->points,
                                   .file_count = request->file_count};
    uint64_t whole = place->memory_bytes != 0 ? place->memory_bytes : MEMORY_BYTES_DEFAULT;
    for (size_t i = 0; i < volumes->count; i++) {
        const struct volume *volume = &volumes->list[i];
        uint64_t bytes = volume->bytes_max != 0 ? volume->bytes_max : whole;
        if (volume->kind != VOLUME_NONE)
            request->volumes[wanted.volume_count++] =
                (struct mount_volume){volume->name, volume->kind == VOLUME_MEMORY ? bytes : 0};
    }
    for (size_t i = 0; i < volumes->mount_count; i++) {
        const struct volume_mount *mount = &volumes->mounts[i];
        const struct volume *volume = &volumes->list[mount->volume];
        if (volume->kind != VOLUME_NONE)
            request->points[wanted.point_count++] =
                (struct mount_point){mount->path, volume->name, volume->kind == VOLUME_SECRET || mount->read_only};
    }
    return mounts_plan(mounts, &wanted, err);
}

bool volumes_plan(struct mounts *mounts, struct volumes_shown *shown, const struct volumes *volumes,
                  const struct volumes_place *place, struct err *err)
{
    size_t room = volumes->item_count + 1;
    struct request *request = mem_zero(1, sizeof *request);
    request->files = mem_zero(room, sizeof *request->files);
    request->paths = mem_zero(room, sizeof *request->paths);
    request->values = mem_zero(room, sizeof *request->values);
    *shown = (struct volumes_shown){.store = -1, .items = mem_zero(room, sizeof *shown->items)};
    bool ok =
        files_read(request, shown, volumes, place->secrets, err) && request_plan(mounts, request, volumes, place, err);
    for (size_t i = 0; i < request->file_count; i++) {
        free(request->paths[i]);
        buf_finish(&request->values[i]);
    }
    free(request->files);
    free(request->paths);
    free(request->values);
    free(request);
    return ok;
}

bool volumes_check(const struct volumes *volumes, const char *secrets, uint64_t memory_bytes, bool has_image,
                   struct err *err)
{
    struct mounts mounts = {0};
    struct volumes_shown shown = {0};
    struct volumes tried = *volumes;
    if (!volumes_any(volumes))
        return true;
    if (has_image)
        tried.mount_count = 0;
    const struct volumes_place place = {.secrets = secrets, .memory_bytes = memory_bytes};
    bool ok = volumes_plan(&mounts, &shown, &tried, &place, err) && child_may_mount(&mounts, err);
    mounts_finish(&mounts);
    volumes_shown_finish(&shown, volumes);
    return ok;
}

bool volumes_any(const struct volumes *volumes)
{
    for (size_t i = 0; i < volumes->mount_count; i++)
        if (volumes->list[volumes->mounts[i].volume].kind != VOLUME_NONE)
            return true;
    return false;
}

void volumes_begin(struct volumes_shown *shown, struct mounts *mounts)
{
    shown->store = mounts_store(mounts);
}

static bool is_same(const struct volume_shown *shown, const char *path, const struct file_about *about)
{
    return path == NULL
               ? shown->path == NULL
               : shown->path != NULL && strcmp(shown->path, path) == 0 && file_about_equal(&shown->about, about);
}

/* Writes one file anew, or takes it away, if its version is another one now. */
static bool item_refresh(struct volumes_shown *shown, size_t at, const struct volume *volume,
                         const struct volume_item *item, const char *secrets, struct err *err)
{
    struct volume_shown *one = &shown->items[at];
    struct file_about about = {0};
    struct buf value = {0};
    char *path = secret_find(secrets, volume->secret, item->version, err), *file;
    bool ok = true, same = (path == NULL || file_about_get(path, &about)) && is_same(one, path, &about);
    free(path);
    if (same)
        return true;
    file = store_path(volume, item);
    ok = item_read(one, &value, volume, item, secrets, err) &&
         (mounts_file_write(shown->store, file, buf_span(&value), item->mode) ||
          err_set(err, "%.200s: %s", file, strerror(errno)));
    if (!ok) {
        mounts_file_remove(shown->store, file);
        free(one->path); /* it is tried again once it is there */
        one->path = NULL;
    }
    free(file);
    buf_finish(&value);
    return ok;
}

unsigned volumes_refresh(struct volumes_shown *shown, const struct volumes *volumes, const char *secrets,
                         struct err *err)
{
    unsigned failed = 0;
    size_t at = 0;
    for (size_t i = 0; shown->store >= 0 && i < volumes->count; i++)
        for (size_t k = 0; k < volumes->list[i].item_count; k++)
            failed += !item_refresh(shown, at++, &volumes->list[i], &volumes->list[i].items[k], secrets, err);
    return failed;
}

void volumes_shown_finish(struct volumes_shown *shown, const struct volumes *volumes)
{
    if (shown->items == NULL)
        return;
    mounts_store_close(shown->store);
    for (size_t i = 0; i < volumes->item_count; i++)
        free(shown->items[i].path);
    free(shown->items);
    *shown = (struct volumes_shown){0};
}
