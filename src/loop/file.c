/* file: reading, opening, locking and naming files, and tests for terminals. */
#include "loop/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/shown.h"

enum { STEP_BYTES = 16 * 1024, PATH_SHOWN_BYTES_MAX = 300 };

/* "PATH: TEXT". A name may hold a line feed, and the message stays one line. */
static bool __attribute__((format(printf, 3, 4))) fail(struct err *err, const char *path, const char *format, ...)
{
    struct buf place = {0};
    va_list args;
    va_start(args, format);
    err_vset(err, format, args);
    va_end(args);
    shown_append(&place, span_str(path), PATH_SHOWN_BYTES_MAX);
    err_prefix(err, SPAN_FMT ": ", SPAN_ARG(buf_span(&place)));
    buf_finish(&place);
    return false;
}

static bool read_all(int fd, const char *path, size_t bytes_max, struct buf *to, struct err *err)
{
    size_t total = 0;
    for (;;) {
        ssize_t got = read(fd, buf_reserve(to, STEP_BYTES), STEP_BYTES);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail(err, path, "%s", strerror(errno));
        if (got == 0)
            return true;
        total += (size_t)got;
        if (total > bytes_max)
            return fail(err, path, "larger than %zu bytes", bytes_max);
        buf_added(to, (size_t)got);
    }
}

