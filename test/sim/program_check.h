/* program_check: compares what a program on sennit.h is told in a fleet with what docs/sennit.h.md promises.
 *
 * The program's instances say what their handlers are told and what they write; its clients say what they saw; the
 * watcher of Redis says what leases have. Each socket has one story over all instances. So a `disconnect` that comes
 * twice or never, data that are older than the last write, and a question with two answers or with none are found. */
#ifndef SENNIT_SIM_PROGRAM_CHECK_H
#define SENNIT_SIM_PROGRAM_CHECK_H

#include "base/map.h"
#include "check.h"

enum { PROGRAM_INSTANCES_MAX = 16, PROGRAM_DATA_BYTES_MAX = 64 };

struct program_check {
    struct check *check; /* gets the failures */
    struct map by_sid, by_pid;
    struct list all; /* struct story */
    struct list questions;
    uint64_t window_us; /* how long a socket may be away */
    uint64_t slack_us;  /* how long something may be under way */
    /* Until when something was, or may be, wrong with an instance, or with its link to Redis. */
    uint64_t trouble_us[PROGRAM_INSTANCES_MAX];
    uint32_t next_question;
    bool verbose; /* says on stdout what handlers are told */
    /* The generation of this lease on Redis; 0: there is none. */
    uint64_t (*lease_generation)(void *arg, const char *pid);
    void *arg;
    struct {
        uint64_t connects, resumed, moved, disconnects, lost, again, writes, answered, unanswered, stale;
    } counts;
};

/* A socket's story. */
struct story;
/* A question of the program to a client. */
struct question_asked;

/* `lease_generation` and `arg` are to be set behind it. */
void program_check_init(struct program_check *program, struct check *check, uint64_t window_us, uint64_t slack_us);
void program_check_finish(struct program_check *program);

/* A handler was told on this instance. `data` is what sennit_data says, `generation` that of the lease that the
 * instance has. */
/* `here`: the handler has the socket. If not, the socket has ended. */
void program_check_connect(struct program_check *program, int instance, const char *sid, bool here);
/* False, of these two: another instance has the socket by now, and nothing more is to be done for it. */
bool program_check_arrived(struct program_check *program, int instance, const char *sid, uint64_t generation,
                           const char *data, bool moved);
bool program_check_event(struct program_check *program, int instance, const char *sid, uint64_t generation,
                         const char *data);
void program_check_disconnect(struct program_check *program, int instance, const char *sid, const char *reason,
                              const char *data);

/* The instance is about to write data of a socket that is there: makes them. */
void program_check_write(struct program_check *program, int instance, const char *sid, uint64_t generation,
                         char data[PROGRAM_DATA_BYTES_MAX]);

/* A question is about to be sent, and takes `timeout_ms` at most. It was not sent (`unasked`), or its handler was
 * called. `here`: whether the socket still was on the instance. */
struct question_asked *program_check_asked(struct program_check *program, int instance, const char *sid,
                                           uint64_t timeout_ms);
uint32_t program_question_number(const struct question_asked *question);
void program_check_unasked(struct question_asked *question);
void program_check_answered(struct program_check *program, struct question_asked *question, const char *error,
                            uint32_t value, bool here);

/* A client has been told that it is connected, under this id. */
void program_check_seen(struct program_check *program, struct span sid, bool polls);
/* A client of this id asks to come back. */
void program_check_returns(struct program_check *program, const char *sid);
/* A client answers a question. */
void program_check_replied(struct program_check *program, uint32_t number);

/* Redis has written a lease (lease_write.lua), has given it to another instance, or has ended it. */
void program_check_lease_written(struct program_check *program, struct span pid, struct span sid, struct span data);
void program_check_lease_claimed(struct program_check *program, struct span pid);
void program_check_lease_ended(struct program_check *program, struct span pid);

/* Something is wrong with an instance or its link for so long; -1: with all of them. It is killed: what it was asked is
 * forgotten.
 */
void program_check_trouble(struct program_check *program, int instance, uint64_t lasts_us);
void program_check_killed(struct program_check *program, int instance);

/* All clients are gone for long: each socket has ended, and each question has. */
void program_check_end(struct program_check *program);

#endif
