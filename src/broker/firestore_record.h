/* firestore_record: the records that a call, or a saved state, is made of: a byte with the kind, its numbers (LEB128)
 * and its texts (their length as a number, then the bytes).
 *
 * Every instance carries out every call, so a kind never changes its meaning or shape once it has been used: another
 * one is added, and FIRESTORE_FORMAT, which each call and each saved state begins with, is raised. */
#ifndef SENNIT_BROKER_FIRESTORE_RECORD_H
#define SENNIT_BROKER_FIRESTORE_RECORD_H

#include "base/buf.h"

enum { FIRESTORE_FORMAT = 1, FS_NUMBERS_MAX = 6, FS_TEXTS_MAX = 7 };

/* X(NAME, numbers, texts): first what is called, then what a saved state has. */
#define FS_RECORDS(X) \
    X(HELLO, 0, 1)         /* a life begins; instance */ \
    X(PUBLISH, 3, 4)       /* entries (0: not logged), bytes, age_ms; room, audience, body, name */ \
    X(LEASE_WRITE, 2, 6)   /* generation, window_ms; pid, sid, own, rooms, data, watch */ \
    X(LEASE_CLAIM, 1, 2)   /* seq; pid, epoch */ \
    X(LEASE_TAKE, 1, 1)    /* generation; pid */ \
    X(LEASE_LAPSED, 0, 1)  /* watch */ \
    X(LEASE_END, 1, 2)     /* generation; pid, own */ \
    X(LEASE_RELEASE, 2, 2) /* generation, for good; pid, own */ \
    X(ENTER, 1, 3)         /* generation; room, sid, data */ \
    X(LEAVE, 1, 2)         /* may return; room, sid */ \
    X(MAIL, 0, 2)          /* to, message */ \
    X(PROBE, 0, 0) \
    X(TOUCH, 0, 1)   /* room */ \
    X(SAVED, 1, 1)   /* position: ns; name */ \
    X(HEAD, 3, 3)    /* of the saved state: ns, pieces, bytes; the place's name, names of pieces, epoch */ \
    X(STATE, 5, 1)   /* seq, lives given, last time, last pass, passes; epoch */ \
    X(LIFE, 6, 2)    /* number, calls, dropped, heard_us, run, ended; publisher, instance */ \
    X(ROOM, 4, 1)    /* last, newest_ms, age_ms, touched_ms; room */ \
    X(ENTRY, 3, 2)   /* of the room before: seq, prev, time_ms; audience, body */ \
    X(NAME, 2, 1)    /* of the room before: until_ms, digest; name */ \
    X(LEASE, 5, 6)   /* generation, window_ms, until_ms, owner, 1 ended + 2 left + 4 taken; as LEASE_WRITE */ \
    X(PRESENT, 3, 3) /* generation, owner, leave_us; room, sid, data */

enum fs_record_kind {
    FS_RECORD_NONE,
#define FS_RECORD_ENUM(name, numbers, texts) FS_##name,
    FS_RECORDS(FS_RECORD_ENUM)
#undef FS_RECORD_ENUM
        FS_RECORD_KINDS
};

struct fs_record {
    enum fs_record_kind kind;
    uint64_t numbers[FS_NUMBERS_MAX];
    struct span texts[FS_TEXTS_MAX];
};

void fs_number_append(struct buf *to, uint64_t number);
/* False: it does not begin with one. */
bool fs_number_take(struct span *rest, uint64_t *number);
/* Numbers and texts as the table says; NULL for none. */
void fs_record_append(struct buf *to, enum fs_record_kind kind, const uint64_t *numbers, const struct span *texts);
/* Takes the next one off `*rest`: 1; 0 at the end; -1: it makes no sense. Spans point into `*rest`. */
int fs_record_take(struct span *rest, struct fs_record *record);

#endif
