/* slow_present: presence where it takes seconds: those who may return, and instances that are gone or seem to be. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "byte_proxy.h"
#include "slow.h"

enum { GRACE_MS = 4000, GONE_MS_MAX = 5000, DEAD_MEMBERS = 1500 };

/* The end of a sentence: a fleet of its own. */
static struct instance *open_in(const char *prefix, const char *name, enum broker_kind of)
{
    instances_use_prefix(prefix);
    kind = of;
    struct instance *instance = of == KIND_MEMORY ? instance_open_at(name, NULL) : instance_open(name);
    AWAIT(instance->up);
    return instance;
}

static uint64_t since_began(uint64_t at_ms)
{
    return at_ms - slow_began_ms;
}

/* Returning: `here` hears what happens to those of `there`. Once on Redis, once in memory, where the two are one. */
struct returning {
    struct instance *here, *there;
} returning[2];
enum { LEFT_AT_MS = 300, BACK_AT_MS = 1300, LEFT_AGAIN_AT_MS = 2500 };

static void returning_begin(void)
{
    for (int i = 0; i < 2; i++) {
        struct returning *r = &returning[i];
        r->here = open_in("returning", "A", i == 0 ? KIND_REDIS : KIND_MEMORY);
        r->there = i == 0 ? open_in("returning", "B", KIND_REDIS) : r->here;
        subscribe_now(r->here, "r");
        enter(r->there, "r", "comes back");
        enter(r->there, "r", "stays away");
        enter(r->there, "r", "leaves twice");
        enter(r->there, "r", "is cut, then leaves");
    }
}

static void returning_leave(void)
{
    for (int i = 0; i < 2; i++) {
        leave(returning[i].there, "r", "comes back", true);
        leave(returning[i].there, "r", "stays away", true);
        leave(returning[i].there, "r", "leaves twice", true);
        leave(returning[i].there, "r", "is cut, then leaves", true);
    }
}

static void returning_back(void)
{
    for (int i = 0; i < 2; i++) {
        enter(returning[i].here, "r", "comes back");
        enter(returning[i].here, "r", "leaves twice");
        enter(returning[i].here, "r", "is cut, then leaves");
        leave(returning[i].here, "r", "is cut, then leaves", false);
    }
}

static void returning_leave_again(void)
{
    for (int i = 0; i < 2; i++)
        leave(returning[i].here, "r", "leaves twice", true);
}

/* It was told once, within the grace and a pulse from then. */
static void check_left(const struct instance *by, const char *sid, uint64_t then_ms, uint64_t count)
{
    assert_int_equal(told_who(by, TOLD_LEFT, "r", sid), 1);
    for (size_t i = 0; i < told_count(by, TOLD_LEFT, "r"); i++) {
        const struct told *told = told_at(by, TOLD_LEFT, "r", i);
        if (!span_equal(told->audience, span_str(sid)))
            continue;
        assert_int_equal(told->number, count);
        assert_in_range(since_began(told->at_ms), then_ms + GRACE_MS - 50,
                        then_ms + GRACE_MS + 1100 + instances_stalled_ms());
    }
}

static void who_comes_back_within_the_grace_was_never_away(void **state)
{
    for (int i = 0; i < 2; i++) {
        assert_int_equal(told_who(returning[i].here, TOLD_ENTERED, "r", "comes back"), 1);
        assert_int_equal(told_who(returning[i].here, TOLD_LEFT, "r", "comes back"), 0);
        struct call *there = list(returning[i].here, "r", 0, 10);
        AWAIT_ANSWER(there);
        assert_true(list_has(there, "comes back"));
        assert_int_equal(there->presence.count, 1);
    }
}

static void who_stays_away_has_left_after_the_grace(void **state)
{
    for (int i = 0; i < 2; i++)
        check_left(returning[i].here, "stays away", LEFT_AT_MS, 2);
}

