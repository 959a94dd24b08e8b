/* append: the file, and the end of its last whole line. */
#include "loop/append.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loop/file.h"

/* Where the last whole line ends; -1: it cannot be read. */
static int64_t end_find(int fd, int64_t length)
{
    char piece[4096];
    while (length > 0) {
        int64_t begin = length > (int64_t)sizeof piece ? length - (int64_t)sizeof piece : 0;
        ssize_t got = pread(fd, piece, (size_t)(length - begin), begin);
        if (got != length - begin)
            return -1;
        while (got > 0 && piece[got - 1] != '\n')
            got--;
        if (got > 0)
            return begin + got;
        length = begin;
    }
    return 0;
}

bool append_open(struct append *append, const char *path, uint64_t *torn, struct err *err)
{
    struct stat about;
    int64_t end = -1;
    append->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (append->fd >= 0 && fstat(append->fd, &about) == 0)
        end = end_find(append->fd, about.st_size);
    if (end < 0 || (end < about.st_size && ftruncate(append->fd, end) != 0)) {
        err_set(err, "%.300s: %s", path, strerror(errno));
        append_close(append);
        return false;
    }
    *torn = (uint64_t)(about.st_size - end);
    append->bytes = (uint64_t)end;
    return true;
}

bool append_lines(struct append *append, struct span lines, struct err *err)
{
    if (!file_put(append->fd, lines)) {
        int error = errno;
        /* Half a line would make the next one unreadable; if it stays, the next start cuts it off. */
        bool cut = ftruncate(append->fd, (off_t)append->bytes) == 0;
        (void)cut;
        return err_set(err, "%s", strerror(error));
    }
    append->bytes += lines.len;
    return true;
}

bool append_sync(struct append *append, struct err *err)
{
    return fdatasync(append->fd) == 0 || err_set(err, "%s", strerror(errno));
}

void append_close(struct append *append)
{
    if (append->fd >= 0)
        close(append->fd);
    append->fd = -1;
}
