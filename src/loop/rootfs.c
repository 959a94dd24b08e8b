/* rootfs: opens the folder of each path with openat2, and does the rest with that descriptor and the last name. */
#include "loop/rootfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/file.h"
#include "loop/tree.h"

enum { PATH_BYTES_MAX = 4096, FOLDER_MODE = 0755 };

static bool fault(struct err *err, const char *path)
{
    return err_set(err, "%.300s: %s", path, strerror(errno));
}

static int inside_open(int root, const char *path, uint64_t flags)
{
    struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    return (int)syscall(SYS_openat2, root, path, &how, sizeof how);
}

bool rootfs_open(struct rootfs *rootfs, const char *path, struct err *err)
{
    *rootfs = (struct rootfs){.fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), .file = -1};
    int probe = rootfs->fd >= 0 ? inside_open(rootfs->fd, ".", O_PATH | O_DIRECTORY) : -1;
    if (probe < 0) {
        err_set(err, "%.300s: %s%s", path, strerror(errno), errno == ENOSYS ? " (images need Linux 5.6)" : "");
        rootfs_close(rootfs);
        return false;
    }
    close(probe);
    return true;
}

void rootfs_close(struct rootfs *rootfs)
{
    if (rootfs->file >= 0)
        close(rootfs->file);
    if (rootfs->fd >= 0)
        close(rootfs->fd);
    *rootfs = (struct rootfs){-1, -1};
}

/* The folder at the first `len` bytes of a path, which is made if it is missing; -1 with errno set. */
static int folder_open(const struct rootfs *rootfs, const char *path, size_t len)
{
    char front[PATH_BYTES_MAX];
    if (len == 0)
        return inside_open(rootfs->fd, ".", O_RDONLY | O_DIRECTORY);
    if (len >= sizeof front) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(front, path, len);
    front[len] = '\0';
    for (size_t i = 1; i <= len; i++) {
        if (front[i] != '/' && front[i] != '\0')
            continue;
        front[i] = '\0';
        int there = inside_open(rootfs->fd, front, O_PATH | O_DIRECTORY);
        if (there < 0 && errno == ENOENT) {
            char *name = strrchr(front, '/');
            if (name != NULL)
                *name = '\0';
            int above = inside_open(rootfs->fd, name != NULL ? front : ".", O_PATH | O_DIRECTORY);
            if (name != NULL)
                *name = '/';
            const char *last = name != NULL ? name + 1 : front;
            bool made = above >= 0 && mkdirat(above, last, FOLDER_MODE) == 0 &&
                        fchmodat(above, last, FOLDER_MODE, 0) == 0; /* whatever the umask is */
            if (above >= 0)
                close(above);
            if (!made)
                return -1;
        } else if (there >= 0) {
            close(there);
        } else {
            return -1;
        }
        if (i < len)
            front[i] = '/';
    }
    return inside_open(rootfs->fd, front, O_RDONLY | O_DIRECTORY);
}

/* The folder in which a path is, and its last name. */
static int parent_open(const struct rootfs *rootfs, const char *path, const char **name)
{
    const char *slash = strrchr(path, '/');
    *name = slash != NULL ? slash + 1 : path;
    return folder_open(rootfs, path, slash != NULL ? (size_t)(slash - path) : 0);
}

static void name_remove(int parent, const char *name)
{
    char path[PATH_BYTES_MAX];
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return;
    snprintf(path, sizeof path, "/proc/self/fd/%d/%s", parent, name);
    tree_remove(path);
}

/* The owner comes first: changing it takes bits of the mode away. */
static bool about_set(int fd, const struct rootfs_about *about, bool is_folder)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = about->modified_s}};
    mode_t mode = about->mode;
    if (geteuid() == 0 && fchown(fd, about->uid, about->gid) != 0)
        return false;
    if (geteuid() != 0)
        mode = (mode & 01777) | (is_folder ? 0700 : 0400);
    return fchmod(fd, mode) == 0 && (is_folder || futimens(fd, times) == 0);
}

