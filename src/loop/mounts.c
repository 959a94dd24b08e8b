/* mounts: plans the steps, and reads the answer. */
#include "loop/mounts.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/mounts_parts.h"

struct mount_step *mounts_step_add(struct mounts *mounts, enum mount_op op, char *from, char *to)
{
    mounts->steps = mem_resize(mounts->steps, (mounts->count + 1) * sizeof *mounts->steps);
    struct mount_step *step = &mounts->steps[mounts->count++];
    *step = (struct mount_step){.op = op, .from = from, .to = to};
    return step;
}

static char *below(const char *root, const char *path)
{
    return mem_printf("%s%s", root, strcmp(path, "/") != 0 ? path : "");
}

/* The longest part of a path that is there, without symbolic links; `*rest`: what is behind it. */
static char *base_find(const char *path, const char **rest)
{
    char *front = mem_text(span_str(path)), *real = NULL;
    size_t len = strlen(front);
    while ((real = realpath(len > 0 ? front : "/", NULL)) == NULL && len > 0) {
        while (len > 0 && front[len - 1] != '/')
            len--;
        len -= len > 0;
        front[len] = '\0';
    }
    free(front);
    *rest = path + len;
    return real;
}

static void replaced_add(struct mounts *mounts, const char *folder)
{
    size_t at = 0;
    for (size_t i = 0; i < mounts->replaced_count; i++) {
        if (strcmp(mounts->replaced[i], folder) == 0)
            return;
        at += strlen(mounts->replaced[i]) < strlen(folder);
    }
    mounts->replaced = mem_resize(mounts->replaced, (mounts->replaced_count + 1) * sizeof *mounts->replaced);
    for (size_t i = mounts->replaced_count++; i > at; i--)
        mounts->replaced[i] = mounts->replaced[i - 1];
    mounts->replaced[at] = mem_text(span_str(folder));
}

/* One entry of a folder that is replaced. One that has gone meanwhile is left out. */
static void entry_plan(struct mounts *mounts, const char *folder, const char *name)
{
    char *path = mem_printf("%s/%s", strcmp(folder, "/") != 0 ? folder : "", name);
    char *to = below(MOUNTS_NEW, path), target[MOUNTS_PATH_BYTES_MAX];
    struct stat about;
    ssize_t len;
    if (lstat(path, &about) != 0) {
        free(to);
    } else if (S_ISLNK(about.st_mode)) {
        len = readlink(path, target, sizeof target);
        if (len > 0)
            mounts_step_add(mounts, MOUNT_LINK, mem_text(span_of(target, (size_t)len)), to);
        else
            free(to);
    } else {
        mounts_step_add(mounts, S_ISDIR(about.st_mode) ? MOUNT_FOLDER : MOUNT_EMPTY, NULL, to);
        mounts_step_add(mounts, MOUNT_ENTRY, below(MOUNTS_OLD, path), mem_text(span_str(to)));
    }
    free(path);
}

