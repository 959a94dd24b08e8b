/* fleet_parts: declarations that the files of the fleet share. */
#ifndef SENNIT_SIM_FLEET_PARTS_H
#define SENNIT_SIM_FLEET_PARTS_H

#include "api_caller.h"
#include "api_publisher.h"
#include "ask_client.h"
#include "fake_redis.h"
#include "fleet.h"
#include "hostile.h"
#include "program.h"
#include "raw_client.h"
#include "serve/serve.h"
#include "sim_parts.h"
#include "stock_client.h"
#include "survey_caller.h"
#include "survey_client.h"
#include "survey_program.h"
#include "wire/resp.h"

enum {
    REDIS_PORT = 6379,
    INSTANCE_PORT = 10001,
    INSTANCES_MAX = 16,
    BACK_WITHIN_S = 10, /* everybody is connected and has everything so soon after faults end */
    STEADY_DELAY_US = 2000,
    REPAIRED_MS = 1000, /* a push that was lost is made up for by then */
};

struct instance {
    struct fleet *fleet;
    uint16_t port;
    int number;
    struct loop *loop;     /* NULL: not running */
    struct server *server; /* its own, or the program's */
    struct server own;
    struct embed *embed; /* NULL: no program runs */
    struct program program;
    struct survey_program survey;
    struct timer change; /* starts again, or goes on */
    bool paused, draining, frozen;
    uint64_t started_us;
    uint64_t pulsed_us; /* its last heartbeat that Redis took */
};

/* An instance that died, and whom the others are to miss. */
struct death {
    struct list node;
    uint64_t due_us, died_us;
    uint64_t *leases; /* a bit for each */
    size_t words;
};

/* A push that was not sent to one instance. */
struct swallowed {
    struct list node;
    uint64_t due_us, at_us;
    int instance, log;
    struct lease *lease; /* for LOG_OWN */
    size_t index;
};

/* Scripts whose calls are watched. */
enum watched {
    WATCHED_OPEN,
    WATCHED_WRITE,
    WATCHED_CLAIM,
    WATCHED_RELEASE,
    WATCHED_PULSE,
    WATCHED_READ,
    WATCHED_COUNT
};

/* The latest reads of Redis, to find one that is repeated again and again. */
struct question {
    uint64_t hash, since_us;
    uint32_t count;
};
enum { QUESTIONS = 4096 };

struct fleet {
    const struct fleet_plan *plan;
    struct sim *sim;
    struct check check;
    struct rosters rosters;
    struct client_world world;
    struct instance instances[INSTANCES_MAX];
    struct stock_client *clients;
    struct hostile *hostiles;
    struct api_caller caller;
    struct program_check program; /* of the kind `program` alone */
    struct program_client *program_clients;
    struct raw_check raw; /* and these of fleets with guests: fleet_guests.c */
    struct raw_client *raws;
    struct ask_check asks;
    struct ask_client *askers;
    struct survey_check surveys;
    struct survey_client *surveyors;
    struct survey_caller survey_caller;
    struct api_publisher publisher;
    struct witness **witnesses;
    struct fake_redis *redis;
    struct resp_reader *replies;     /* of what is watched */
    char watched[WATCHED_COUNT][48]; /* their names on Redis */
    struct fake_redis_snapshot *snapshot;
    uint64_t snapshot_us;
    struct list streams; /* to Redis */
    struct timer redis_change, fault, vanish;
    bool redis_down, redis_paused;
    int64_t clock_jump_ms; /* of Redis */
    char config[64];
    uint64_t faults, steps;
    int swallow_left; /* pushes */
    struct list deaths, swallowed;
    uint64_t slack_us; /* how long something may be under way */
    uint64_t slowed, swallowed_count, missed, vanished, evil, frozen, unheard;
    bool freezes, healed;    /* healed: nothing more goes wrong */
    char vanished_last[256]; /* the room, or the like, whose key has vanished last */
    struct question questions[QUESTIONS];
};