static void a_grace_begins_anew_with_each_leaving(void **state)
{
    for (int i = 0; i < 2; i++) {
        check_left(returning[i].here, "leaves twice", LEFT_AGAIN_AT_MS, 1);
        assert_int_equal(told_who(returning[i].here, TOLD_ENTERED, "r", "leaves twice"), 1);
        /* And ends with leaving for good, which is told at once. */
        assert_int_equal(told_who(returning[i].here, TOLD_LEFT, "r", "is cut, then leaves"), 1);
        assert_span(told_at(returning[i].here, TOLD_LEFT, "r", 0)->audience, "is cut, then leaves");
        assert_in_range(since_began(told_at(returning[i].here, TOLD_LEFT, "r", 0)->at_ms), BACK_AT_MS,
                        BACK_AT_MS + 100 + instances_stalled_ms());
    }
}

/* An instance that goes away without a goodbye, with many people on it. */
static struct {
    struct instance *a, *b, *gone;
    struct byte_proxy *proxy;
    char life[128];
    int64_t last_pulse_ms; /* by the wall clock */
    struct call *claim;
} dead;
enum { GONE_AT_MS = 600, WINDOW_MS = 20000 };

static struct broker_lease dead_lease(const char *pid, const char *own)
{
    return (struct broker_lease){
        .pid = span_str(pid), .sid = SPAN_LIT("sid"), .own = span_str(own), .generation = 1, .window_ms = WINDOW_MS};
}

static void dead_begin(void)
{
    dead.a = open_in("dead", "A", KIND_REDIS);
    dead.b = open_in("dead", "B", KIND_REDIS);
    dead.gone = instance_up_behind("C", &dead.proxy);
    subscribe_now(dead.a, "r");
    subscribe_now(dead.b, "r");
    for (int i = 0; i < DEAD_MEMBERS; i++) {
        char sid[16];
        snprintf(sid, sizeof sid, "%d", i);
        enter(dead.gone, "r", sid);
    }
    enter(dead.gone, "r", "has moved");
    enter(dead.a, "r", "is elsewhere");
    struct broker_lease left = dead_lease("left", "@left"), plain = dead_lease("plain", "");
    struct broker_lease moved = dead_lease("moved", "@moved");
    lease_write(dead.gone, &left);
    lease_write(dead.gone, &plain);
    struct call *written = lease_write(dead.gone, &moved);
    AWAIT_ANSWER(written);
    dead.claim = lease_claim(dead.a, "moved", "", 0);
    AWAIT_ANSWER(dead.claim);
}

static void dead_end(void)
{
    byte_proxy_close(dead.proxy);
    /* Whatever reached Redis has been done by now. */
    const char *lives = redis_ask(&redis, "ZRANGE", "dead:{0}:lives", "0", "-1", NULL);
    const char *mine = strstr(lives, "C:");
    assert_non_null(mine);
    snprintf(dead.life, sizeof dead.life, "%.*s", (int)strcspn(mine, "\n"), mine);
    dead.last_pulse_ms = redis_ask_number(&redis, "ZSCORE", "dead:{0}:lives", dead.life, NULL) - 2500;
}

static void dead_moved(void)
{
    enter(dead.b, "r", "has moved");
}

static void an_instance_that_is_gone_is_noticed(void **state)
{
    static const char *const stayed[] = {"has moved", "is elsewhere"};
    int64_t wall = loop_clock_ms(), mono = (int64_t)now_ms();
    for (int i = 0; i < 2; i++) {
        const struct instance *by = i == 0 ? dead.a : dead.b;
        bool *had = mem_zero(DEAD_MEMBERS, sizeof *had);
        assert_int_equal(told_count(by, TOLD_LEFT, "r"), DEAD_MEMBERS);
        for (size_t j = 0; j < DEAD_MEMBERS; j++) {
            const struct told *told = told_at(by, TOLD_LEFT, "r", j);
            int64_t after = (int64_t)told->at_ms - mono + wall - dead.last_pulse_ms;
            int number = number_of(told->audience);
            assert_false(had[number]);
            had[number] = true;
            assert_in_range(after, GRACE_MS - 1000, GONE_MS_MAX + instances_stalled_ms());
        }
        assert_int_equal(told_last(by, TOLD_LEFT, "r")->number, 2);
        free(had);
        for (int j = 0; j < 2; j++)
            assert_int_equal(told_who(by, TOLD_LEFT, "r", stayed[j]), 0);
    }
    struct call *there = list(dead.a, "r", 0, 10);
    AWAIT_ANSWER(there);
    assert_int_equal(there->presence.count, 2);
}