bool file_read(const char *path, size_t bytes_max, struct buf *to, struct err *err)
{
    struct stat about;
    /* Not blocking: the path may be a pipe. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool ok = false;
    if (fd < 0)
        return fail(err, path, "%s", strerror(errno));
    if (fstat(fd, &about) != 0)
        fail(err, path, "%s", strerror(errno));
    else if (!S_ISREG(about.st_mode))
        fail(err, path, "is not a regular file");
    else
        ok = read_all(fd, path, bytes_max, to, err);
    close(fd);
    return ok;
}

static int64_t nanoseconds(const struct timespec *time)
{
    return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

enum file_result file_open(struct file *file, const char *path, struct file_about *about)
{
    struct stat now;
    file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file->fd < 0)
        return errno == EMFILE || errno == ENFILE ? FILE_EXHAUSTED : FILE_ABSENT;
    if (fstat(file->fd, &now) != 0 || !S_ISREG(now.st_mode) || now.st_size < 0) {
        file_close(file);
        return FILE_ABSENT;
    }
    *about = (struct file_about){
        .bytes = (uint64_t)now.st_size,
        .device = now.st_dev,
        .inode = now.st_ino,
        .modified_ns = nanoseconds(&now.st_mtim),
        .changed_ns = nanoseconds(&now.st_ctim),
    };
    return FILE_OPEN;
}

bool file_about_get(const char *path, struct file_about *about)
{
    struct file file;
    if (file_open(&file, path, about) != FILE_OPEN)
        return false;
    file_close(&file);
    return true;
}

bool file_about_equal(const struct file_about *a, const struct file_about *b)
{
    return a->bytes == b->bytes && a->device == b->device && a->inode == b->inode && a->modified_ns == b->modified_ns &&
           a->changed_ns == b->changed_ns;
}

bool file_bytes_get(const struct file *file, uint64_t *bytes)
{
    struct stat about;
    if (fstat(file->fd, &about) != 0 || !S_ISREG(about.st_mode))
        return false;
    *bytes = (uint64_t)about.st_size;
    return true;
}

ssize_t file_read_at(const struct file *file, uint64_t offset, void *to, size_t size)
{
    ssize_t got;
    do
        got = pread(file->fd, to, size, (off_t)offset);
    while (got < 0 && errno == EINTR);
    return got;
}

void file_close(struct file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}

bool file_exists(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && S_ISREG(about.st_mode) && access(path, R_OK) == 0;
}

bool file_in_path(const char *program)
{
    const char *list = getenv("PATH");
    struct span rest = span_str(list != NULL ? list : "/usr/local/bin:/usr/bin:/bin"), directory;
    struct stat about;
    while (span_next(&rest, ':', &directory)) {
        char *path = mem_printf(SPAN_FMT "/%s", SPAN_ARG(directory), program);
        bool is_there = stat(path, &about) == 0 && S_ISREG(about.st_mode) && access(path, X_OK) == 0;
        free(path);
        if (is_there)
            return true;
    }
    return false;
}

char *file_absolute(const char *path)
{
    char whole[PATH_MAX];
    return mem_text(span_str(realpath(path, whole) != NULL ? whole : path));
}

bool file_is_directory(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

char *file_beside(const char *file, struct span path)
{
    const char *slash = strrchr(file, '/');
    if (slash == NULL || (path.len > 0 && path.data[0] == '/'))
        return mem_text(path);
    return mem_printf("%.*s/" SPAN_FMT, (int)(slash - file), file, SPAN_ARG(path));
}

bool file_make_directory(const char *path, struct err *err)
{
    struct buf part = {0};
    bool ok = true;
    for (const char *at = path; ok; at++) {
        if ((*at == '/' || *at == '\0') && part.len > 0) {
            char *prefix = buf_reserve(&part, 1);
            *prefix = '\0';
            ok = mkdir(part.data + part.off, 0700) == 0 || errno == EEXIST;
        }
        if (*at == '\0')
            break;
        buf_append_char(&part, *at);
    }
    buf_finish(&part);
    return ok || fail(err, path, "cannot be made: %s", strerror(errno));
}

bool file_put(int fd, struct span bytes)
{
    while (bytes.len > 0) {
        ssize_t put = write(fd, bytes.data, bytes.len);
        if (put < 0 && errno == EINTR)
            continue;
        if (put == 0)
            errno = ENOSPC;
        if (put <= 0)
            return false;
        bytes = span_from(bytes, (size_t)put);
    }
    return true;
}

static bool write_all(int fd, struct span text)
{
    return file_put(fd, text) && fsync(fd) == 0;
}

/* A rename is on the disk once the directory is. */
static bool directory_sync(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *above = slash != NULL ? mem_text(span_of(path, (size_t)(slash - path) + 1)) : mem_text(SPAN_LIT("."));
    int fd = open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    free(above);
    return ok;
}

bool file_replace(const char *path, struct span text, struct err *err)
{
    char *next = mem_printf("%s.new", path);
    int fd = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write_all(fd, text);
    if (fd >= 0)
        ok = close(fd) == 0 && ok;
    ok = ok && rename(next, path) == 0 && directory_sync(path);
    if (!ok)
        fail(err, path, "cannot be written: %s", strerror(errno));
    free(next);
    return ok;
}

bool file_keep(const char *path, struct span text, struct err *err)
{
    char *next = mem_printf("%s.%d.new", path, (int)getpid());
    int fd = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write_all(fd, text);
    if (fd >= 0)
        ok = close(fd) == 0 && ok;
    ok = ok && (link(next, path) == 0 || errno == EEXIST) && directory_sync(path);
    if (!ok)
        fail(err, path, "cannot be written: %s", strerror(errno));
    unlink(next);
    free(next);
    return ok;
}

bool file_new_directory(const char *path, struct err *err)
{
    return mkdir(path, 0777) == 0 || fail(err, path, "cannot be made: %s", strerror(errno));
}

bool file_new(const char *path, struct span text, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    bool ok = fd >= 0 && write_all(fd, text);
    if (fd >= 0)
        ok = close(fd) == 0 && ok;
    return ok || fail(err, path, "cannot be written: %s", strerror(errno));
}

bool file_move(const char *from, const char *to, struct err *err)
{
    return rename(from, to) == 0 || fail(err, to, "%s", strerror(errno));
}

void file_remove(const char *path)
{
    unlink(path);
}

char **file_list(const char *directory, const char *ending, struct err *err)
{
    struct dirent **entries;
    int found = scandir(directory, &entries, NULL, alphasort);
    size_t count = 0;
    if (found < 0) {
        fail(err, directory, "%s", strerror(errno));
        return NULL;
    }
    char **names = mem_zero((size_t)found + 1, sizeof *names);
    for (int i = 0; i < found; i++) {
        struct span name = span_str(entries[i]->d_name);
        if (span_ends_with(name, span_str(ending)) && name.data[0] != '.')
            names[count++] = mem_text(name);
        free(entries[i]);
    }
    free(entries);
    return names;
}

bool file_may_write(const char *directory, struct err *err)
{
    return access(directory, W_OK | X_OK) == 0 || fail(err, directory, "%s", strerror(errno));
}

bool file_create(const char *path, struct err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(err, path, "%s", strerror(errno));
    close(fd);
    return true;
}

bool file_lock_take(struct file_lock *lock, const char *path, struct err *err)
{
    char pid[16] = "";
    lock->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock->fd < 0)
        return fail(err, path, "%s", strerror(errno));
    if (flock(lock->fd, LOCK_EX | LOCK_NB) != 0) {
        int error = errno;
        ssize_t got = read(lock->fd, pid, sizeof pid - 1);
        file_lock_drop(lock);
        if (error != EWOULDBLOCK)
            return fail(err, path, "cannot be locked: %s", strerror(error));
        return fail(err, path, "process %s holds it", got > 0 ? pid : "(unknown)");
    }
    /* The text only tells people which process holds the lock; the lock itself does not depend on it. */
    int len = snprintf(pid, sizeof pid, "%d", (int)getpid());
    bool written = ftruncate(lock->fd, 0) == 0 && write(lock->fd, pid, (size_t)len) == len;
    (void)written;
    return true;
}

void file_lock_drop(struct file_lock *lock)
{
    if (lock->fd >= 0)
        close(lock->fd);
    lock->fd = -1;
}

bool file_self(struct buf *to)
{
    ssize_t len = readlink("/proc/self/exe", buf_reserve(to, PATH_MAX), PATH_MAX);
    if (len <= 0)
        return false;
    buf_added(to, (size_t)len);
    return true;
}

bool file_stdout_is_terminal(void)
{
    return isatty(STDOUT_FILENO) == 1;
}

bool file_stderr_is_terminal(void)
{
    return isatty(STDERR_FILENO) == 1;
}
