/* content: the arguments of an event or an answer, and its attachments. As bytes, it is the body of an entry.
 *
 * A body without attachments is the JSON array alone. With attachments it begins with a byte that JSON cannot begin
 * with, so each reader knows which one it has:
 *
 *     01 <count> <length of each attachment, 4 bytes, big-endian> <the attachments> <JSON>
 *
 * A volatile event has one more mark, in front of either form: only a client that can be written to at once gets it. */
#ifndef SENNIT_SESSION_CONTENT_H
#define SENNIT_SESSION_CONTENT_H

#include "base/buf.h"
#include "wire/socketio.h"

enum { CONTENT_MARK = 1, CONTENT_VOLATILE = 3, CONTENT_ATTACHMENTS_MAX = SOCKETIO_ATTACHMENTS_MAX };

struct content {
    struct span args; /* a JSON array; with attachments, each placeholder in it points at one of them */
    uint32_t count;   /* of attachments, CONTENT_ATTACHMENTS_MAX at most */
    struct span attachments[CONTENT_ATTACHMENTS_MAX];
};

/* Appends the body. */
void content_encode(struct buf *to, const struct content *content);
static inline bool content_is_volatile(struct span body)
{
    return body.len > 0 && body.data[0] == CONTENT_VOLATILE;
}
/* Reads a body, volatile or not; spans point into it. False if it begins with the mark and is damaged: lengths that do
 * not add up, no JSON array, a placeholder without its attachment. A body that begins otherwise is taken as arguments,
 * unread. */
bool content_decode(struct span body, struct content *content);
/* The same for a receiver of texts: also false if the arguments are not UTF-8, for which clients would close the
 * connection. Only messages of raw clients may be bytes. */
bool content_decode_text(struct span body, struct content *content);
/* Bytes of arguments and attachments. */
size_t content_bytes(const struct content *content);

static inline struct content content_of(struct span args)
{
    return (struct content){.args = args};
}

#endif
