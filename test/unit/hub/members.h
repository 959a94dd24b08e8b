/* members: model members of one hub on a script_broker, for the tests of the hub. Each test has a new hub. */
#ifndef SENNIT_TEST_MEMBERS_H
#define SENNIT_TEST_MEMBERS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hub/hub_parts.h"
#include "script_broker.h"

enum { GOT_MAX = 8192 };

struct model {
    struct member member;
    char sid[24];
    bool whole, ready, lost, settled, full;
    uint64_t got[GOT_MAX];
    struct token told[GOT_MAX]; /* with each */
    size_t got_count, flushed;  /* what lies behind `flushed` may never go out */
    size_t not_logged;
    struct token token; /* the last one told */
    bool has_token;
    struct stretch lease[SCRIPT_ROOMS_MAX]; /* by room, as a test wrote it last */
};

extern struct loop *loop;
extern struct script_broker script;
extern struct hub *hub;
extern const struct member_events model_events;

/* Of each test: a hub whose link is up. */
int set_up(void **state);
int tear_down(void **state);
/* A test with the two. */
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* A member in no room yet. */
struct model *model_create(const char *sid);
void model_destroy(struct model *model); /* accepts NULL */
/* A member that joins the rooms "a", "b", ... of this text; the broker has not confirmed any yet. */
struct model *joined(const char *sid, const char *rooms, enum start_mode mode, uint64_t argument);
/* As if the lease had been written. */
void start(struct model *model);
/* joined, confirmed, started, and sent what there is for it. */
struct model *joined_and_started(const char *sid, const char *rooms, enum start_mode mode, uint64_t argument);
/* It was sent exactly these logged entries, in this order. */
void expect_got(const struct model *model, size_t count, const uint64_t *seqs);

#endif
