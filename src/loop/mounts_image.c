/* mounts_image: the root of a program that comes with a container image. The image's files stay as they are while it
 * runs, so where a path leads in there is known when the steps are planned. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "loop/mounts_parts.h"
#include "loop/rootfs.h"

static char *text(const char *from)
{
    return mem_text(span_str(from));
}

static void layers_plan(struct mounts *mounts, const struct mount_image *image)
{
    char *options = image->bytes_max != 0 ? mem_printf("mode=0755,size=%llu", (unsigned long long)image->bytes_max)
                                          : text("mode=0755");
    mounts_step_add(mounts, MOUNT_FOLDER, NULL, text(MOUNTS_LOWER));
    mounts_step_add(mounts, MOUNT_BIND, mem_printf("%s%s", MOUNTS_OLD, image->root), text(MOUNTS_LOWER));
    mounts_step_add(mounts, MOUNT_FOLDER, NULL, text(MOUNTS_LAYER));
    mounts_step_add(mounts, MOUNT_MEMORY, options, text(MOUNTS_LAYER));
    mounts_step_add(mounts, MOUNT_FOLDER, NULL, text(MOUNTS_LAYER "/upper"));
    mounts_step_add(mounts, MOUNT_FOLDER, NULL, text(MOUNTS_LAYER "/work"));
    mounts_step_add(mounts, MOUNT_LAYERS, NULL, text(MOUNTS_NEW));
}

bool mounts_image_find(const struct mount_image *image, const char *wanted, char **path, size_t *there, struct err *err)
{
    char *front = text(wanted), *real = NULL;
    size_t len = strlen(front);
    while (len > 0 && (real = rootfs_real(image->root, front)) == NULL) {
        if (rootfs_is_there(image->root, front)) {
            err_set(err, "the image has a link at %.300s that leads nowhere", front);
            free(front);
            return false;
        }
        while (len > 0 && front[len - 1] != '/')
            len--;
        len -= len > 0;
        front[len] = '\0';
    }
    bool is_folder = real == NULL || rootfs_is_folder(image->root, real);
    *path = mem_printf("%s%s", real != NULL && strcmp(real, "/") != 0 ? real : "", wanted + len);
    *there = strlen(*path) - strlen(wanted + len);
    free(real);
    if (!is_folder) {
        err_set(err, "%.300s is no folder in the image", front);
        free(*path);
    }
    free(front);
    return is_folder;
}

/* Makes a folder that the image does not have. `*place`: where it is, for mounts; the caller frees it. */
static bool folder_plan(struct mounts *mounts, const struct mount_image *image, const char *wanted, uint32_t mode,
                        char **place, struct err *err)
{
    char *path;
    size_t there;
    if (!mounts_image_find(image, wanted, &path, &there, err))
        return false;
    mounts_folders_plan(mounts, MOUNTS_NEW, path, there);
    if (there < strlen(path))
        mounts->steps[mounts->count - 1].mode = mode;
    *place = mem_printf("%s%s", MOUNTS_NEW, path);
    free(path);
    return true;
}

/* On a hybrid host version 2 lies inside of the folder that version 1's hierarchies are in, so each is bound alone. */
static void groups_plan(struct mounts *mounts, const struct mount_image *image, const char *sys)
{
    static const char above[] = "/sys";
    for (int i = 0; image->group != NULL && i < CGROUP_KINDS; i++) {
        const char *point = image->groups->points[i];
        if (image->group->folders[i] != NULL && point != NULL && span_starts_with(span_str(point), SPAN_LIT("/sys/")))
            mounts_step_add(mounts, MOUNT_BIND, mem_printf("%s%s", MOUNTS_OLD, image->group->folders[i]),
                            mem_printf("%s%s", sys, point + strlen(above)));
    }
}

