/* firestore_parts: the state and functions that the files of the Firestore broker share. For src/broker/ only.
 *
 *     firestore_link     the connection, and what each request is made with
 *     firestore_feed     the documents that the listener shows, up to each snapshot, in their order
 *     firestore_apply    carries out the calls: the lives of instances, and what they ask of `memory`
 *     firestore_call     this instance's own calls: they wait, go out as documents, and come back through the feed
 *     firestore_saved    the saved state, from which an instance begins, and below which documents may go
 *
 * The replica's state is right for one place in the feed (`place`). A *life* is an instance as the others see it; it
 * begins with a HELLO, and ends when no call of it has come for a while. The hub is up while this instance's is on. */
#ifndef SENNIT_BROKER_FIRESTORE_PARTS_H
#define SENNIT_BROKER_FIRESTORE_PARTS_H

#include "broker/firestore.h"
#include "broker/firestore_record.h"
#include "broker/firestore_token.h"
#include "broker/firestore_wire.h"
#include "broker/memory_parts.h"
#include "loop/resolve.h"

enum {
    FIRESTORE_LIFE_US = 3000000, /* a life without a call for so long has ended */
    FIRESTORE_PULSE_MS = 800,
    FIRESTORE_PATIENCE_MS = 2000,    /* the link may be away for so long, unnoticed by the hub */
    FIRESTORE_ANSWER_MS = 5000,      /* of each request */
    FIRESTORE_PIECE_BYTES = 900000,  /* of one document: it may have 1 MiB */
    FIRESTORE_BATCH_BYTES = 1 << 20, /* of a call, unless a single entry is larger */
    FIRESTORE_BATCH_OPS = 2000,
    FIRESTORE_KEEP_S = 30, /* so long a document stays after its time; a listener that was away longer asks anew */
    FIRESTORE_NAME_BYTES = 64,
};

enum firestore_link_state { FS_LINK_DOWN, FS_LINK_TOKEN, FS_LINK_RESOLVING, FS_LINK_CONNECTING, FS_LINK_OPEN };

/* A place in the order of all documents. */
struct firestore_place {
    uint64_t ns;
    char name[FIRESTORE_NAME_BYTES]; /* the last part of its path */
};

/* An instance as the feed shows it. */
struct life {
    struct list of_all;
    uint64_t number;   /* of its instance, whichever process that is; it holds leases and sockets under this number */
    uint64_t run;      /* of this publisher, from 1 */
    uint64_t calls;    /* the number of its last call */
    uint64_t dropped;  /* the number of the last one that was not carried out: its run had ended */
    uint64_t heard_us; /* the time of the last call */
    bool ended;
    char *instance;
    char publisher[24];
};

/* What this instance calls. */
struct firestore_op {
    struct list node;
    enum fs_record_kind kind;
    union {
        broker_done_fn *done;
        broker_claim_fn *claim;
        mail_sent_fn *mailed;
    } call; /* NULL: nobody waits */
    void *arg;
    struct firestore_question *question; /* NULL: none */
    size_t len;
    char bytes[]; /* the record */
};

/* What the replica is asked: behind what this instance has called before, and, if `is_current`, behind what any
 * instance has been told before. For that a PROBE stands among the calls. */
struct firestore_question {
    void (*ask)(struct broker *broker, const struct firestore_question *question); /* puts the answer in the queue */
    struct broker_range range;
    uint64_t cursor;
    uint32_t limit;
    bool is_current;
    union {
        broker_read_fn *read;
        broker_presence_fn *presence;
        broker_stats_fn *stats;
    } call;
    void *arg;
    char epoch[BROKER_EPOCH_BYTES_MAX];
    size_t room_len;
    char room[];
};

struct firestore_feed {
    struct grpc_call *listen;     /* NULL: none */
    struct map documents;         /* all that the server has, by name */
    struct list fresh;            /* not carried out yet */
    struct list old;              /* carried out, in order, or found to be behind the saved state */
    uint64_t snapshot_ns;         /* everything up to here is known */
    uint64_t telling;             /* counts how often everything was told anew, */
    bool retelling;               /* which is going on, until the next snapshot */
    bool current;                 /* all of it has been told: before, no snapshot is whole */
    bool checked;                 /* that nothing between the replica's place and the listener's beginning is missing */
    struct firestore_place begin; /* the replica's, when that was found */
    size_t old_count;
    uint64_t since, since_bytes; /* carried out since the state was saved */
    uint64_t reached_us;
    uint64_t mute_ms;  /* so long it may say nothing before its first snapshot: a server may be slow, so it grows */
    uint64_t heard_us; /* the time of the listener's last word, or of its beginning */
};

