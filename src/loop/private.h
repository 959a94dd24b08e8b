/* private: folders that belong to one user alone, for state and sockets: directories 0700, files and sockets 0600. */
#ifndef SENNIT_LOOP_PRIVATE_H
#define SENNIT_LOOP_PRIVATE_H

#include "base/err.h"
#include "loop/child.h"

/* Makes the directory and those above it that are missing; returns its absolute path, or NULL with `err` set. An
 * existing directory is refused when it, or anything in it, belongs to another user, or when every user may replace it.
 * `*corrected` counts the files and directories in it whose mode was too wide and was narrowed. Symbolic links inside
 * are left alone. */
char *private_directory_make(const char *path, unsigned *corrected, struct err *err);
/* The same for `user`, by root: the directory, which may be root's until then, becomes the user's; what is inside is
 * left alone. Those above it that are missing can be entered by everybody. It is also refused when the user cannot
 * enter one above it; the text names that one. */
char *private_directory_give(const char *path, const struct child_user *user, struct err *err);
/* Makes a directory with a short name of its own for `user` (NULL: us): in /tmp, or for us under $XDG_RUNTIME_DIR where
 * that is short enough. NULL with `err` set. */
char *private_directory_make_short(const struct child_user *user, struct err *err);
/* Removes the directory and, in it, the one file `file`. */
void private_directory_remove(const char *path, const char *file);

#endif