/* What belongs to this machine is seen, and not changed. */
static void machine_plan(struct mounts *mounts, const struct mount_image *image, const char *proc, const char *sys)
{
    static const char *const sealed[] = {"sys", "sysrq-trigger", "irq", "bus", "fs"};
    mounts_step_add(mounts, MOUNT_BIND, text(MOUNTS_OLD "/proc"), text(proc));
    for (size_t i = 0; i < sizeof sealed / sizeof sealed[0]; i++) {
        char *path = mem_printf("/proc/%s", sealed[i]);
        if (rootfs_is_there("/", path)) {
            mounts_step_add(mounts, MOUNT_BIND, mem_printf("%s%s", MOUNTS_OLD, path),
                            mem_printf("%s/%s", proc, sealed[i]));
            mounts_step_add(mounts, MOUNT_READ_ONLY, NULL, mem_printf("%s/%s", proc, sealed[i]));
        }
        free(path);
    }
    mounts_step_add(mounts, MOUNT_BIND, text(MOUNTS_OLD "/sys"), text(sys));
    groups_plan(mounts, image, sys);
    mounts_step_add(mounts, MOUNT_READ_ONLY, NULL, text(sys));
}

/* The devices that every container has. */
static void devices_plan(struct mounts *mounts, const char *dev)
{
    static const char *const devices[] = {"null", "zero", "full", "random", "urandom", "tty"};
    static const struct {
        const char *name, *to;
    } links[] = {{"fd", "/proc/self/fd"},
                 {"stdin", "/proc/self/fd/0"},
                 {"stdout", "/proc/self/fd/1"},
                 {"stderr", "/proc/self/fd/2"},
                 {"ptmx", "pts/ptmx"}};
    mounts_step_add(mounts, MOUNT_MEMORY, text("mode=0755,size=65536"), text(dev));
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++) {
        mounts_step_add(mounts, MOUNT_EMPTY, NULL, mem_printf("%s/%s", dev, devices[i]));
        mounts_step_add(mounts, MOUNT_ENTRY, mem_printf("%s/dev/%s", MOUNTS_OLD, devices[i]),
                        mem_printf("%s/%s", dev, devices[i]));
    }
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++)
        mounts_step_add(mounts, MOUNT_LINK, text(links[i].to), mem_printf("%s/%s", dev, links[i].name));
    mounts_step_add(mounts, MOUNT_FOLDER, NULL, mem_printf("%s/shm", dev));
    mounts_step_add(mounts, MOUNT_MEMORY, text("mode=1777"), mem_printf("%s/shm", dev));
    mounts_step_add(mounts, MOUNT_FOLDER, NULL, mem_printf("%s/pts", dev));
    mounts_step_add(mounts, MOUNT_TERMINALS, NULL, mem_printf("%s/pts", dev));
}

static void text_plan(struct mounts *mounts, const char *folder, const char *name, const char *bytes)
{
    if (bytes == NULL)
        return;
    struct mount_step *step = mounts_step_add(mounts, MOUNT_TEXT, NULL, mem_printf("%s/%s", folder, name));
    step->bytes = text(bytes);
    step->len = strlen(bytes);
}

bool mounts_image_plan(struct mounts *mounts, const struct mount_image *image, struct err *err)
{
    static const struct {
        const char *path;
        uint32_t mode;
    } folders[] = {{"/proc", 0555}, {"/sys", 0555}, {"/dev", 0755}, {"/etc", 0755}, {"/tmp", 01777}};
    enum { PROC, SYS, DEV, ETC, FOLDERS = sizeof folders / sizeof folders[0] };
    char *places[FOLDERS] = {0}, *directory = NULL;
    bool ok = true;
    layers_plan(mounts, image);
    for (int i = 0; ok && i < FOLDERS; i++)
        ok = folder_plan(mounts, image, folders[i].path, folders[i].mode, &places[i], err);
    ok = ok && folder_plan(mounts, image, image->directory, 0755, &directory, err);
    if (ok) {
        machine_plan(mounts, image, places[PROC], places[SYS]);
        devices_plan(mounts, places[DEV]);
        text_plan(mounts, places[ETC], "hosts", image->hosts);
        text_plan(mounts, places[ETC], "resolv.conf", image->resolv);
    }
    for (int i = 0; i < FOLDERS; i++)
        free(places[i]);
    free(directory);
    return ok;
}
