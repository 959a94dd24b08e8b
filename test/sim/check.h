/* check: compares what each client was shown with what really happened.
 *
 * The truth is what the broker accepted (truth.h). A client's lease says which entries belong to it (leases.h). So a
 * client that is shown something was owed it, in this order and once; and the token that comes with it must say exactly
 * what it has been shown. A loss, a repetition, a wrong order or a wrong `recovered` is found at once. */
#ifndef SENNIT_SIM_CHECK_H
#define SENNIT_SIM_CHECK_H

#include "bits.h"
#include "leases.h"
#include "sim.h"

/* Events that are possible in this world. */
struct check_rules {
    bool loses;            /* the broker may come back without entries that it accepted */
    bool trims;            /* logs may lose entries that clients still need */
    bool vanishes;         /* single keys of the broker vanish */
    bool directs;          /* a backend gives directives, see check_directive.c */
    bool hostile;          /* some clients are hostile: they have rooms and a namespace that are not looked at */
    bool swallows;         /* single pushes get lost: then only a room's own log is in order */
    bool calm;             /* pushes get lost, but no link and no instance breaks */
    int replay;            /* a client that enters a room is shown this many of its newest entries; -1: all of them */
    uint64_t name_life_us; /* how long a message's name is remembered, at least */
};

struct check {
    struct sim *sim;
    struct check_rules rules;
    struct truths truths;
    struct leases leases;
    char *failure;   /* the first one; NULL: none */
    uint64_t digest; /* of what was accepted and shown so far */
    struct {
        uint64_t accepted, lost_by_broker, shown, passing, resumed, fresh, refused_resumes, excused;
    } counts;
};

/* A client as the check sees it. */
struct witness {
    char name[16];
    int number;
    struct lease *lease; /* NULL: it was never connected */
    int instance;        /* to which it is connected, unless it polls */
    bool polls;          /* each of its requests goes to another instance: what is not logged may pass it by */
    bool polled;         /* in this session: what it was told of rooms may have had gaps until the lists came again */
    bool tainted;        /* was shown an entry that the broker lost, so it must be told `recovered: false` */
    bool has_token;      /* of this session */
    struct token token;
    uint64_t shown_seq;  /* of the logged entry it was shown last */
    struct bits passing; /* messages not logged that it was shown */
};

/* `oldest` is the broker's: see struct truths. */
void check_init(struct check *check, struct sim *sim, const struct check_rules *rules);
void check_finish(struct check *check);
/* Reports a failure, the first one only; printf's rules. */
void check_fail(struct check *check, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A seed's own. */
void check_digest(struct check *check, char what, uint64_t a, uint64_t b);
void witness_finish(struct witness *witness);

/* The client's message was acknowledged. */
void check_acked(struct check *check, const struct witness *witness, uint32_t message);
/* A message was shown to it, with this token. */
void check_shown(struct check *check, struct witness *witness, uint32_t message, struct span token);
/* Some other event was, with a token. */
void check_token(struct check *check, struct witness *witness, struct span token);

/* What it asked for, and when: its instance had handled everything up to `position` by then, or more. */
struct check_ask {
    uint64_t us, position;
};
/* It is connected, to this instance. */
struct check_connect {
    struct span sid, pid;
    int instance;
    bool recovered;
    bool came_back; /* it wanted to be */
    bool let_off;   /* if it is not, that need not have a reason */
    struct check_ask asked;
};
void check_connected(struct check *check, struct witness *witness, const struct check_connect *connect);
/* The connection is gone. */
void check_away(struct check *check, struct witness *witness);
/* The answer came. */
void check_joined(struct check *check, struct witness *witness, int room, const struct check_ask *asked);
void check_left(struct check *check, struct witness *witness, int room);
/* It is in this room, as its lease says. */
bool check_is_in(const struct witness *witness, int room);

/* The lease says that directives up to this seq were obeyed; its rooms are read already: each is obeyed exactly as it
 * says, from its seq on. */
void check_directed(struct check *check, struct lease *lease, uint64_t seq);
/* An entry is shown: the lease has every directive that lies before it. */
void check_undirected(struct check *check, const struct witness *witness, const struct truth *entry);
/* A directive has told it to end. */
bool check_is_dismissed(const struct check *check, const struct lease *lease);
/* Index of the first directive for it that its lease does not have; SIZE_MAX: none. */
size_t check_disobeyed(const struct check *check, const struct lease *lease);

/* Everything it is owed so far was shown to it. */
bool check_is_settled(struct check *check, const struct witness *witness);
/* Nothing is under way any more: fails unless it is settled. */
void check_settled(struct check *check, const struct witness *witness);
/* Everybody was connected and settled when it was sent, and for long since: whoever it is for was shown it. */
void check_passed(struct check *check, const struct witness *witness, uint32_t message);

#endif