static bool replace_plan(struct mounts *mounts, const char *folder, struct err *err)
{
    struct dirent **entries;
    struct stat about;
    int count = scandir(folder, &entries, NULL, alphasort);
    if (count < 0 || stat(folder, &about) != 0)
        return err_set(err, "%.300s, in which a mountPath is to be made, cannot be read: %s", folder, strerror(errno));
    bool fits = count <= MOUNTS_ENTRIES_MAX;
    mounts_step_add(mounts, MOUNT_MEMORY, mem_printf("mode=%o", (unsigned)about.st_mode & 07777),
                    below(MOUNTS_NEW, folder));
    for (int i = 0; i < count; i++) {
        if (fits && strcmp(entries[i]->d_name, ".") != 0 && strcmp(entries[i]->d_name, "..") != 0)
            entry_plan(mounts, folder, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return fits || err_set(err,
                           "%.300s, in which a mountPath is to be made, has %d entries, more than %d: choose a "
                           "mountPath in another folder, or make its folder there",
                           folder, count, MOUNTS_ENTRIES_MAX);
}

/* Each folder of `path` that is not there, from the root on. */
void mounts_folders_plan(struct mounts *mounts, const char *root, const char *path, size_t from)
{
    size_t len = strlen(path);
    for (size_t i = from + 1; i <= len; i++)
        if (path[i] == '/' || path[i] == '\0')
            mounts_step_add(mounts, MOUNT_FOLDER, NULL, mem_printf("%s" SPAN_FMT, root, SPAN_ARG(span_of(path, i))));
}

static bool root_plan(struct mounts *mounts, const struct mounts_wanted *wanted, struct err *err)
{
    bool ok = true;
    for (size_t i = 0; ok && i < wanted->point_count; i++) {
        const char *rest, *path = wanted->points[i].path;
        char *base = base_find(path, &rest);
        struct stat about;
        if (base == NULL || stat(base, &about) != 0)
            ok = err_set(err, "the mountPath %s: %s", path, strerror(errno));
        else if (!S_ISDIR(about.st_mode))
            ok = err_set(err, "the mountPath %s: %s is no folder on this machine", path, base);
        else if (*rest != '\0')
            replaced_add(mounts, base);
        free(base);
    }
    if (mounts->replaced_count == 0 || strcmp(mounts->replaced[0], "/") != 0)
        mounts_step_add(mounts, MOUNT_BIND, mem_text(SPAN_LIT(MOUNTS_OLD)), mem_text(SPAN_LIT(MOUNTS_NEW)));
    for (size_t i = 0; ok && i < mounts->replaced_count; i++)
        ok = replace_plan(mounts, mounts->replaced[i], err);
    return ok;
}

static void volumes_plan(struct mounts *mounts, const struct mounts_wanted *wanted)
{
    mounts_step_add(mounts, MOUNT_FOLDER, NULL, mem_text(SPAN_LIT(MOUNTS_STORE)));
    mounts_step_add(mounts, MOUNT_MEMORY, mem_text(SPAN_LIT("mode=0755")), mem_text(SPAN_LIT(MOUNTS_STORE)));
    for (size_t i = 0; i < wanted->volume_count; i++) {
        const struct mount_volume *volume = &wanted->volumes[i];
        mounts_step_add(mounts, MOUNT_FOLDER, NULL, mem_printf("%s/%s", MOUNTS_STORE, volume->name));
        if (volume->bytes_max != 0)
            mounts_step_add(mounts, MOUNT_MEMORY,
                            mem_printf("mode=0777,size=%llu", (unsigned long long)volume->bytes_max),
                            mem_printf("%s/%s", MOUNTS_STORE, volume->name));
    }
    for (size_t i = 0; i < wanted->file_count; i++) {
        struct mount_step *step = mounts_step_add(mounts, MOUNT_WRITE, NULL, mem_text(span_str(wanted->files[i].path)));
        step->bytes = mem_text(wanted->files[i].bytes);
        step->len = wanted->files[i].bytes.len;
        step->mode = wanted->files[i].mode;
    }
}

/* The place of a volume: `*path` without links, of which `*there` bytes are there. */
static bool point_find(const struct mounts_wanted *wanted, const struct mount_point *point, char **path, size_t *there,
                       struct err *err)
{
    const char *rest;
    if (wanted->image != NULL)
        return mounts_image_find(wanted->image, point->path, path, there, err) ||
               err_prefix(err, "the mountPath %s: ", point->path);
    char *base = base_find(point->path, &rest);
    *path = mem_printf("%s%s", strcmp(base, "/") != 0 ? base : "", rest);
    *there = strlen(*path) - strlen(rest);
    free(base);
    return true;
}

static bool points_plan(struct mounts *mounts, const struct mounts_wanted *wanted, struct err *err)
{
    for (size_t i = 0; i < wanted->point_count; i++) {
        const struct mount_point *point = &wanted->points[i];
        char *path;
        size_t there;
        if (!point_find(wanted, point, &path, &there, err))
            return false;
        mounts_folders_plan(mounts, MOUNTS_NEW, path, there);
        mounts_step_add(mounts, point->read_only ? MOUNT_SEAL : MOUNT_BIND,
                        mem_printf("%s/%s", MOUNTS_STORE, point->volume), below(MOUNTS_NEW, path));
        free(path);
    }
    return true;
}

/* Where the machine has none, the program's library does without. */
static void hosts_plan(struct mounts *mounts, const char *hosts)
{
    char *path = realpath("/etc/hosts", NULL);
    if (path == NULL)
        return;
    struct mount_step *step = mounts_step_add(mounts, MOUNT_TEXT, NULL, mem_text(SPAN_LIT(MOUNTS_STORE "/.hosts")));
    step->bytes = mem_text(span_str(hosts));
    step->len = strlen(hosts);
    mounts_step_add(mounts, MOUNT_BIND, mem_text(SPAN_LIT(MOUNTS_STORE "/.hosts")), below(MOUNTS_NEW, path));
    free(path);
}

bool mounts_plan(struct mounts *mounts, const struct mounts_wanted *wanted, struct err *err)
{
    char directory[MOUNTS_PATH_BYTES_MAX];
    *mounts = (struct mounts){.sockets = {-1, -1}};
    if (getcwd(directory, sizeof directory) == NULL)
        return err_set(err, "the working directory: %s", strerror(errno));
    mounts->is_image = wanted->image != NULL;
    mounts->directory = mem_text(mounts->is_image ? SPAN_LIT("/") : span_str(directory));
    mounts->uid = mounts->is_image ? wanted->image->uid : geteuid();
    mounts->gid = mounts->is_image ? wanted->image->gid : getegid();
    snprintf(mounts->maps[0], sizeof mounts->maps[0], "%u %u 1\n", (unsigned)mounts->uid, (unsigned)geteuid());
    snprintf(mounts->maps[1], sizeof mounts->maps[1], "%u %u 1\n", (unsigned)mounts->gid, (unsigned)getegid());
    mounts_step_add(mounts, MOUNT_SPACE, NULL, NULL);
    if (mounts->is_image ? !mounts_image_plan(mounts, wanted->image, err) : !root_plan(mounts, wanted, err))
        return false;
    volumes_plan(mounts, wanted);
    if (!points_plan(mounts, wanted, err))
        return false;
    if (wanted->hosts != NULL && !mounts->is_image)
        hosts_plan(mounts, wanted->hosts);
    if (wanted->file_count > 0) {
        if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, mounts->sockets) != 0)
            return err_set(err, "no socket for the volumes' descriptor: %s", strerror(errno));
        mounts_step_add(mounts, MOUNT_SEND, NULL, NULL);
    }
    mounts_step_add(mounts, MOUNT_LEAVE, NULL, NULL);
    if (mounts->is_image)
        mounts_step_add(mounts, MOUNT_USER, NULL, NULL);
    return true;
}