struct firestore_saved {
    struct firestore_place place; /* of the newest saved state that this instance knows of */
    uint64_t updated_ns;          /* of its head document */
    bool exists, reading, writing, is_ours;
    struct buf text;           /* on its way in or out */
    char *pieces, *new_pieces; /* names of pieces begin so: of the saved state, and of the one that is being written */
    uint64_t piece_count, new_count;
    uint64_t piece; /* the next one to go or to come */
    struct firestore_place new_place;
    uint64_t threshold;
    size_t state_bytes;
    struct timer purge;
    bool purging;
};

struct firestore {
    struct memory memory; /* first: its broker is ours */
    struct memory_shared shared;
    struct net *net;
    struct loop *loop;
    /* Where it is. */
    char *host, *authority, *database, *root;
    char *turn; /* a document that each call writes (firestore_call.c); NULL: none */
    uint16_t port;
    struct tls_client *tls;
    char *instance;
    char publisher[24];
    /* firestore_link.c */
    struct grpc_link link;
    struct fs_token *token;
    struct resolve *resolve;
    struct timer backoff, patience;
    uint64_t backoff_ms;
    size_t address;
    uint8_t link_state; /* enum firestore_link_state */
    bool destroying, proven, complained, unusable;
    char *trouble_text;
    /* firestore_feed.c, firestore_saved.c, firestore_apply.c */
    struct firestore_feed feed;
    struct firestore_saved saved;
    struct firestore_place place; /* of the replica */
    bool loaded;                  /* the replica has a state */
    struct list lives;
    uint64_t lives_given; /* the last number */
    uint64_t last_us, passed_us;
    char former_epoch[MEMORY_EPOCH_BYTES + 1]; /* that the hub was told */
    /* firestore_call.c */
    struct list waiting, flying, lost; /* ops */
    size_t backlog_bytes;
    uint64_t call_number, run;
    bool call_out;   /* a call is under way: it has not come through the feed yet */
    bool call_kept;  /* the server has said that it is written */
    bool resend;     /* the link broke before the server said so */
    struct buf call; /* its bytes */
    struct task flush, lose;
    struct timer pulse, retry;
    uint64_t retry_ms, again_ms, sent_us, touched_us;
};

static inline struct firestore *firestore_of(struct broker *broker)
{
    return container_of(memory_of(broker), struct firestore, memory);
}
static inline struct span firestore_epoch(const struct firestore *fs)
{
    return span_of(fs->memory.epoch, MEMORY_EPOCH_BYTES);
}
int firestore_place_compare(const struct firestore_place *a, const struct firestore_place *b);
void firestore_place_set(struct firestore_place *place, uint64_t ns, struct span name);

/* firestore.c */
/* The hub cannot go on as before: the link was away for long, others took this instance for dead, or the replica begins
 * anew. Tells it, and the calls that wait. */
void firestore_went_down(struct firestore *fs);
/* This instance's life has begun. */
void firestore_went_up(struct firestore *fs);
void firestore_unusable(struct firestore *fs, const char *why);
/* Asks now, and frees it. */
void firestore_question_answer(struct firestore *fs, struct firestore_question *question);
/* NULL: none. */
void firestore_trouble(struct firestore *fs, const char *why);

/* firestore_link.c */
void firestore_link_init(struct firestore *fs);
void firestore_link_start(struct firestore *fs);
void firestore_link_finish(struct firestore *fs);
/* It works: the next backoff is short, and the hub need not hear that it was away. */
void firestore_link_good(struct firestore *fs);
/* Ends the connection; another one follows after a backoff. */
void firestore_link_break(struct firestore *fs, const char *why);
/* Begins a request; NULL: the link is not open. `deadline_ms` 0: none. */
struct grpc_call *firestore_request(struct firestore *fs, const char *method, uint32_t deadline_ms,
                                    const struct grpc_call_events *events, void *arg);
/* A request failed: says so once in a while, with the cure; for good if nothing ever worked and it is of no use to try
 * again. */
void firestore_refused(struct firestore *fs, enum grpc_status status, struct span text, const char *doing);

