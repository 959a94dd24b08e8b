/* probe: asks a program again and again whether it is well, by a connection of its own for each question. A program's
 * start, and an instance's liveness and readiness, each have one.
 *
 *     OFF --probe_start--> WAITING --its time--> ASKING --answer, or none in time--> WAITING
 *
 * What it asks is Kubernetes' choice: an accepted connection, an HTTP status from 200 to 399, or (for a managed server)
 * how an answer begins. https://cloud.google.com/run/docs/configuring/healthchecks */
#ifndef SENNIT_PLATFORM_PROBE_H
#define SENNIT_PLATFORM_PROBE_H

#include "loop/netspace.h"
#include "net/conn.h"

enum probe_kind { PROBE_NONE, PROBE_TCP, PROBE_HTTP, PROBE_LINE };

struct probe_spec {
    uint8_t kind;          /* enum probe_kind */
    uint16_t port;         /* 0: the one that the program listens on */
    const char *question;  /* HTTP: the whole request; LINE: what is sent; TCP: NULL. Outlives the probe. */
    size_t question_bytes; /* 0: as many as the text has */
    const char *answer;    /* LINE: how the answer begins */
    uint64_t delay_ms;     /* before the first */
    uint64_t period_ms;    /* from one to the next */
    uint64_t timeout_ms;   /* of one */
    uint32_t failures;     /* so many in a row are a judgement; 0: they never are */
    uint32_t successes;    /* likewise; at least 1 */
};

struct probe;
/* So many answers in a row were good, or were not. Called each time the number is reached. */
typedef void probe_judged_fn(struct probe *probe, bool is_well);
/* It is OFF after probe_stop: its memory is the owner's again. */
typedef void probe_over_fn(struct probe *probe);

struct probe {
    struct loop *loop;
    struct conn conn;
    struct timer timer; /* until the next, or of the one under way */
    const struct probe_spec *spec;
    struct addr addr;
    const struct netspace *netspace; /* NULL: ours */
    probe_judged_fn *judged;
    probe_over_fn *over;
    void (*asks)(struct probe *probe,
                 bool begins); /* a question begins, or has ended; set by the owner; NULL: not told */
    uint64_t begun_us;         /* the one under way, or the last */
    uint32_t failed, succeeded;
    bool on, asking, answered;
    bool eager; /* set by the owner: asks every second until the first good judgement */
};

void probe_init(struct probe *probe, struct net *net, probe_judged_fn *judged, probe_over_fn *over);
/* `addr` is where the program listens, in `netspace` (NULL: in our network). It and `spec` are borrowed until it is
 * over. */
void probe_start(struct probe *probe, const struct probe_spec *spec, const struct addr *addr,
                 const struct netspace *netspace);
/* No judgement after this. Harmless if it is off. */
void probe_stop(struct probe *probe);
/* Whether it is off, and its connection closed. */
bool probe_is_over(const struct probe *probe);
/* "HTTP", "TCP": for the log. */
const char *probe_kind_name(const struct probe_spec *spec);

#endif
