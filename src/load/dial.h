/* dial: a TCP connection to the server under load. Its owner, a link or a line, embeds it.
 *
 *     dial_start -> connecting -> opened: `conn` is the owner's to use -> conn's `closed`
 *                       |
 *                       +-------> failed
 *
 * Connections are made from addresses that the run chooses, which conn does not know. The run knows all that exist. */
#ifndef SENNIT_LOAD_DIAL_H
#define SENNIT_LOAD_DIAL_H

#include "load/options.h"
#include "net/conn.h"

struct run;
struct dial;

enum { DIAL_LINGER_MS = 5000, DIAL_HALF_OPEN_MS = 10000 };

struct dial_events {
    /* TCP is up. */
    void (*opened)(struct dial *dial);
    /* It never was, or it was dropped before. The last call: the owner may free the memory. */
    void (*failed)(struct dial *dial, const char *why);
};

struct dial {
    struct list of_run;
    struct run *run;
    const struct dial_events *events;
    struct io connecting; /* until TCP is up */
    struct conn conn;
    struct timer drop; /* a connect that failed, or a connection whose time is over */
    const char *why;   /* it failed; NULL: it was dropped */
};

/* Begins to connect: `opened` or `failed` follows, never before this returns. `limits` outlive the dial. */
void dial_start(struct dial *dial, struct run *run, const struct dial_events *events,
                const struct conn_events *conn_events, const struct conn_limits *limits);
/* Before the owner frees the memory: in `failed`, or in `closed` of its conn. */
void dial_finish(struct dial *dial);
/* Ends it at once, in any state; `failed` or `closed` follows. */
void dial_drop(struct dial *dial);
/* Ends it in `delay_ms`, unless it ends sooner. */
void dial_drop_later(struct dial *dial, uint32_t delay_ms);
/* Cuts it: FIN, RST or HALFOPEN (options.h). `closed` or `failed` follows. */
void dial_cut(struct dial *dial, enum cut_kind kind);

#endif
