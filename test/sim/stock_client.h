/* stock_client: a model of the stock Socket.IO client: its state over a cut, its messages, and everything that it
 * remembers.
 *
 * It remembers its pid and, as its offset, the last string at the end of any event without an ack id. Publishes wait
 * for their acknowledgement and are sent again on every connect, under the same id, as the whiteboard does. It wants to
 * be in some rooms; joins that were not answered are asked for again. Now and then it reads a room's history, stops
 * reading for a while, or says goodbye. */
#ifndef SENNIT_SIM_STOCK_CLIENT_H
#define SENNIT_SIM_STOCK_CLIENT_H

#include "check.h"
#include "engine_client.h"
#include "pages.h"
#include "roster.h"
#include "stock_client_bytes.h"

struct stock_client;

struct client_world {
    struct sim *sim;
    struct check *check;
    struct rosters *rosters; /* NULL: without presence */
    /* The port of a random instance that lives, or 0. */
    uint16_t (*instance_pick)(void *arg);
    /* What an instance has handled (port 0: every one of them, at least); its number; whether it is on its way out. */
    uint64_t (*position_of)(void *arg, uint16_t port);
    int (*number_of)(void *arg, uint16_t port);
    bool (*is_leaving)(void *arg, uint16_t port);
    void *arg;
    struct stock_client *clients;
    int count;
    bool quiet, busy; /* as in the plan */
    bool large, stalls, pages;
    bool directs;             /* directives say who is in one of the rooms */
    bool dawdles;             /* some take their time to come back */
    bool stays;               /* nothing but the request timeout ends a connection */
    bool strict;              /* they are Python's, to the letter */
    bool links_break;         /* the links from instances to Redis are cut */
    bool leases_follow;       /* nothing keeps an instance from telling a broker that lost data what it knows */
    uint64_t repeats, losses; /* as in the plan */
    uint64_t seed;            /* the plan's */
    uint64_t timeout_us;      /* of requests: the ingress cuts an older connection; 0: never */
    uint64_t rotate_lead_us;  /* how long before that instances begin to close it */
    int traced;               /* the number of a client whose actions are printed; -1: none */
    struct {
        uint64_t rotated, timed_out, stalls, pages, page_entries, directs, wide, polling, polls, upgraded, repeated,
            lost_answers, dismissed, plain, moved_ahead;
    } counts;
    uint64_t ack_us_max;  /* an acknowledgement takes no longer; 0: it may */
    uint64_t ack_us_most; /* and took so long at most */
};

enum client_state { CLIENT_AWAY, CLIENT_OPENING, CLIENT_CONNECTING, CLIENT_CONNECTED };
enum room_wish { WISH_OUT, WISH_JOINING, WISH_IN, WISH_LEAVING };
enum { ATS_KEPT = 8 };

struct waiting {
    uint32_t ack; /* of this connection; 0: not sent on it */
    uint32_t message;
};

struct stock_client {
    struct client_world *world;
    int number;
    struct witness witness;
    struct engine_client engine;
    struct timer again, silence, act, stall, deadline, move;
    uint8_t state;
    bool quiet;             /* does nothing by itself any more */
    bool stalled;           /* reads nothing */
    uint64_t read_since_us; /* since it did so last, it reads again */
    bool doubtful;          /* the broker has lost what it knew of this client's rooms */
    uint64_t sure_us;       /* by then its instance has told the broker again; 0: not known to be back itself */
    char epoch[EPOCH_TEXT]; /* of the last event */
    bool moves_ahead;       /* it leaves its connection for another one, just now */
    bool left_once;         /* its last session was ended by its own 41: it will not be recovered */
    struct buf offset;
    struct buf plain_text; /* of a message whose attachments are still to come */
    struct attached attached;
    char pid[SID_TEXT];
    uint64_t patience_us;
    uint8_t wishes[ROOMS];
    uint32_t ack_next;
    struct waiting *waiting;
    size_t waiting_count, waiting_cap;
    uint32_t room_acks[ROOMS];
    struct check_ask room_asks[ROOMS], connect_ask;
    uint64_t rooms_us; /* when it last entered or left one */
    uint64_t dialled_us, connected_us;
    uint64_t moved_us; /* from polling to its WebSocket, as the client sees it; 0: never */
    struct page_ask page;
    char ats[ATS_KEPT][PAGE_AT_TEXT]; /* positions it has seen */
    uint32_t who_ack;
    int who_room;
    uint64_t *who_there; /* whom the pages of an answer to `who` have named */
    size_t who_words;
    uint64_t away_until_us; /* does not come back before */
};

void stock_client_init(struct stock_client *client, struct client_world *world, int number, enum engine_kind kind);
void stock_client_finish(struct stock_client *client);
/* The broker has come back with what it knew at `snapshot_us`: this client asks for its rooms again when it is back. */
void stock_client_broker_lost(struct stock_client *client, uint64_t snapshot_us);
/* Does nothing by itself any more, stays connected. */
void stock_client_quiet(struct stock_client *client);
/* When its connection ends, the client stays away until then. */
void stock_client_stay_away(struct stock_client *client, uint64_t until_us);
/* Sends something that is not logged, if it is connected; its number in `*message`. */
bool stock_client_pass(struct stock_client *client, uint32_t *message);
/* Asks who is in a room, page by page; the answers must name all who are. */
void stock_client_who(struct stock_client *client, int room);

#endif
