/* slow_faults: a Redis that stands still, or takes no writes, for seconds: nobody is taken for dead by it; a link for
 * commands that died without a word; and logs that grow old. */
#include <stdio.h>
#include <stdlib.h>

#include "byte_proxy.h"
#include "slow.h"

/* Longer than an instance may be silent; shorter than a command may go without an answer. */
enum { TROUBLE_MS = 500, TROUBLE_OVER_MS = 3900, HELD_MS = 5200 };

/* Two instances on a server of their own, with somebody on each, and a third one behind a proxy. */
struct fleet {
    struct redis_process server;
    struct instance *a, *b, *c;
    struct byte_proxy *proxy;
    struct call *during, *after;
};
static struct fleet halted, refusing, full;

static struct instance *open_on(const struct redis_process *server, const char *name)
{
    char url[64];
    snprintf(url, sizeof url, "redis://127.0.0.1:%u", server->port);
    instances_use_prefix("fleet");
    return instance_open_at(name, url);
}

static void fleet_begin(struct fleet *fleet)
{
    redis_process_start(&fleet->server, NULL);
    fleet->proxy = byte_proxy_open(&net, fleet->server.port);
    fleet->a = open_on(&fleet->server, "A");
    fleet->b = open_on(&fleet->server, "B");
    fleet->c = instance_open_at("C", byte_proxy_url(fleet->proxy));
    AWAIT(fleet->a->up && fleet->b->up && fleet->c->up);
    subscribe_now(fleet->a, "r");
    subscribe_now(fleet->b, "r");
    enter(fleet->a, "r", "a");
    enter(fleet->b, "r", "b");
    enter(fleet->c, "r", "c");
    AWAIT(told_count(fleet->a, TOLD_ENTERED, "r") == 3 && told_count(fleet->b, TOLD_ENTERED, "r") == 3);
}

static void fleet_check(struct fleet *fleet)
{
    struct instance *const all[] = {fleet->a, fleet->b};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(told_count(all[i], TOLD_DOWN, ""), 0);
        assert_int_equal(told_who(all[i], TOLD_LEFT, "r", "a") + told_who(all[i], TOLD_LEFT, "r", "b"), 0);
    }
    assert_int_equal(fleet->during->answers, 1);
    assert_int_equal(fleet->during->result, BROKER_OK);
    publish_now(fleet->b, "r", "afterwards");
}

/* A server that does nothing: it was stopped, it forks, it waits for its disk. Whoever is away when it begins, and
 * comes back meanwhile, has been in time. */
static void leave_before(void)
{
    leave(halted.b, "r", "moves", true);
}

static void come_back_meanwhile(void)
{
    enter(halted.a, "r", "moves");
}

static void halt(void)
{
    redis_process_pause(&halted.server, true);
    halted.during = publish(halted.a, "r", "x");
}

static void go_on(void)
{
    redis_process_pause(&halted.server, false);
}

static void a_server_that_stood_still_declares_nobody_dead(void **state)
{
    fleet_check(&halted);
    assert_int_equal(told_count(halted.c, TOLD_DOWN, ""), 0);
    assert_int_equal(told_who(halted.a, TOLD_LEFT, "r", "c"), 0);
    assert_int_equal(told_who(halted.a, TOLD_LEFT, "r", "moves"), 0);
    assert_int_equal(told_who(halted.a, TOLD_ENTERED, "r", "moves"), 1);
}

/* A server that refuses writes. */
static void refuse(void)
{
    redis_ask(&refusing.server, "CONFIG", "SET", "min-replicas-to-write", "1", NULL);
    refusing.during = publish(refusing.a, "r", "x");
}

static void accept_again(void)
{
    redis_ask(&refusing.server, "CONFIG", "SET", "min-replicas-to-write", "0", NULL);
}

static void a_server_that_refused_writes_declares_nobody_dead(void **state)
{
    fleet_check(&refusing);
}

/* After all these heartbeats that failed a feed that dies is noticed as soon as ever. */
static void hold_feed(void)
{
    refusing.proxy->held[PROXY_FEED] = true;
}

static void let_feed_go(void)
{
    byte_proxy_release(refusing.proxy, PROXY_FEED);
}

static void heartbeats_that_fail_do_not_hide_a_dead_feed(void **state)
{
    assert_int_equal(told_count(refusing.c, TOLD_DOWN, ""), 1);
    assert_in_range(told_at(refusing.c, TOLD_DOWN, "", 0)->at_ms - slow_began_ms, HELD_MS + 400,
                    HELD_MS + 1300 + instances_stalled_ms());
}

