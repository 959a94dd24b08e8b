/* files: maps a request path to a file and its media type. Pure. */
#ifndef SENNIT_SERVE_FILES_H
#define SENNIT_SERVE_FILES_H

#include "base/buf.h"

/* The file for a request's `path` ("/board.js") under `directory`; the caller frees it. "/" is index.html. NULL for
 * paths that leave the directory or cannot name a file ("..", empty or hidden segments, percent escapes, control
 * bytes).
 */
char *files_path(const char *directory, struct span path);
/* The media type for a path's suffix. */
const char *files_type(struct span path);

/* Whether `name`, the rest of a path after the engine's, is a file of the client library: "socket.io.js",
 * "socket.io.min.js", "socket.io.esm.min.js", "socket.io.msgpack.min.js", each also with ".map". */
bool files_is_client(struct span name);
/* Whether it is the one with the msgpack parser, or its map. */
bool files_is_client_msgpack(struct span name);

#endif
