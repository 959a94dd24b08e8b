/* script_broker: a broker whose every answer and push waits until the test lets it go. The log is an array; order
 * within the feed and within the answers is kept, between the two it is the test's choice, as it is the network's. */
#ifndef SENNIT_TEST_SCRIPT_BROKER_H
#define SENNIT_TEST_SCRIPT_BROKER_H

#include "broker/broker.h"

enum { SCRIPT_ENTRIES_MAX = 4096, SCRIPT_QUEUE_MAX = 8192, SCRIPT_ROOMS_MAX = 8 };

struct script_entry {
    uint64_t seq, prev; /* seq 0: not logged */
    int room;
    char audience[32];
    char body[24];
};

enum script_event_kind { SCRIPT_PUSH, SCRIPT_CONFIRM, SCRIPT_TOP };
struct script_event {
    enum script_event_kind kind;
    int room;
    struct script_entry entry;
    uint64_t last, position;
};

struct script_read {
    int room;
    uint64_t from;
    uint32_t limit;
    bool back;
    uint64_t seq, last; /* the partition's and the room's newest entry when it was asked */
    broker_read_fn *done;
    void *arg;
};

struct script_broker {
    struct broker broker;
    struct script_entry log[SCRIPT_ENTRIES_MAX];
    size_t log_count;
    uint64_t seq;
    uint64_t room_last[SCRIPT_ROOMS_MAX];
    uint64_t trimmed[SCRIPT_ROOMS_MAX]; /* entries up to this seq are gone */
    bool subscribed[SCRIPT_ROOMS_MAX];
    struct script_event feed[SCRIPT_QUEUE_MAX];
    size_t feed_head, feed_tail;
    struct script_read reads[SCRIPT_QUEUE_MAX];
    size_t read_head, read_tail;
    size_t reads_answered;
    bool reads_at_once; /* a read shows what was there when it was asked, not when it is answered */
    uint64_t ended;     /* what `up` says of the epoch before */
    bool ended_unknown; /* it knows of no such epoch */
    char epoch[4];
};

void script_init(struct script_broker *script);
/* Rooms are called "a", "b", ... */
int script_room(struct span name);
/* Accepts an entry: into the log (unless not logged) and, where subscribed, into the feed. Returns its seq. */
uint64_t script_publish(struct script_broker *script, int room, bool logged, const char *audience);
/* The digest: tells what each subscribed room's newest entry is. */
void script_tops(struct script_broker *script);
/* Lets one event of the feed, or one answer, go. False when there is none. */
bool script_feed_step(struct script_broker *script);
bool script_read_step(struct script_broker *script);
/* Both, until nothing is left. */
void script_run(struct script_broker *script);
/* Drops the next event of the feed: a push that got lost. */
void script_feed_drop(struct script_broker *script);
void script_down(struct script_broker *script);
void script_up(struct script_broker *script);
/* Single keys are gone: what a room's log has, what is kept of the room beside its log (then its log's newest entry, if
 * there is one, says the same), or both. */
void script_vanish(struct script_broker *script, int room, bool log, bool meta);
/* The broker forgets what lies above `seq` and begins another epoch; call while down. */
void script_forget(struct script_broker *script, uint64_t seq);

#endif
