/* mounts_enter: takes the steps, in the child; and writes files of a store, there and later in the parent. Nothing here
 * takes memory, so all of it is safe between fork and exec. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "loop/file.h"
#include "loop/mounts.h"
#include "loop/mounts_parts.h"

enum { FOLDER_MODE = 0755 };

static bool text_write(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && file_put(fd, span_str(text));
    int error = errno;
    if (fd >= 0)
        close(fd);
    errno = error;
    return ok;
}

/* Root needs no user namespace, and may not be allowed one. */
static bool space_make(const struct mounts *mounts)
{
    int spaces = CLONE_NEWNS | (mounts->is_image ? CLONE_NEWCGROUP : 0);
    if (unshare(spaces) == 0)
        return true;
    return unshare(CLONE_NEWUSER | spaces) == 0 && text_write("/proc/self/setgroups", "deny") &&
           text_write("/proc/self/uid_map", mounts->maps[0]) && text_write("/proc/self/gid_map", mounts->maps[1]);
}

/* As a slave, the namespace sees what this machine mounts later, and this machine sees nothing of ours. */
static bool stage_make(void)
{
    return mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) == 0 &&
           mount("tmpfs", MOUNTS_STAGE, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") == 0 && chdir(MOUNTS_STAGE) == 0 &&
           mkdir("old", FOLDER_MODE) == 0 && mkdir("new", FOLDER_MODE) == 0 &&
           syscall(SYS_pivot_root, ".", "old") == 0 && chdir("/") == 0;
}

/* The old root lies on the new one for a moment (pivot_root(2)). */
static bool stage_leave(const struct mounts *mounts)
{
    return chdir(MOUNTS_NEW) == 0 && syscall(SYS_pivot_root, ".", ".") == 0 && umount2(".", MNT_DETACH) == 0 &&
           chdir("/") == 0 && chdir(mounts->directory) == 0;
}

static bool store_send(int to)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec vector = {(char[]){'s'}, 1};
    struct msghdr message = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    int store = open(MOUNTS_STORE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store < 0)
        return false;
    control.header =
        (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof store), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(&control.header), &store, sizeof store);
    return sendmsg(to, &message, 0) == 1;
}

static bool empty_make(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0444);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* The operator's umask is not the program's. */
static bool folder_make(const struct mount_step *step)
{
    if (mkdir(step->to, FOLDER_MODE) != 0)
        return errno == EEXIST;
    return chmod(step->to, step->mode != 0 ? step->mode : FOLDER_MODE) == 0;
}

static bool seal(const struct mount_step *step)
{
    return mount(step->from, step->to, NULL, MS_BIND, NULL) == 0 &&
           mount(NULL, step->to, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) == 0;
}