void mounts_finish(struct mounts *mounts)
{
    for (size_t i = 0; i < mounts->count; i++) {
        free(mounts->steps[i].from);
        free(mounts->steps[i].to);
        free(mounts->steps[i].bytes);
    }
    free(mounts->steps);
    for (size_t i = 0; i < mounts->replaced_count; i++)
        free(mounts->replaced[i]);
    free(mounts->replaced);
    for (size_t i = 0; mounts->directory != NULL && i < 2; i++)
        if (mounts->sockets[i] >= 0)
            close(mounts->sockets[i]);
    free(mounts->directory);
    *mounts = (struct mounts){0};
}

/* The path as the program would see it. */
static const char *shown(const char *path)
{
    size_t len = strlen(MOUNTS_NEW);
    return path == NULL ? "" : strncmp(path, MOUNTS_NEW, len) == 0 && path[len] != '\0' ? path + len : path;
}

bool mounts_error(const struct mounts *mounts, int step, int number, struct err *err)
{
    assert(step > 0 && (size_t)step <= mounts->count);
    const struct mount_step *failed = &mounts->steps[step - 1];
    if (failed->op == MOUNT_SPACE && mounts->is_image)
        return err_set(err,
                       "an image needs a mount namespace, which this user may not make here (%s): run sennit up as "
                       "root, or allow user namespaces (sysctl user.max_user_namespaces, and in a container its "
                       "rights), or run the program without its image (sennit.dev/run)",
                       strerror(number));
    if (failed->op == MOUNT_LAYERS)
        return err_set(
            err,
            "the image's files cannot be laid under a layer of memory (overlayfs: %s): for another user than "
            "root that needs Linux 5.11; run sennit up as root, or the program without its image "
            "(sennit.dev/run)",
            strerror(number));
    if (failed->op == MOUNT_USER)
        return err_set(err, "the image's user cannot be set: %s", strerror(number));
    if (failed->op == MOUNT_SPACE)
        return err_set(err,
                       "volumes need a mount namespace, which this user may not make here (%s): run sennit up as root, "
                       "or allow user namespaces (sysctl user.max_user_namespaces, and in a container its rights), or "
                       "take volumes and volumeMounts out of the file",
                       strerror(number));
    return err_set(err, "%s cannot be mounted: %.300s: %s", mounts->is_image ? "the image" : "the volumes",
                   shown(failed->to), strerror(number));
}

int mounts_store(struct mounts *mounts)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    char byte;
    struct iovec vector = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    int store = -1;
    if (mounts->directory == NULL || mounts->sockets[0] < 0 ||
        recvmsg(mounts->sockets[0], &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != 1)
        return -1;
    const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header != NULL && header->cmsg_type == SCM_RIGHTS)
        memcpy(&store, CMSG_DATA(header), sizeof store);
    return store;
}