static long long left_ms(const char *key)
{
    return redis_ask_number(&redis, "PTTL", key, NULL);
}

static void leases_of_one_that_is_gone_last_for_their_window(void **state)
{
    assert_in_range(left_ms("dead:{0}:lease:left"), WINDOW_MS / 2, WINDOW_MS);
    assert_in_range(left_ms("dead:{0}:owner:@left"), WINDOW_MS / 2, WINDOW_MS);
    assert_in_range(left_ms("dead:{0}:lease:plain"), WINDOW_MS / 2, WINDOW_MS);
    /* One that was claimed before is not its any more. */
    assert_in_range(left_ms("dead:{0}:lease:moved"), WINDOW_MS + 1000, 2 * WINDOW_MS);
    assert_in_range(left_ms("dead:{0}:owner:@moved"), WINDOW_MS + 1000, 2 * WINDOW_MS);
    struct call *claim = lease_claim(dead.b, "left", "", 0);
    AWAIT_ANSWER(claim);
    assert_int_equal(claim->result, BROKER_OK);
    assert_int_equal(claim->lease.generation, 2);
}

static void nothing_is_left_of_one_that_is_gone(void **state)
{
    char of[256];
    snprintf(of, sizeof of, "dead:{0}:of:%s", dead.life);
    assert_int_equal(redis_ask_number(&redis, "EXISTS", of, NULL), 0);
    assert_int_equal(redis_ask_number(&redis, "ZCARD", "dead:{0}:lives", NULL), 2);
    assert_int_equal(redis_ask_number(&redis, "ZCARD", "dead:{0}:away", NULL), 0);
    struct call *said = stats(dead.a);
    AWAIT_ANSWER(said);
    assert_int_equal(said->stats.instances, 2);
}

/* An instance that only lost its links: what it has, it has under another life by the time the first one is given up.
 */
static struct {
    struct instance *a, *b;
    struct byte_proxy *proxy;
} relinked;
enum { CUT_AT_MS = 400, RELINKED_AT_MS = 1500 };

static void relinked_write(void)
{
    struct broker_lease lease = dead_lease("kept", "@kept");
    lease_write(relinked.a, &lease);
    enter(relinked.a, "r", "is still there");
}

static void relinked_begin(void)
{
    relinked.b = open_in("relinked", "B", KIND_REDIS);
    relinked.a = instance_up_behind("A", &relinked.proxy);
    subscribe_now(relinked.b, "r");
    relinked_write();
}

static void relinked_cut(void)
{
    byte_proxy_cut(relinked.proxy);
}

static void what_is_had_again_does_not_go_with_the_life_before(void **state)
{
    assert_int_equal(told_count(relinked.a, TOLD_UP, ""), 2);
    assert_in_range(left_ms("relinked:{0}:lease:kept"), WINDOW_MS + 1000, 2 * WINDOW_MS);
    assert_in_range(left_ms("relinked:{0}:owner:@kept"), WINDOW_MS + 1000, 2 * WINDOW_MS);
    assert_int_equal(told_who(relinked.b, TOLD_ENTERED, "r", "is still there"), 1);
    assert_int_equal(told_who(relinked.b, TOLD_LEFT, "r", "is still there"), 0);
    assert_int_equal(redis_ask_number(&redis, "ZCARD", "relinked:{0}:lives", NULL), 2);
}

/* An instance whose loop does not run for longer than it takes to be given up, and then goes on. */
static struct {
    struct instance *a, *b, *quiet;
    uint64_t woke_ms;
    bool entered_again;
} silent;
enum { ASLEEP_AT_MS = 500 };

