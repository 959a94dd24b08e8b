/* file: small files, read whole and blocking, at start or on rare requests. */
#ifndef SENNIT_LOOP_FILE_H
#define SENNIT_LOOP_FILE_H

#include "base/buf.h"
#include "base/err.h"

/* Appends the whole file to `to`; refuses more than `bytes_max`, directories and anything that is not a regular file.
 * The error names the file and the reason. */
bool file_read(const char *path, size_t bytes_max, struct buf *to, struct err *err);
/* True when `path` is a readable regular file. */
bool file_exists(const char *path);
bool file_is_directory(const char *path);
/* Makes a directory and those above it that are missing, for this user alone; one that is there already is fine. */
bool file_make_directory(const char *path, struct err *err);
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
