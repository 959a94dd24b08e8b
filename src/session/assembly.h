/* assembly: a Socket.IO packet whose attachments have not all come yet. A session has one at most: nothing may come
 * between a packet and its attachments.
 *
 * Its text and attachments together may have payload_bytes_max, and attachments_max is their number. What exceeds
 * either is counted but not kept, so that the event can be refused by itself when its last attachment has come. */
#ifndef SENNIT_SESSION_ASSEMBLY_H
#define SENNIT_SESSION_ASSEMBLY_H

#include "session/content.h"
#include "session/unfinished.h"

struct session;

struct assembly {
    struct unfinished unfinished;
    struct session *session;
    struct buf text;  /* the packet as it came */
    struct buf bytes; /* of the attachments, one behind the other */
    size_t ends[CONTENT_ATTACHMENTS_MAX];
    uint32_t count, wanted; /* attachments that have come, and all */
    bool too_large, too_many;
};

/* This packet of the session wants so many attachments, 1 to CONTENT_ATTACHMENTS_MAX. */
void assembly_begin(struct session *session, struct span text, uint32_t wanted);
/* An attachment has come. True: it was the last. */
bool assembly_add(struct assembly *assembly, struct span bytes);
/* The attachments of one that is within both bounds; the caller sets the arguments. */
void assembly_content(const struct assembly *assembly, struct content *content);
/* Takes a whole one out of the session, for the caller to destroy. */
struct assembly *assembly_take(struct session *session);
void assembly_destroy(struct assembly *assembly); /* accepts NULL */

/* Appends what has come so far, for another instance; nothing if there is none. It is a payload of Engine.IO behind one
 * character: K, or L if what exceeds the bound was dropped. */
void assembly_park(struct buf *to, const struct session *session);
/* Goes on with what another instance has parked. The session closes if it is none of ours. */
void assembly_restore(struct session *session, struct span parked);

#endif
