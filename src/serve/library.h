/* library: the files of socket.io-client that are served. */
#ifndef SENNIT_SERVE_LIBRARY_H
#define SENNIT_SERVE_LIBRARY_H

/* The version of the files in this directory, as the first lines of its socket.io.js say; the caller frees it. NULL
 * when they do not. */
char *library_version(const char *directory);

#endif
