/* private: checks and corrects owner and mode of a directory and its contents. It opens the directory once and uses
 * that descriptor, so that another process cannot exchange it meanwhile. */
#include "loop/private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/file.h"

enum {
    DEPTH_MAX = 4,
    RUNTIME_BYTES_MAX = 64, /* of $XDG_RUNTIME_DIR, because a socket's name must fit behind it */
    OPEN_FLAGS = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
};

struct walk {
    const char *path; /* where it began, for messages */
    unsigned corrected;
    struct err *err;
};

static bool entry_close(struct walk *walk, int fd, const char *name, const struct stat *about, mode_t mode)
{
    if (about->st_uid != geteuid())
        return err_set(walk->err,
                       "%.300s: %s in it belongs to another user (%u): remove it, or choose another directory",
                       walk->path, name, (unsigned)about->st_uid);
    if ((about->st_mode & 07777 & ~mode) == 0)
        return true;
    if (fchmodat(fd, name, mode, 0) != 0)
        return err_set(walk->err, "%.300s: the mode of %s in it cannot be changed: %s", walk->path, name,
                       strerror(errno));
    walk->corrected++;
    return true;
}

static bool directory_close(struct walk *walk, int fd, int depth);

static bool inside_close(struct walk *walk, int fd, const char *name, int depth)
{
    struct stat about;
    if (fstatat(fd, name, &about, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT || err_set(walk->err, "%.300s: %s in it: %s", walk->path, name, strerror(errno));
    if (S_ISLNK(about.st_mode))
        return true;
    bool is_directory = S_ISDIR(about.st_mode);
    if (!entry_close(walk, fd, name, &about, is_directory ? 0700 : 0600))
        return false;
    if (!is_directory || depth == DEPTH_MAX)
        return true;
    int inside = openat(fd, name, OPEN_FLAGS | O_NOFOLLOW);
    if (inside < 0)
        return err_set(walk->err, "%.300s: %s in it: %s", walk->path, name, strerror(errno));
    return directory_close(walk, inside, depth + 1);
}

/* Takes the descriptor. */
static bool directory_close(struct walk *walk, int fd, int depth)
{
    DIR *directory = fdopendir(fd);
    struct dirent *entry;
    bool ok = true;
    if (directory == NULL) {
        close(fd);
        return err_set(walk->err, "%.300s: %s", walk->path, strerror(errno));
    }
    while (ok && (entry = readdir(directory)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            ok = inside_close(walk, dirfd(directory), entry->d_name, depth);
    closedir(directory);
    return ok;
}

/* A user who may write into the directory above, if that has no sticky bit, may put another directory in its place. */
static bool above_is_safe(const char *path, int fd, struct err *err)
{
    struct stat about;
    return fstatat(fd, "..", &about, 0) != 0 || (about.st_mode & S_IWOTH) == 0 || (about.st_mode & S_ISVTX) != 0 ||
           err_set(err, "%.300s: everybody may write into the directory above it: chmod o-w it, or choose another",
                   path);
}

static bool top_close(struct walk *walk, int fd)
{
    struct stat about;
    if (fstat(fd, &about) != 0)
        return err_set(walk->err, "%.300s: %s", walk->path, strerror(errno));
    if (about.st_uid != geteuid())
        return err_set(walk->err, "%.300s: belongs to another user (%u): choose another directory", walk->path,
                       (unsigned)about.st_uid);
    if ((about.st_mode & 07777) == 0700)
        return true;
    if (fchmod(fd, 0700) != 0)
        return err_set(walk->err, "%.300s: its mode cannot be changed to 0700: %s", walk->path, strerror(errno));
    walk->corrected++;
    return true;
}

char *private_directory_make(const char *path, unsigned *corrected, struct err *err)
{
    char whole[PATH_MAX];
    struct walk walk = {.path = path, .err = err};
    if (!file_make_directory(path, err))
        return NULL;
    int fd = open(path, OPEN_FLAGS);
    if (fd < 0 || realpath(path, whole) == NULL) {
        err_set(err, "%.300s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    bool ok = above_is_safe(path, fd, err) && top_close(&walk, fd);
    if (!ok)
        close(fd);
    ok = ok && directory_close(&walk, fd, 0);
    *corrected = walk.corrected;
    return ok ? mem_text(span_str(whole)) : NULL;
}

/* Those above the last one, each from the root on. */
static bool above_make(const char *path, struct err *err)
{
    char whole[PATH_MAX];
    snprintf(whole, sizeof whole, "%s", path);
    for (char *slash = strchr(whole + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        bool made = mkdir(whole, 0711) == 0;
        if (!made && errno != EEXIST)
            return err_set(err, "%.300s: cannot be made: %s", whole, strerror(errno));
        if (made && chmod(whole, 0711) != 0) /* the umask may be narrower */
            return err_set(err, "%.300s: its mode cannot be changed to 0711: %s", whole, strerror(errno));
        *slash = '/';
    }
    return true;
}

static bool may_enter(const struct stat *about, const struct child_user *user)
{
    mode_t needed = about->st_uid == user->uid ? S_IXUSR : about->st_gid == user->gid ? S_IXGRP : S_IXOTH;
    return (about->st_mode & needed) != 0;
}

static bool above_may_be_entered(const char *path, const struct child_user *user, struct err *err)
{
    char whole[PATH_MAX];
    struct stat about;
    snprintf(whole, sizeof whole, "%s", path);
    for (char *slash = strchr(whole + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (stat(whole, &about) == 0 && !may_enter(&about, user))
            return err_set(err, "%.300s: the user %u cannot enter it: chmod o+x it, or choose another directory", whole,
                           (unsigned)user->uid);
        *slash = '/';
    }
    return true;
}

/* Through the descriptor, so that nothing else is given away. */
static bool top_give(const char *path, int fd, const struct child_user *user, struct err *err)
{
    struct stat about;
    if (fstat(fd, &about) != 0)
        return err_set(err, "%.300s: %s", path, strerror(errno));
    if (about.st_uid != 0 && about.st_uid != user->uid)
        return err_set(err, "%.300s: belongs to another user (%u) than %u: choose another directory", path,
                       (unsigned)about.st_uid, (unsigned)user->uid);
    return (fchown(fd, user->uid, user->gid) == 0 && fchmod(fd, 0700) == 0) ||
           err_set(err, "%.300s: cannot be given to the user %u: %s", path, (unsigned)user->uid, strerror(errno));
}

char *private_directory_give(const char *path, const struct child_user *user, struct err *err)
{
    char whole[PATH_MAX];
    if (!above_make(path, err))
        return NULL;
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        err_set(err, "%.300s: cannot be made: %s", path, strerror(errno));
        return NULL;
    }
    int fd = open(path, OPEN_FLAGS | O_NOFOLLOW);
    bool ok = fd >= 0 && realpath(path, whole) != NULL;
    if (!ok)
        err_set(err, "%.300s: %s", path, strerror(errno));
    ok = ok && above_is_safe(path, fd, err) && above_may_be_entered(whole, user, err) && top_give(path, fd, user, err);
    if (fd >= 0)
        close(fd);
    return ok ? mem_text(span_str(whole)) : NULL;
}

char *private_directory_make_short(const struct child_user *user, struct err *err)
{
    const char *runtime = user == NULL ? getenv("XDG_RUNTIME_DIR") : NULL;
    bool fits = runtime != NULL && runtime[0] == '/' && strlen(runtime) <= RUNTIME_BYTES_MAX;
    char *path = mem_printf("%s/sennit-XXXXXX", fits ? runtime : "/tmp");
    if (mkdtemp(path) != NULL && /* mode 0700 */
        (user == NULL || lchown(path, user->uid, user->gid) == 0))
        return path;
    err_set(err, "%.300s: cannot be made: %s", path, strerror(errno));
    free(path);
    return NULL;
}

void private_directory_remove(const char *path, const char *file)
{
    char *inside = mem_printf("%s/%s", path, file);
    (void)unlink(inside);
    (void)rmdir(path);
    free(inside);
}
