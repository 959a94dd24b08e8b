/* files: which file a request path means, and as what it is sent. Pure but for the reading. */
#ifndef SENNIT_SERVE_FILES_H
#define SENNIT_SERVE_FILES_H

#include "base/buf.h"

enum { FILE_BYTES_MAX = 3 << 20 }; /* it waits whole for its client */

/* Appends the file that `path` (of a request, "/board.js") names under `directory`; "/" is index.html. False for paths
 * that leave it or that name nothing ("..", empty or hidden segments, percent escapes, control bytes), and for files
 * that are too large, which the log tells. `*type` is its media type. */
bool files_read(const char *directory, struct span path, struct buf *to, const char **type);

/* The client library: `name` is what follows the engine's path: "socket.io.js", "socket.io.min.js",
 * "socket.io.esm.min.js", "socket.io.msgpack.min.js", each also with ".map". False for other names. */
bool files_is_client(struct span name);

#endif
