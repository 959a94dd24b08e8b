/* scan: finds the id of a message of this run in a server's bytes, without reading them as JSON.
 *
 * An id is `<run>.<publisher>-<message>` in quotes, where `<run>` is a run of random characters that occurs nowhere
 * else. The place of the last id is tried first, because the messages of one server look alike. */
#ifndef SENNIT_LOAD_SCAN_H
#define SENNIT_LOAD_SCAN_H

#include "base/span.h"

enum {
    SCAN_RUN_BYTES = 6,
    SCAN_MARK_BYTES = SCAN_RUN_BYTES + 2,
    SCAN_OFFSET_BYTES_MAX = 512,
    SCAN_AT_BYTES_MAX = 4096
};

struct scan {
    char mark[SCAN_MARK_BYTES]; /* "<run>. */
    size_t found_at;
};

void scan_init(struct scan *scan, const char run[SCAN_RUN_BYTES]);

/* False when there is no id of this run in `text`. */
bool scan_id(struct scan *scan, struct span text, uint32_t *publisher, uint32_t *message);

/* The last argument of an event, `["name",...,"last"]`, raw with its quotes, when it is a string of at most
 * SCAN_OFFSET_BYTES_MAX: Socket.IO clients take it for their offset. If the event has only a name, the name is that
 * argument. NULL data: none. */
struct span scan_offset(struct span array);

/* The position at the end of a message of sennit.v1, `{...,"at":"..."}`, raw with its quotes. NULL data: it does not
 * end so; it may have one elsewhere. */
struct span scan_at(struct span message);

#endif