/* firestore_feed.c */
void firestore_feed_init(struct firestore *fs);
void firestore_feed_finish(struct firestore *fs);
/* The link is open: begins to listen. */
void firestore_feed_start(struct firestore *fs);
void firestore_feed_stop(struct firestore *fs);
/* Breaks the link if the listener has begun and says nothing, so that nobody knows where the feed stands. */
void firestore_feed_watch(struct firestore *fs);
/* Tells the hub about once a second how far the pushes have come. */
void firestore_feed_reached(struct firestore *fs);
/* Compares with the saved state if that is due. */
void firestore_feed_check(struct firestore *fs);
/* The saved state was compared: goes on from the replica's place. */
void firestore_feed_checked(struct firestore *fs);
/* Appends the names of documents that may be deleted, `most` at most; frees nothing. */
size_t firestore_feed_old(struct firestore *fs, const struct firestore_place *below, char **names, size_t most);

/* firestore_apply.c */
/* Carries out a call. */
void firestore_apply(struct firestore *fs, struct span publisher, uint64_t number, struct span call, uint64_t now_us);
void firestore_lives_finish(struct firestore *fs);
struct life *firestore_life_add(struct firestore *fs, struct span publisher, struct span instance);
size_t firestore_lives_count(const struct firestore *fs);

/* firestore_call.c */
void firestore_call_init(struct firestore *fs);
void firestore_call_finish(struct firestore *fs);
/* The replica stands where the feed does: begins a life, or goes on. */
void firestore_call_ready(struct firestore *fs);
/* The hub is down: who waits for an answer is told; publishes stay. */
void firestore_call_down(struct firestore *fs);
/* Our call under way is being carried out: the call whose turn it is, or NULL. */
struct firestore_op *firestore_call_next(struct firestore *fs);
/* It has been carried out: forgets it. */
void firestore_call_done(struct firestore *fs, struct firestore_op *op);
/* Our call of this number is over. What is left of it was not carried out, because its run had ended: publishes go into
 * the next call. */
void firestore_call_shown(struct firestore *fs, uint64_t number);
/* A saved state has our calls up to this number. What they answered is not known: publishes are taken for accepted. */
void firestore_call_recalled(struct firestore *fs, uint64_t number, bool dropped);
/* Puts a call of this kind behind those that wait; the caller says whom to answer. If the hub is down, it is lost,
 * unless it is a publish. */
struct firestore_op *firestore_op_add(struct firestore *fs, enum fs_record_kind kind, const uint64_t *numbers,
                                      const struct span *texts);
/* Asks now or later; takes the question over. */
void firestore_ask(struct firestore *fs, struct firestore_question *question);
bool firestore_publish(struct broker *broker, const struct broker_publish *publish, broker_done_fn *done, void *arg);

/* firestore_lease.c */
void firestore_lease_write(struct broker *broker, const struct broker_lease *lease, broker_done_fn *done, void *arg);
void firestore_lease_claim(struct broker *broker, struct span pid, struct span epoch, uint64_t seq,
                           broker_claim_fn *done, void *arg);
void firestore_lease_release(struct broker *broker, const struct broker_lease *lease, bool for_good);
void firestore_lease_take(struct broker *broker, struct span pid, uint64_t generation, broker_claim_fn *done,
                          void *arg);
void firestore_lease_lapsed(struct broker *broker, struct span watch, broker_claim_fn *done, void *arg);
void firestore_lease_end(struct broker *broker, const struct broker_lease *lease, broker_done_fn *done, void *arg);
void firestore_present_enter(struct broker *broker, struct span room, const struct broker_present *who);
void firestore_present_leave(struct broker *broker, struct span room, struct span sid, bool may_return);
void firestore_probe(struct broker *broker, broker_done_fn *done, void *arg);
extern const struct mail_ops firestore_mail_ops;

/* firestore_state.c */
/* Appends the whole state of the replica. */
void firestore_state_save(struct firestore *fs, struct buf *to);
/* Fills an empty replica. False: it makes no sense. */
bool firestore_state_load(struct firestore *fs, struct span text);
void firestore_state_clear(struct firestore *fs);

/* firestore_saved.c */
void firestore_saved_init(struct firestore *fs);
void firestore_saved_finish(struct firestore *fs);
/* The link is gone: nothing is under way any more. */
void firestore_saved_down(struct firestore *fs);
/* Reads the head of the saved state; loads it if the replica has none or is behind it; then firestore_feed_checked. */
void firestore_saved_check(struct firestore *fs);
/* Saves the state if it is time. */
void firestore_saved_offer(struct firestore *fs);
/* Somebody has saved the state at this place. */
void firestore_saved_told(struct firestore *fs, const struct firestore_place *place, bool by_us);

#endif