static bool write_take(const struct mount_step *step)
{
    int store = open(MOUNTS_STORE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return store >= 0 && mounts_file_write(store, step->to, span_of(step->bytes, step->len), step->mode) &&
           close(store) == 0;
}

/* Only another user than root needs `userxattr`, and before Linux 5.11 nobody knows it. */
static bool layers_mount(void)
{
    static const char *const options[] = {
        "lowerdir=" MOUNTS_LOWER ",upperdir=" MOUNTS_LAYER "/upper,workdir=" MOUNTS_LAYER "/work",
        "lowerdir=" MOUNTS_LOWER ",upperdir=" MOUNTS_LAYER "/upper,workdir=" MOUNTS_LAYER "/work,userxattr"};
    return mount("overlay", MOUNTS_NEW, "overlay", MS_NOSUID | MS_NODEV, options[0]) == 0 ||
           mount("overlay", MOUNTS_NEW, "overlay", MS_NOSUID | MS_NODEV, options[1]) == 0;
}

/* In the place of a link, too: where that leads is not the image's to say. */
static bool text_take(const struct mount_step *step)
{
    unlink(step->to);
    int fd = open(step->to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    bool ok = fd >= 0 && file_put(fd, span_of(step->bytes, step->len)) && fchmod(fd, 0644) == 0;
    if (fd >= 0)
        close(fd);
    return ok;
}

/* Flags are added and none is taken away, which the kernel refuses to another user than root. Before Linux 5.12 a mount
 * below stays as it is. */
static bool read_only_make(const char *path)
{
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
    return mount_setattr(AT_FDCWD, path, AT_RECURSIVE, &attributes, sizeof attributes) == 0 ||
           mount(NULL, path, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0;
}

/* Those that are of use in a container. Docker's, but for the ones to make devices, to change the root, to send raw
 * packets, and to write to the audit log. */
static bool is_kept(int capability)
{
    static const int kept[] = {CAP_CHOWN,  CAP_DAC_OVERRIDE, CAP_FOWNER,  CAP_FSETID,          CAP_KILL,
                               CAP_SETGID, CAP_SETUID,       CAP_SETPCAP, CAP_NET_BIND_SERVICE};
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        if (kept[i] == capability)
            return true;
    return false;
}

/* Another user than root got a user namespace, in which it has the wanted number already and cannot set groups; what it
 * may do there ends there. setgid and the like of the C library would wake threads that this process does not have. */
static bool user_become(const struct mounts *mounts)
{
    for (int i = 0; prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++)
        if (!is_kept(i) && prctl(PR_CAPBSET_DROP, i, 0, 0, 0) != 0)
            return false;
    if (syscall(SYS_setgroups, 0, NULL) != 0 && (geteuid() != mounts->uid || getegid() != mounts->gid))
        return false;
    return syscall(SYS_setresgid, mounts->gid, mounts->gid, mounts->gid) == 0 &&
           syscall(SYS_setresuid, mounts->uid, mounts->uid, mounts->uid) == 0;
}

static bool step_take(const struct mounts *mounts, const struct mount_step *step)
{
    switch (step->op) {
    case MOUNT_SPACE:
        return space_make(mounts) && stage_make();
    case MOUNT_FOLDER:
        return folder_make(step);
    case MOUNT_EMPTY:
        return empty_make(step->to);
    case MOUNT_LINK:
        return symlink(step->from, step->to) == 0;
    case MOUNT_MEMORY:
        return mount("tmpfs", step->to, "tmpfs", MS_NOSUID | MS_NODEV, step->from) == 0;
    case MOUNT_BIND:
        return mount(step->from, step->to, NULL, MS_BIND | MS_REC, NULL) == 0;
    case MOUNT_ENTRY:
        return mount(step->from, step->to, NULL, MS_BIND | MS_REC, NULL) == 0 || errno == ENOENT || errno == ENOTDIR;
    case MOUNT_SEAL:
        return seal(step);
    case MOUNT_WRITE:
        return write_take(step);
    case MOUNT_SEND:
        return store_send(mounts->sockets[1]);
    case MOUNT_LEAVE:
        return stage_leave(mounts);
    case MOUNT_LAYERS:
        return layers_mount();
    case MOUNT_TEXT:
        return text_take(step);
    case MOUNT_TERMINALS:
        return mount("devpts", step->to, "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620") == 0;
    case MOUNT_READ_ONLY:
        return read_only_make(step->to);
    case MOUNT_USER:
        return user_become(mounts);
    }
    return false;
}

int mounts_enter(const struct mounts *mounts)
{
    for (size_t i = 0; i < mounts->count; i++)
        if (!step_take(mounts, &mounts->steps[i]))
            return (int)i + 1;
    return 0;
}

/* Makes the folders of a path, but for its last part. */
static bool folders_make(int store, const char *path)
{
    char front[MOUNTS_PATH_BYTES_MAX];
    size_t len = strlen(path);
    if (len >= sizeof front) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(front, path, len + 1);
    for (size_t i = 1; i < len; i++) {
        if (path[i] != '/')
            continue;
        front[i] = '\0';
        if (mkdirat(store, front, FOLDER_MODE) != 0 && errno != EEXIST)
            return false;
        front[i] = '/';
    }
    return true;
}

bool mounts_file_write(int store, const char *path, struct span bytes, uint32_t mode)
{
    static const char fresh[] = ".new"; /* no volume has this name */
    if (!folders_make(store, path))
        return false;
    unlinkat(store, fresh, 0);
    int fd = openat(store, fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    bool ok = file_put(fd, bytes) && fchmod(fd, mode) == 0 && renameat(store, fresh, store, path) == 0;
    int error = errno;
    close(fd);
    errno = error;
    return ok;
}

void mounts_file_remove(int store, const char *path)
{
    unlinkat(store, path, 0);
}

void mounts_store_close(int store)
{
    if (store >= 0)
        close(store);
}
