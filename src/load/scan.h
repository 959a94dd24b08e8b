/* scan: finds the id of a message of this run in what a server sent, without reading it as JSON.
 *
 * An id is `<run>.<publisher>-<message>` in quotes, `<run>` random characters that stand nowhere else. Where it was
 * found last it is looked for first: messages of one server look alike. */
#ifndef SENNIT_LOAD_SCAN_H
#define SENNIT_LOAD_SCAN_H

#include "base/span.h"

enum { SCAN_RUN_BYTES = 6, SCAN_MARK_BYTES = SCAN_RUN_BYTES + 2, SCAN_OFFSET_BYTES_MAX = 512 };

struct scan {
    char mark[SCAN_MARK_BYTES]; /* "<run>. */
    size_t found_at;
};

void scan_init(struct scan *scan, const char run[SCAN_RUN_BYTES]);

/* False when there is no id of this run in `text`. */
bool scan_id(struct scan *scan, struct span text, uint32_t *publisher, uint32_t *message);

/* The last argument of an event, `["name",...,"last"]`, raw with its quotes, when it is a string of at most
 * SCAN_OFFSET_BYTES_MAX: what Socket.IO clients take for their offset. The name counts when there is nothing behind it.
 * NULL data: none. */
struct span scan_offset(struct span array);

#endif
