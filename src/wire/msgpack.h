/* msgpack: converts MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md) to JSON and back, without
 * building a tree. Bytes stand beside the JSON, and in it a placeholder for each, as Socket.IO's default parser writes
 * them: `{"_placeholder":true,"num":k}`.
 *
 * MessagePack has some values that JSON lacks. As JavaScript's library notepack writes them: `undefined` (extension 0
 * of one byte) is null in an array and no member in a map, as JSON.stringify has it; a date (extension 0 of eight
 * bytes; from notepack 3 on the specification's timestamp, extension -1) is its ISO 8601 text; an ArrayBuffer (other extensions 0) is bytes. NaN and the infinities are null. */
#ifndef SENNIT_WIRE_MSGPACK_H
#define SENNIT_WIRE_MSGPACK_H

#include "base/buf.h"
#include "base/span.h"
#include "wire/json.h"

/* A packet around an answer of history around JSON of the greatest depth. */
enum { MSGPACK_DEPTH_MAX = JSON_DEPTH_MAX + 8 };

/* Runs of bytes in a value. `count` may exceed `max`: then the first `max` are listed. */
struct msgpack_bins {
    struct span *list;
    uint32_t count, max;
};

/* Appends one whole value as JSON; bytes are listed, and borrowed from `bytes`. False for what is cut off, has bytes
 * behind it, is deeper than MSGPACK_DEPTH_MAX, has a key that is neither text nor an integer, or an unknown extension;
 * then `json` holds a part. The JSON takes at most eight bytes for each byte of input. Text that is not UTF-8 gets
 * U+FFFD. */
bool msgpack_to_json(struct span bytes, struct buf *json, struct msgpack_bins *bins);

/* Appends valid JSON, of MSGPACK_DEPTH_MAX levels at most, as a value. With `count` > 0, each placeholder for one of
 * `bins` becomes its bytes. */
void msgpack_from_json(struct buf *to, struct span json, const struct span *bins, uint32_t count);

#endif