/* Prints an event of the fleet, if the plan is verbose; printf's rules. */
void fleet_say(const struct fleet *fleet, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Something broke of which more than one client may notice. */
void fleet_trouble(struct fleet *fleet);
/* Runs on, a little at a time, so that a failure stops it where it happens. */
void fleet_run_until(struct fleet *fleet, uint64_t until_us);

/* fleet.c: instances end and start. */
void instance_kill(struct instance *instance);
void instance_pause(struct instance *instance);
void instance_drain(struct instance *instance);

/* fleet_config.c: writes the file that all instances read. */
void config_write(struct fleet *fleet);

/* fleet_redis.c: the broker. */
void redis_start(struct fleet *fleet);
void redis_finish(struct fleet *fleet);
/* Redis ends, and comes back later, with its data or with those of the last snapshot. */
void redis_kill(struct fleet *fleet, bool failover);
void redis_pause(struct fleet *fleet);
/* It goes on, or comes back, now. */
void redis_heal(struct fleet *fleet);
void redis_snapshot(struct fleet *fleet);
void redis_clock_jump(struct fleet *fleet, int64_t offset_ms);
/* The instance at the other end of a connection to the fake Redis. */
struct instance *redis_stream_instance(const void *stream);
/* What Redis has under this name, NULL: nothing. */
struct fake_key *redis_key(struct fleet *fleet, const char *kind, struct span name);

/* fleet_watch.c: everything Redis does, as it happens. */
extern const struct fake_redis_watcher fleet_watcher;

/* fleet_faults.c */
void faults_start(struct fleet *fleet);
/* Nothing more goes wrong by itself, and everything that was broken is whole again. */
void faults_heal(struct fleet *fleet);

/* fleet_vanish.c: one key of a kind that may vanish does; or all of them. */
void vanish_one(struct fleet *fleet);
void vanish_all(struct fleet *fleet);
/* A room was read, by the script with these arguments: nobody asks the same again and again. */
void vanish_read(struct fleet *fleet, uint64_t client, const struct span *args, size_t count);

/* fleet_freeze.c: after each step of the world: an instance without a request stands still from now on, one that a
 * request has reached goes on. */
void freeze_step(void *fleet);
/* Every instance goes on, for good. */
void freeze_end(struct fleet *fleet);

/* fleet_bounds.c: checks all bounds now. */
void bounds_check(struct fleet *fleet);

/* fleet_program.c: an instance of the kind `program` is opened, closed (what is left of it can be looked at), and
 * freed. */
bool program_open(struct instance *instance, const struct serve_options *options, struct err *err);
void program_close(struct instance *instance, bool killed);
void program_free(struct instance *instance);
/* Something is wrong with an instance, or with its link to Redis; -1: with all. In other fleets nobody asks. */
void program_trouble(struct fleet *fleet, int instance);
void program_link_trouble(struct fleet *fleet, const struct sim_end *end, bool silent);
/* The programs' clients, and the check of what programs are told: in other fleets these do nothing. */
void programs_init(struct fleet *fleet);
void programs_start(struct fleet *fleet);
void programs_quiet(struct fleet *fleet);
bool programs_are_settled(const struct fleet *fleet);
void programs_check(struct fleet *fleet);
void programs_leave(struct fleet *fleet);
void programs_count(const struct fleet *fleet, struct fleet_result *result);
void programs_finish(struct fleet *fleet);

/* fleet_guests.c: clients of raw rooms, those that ask each other, and those that are asked by many; elsewhere these do
 * nothing. */
void guests_init(struct fleet *fleet);
void guests_start(struct fleet *fleet);
void guests_quiet(struct fleet *fleet);
bool guests_are_settled(const struct fleet *fleet);
void guests_check(struct fleet *fleet);
/* What must have come by now. An entry of a room that is not looked at elsewhere. Trouble, as program_trouble. */
void guests_due(struct fleet *fleet);
void guests_pushed(struct fleet *fleet, const struct pushed *pushed);
void guests_trouble(struct fleet *fleet, int instance, uint64_t lasts_us);
void guests_leave(struct fleet *fleet);
/* Long after that: what must have ended has. */
void guests_end(struct fleet *fleet);
void guests_count(const struct fleet *fleet, struct fleet_result *result);
void guests_finish(struct fleet *fleet);

/* fleet_due.c: checks what must have been noticed by now. */
void due_swallowed(struct fleet *fleet, const struct instance *instance, const struct pushed *pushed);
void due_killed(struct fleet *fleet, struct instance *instance);
void due_check(struct fleet *fleet);
void due_finish(struct fleet *fleet);

/* fleet_end.c: checks what is left when all is quiet, and when all is over. */
void end_check_presence(struct fleet *fleet);
void end_check_instances(struct fleet *fleet);
void end_check_keys(struct fleet *fleet);
/* Of an instance that was closed just now. */
void end_check_closed(struct fleet *fleet, const struct server *server);

#endif