/* A server whose memory is full: what is to be logged waits, and everything else goes on. */
static struct {
    struct instance *late;
    struct call *claim, *write;
    size_t entered, reached;
    bool waited, late_is_up;
} when_full;

static void fill_up(void)
{
    redis_ask(&full.server, "CONFIG", "SET", "maxmemory", "1", NULL);
    full.during = publish(full.a, "r", "x");
    when_full.reached = told_count(full.a, TOLD_REACHED, "");
}

static void go_on_while_full(void)
{
    struct broker_lease lease = {
        .pid = SPAN_LIT("pid"), .sid = SPAN_LIT("sid"), .own = SPAN_LIT("@own"), .generation = 1, .window_ms = 60000};
    enter(full.a, "r", "late");
    when_full.write = lease_write(full.a, &lease);
    when_full.claim = lease_claim(full.b, "pid", "", 0);
    when_full.late = open_on(&full.server, "D");
}

static void make_room(void)
{
    when_full.waited = full.during->answers == 0;
    when_full.reached = told_count(full.a, TOLD_REACHED, "") - when_full.reached;
    when_full.entered = told_count(full.b, TOLD_ENTERED, "r");
    when_full.late_is_up = when_full.late->up;
    redis_ask(&full.server, "CONFIG", "SET", "maxmemory", "0", NULL);
}

static void a_server_that_was_full_declares_nobody_dead(void **state)
{
    fleet_check(&full);
    assert_int_equal(told_count(full.c, TOLD_DOWN, ""), 0);
    assert_int_equal(told_who(full.a, TOLD_LEFT, "r", "c"), 0);
}

static void what_keeps_a_fleet_together_needs_no_room(void **state)
{
    assert_true(when_full.waited);
    assert_true(when_full.late_is_up);
    assert_true(when_full.reached >= 2); /* heartbeats */
    assert_int_equal(when_full.entered, 4);
    assert_int_equal(when_full.write->result, BROKER_OK);
    assert_int_equal(when_full.claim->result, BROKER_OK);
}

/* The link for commands died without a word; the other one is fine. */
static struct {
    struct instance *a;
    struct byte_proxy *proxy;
    struct call *publish, *read;
} mute;

static void mute_begin(void)
{
    instances_use_prefix("mute");
    mute.a = instance_up_behind("A", &mute.proxy);
}

static void mute_hold(void)
{
    mute.proxy->held[PROXY_COMMANDS] = true;
    mute.publish = publish(mute.a, "r", "x");
    mute.read = read_range(mute.a, SPAN_LIT("r"), &(struct broker_range){.limit = 10});
}

static void mute_release(void)
{
    byte_proxy_release(mute.proxy, PROXY_COMMANDS);
}

static void commands_without_an_answer_break_the_link(void **state)
{
    assert_int_equal(told_count(mute.a, TOLD_DOWN, ""), 1);
    assert_in_range(told_at(mute.a, TOLD_DOWN, "", 0)->at_ms - slow_began_ms, 5000, 6200 + instances_stalled_ms());
    assert_int_equal(mute.read->result, BROKER_LOST);
    assert_int_equal(mute.publish->result, BROKER_OK);
    assert_true(mute.a->up);
    assert_int_equal(read_all(mute.a, "r")->page.count, 1);
}

/* Logs with an age of a second, on Redis and in memory. */
static const struct broker_retention second = {.entries_max = 1000, .bytes_max = 1 << 20, .age_ms_max = 1000};
struct ageing {
    struct instance *by;
    struct call *steady_between, *quiet_between, *steady, *quiet;
} ageing[2];

static void age_publish_for(const char *room, const char *id, const struct broker_retention *retention)
{
    struct broker_publish what = {.room = span_str(room), .body = span_str(room), .id = span_str(id)};
    for (int i = 0; i < 2; i++)
        publish_with(ageing[i].by, &what, retention);
}

static void age_publish(const char *room, const char *id)
{
    age_publish_for(room, id, &second);
}

static void age_begin(void)
{
    instances_use_prefix("age");
    for (int i = 0; i < 2; i++) {
        ageing[i].by = i == 0 ? instance_open("A") : instance_open_at("A", NULL);
        AWAIT(ageing[i].by->up);
        subscribe_now(ageing[i].by, "named");
    }
}

/* In a call of its own: of two ages in one call Redis may take either for the room's names. */
static void age_named(void)
{
    age_publish("named", "id");
}

/* At 100, 800, 1000, 1250 and 1400 ms. */
static void age_first(void)
{
    for (int i = 0; i < 5; i++)
        age_publish("steady", "");
    for (int i = 0; i < 3; i++)
        age_publish("quiet", "");
    age_publish_for("named", "remembered", &keep);
}

