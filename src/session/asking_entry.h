/* asking_entry: what a socket asks another socket, and the answer, as entries on the broker. Each is pushed to the own
 * room of the socket that it is for, on whichever instance that is, and never logged:
 *
 *     02 q <ms left> <ms waited> <sid of the asker> <id of the asker's>\n<content>
 *     02 a <ms left> <ms waited> - <id of the asker's>\n<content>
 *
 * A question of a survey goes to a room, for those of its sockets that it names; the answers take the way of surveys:
 *
 *     02 s <ms left> <ms waited> - <number of the survey>\n<bytes>\n<sids, rising><content>
 *
 * The broker keeps events for a session between two requests (broker/record.h). An entry that it does not
 * keep, for a socket that is nowhere, reaches the instance that had it last. That one publishes it again, later and
 * later, until the socket is somewhere or no time is left. */
#ifndef SENNIT_SESSION_ASKING_ENTRY_H
#define SENNIT_SESSION_ASKING_ENTRY_H

#include "session/call.h"
#include "session/content.h"

enum {
    ASKING_MARK = 2, /* no content begins so */
    ASKING_KEPT_MAX = 1024,
    ASKING_KEPT_BYTES_MAX = 4 << 20,
    ASKING_AGAIN_MS = 20, /* until it is published again, the first time; then twice as long each time */
    ASKING_MS_MAX = 300000,
};

enum asking_kind { ASKING_QUESTION = 'q', ASKING_ANSWER = 'a', ASKING_SURVEY = 's' };

struct asking_entry {
    enum asking_kind kind;
    uint64_t ms;       /* that are left for the answer */
    uint64_t wait_ms;  /* that it was kept by the last instance; 0: none has kept it */
    struct span asker; /* its sid; of a question */
    struct span id;    /* under which the asker awaits the answer: 1 to CALL_ID_BYTES_MAX bytes, no line feed */
    struct span asked; /* of a survey: the sids, one behind the other */
    struct content content;
};

/* Whether an entry's body is one of these. */
static inline bool asking_is_entry(struct span body)
{
    return body.len > 0 && body.data[0] == ASKING_MARK;
}
/* Reads one; spans point into `body`. False: it is damaged. */
bool asking_entry_decode(struct span body, struct asking_entry *entry);
/* Appends one. */
void asking_entry_encode(struct buf *to, const struct asking_entry *entry);
/* False: it is a survey's, which does not name this socket. A room's other members see it, too, so nothing more is
 * read. */
bool asking_is_for(struct span body, struct span sid);
/* Whether this sid is among these, which are as asking_entry.asked. */
bool asking_sids_have(struct span sids, struct span sid);
/* Publishes it to the socket of this namespace with this sid. It is a call of `caller`, unless that is NULL. False: too
 * much waits for the broker. */
bool asking_entry_publish(struct sessions *sessions, const struct nsp *nsp, struct subscriber *caller, struct span sid,
                          const struct asking_entry *entry);

void asking_kept_init(struct sessions *sessions);
void asking_kept_finish(struct sessions *sessions);
/* An entry came for a socket that is not here (hub_owner.unheard). Other entries are ignored. */
void asking_unheard(struct sessions *sessions, const struct broker_entry *entry);

#endif
