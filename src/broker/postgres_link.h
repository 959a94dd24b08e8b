/* postgres_link: a connection to Postgres on the loop, by libpq, with a queue of calls. Calls go out in order, and
 * each is a transaction of its own. Once that is known to be safe, several go out at a time (libpq's pipeline mode):
 * PgBouncer gives a connection of the server to another client when one answer has come, even if the next question has
 * gone out on it, and that client gets its answer. Nothing here blocks: the host's address is found before.
 *
 *     CLOSED --open--> CONNECTING --> OPEN
 *        ^---------- close, or the server ends it ----/
 */
#ifndef SENNIT_BROKER_POSTGRES_LINK_H
#define SENNIT_BROKER_POSTGRES_LINK_H

#include "base/list.h"
#include "broker/postgres_value.h"
#include "loop/io.h"

/* The answer: rows, or an error of this call alone (PQresultStatus), borrowed until it returns. NULL: the link broke,
 * and whether the call took effect is not known. */
typedef void pg_done_fn(void *arg, const PGresult *result);

struct pg_link;
struct pg_link_events {
    void (*opened)(struct pg_link *link);
    /* It could not be made, or has ended; `why` is what libpq or the server says. All calls were answered with NULL. */
    void (*closed)(struct pg_link *link, const char *why);
    void (*notified)(struct pg_link *link);
};

enum pg_link_state { PG_LINK_CLOSED, PG_LINK_CONNECTING, PG_LINK_OPEN };

struct pg_link {
    void *owner; /* of no meaning here */
    struct loop *loop;
    const struct pg_link_events *events;
    struct io io;
    PGconn *conn;
    uint8_t state;             /* enum pg_link_state */
    struct list waiting, sent; /* calls */
    size_t sent_count;
    bool pipelined;   /* several at a time */
    PGresult *result; /* of the first call that was sent, once it has come */
    struct task flush;
    struct timer silence; /* a connection that does not come up, or an answer that does not come */
};

void pg_link_init(struct pg_link *link, struct loop *loop, const struct pg_link_events *events, void *owner);
/* Opens with these options of libpq (NULL behind the last); the link must be closed. Ends in `opened` or `closed`, from
 * the loop. */
void pg_link_open(struct pg_link *link, const char *const *keywords, const char *const *values);
/* No pooler is in between, so several calls may be under way at a time. The link is open. */
void pg_link_pipeline(struct pg_link *link);
/* Calls a statement with these arguments, which are taken over (`args` is then empty; NULL: none). The link must be
 * open. `done` comes from the loop, exactly once. */
void pg_link_call(struct pg_link *link, const char *statement, struct pg_args *args, pg_done_fn *done, void *arg);
/* Closes: calls are answered with NULL, `closed` is not called. Harmless when closed. */
void pg_link_close(struct pg_link *link);

#endif
