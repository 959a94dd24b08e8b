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
/* Absolute path of the running program, for starting ourselves again. */
bool file_self(struct buf *to);
/* True when standard output, or standard error, is a terminal. */
bool file_stdout_is_terminal(void);
bool file_stderr_is_terminal(void);

#endif
