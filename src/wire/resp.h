/* resp: the Redis protocol, RESP2: commands out, replies in. Pure; hiredis' reader does the parsing.
 * https://redis.io/docs/latest/develop/reference/protocol-spec/
 *
 * The memory that replies take is bounded: a bulk by the caller's bound, everything else by the constants here. */
#ifndef SENNIT_WIRE_RESP_H
#define SENNIT_WIRE_RESP_H

#include "base/buf.h"
#include "base/span.h"

enum {
    RESP_DEPTH_MAX = 7,               /* arrays in arrays */
    RESP_ITEMS_MAX = 1 << 20,         /* items of one reply, arrays included */
    RESP_REPLY_BYTES_MAX = 256 << 20, /* text of one reply */
    RESP_LINE_BYTES_MAX = 65536,      /* a status or an error */
    RESP_FEED_BYTES_MAX = 1 << 20, /* bytes that may lie unread beside one bulk, so the most that one resp_feed takes */
};

enum resp_type { RESP_STRING, RESP_STATUS, RESP_ERROR, RESP_INTEGER, RESP_NIL, RESP_ARRAY };

/* A reply with its items; borrowed from the reader until the next call. */
struct resp {
    enum resp_type type;
    int64_t integer;
    struct span text;         /* STRING, STATUS, ERROR; NUL-terminated behind */
    const struct resp *items; /* ARRAY */
    size_t item_count;
};

struct resp_reader; /* opaque */
struct resp_reader *resp_reader_create(uint32_t bulk_bytes_max);
void resp_reader_destroy(struct resp_reader *reader); /* accepts NULL */
/* Gives it bytes, RESP_FEED_BYTES_MAX at most; take all replies with resp_next before the next piece. False when a
 * bound was passed: the link must be closed. */
bool resp_feed(struct resp_reader *reader, struct span bytes);
/* 1: `*reply` is the next one, valid until the next call; 0: more bytes are needed; -1: not RESP, or beyond a bound
 * (found as soon as a length is announced): the link must be closed, and every later call returns -1 too. */
int resp_next(struct resp_reader *reader, const struct resp **reply);

/* Appends a command of `count` arguments as an array of bulk strings. */
void resp_command_encode(struct buf *to, const struct span *args, size_t count);

#endif