static void age_second(void)
{
    age_publish("steady", "");
    age_publish("named", "id"); /* known */
}

static void age_third(void)
{
    age_publish("steady", "");
}

/* Nothing was published since. */
static void age_read_between(void)
{
    for (int i = 0; i < 2; i++) {
        ageing[i].steady_between = read_all(ageing[i].by, "steady");
        ageing[i].quiet_between = read_all(ageing[i].by, "quiet");
    }
}

static void age_fourth(void)
{
    age_publish("steady", "");
    age_publish("named", "id"); /* forgotten */
    age_publish_for("named", "remembered", &keep);
}

static void age_read(void)
{
    for (int i = 0; i < 2; i++) {
        ageing[i].steady = read_all(ageing[i].by, "steady");
        ageing[i].quiet = read_all(ageing[i].by, "quiet");
        publish_with(ageing[i].by, &(struct broker_publish){.room = SPAN_LIT("quiet")}, &second);
    }
}

static void a_log_forgets_what_is_too_old(void **state)
{
    for (int i = 0; i < 2; i++) {
        const struct broker_page *page = &ageing[i].steady->page;
        assert_int_equal(page->count, 3);
        /* And says so. */
        assert_true(page->entries[0].prev != 0);
        assert_int_equal(page->entries[1].prev, page->entries[0].seq);
        assert_int_equal(page->entries[2].prev, page->entries[1].seq);
        assert_int_equal(page->entries[2].seq, page->last);
    }
}

static void what_is_too_old_is_not_read_either(void **state)
{
    for (int i = 0; i < 2; i++) {
        const struct broker_page *page = &ageing[i].steady_between->page;
        assert_int_equal(page->count, 2);
        assert_true(page->entries[0].prev != 0);
        assert_int_equal(page->entries[1].seq, page->last);
        assert_int_equal(ageing[i].quiet_between->page.count, 0);
        assert_true(ageing[i].quiet_between->page.last != 0);
    }
}

static void a_room_whose_log_ran_out_is_still_known(void **state)
{
    for (int i = 0; i < 2; i++) {
        const struct broker_page *page = &ageing[i].quiet->page;
        assert_int_equal(page->count, 0);
        assert_true(page->last != 0);
        struct call *later = read_all(ageing[i].by, "quiet");
        if (later->page.count > 0) /* it has run out again, perhaps */
            assert_int_equal(later->page.entries[0].prev, page->last);
        assert_true(later->page.last > page->last);
    }
}

static void a_name_is_forgotten_with_its_age(void **state)
{
    for (int i = 0; i < 2; i++)
        assert_int_equal(told_count(ageing[i].by, TOLD_PUSHED, "named"), 3);
}

static void begin(void)
{
    fleet_begin(&halted);
    enter(halted.b, "r", "moves");
    fleet_begin(&refusing);
    fleet_begin(&full);
    mute_begin();
    age_begin();
}

static const struct step steps[] = {
    {30, age_named},
    {100, age_first},
    {200, leave_before},
    {300, mute_hold},
    {TROUBLE_MS, halt},
    {TROUBLE_MS, refuse},
    {TROUBLE_MS, fill_up},
    {800, age_second},
    {1000, age_third},
    {1250, age_read_between},
    {1400, age_fourth},
    {1450, age_read},
    {2500, go_on_while_full},
    {2600, come_back_meanwhile},
    {TROUBLE_OVER_MS, make_room},
    {4700, go_on},
    {HELD_MS, hold_feed},
    {5500, accept_again},
    {6300, mute_release},
    {7000, let_feed_go},
};

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_server_that_stood_still_declares_nobody_dead),
    cmocka_unit_test(a_server_that_refused_writes_declares_nobody_dead),
    cmocka_unit_test(heartbeats_that_fail_do_not_hide_a_dead_feed),
    cmocka_unit_test(a_server_that_was_full_declares_nobody_dead),
    cmocka_unit_test(what_keeps_a_fleet_together_needs_no_room),
    cmocka_unit_test(commands_without_an_answer_break_the_link),
    cmocka_unit_test(a_log_forgets_what_is_too_old),
    cmocka_unit_test(what_is_too_old_is_not_read_either),
    cmocka_unit_test(a_room_whose_log_ran_out_is_still_known),
    cmocka_unit_test(a_name_is_forgotten_with_its_age),
};

const struct story slow_faults = {
    .begin = begin,
    .steps = steps,
    .step_count = sizeof steps / sizeof steps[0],
    .tests = tests,
    .test_count = sizeof tests / sizeof tests[0],
};
