/* file: files: small ones, read whole and blocking, at the start; and open ones, read piece by piece. */
#ifndef SENNIT_LOOP_FILE_H
#define SENNIT_LOOP_FILE_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

/* Appends the whole file to `to`; refuses more than `bytes_max`, directories and anything that is not a regular file.
 * The error names the file and the reason. */
bool file_read(const char *path, size_t bytes_max, struct buf *to, struct err *err);
/* Distinguishes one version of a file from another. */
struct file_about {
    uint64_t bytes, device, inode;
    int64_t modified_ns, changed_ns; /* since 1970 */
};
/* The version that is there now. False, with `*about` as it was, if no regular file can be opened. */
bool file_about_get(const char *path, struct file_about *about);
bool file_about_equal(const struct file_about *a, const struct file_about *b);
/* A regular file that is open for reading. */
struct file {
    int fd; /* -1: closed */
};
enum file_result { FILE_OPEN, FILE_ABSENT, FILE_EXHAUSTED /* no descriptor is left */ };
enum file_result file_open(struct file *file, const char *path, struct file_about *about);
/* How large it is. False: it is no regular file. */
bool file_bytes_get(const struct file *file, uint64_t *bytes);
/* Bytes read at `offset` (> 0), 0 at the end, -1 when the disk fails. */
ssize_t file_read_at(const struct file *file, uint64_t offset, void *to, size_t size);
void file_close(struct file *file); /* harmless when closed */
/* True when `path` is a readable regular file. */
bool file_exists(const char *path);
/* True when a folder of PATH, or of the usual ones if it is not set, has a program of this name. */
bool file_in_path(const char *program);
/* `path` as it is meant in the file `file`: a relative one begins at that file's directory. The caller frees it. */
char *file_beside(const char *file, struct span path);
/* The path from the root; `path` itself if there is no such file. The caller frees it. */
char *file_absolute(const char *path);
bool file_is_directory(const char *path);
/* Makes a directory and those above it that are missing, for this user alone; one that is there already is fine. */
bool file_make_directory(const char *path, struct err *err);
/* For files that a person goes on with, so with the permissions that the umask leaves. Each refuses one that is there
 * already, of any kind; `err` says so, or why the system refused. */
bool file_new_directory(const char *path, struct err *err);
bool file_new(const char *path, struct span text, struct err *err);
/* Replaces the file as a whole, for this user alone: the text goes into a new one beside it, which is synced to the
 * disk and renamed; so there is the old one or the new one after a crash. False with `err` set, and the old one is
 * there. */
bool file_replace(const char *path, struct span text, struct err *err);
/* The same, unless there is one already, which stays: of several processes that try at once, one does it. False with
 * `err` set: there is none. */
bool file_keep(const char *path, struct span text, struct err *err);
/* Writes all of the bytes to a descriptor. Safe between fork and exec. False with errno set. */
bool file_put(int fd, struct span bytes);
/* In the place of what is at `to`. False with `err` set, and both are as they were. */
bool file_move(const char *from, const char *to, struct err *err);
/* Harmless if there is none. */
void file_remove(const char *path);
/* The names in a directory that end with `ending`, sorted; NULL behind the last one. The caller frees each and the
 * list. NULL with `err` set: it cannot be read. */
char **file_list(const char *directory, const char *ending, struct err *err);
/* False with `err` set if this user may not make files in the directory. */
bool file_may_write(const char *directory, struct err *err);
/* Makes an empty file that only this user may read and write; one that is there already stays as it is. */
bool file_create(const char *path, struct err *err);
/* A file that one process at a time may hold; given back when the process ends, however it does. */
struct file_lock {
    int fd; /* -1: not held */
};
/* Makes the file if it is missing and holds it. False with `err` set: it cannot be written, or another process, which
 * is named, holds it. */
bool file_lock_take(struct file_lock *lock, const char *path, struct err *err);
void file_lock_drop(struct file_lock *lock);
/* Absolute path of the running program, for starting ourselves again. */
bool file_self(struct buf *to);
/* True when standard output, or standard error, is a terminal. */
bool file_stdout_is_terminal(void);
bool file_stderr_is_terminal(void);

#endif