static void silent_begin(void)
{
    silent.a = open_in("silent", "A", KIND_REDIS);
    silent.b = open_in("silent", "B", KIND_REDIS);
    silent.quiet = instance_open_apart("C");
    AWAIT(silent.quiet->up);
    subscribe_now(silent.a, "r");
    subscribe_now(silent.quiet, "r");
    enter(silent.quiet, "r", "is still there");
    enter(silent.quiet, "r", "went meanwhile");
}

static void silent_sleep(void)
{
    apart_awake = false;
}

/* As the hub does, whenever a link is up. */
static void silent_look(void)
{
    if (!apart_awake && redis_ask_number(&redis, "ZCARD", "silent:{0}:lives", NULL) == 2) {
        silent.woke_ms = now_ms();
        apart_awake = true;
        /* Before it knows: somebody comes, who is gone again before the link is back. */
        enter(silent.quiet, "r", "ghost");
        struct broker_lease lease = dead_lease("ghost", "");
        lease_write(silent.quiet, &lease);
    }
    if (silent.quiet->up && told_count(silent.quiet, TOLD_UP, "") == 2 && !silent.entered_again) {
        silent.entered_again = true;
        enter(silent.quiet, "r", "is still there");
    }
}

static void one_that_was_silent_begins_anew(void **state)
{
    assert_int_equal(told_count(silent.quiet, TOLD_DOWN, ""), 1);
    assert_int_equal(told_count(silent.quiet, TOLD_UP, ""), 2);
    assert_in_range(told_at(silent.quiet, TOLD_DOWN, "", 0)->at_ms - silent.woke_ms, 0, 1500 + instances_stalled_ms());
    assert_in_range(silent.woke_ms - slow_began_ms - ASLEEP_AT_MS, 1000, 4000 + instances_stalled_ms());
    assert_int_equal(told_who(silent.a, TOLD_LEFT, "r", "is still there"), 0);
    assert_int_equal(told_who(silent.a, TOLD_ENTERED, "r", "is still there"), 1);
    assert_int_equal(told_who(silent.a, TOLD_LEFT, "r", "went meanwhile"), 1);
    assert_int_equal(told_count(silent.a, TOLD_DOWN, "") + told_count(silent.b, TOLD_DOWN, ""), 0);
}

static void who_came_to_a_life_that_had_ended_is_no_ghost(void **state)
{
    struct call *there = list(silent.a, "r", 0, 10);
    AWAIT_ANSWER(there);
    assert_true(list_has(there, "is still there"));
    assert_int_equal(there->presence.count, 1);
    assert_int_equal(told_who(silent.a, TOLD_ENTERED, "r", "ghost"), told_who(silent.a, TOLD_LEFT, "r", "ghost"));
}

static void begin(void)
{
    dead_begin();
    relinked_begin();
    silent_begin();
    returning_begin();
}

static const struct step steps[] = {
    {LEFT_AT_MS, returning_leave},
    {CUT_AT_MS, relinked_cut},
    {ASLEEP_AT_MS, silent_sleep},
    {GONE_AT_MS, dead_end},
    {BACK_AT_MS, returning_back},
    {RELINKED_AT_MS, relinked_write},
    {1600, dead_moved},
    {LEFT_AGAIN_AT_MS, returning_leave_again},
};

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(who_comes_back_within_the_grace_was_never_away),
    cmocka_unit_test(who_stays_away_has_left_after_the_grace),
    cmocka_unit_test(a_grace_begins_anew_with_each_leaving),
    cmocka_unit_test(an_instance_that_is_gone_is_noticed),
    cmocka_unit_test(leases_of_one_that_is_gone_last_for_their_window),
    cmocka_unit_test(nothing_is_left_of_one_that_is_gone),
    cmocka_unit_test(what_is_had_again_does_not_go_with_the_life_before),
    cmocka_unit_test(one_that_was_silent_begins_anew),
    cmocka_unit_test(who_came_to_a_life_that_had_ended_is_no_ghost),
};

const struct story slow_present = {
    .begin = begin,
    .steps = steps,
    .step_count = sizeof steps / sizeof steps[0],
    .often = silent_look,
    .tests = tests,
    .test_count = sizeof tests / sizeof tests[0],
};