bool rootfs_folder(struct rootfs *rootfs, const char *path, const struct rootfs_about *about, struct err *err)
{
    const char *name;
    struct stat there;
    int parent = path[0] != '\0' ? parent_open(rootfs, path, &name) : -1;
    if (path[0] != '\0' && parent < 0)
        return fault(err, path);
    if (parent >= 0 && (fstatat(parent, name, &there, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(there.st_mode))) {
        name_remove(parent, name);
        mkdirat(parent, name, 0700);
    }
    int fd = parent >= 0 ? openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                         : inside_open(rootfs->fd, ".", O_RDONLY | O_DIRECTORY);
    bool ok = (fd >= 0 && about_set(fd, about, true)) || fault(err, path);
    if (fd >= 0)
        close(fd);
    if (parent >= 0)
        close(parent);
    return ok;
}

bool rootfs_file_begin(struct rootfs *rootfs, const char *path, struct err *err)
{
    const char *name;
    int parent = parent_open(rootfs, path, &name);
    if (parent < 0)
        return fault(err, path);
    name_remove(parent, name);
    rootfs->file = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool ok = rootfs->file >= 0 || fault(err, path);
    close(parent);
    return ok;
}

bool rootfs_file_write(struct rootfs *rootfs, struct span bytes, struct err *err)
{
    return file_put(rootfs->file, bytes) || fault(err, "a file of the image");
}

bool rootfs_file_end(struct rootfs *rootfs, const struct rootfs_about *about, struct err *err)
{
    bool ok = about_set(rootfs->file, about, false);
    ok = close(rootfs->file) == 0 && ok;
    rootfs->file = -1;
    return ok || fault(err, "a file of the image");
}

bool rootfs_symlink(struct rootfs *rootfs, const char *path, const char *to, const struct rootfs_about *about,
                    struct err *err)
{
    const char *name;
    int parent = parent_open(rootfs, path, &name);
    if (parent < 0)
        return fault(err, path);
    name_remove(parent, name);
    bool ok = symlinkat(to, parent, name) == 0 &&
              (geteuid() != 0 || fchownat(parent, name, about->uid, about->gid, AT_SYMLINK_NOFOLLOW) == 0);
    ok = ok || fault(err, path);
    close(parent);
    return ok;
}

bool rootfs_link(struct rootfs *rootfs, const char *path, const char *to, struct err *err)
{
    const char *name, *old_name;
    int parent = parent_open(rootfs, path, &name), old = parent_open(rootfs, to, &old_name);
    bool ok = parent >= 0 && old >= 0;
    if (ok && strcmp(path, to) != 0) {
        name_remove(parent, name);
        ok = linkat(old, old_name, parent, name, 0) == 0;
    }
    ok = ok || fault(err, path);
    if (parent >= 0)
        close(parent);
    if (old >= 0)
        close(old);
    return ok;
}

void rootfs_remove(struct rootfs *rootfs, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *above = mem_text(slash != NULL ? span_of(path, (size_t)(slash - path)) : SPAN_LIT("."));
    int parent = inside_open(rootfs->fd, above, O_RDONLY | O_DIRECTORY);
    if (parent >= 0) {
        name_remove(parent, slash != NULL ? slash + 1 : path);
        close(parent);
    }
    free(above);
}

char **rootfs_list(struct rootfs *rootfs, const char *path)
{
    int fd = inside_open(rootfs->fd, path[0] != '\0' ? path : ".", O_RDONLY | O_DIRECTORY);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    char **names = NULL;
    size_t count = 0;
    struct dirent *entry;
    if (folder == NULL)
        return NULL;
    while ((entry = readdir(folder)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        names = mem_resize(names, (count + 2) * sizeof *names);
        names[count++] = mem_text(span_str(entry->d_name));
    }
    closedir(folder);
    names = names != NULL ? names : mem_zero(1, sizeof *names);
    names[count] = NULL;
    return names;
}

/* A descriptor of a path of the image; -1: there is none. */
static int path_open(const char *root, const char *path, uint64_t flags)
{
    int top = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd = top >= 0 ? inside_open(top, path, flags) : -1;
    if (top >= 0)
        close(top);
    return fd;
}

char *rootfs_real(const char *root, const char *path)
{
    char link[64], target[PATH_BYTES_MAX], *real_root = realpath(root, NULL), *found = NULL;
    int fd = real_root != NULL ? path_open(root, path, O_PATH) : -1;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = fd >= 0 ? readlink(link, target, sizeof target) : -1;
    size_t front = real_root != NULL ? strlen(real_root) : 0;
    if (len > 0 && (size_t)len < sizeof target && (size_t)len >= front && memcmp(target, real_root, front) == 0)
        found = mem_printf("/%.*s", (int)((size_t)len > front ? (size_t)len - front - 1 : 0), target + front + 1);
    if (fd >= 0)
        close(fd);
    free(real_root);
    return found;
}

/* 0: there is none. */
static mode_t mode_of(const char *root, const char *path, uint64_t flags)
{
    struct stat about = {0};
    int fd = path_open(root, path, O_PATH | flags);
    if (fd < 0 || fstat(fd, &about) != 0)
        about.st_mode = 0;
    if (fd >= 0)
        close(fd);
    return about.st_mode;
}

bool rootfs_is_there(const char *root, const char *path)
{
    return mode_of(root, path, O_NOFOLLOW) != 0;
}

bool rootfs_is_folder(const char *root, const char *path)
{
    return S_ISDIR(mode_of(root, path, 0));
}

bool rootfs_is_program(const char *root, const char *path)
{
    mode_t mode = mode_of(root, path, 0);
    return S_ISREG(mode) && (mode & 0111) != 0;
}

bool rootfs_read(const char *root, const char *path, char *to, size_t *len)
{
    int fd = path_open(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    size_t done = 0;
    ssize_t got = fd >= 0 ? 1 : -1;
    while (got > 0 && done < *len && (got = read(fd, to + done, *len - done)) > 0)
        done += (size_t)got;
    if (fd >= 0)
        close(fd);
    bool ok = got == 0;
    *len = done;
    return ok;
}
