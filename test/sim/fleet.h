/* fleet: eight instances, two hundred clients, one Redis, and the faults that happen to them, all from one seed. */
#ifndef SENNIT_SIM_FLEET_H
#define SENNIT_SIM_FLEET_H

#include "check.h"
#include "tape.h"

/* Kinds of keys that may vanish, see fleet_vanish.c. */
enum vanish_kind {
    VANISH_LOG,
    VANISH_META,
    VANISH_LEASE,
    VANISH_OWNER,
    VANISH_STATE,
    VANISH_PUBLISHER,
    VANISH_LIVES,
    VANISH_OF,
    VANISH_HERE,
    VANISH_AWAY,
    VANISH_RECENT,
    VANISH_NAMES,
    VANISH_ROOMS,
    VANISH_SIZES,
    VANISH_KINDS
};
/* All but the counter: when that is gone, the numbers by which the check knows entries mean something else. */
enum { VANISH_SURE = (1 << VANISH_KINDS) - 1 - (1 << VANISH_STATE) };
/* Of a thousand requests that get no answer, so many are repeated by a proxy where answers get lost. */
enum { REPEATS_SURE = 300 };

struct fleet_plan {
    uint64_t seed;
    int instances, clients;
    uint64_t faults_us; /* how long faults go on */
    /* Which faults: how often in a thousand, of those that come every 5 to 200 ms. */
    int cuts, silences, kills, pauses, drains, link_cuts, redis_kills, redis_pauses, failovers, script_flushes,
        refusals, clock_jumps, swallows, vanishings;
    int replay;                     /* see check_rules */
    uint64_t log_entries;           /* how long a room's log keeps entries */
    uint64_t log_bytes, log_age_ms; /* 0: as by default */
    int timeout_s;                  /* of requests; 0: none */
    uint32_t vanish_kinds;          /* of keys: a bit for each enum vanish_kind */
    uint64_t vanish_us;     /* all keys of these kinds vanish at once, this long after the faults begin; 0: never */
    int hostiles;           /* number of additional clients that are hostile, see hostile.h */
    uint32_t hostile_kinds; /* what they try: a bit for each enum hostile_kind */
    int programs;   /* number of additional clients, of a program on sennit.h that each instance runs; 0: none does */
    int raws;       /* number of additional clients of raw rooms */
    int askers;     /* number of additional clients that ask each other */
    int surveyors;  /* number of additional clients that are asked by programs and a backend */
    bool unlogged;  /* their namespace logs nothing */
    int plain;      /* how many clients in a thousand speak sennit.v1 */
    int polling;    /* how many clients in a thousand begin by polling, see engine_client.h */
    int unheard;    /* of what instances tell each other of polling sessions, how much in a thousand gets lost */
    int losses;     /* how many answers to polling clients in a thousand get lost on their way */
    int repeats;    /* how many requests in a thousand that get no answer a proxy repeats, elsewhere */
    bool python;    /* those that poll are Python's, to the letter: engine_client_python.c */
    bool publishes; /* a backend publishes, and repeats what has no answer */
    bool directs;   /* a backend publishes, and tells sockets to enter and leave a room, or to end */
    bool freezes;   /* an instance without a request stands still */
    bool presence;  /* clients are told which clients are in which room */
    bool stay_away; /* some do not come back from an instance that was killed */
    bool pages;     /* they read the rooms' history */
    bool stalls;    /* they stop reading for a while */
    bool large;     /* some messages are */
    bool quiet;     /* they say little, and enter and leave rooms as before */
    bool busy;      /* they say much */
    bool steady;    /* the network is never slow for a moment */
    bool patient;   /* a ping may be late: the broker is away for long */
    bool verbose;   /* prints its faults and events on stdout */
    const char *asked; /* prints the commands to Redis that contain this text; NULL: none */
    int traced;        /* a client whose traffic is shown too; -1: none */
    struct tape *tape; /* records the commands to Redis and their answers; NULL: nothing is recorded */
};

/* Fills in a plan from its seed: each seed has its own mixture. */
void fleet_plan_from_seed(struct fleet_plan *plan, uint64_t seed);
/* A plan for a few clients that are cut now and then, for tests that run many fleets. */
void fleet_plan_small(struct fleet_plan *plan, uint64_t seed);
/* The special features of a plan, as text. */
void fleet_plan_print(const struct fleet_plan *plan);

/* The results of a run. */
struct fleet_result {
    char *failure;   /* NULL: all is well; the caller frees it */
    uint64_t digest; /* of everything that was accepted and shown, and when: a seed's own */
    uint64_t accepted, lost_by_broker, shown, passing, resumed, fresh, refused_resumes, faults;
    uint64_t polling, polls, upgraded, frozen, unheard, repeated, lost_answers;
    uint64_t directives, backend_published, dismissed, plain, moved_ahead;
    uint64_t directs, wide, announced, compared, pages, page_entries, stalls, slowed, rotated, timed_out, swallowed,
        excused, missed, vanished, evil, ack_us;
    /* Of programs: sockets, what their handlers were told, and what they wrote and asked. */
    uint64_t program_sockets, program_resumed, program_moved, program_ended, program_lost, program_again, program_stale,
        program_writes, program_answered, program_unanswered;
    /* Of raw rooms: messages sent, shown, and looked for; of clients that ask each other: how their questions ended. */
    uint64_t raw_sent, raw_shown, raw_owed, asked, ask_answered, ask_late, ask_gone, ask_refused;
    /* Of surveys: how many there were, clients that were asked, answers, those who gave none, and surveys that said
     * they were incomplete, failed, and were looked at. */
    uint64_t published, published_sent, published_again, published_refused; /* by a backend that repeats itself */
    uint64_t surveys, survey_heard, survey_answers, survey_missing, survey_incomplete, survey_failed, survey_judged;
};

void fleet_run(const struct fleet_plan *plan, struct fleet_result *result);

#endif
