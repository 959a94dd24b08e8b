/* files: which file a request path means, and as what it is sent. Pure. */
#ifndef SENNIT_SERVE_FILES_H
#define SENNIT_SERVE_FILES_H

#include "base/buf.h"

/* The file that `path` (of a request, "/board.js") names under `directory`, for the caller to free; "/" is index.html.
 * NULL for paths that leave it or that name nothing ("..", empty or hidden segments, percent escapes, control bytes).
 */
char *files_path(const char *directory, struct span path);
/* The media type that goes with a path's ending. */
const char *files_type(struct span path);

/* The client library: `name` is what follows the engine's path: "socket.io.js", "socket.io.min.js",
 * "socket.io.esm.min.js", "socket.io.msgpack.min.js", each also with ".map". False for other names. */
bool files_is_client(struct span name);

#endif
