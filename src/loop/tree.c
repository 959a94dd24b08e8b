/* tree: walks with descriptors of folders, so that no link leads elsewhere meanwhile. */
#include "loop/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

enum { CHUNK_BYTES = 64 * 1024, LINK_BYTES = 4096 };

struct walk {
    struct tree_filter *filter;
    struct tree_count *count;
    struct err *err;
    int depth;
};

static bool fault(const struct walk *walk, const char *path)
{
    return err_set(walk->err, "%.300s: %s", path, strerror(errno));
}

static bool bytes_copy(int from, int to, struct walk *walk, const char *path)
{
    char chunk[CHUNK_BYTES];
    ssize_t got;
    while ((got = read(from, chunk, sizeof chunk)) > 0) {
        walk->count->bytes += (uint64_t)got;
        if (walk->count->bytes > TREE_BYTES_MAX)
            return err_set(walk->err, "more than %llu MiB: name what is not needed in .gcloudignore",
                           (unsigned long long)(TREE_BYTES_MAX >> 20));
        for (ssize_t done = 0, wrote; done < got; done += wrote)
            if ((wrote = write(to, chunk + done, (size_t)(got - done))) < 0)
                return fault(walk, path);
    }
    return got == 0 || fault(walk, path);
}

static bool file_copy(int from, int to, const char *name, struct walk *walk, const char *path)
{
    struct stat about;
    int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (in < 0 || fstat(in, &about) != 0)
        return fault(walk, path);
    int out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600 | (about.st_mode & 0111));
    bool ok = out >= 0 ? bytes_copy(in, out, walk, path) : fault(walk, path);
    if (out >= 0 && close(out) != 0 && ok)
        ok = fault(walk, path);
    close(in);
    return ok;
}

static bool link_copy(int from, int to, const char *name, struct walk *walk, const char *path)
{
    char target[LINK_BYTES];
    ssize_t len = readlinkat(from, name, target, sizeof target - 1);
    if (len < 0)
        return fault(walk, path);
    target[len] = '\0';
    return symlinkat(target, to, name) == 0 || fault(walk, path);
}

static bool folder_copy(int from, int to, struct walk *walk, const char *path);

static bool inner_copy(int from, int to, const char *name, struct walk *walk, const char *path)
{
    if (walk->depth == TREE_DEPTH_MAX)
        return err_set(walk->err, "%.300s: more than %d folders deep", path, TREE_DEPTH_MAX);
    int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), out = -1;
    if (in >= 0 && mkdirat(to, name, 0700) == 0)
        out = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool ok = out >= 0 || fault(walk, path);
    walk->depth++;
    ok = ok && folder_copy(in, out, walk, path);
    walk->depth--;
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    return ok;
}

static bool entry_copy(int from, int to, const char *name, struct walk *walk, const char *path)
{
    struct stat about;
    if (fstatat(from, name, &about, AT_SYMLINK_NOFOLLOW) != 0)
        return fault(walk, path);
    if (!walk->filter->wants(walk->filter, path, S_ISDIR(about.st_mode)))
        return true;
    if (++walk->count->files > TREE_FILES_MAX)
        return err_set(walk->err, "more than %d files: name what is not needed in .gcloudignore", TREE_FILES_MAX);
    if (S_ISDIR(about.st_mode))
        return inner_copy(from, to, name, walk, path);
    if (S_ISLNK(about.st_mode))
        return link_copy(from, to, name, walk, path);
    if (S_ISREG(about.st_mode))
        return file_copy(from, to, name, walk, path);
    walk->count->skipped++;
    return true;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* `path` of the folder is relative to the top, and empty there. */
static bool folder_copy(int from, int to, struct walk *walk, const char *path)
{
    int again = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = again >= 0 ? fdopendir(again) : NULL;
    struct dirent *entry;
    bool ok = folder != NULL || fault(walk, path);
    while (ok && (entry = readdir(folder)) != NULL) {
        if (is_dots(entry->d_name))
            continue;
        char *inner = mem_printf("%s%s%s", path, path[0] != '\0' ? "/" : "", entry->d_name);
        ok = entry_copy(from, to, entry->d_name, walk, inner);
        free(inner);
    }
    if (folder != NULL)
        closedir(folder);
    return ok;
}

bool tree_copy(const char *from, const char *to, struct tree_filter *filter, struct tree_count *count, struct err *err)
{
    struct walk walk = {.filter = filter, .count = count, .err = err};
    *count = (struct tree_count){0};
    int in = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC), out = -1;
    if (in < 0)
        return fault(&walk, from);
    if (mkdir(to, 0700) == 0)
        out = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = out >= 0 ? folder_copy(in, out, &walk, "") : fault(&walk, to);
    close(in);
    if (out >= 0)
        close(out);
    return ok;
}

/* A program may have made more levels than are ever copied; each takes a descriptor. */
static void entry_remove(int at, const char *name, int depth)
{
    if (unlinkat(at, name, 0) == 0 || depth > 4 * TREE_DEPTH_MAX)
        return;
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL)
        if (!is_dots(entry->d_name))
            entry_remove(dirfd(folder), entry->d_name, depth + 1);
    if (folder != NULL)
        closedir(folder);
    unlinkat(at, name, AT_REMOVEDIR);
}

void tree_remove(const char *path)
{
    entry_remove(AT_FDCWD, path, 0);
}
