/* test_redis_links: whatever happens to the two links between a broker and its Redis, nothing is lost without being
 * told, nothing comes twice, and what is only slow is not taken for dead. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "broker/redis_parts.h"
#include "byte_proxy.h"
#include "instances.h"

static struct byte_proxy *proxy;

/* One broker behind a proxy that will cut its links somewhere. */
struct cut {
    struct byte_proxy *proxy;
    struct instance *instance;
    struct call *publishes[3];
    char prefix[32];
};
enum { CUTS = 24 };

static void cut_open(struct cut *cut, int number, enum proxy_link link, long long at)
{
    static int fleets;
    snprintf(cut->prefix, sizeof cut->prefix, "cut%d", ++fleets);
    instances_use_prefix(cut->prefix);
    cut->proxy = byte_proxy_open(&net, redis.port);
    cut->proxy->cut_after[link] = at;
    cut->instance = instance_open_at("A", byte_proxy_url(cut->proxy));
}

static bool cuts_are_up(const struct cut *cuts, size_t ups)
{
    for (int i = 0; i < CUTS; i++)
        if (!cuts[i].instance->up || told_count(cuts[i].instance, TOLD_UP, "") < ups)
            return false;
    return true;
}

static bool cuts_are_answered(const struct cut *cuts)
{
    for (int i = 0; i < CUTS; i++)
        for (int j = 0; j < 3; j++)
            if (cuts[i].publishes[j]->answers == 0)
                return false;
    return true;
}

static void cuts_publish(struct cut *cuts, bool in_turns)
{
    static const char *const bodies[] = {"1", "2", "3"};
    for (int j = 0; j < 3; j++) {
        for (int i = 0; i < CUTS; i++)
            cuts[i].publishes[j] = publish(cuts[i].instance, "r", bodies[j]);
        if (in_turns)
            instances_pass();
    }
}

/* Each was accepted once, in order, whatever was cut. */
static void cuts_check(struct cut *cuts)
{
    AWAIT(cuts_are_answered(cuts));
    for (int i = 0; i < CUTS; i++) {
        assert_int_equal(cuts[i].proxy->cuts, 1);
        AWAIT(cuts[i].instance->up);
        struct call *log = read_all(cuts[i].instance, "r");
        assert_int_equal(log->page.count, 3);
        for (int j = 0; j < 3; j++) {
            assert_int_equal(cuts[i].publishes[j]->result, BROKER_OK);
            assert_int_equal(log->page.entries[j].body.data[0], '1' + j);
        }
        instance_destroy(cuts[i].instance);
        byte_proxy_close(cuts[i].proxy);
    }
}

static void cut_at(enum proxy_link link, long long first, long long step)
{
    struct cut cuts[CUTS];
    struct broker_lease lease = {.pid = SPAN_LIT("pid"), .own = SPAN_LIT("@own"), .generation = 1, .window_ms = 60000};
    for (int i = 0; i < CUTS; i++)
        cut_open(&cuts[i], i, link, PROXY_FOR_EVER);
    AWAIT(cuts_are_up(cuts, 1));
    for (int i = 0; i < CUTS; i++) {
        cuts[i].proxy->cut_after[link] = first + i * step;
        subscribe(cuts[i].instance, "r");
        enter(cuts[i].instance, "r", "x");
    }
    cuts_publish(cuts, true);
    for (int i = 0; i < CUTS; i++) {
        read_range(cuts[i].instance, SPAN_LIT("r"), &(struct broker_range){.limit = 10});
        lease_write(cuts[i].instance, &lease);
        lease_claim(cuts[i].instance, "pid", "", 0);
        list(cuts[i].instance, "r", 0, 10);
        probe(cuts[i].instance);
        stats(cuts[i].instance);
    }
    AWAIT(cuts_are_up(cuts, 2));
    cuts_check(cuts);
}

static void answers_may_be_cut_anywhere(void **state)
{
    cut_at(PROXY_COMMANDS, 0, 1);
    cut_at(PROXY_COMMANDS, CUTS, 3);
}

static void pushes_may_be_cut_anywhere(void **state)
{
    cut_at(PROXY_FEED, 0, 5);
    cut_at(PROXY_FEED, 5 * CUTS, 23);
}

/* How many bytes Redis answers until a broker is up. */
static void greeting_sizes(size_t sizes[2])
{
    struct cut whole;
    cut_open(&whole, 0, PROXY_COMMANDS, PROXY_FOR_EVER);
    AWAIT(whole.instance->up);
    sizes[PROXY_COMMANDS] = whole.proxy->passed[PROXY_COMMANDS];
    sizes[PROXY_FEED] = whole.proxy->passed[PROXY_FEED];
    instance_destroy(whole.instance);
    byte_proxy_close(whole.proxy);
}

static void greetings_may_be_cut_anywhere(void **state)
{
    size_t sizes[2];
    greeting_sizes(sizes);
    /* The end of what is said on the commands' link (the epoch is opened), all of it in steps, and all on the feed's.
     */
    const struct {
        enum proxy_link link;
        size_t first, step;
    } places[] = {{PROXY_COMMANDS, sizes[PROXY_COMMANDS] - 2 * CUTS, 2},
                  {PROXY_COMMANDS, 1, (sizes[PROXY_COMMANDS] - 2) / CUTS},
                  {PROXY_FEED, 0, (sizes[PROXY_FEED] - 1) / CUTS}};
    for (int place = 0; place < 3; place++) {
        struct cut cuts[CUTS];
        for (int i = 0; i < CUTS; i++) {
            long long at = (long long)(places[place].first + (size_t)i * places[place].step);
            cut_open(&cuts[i], i, places[place].link, at);
        }
        cuts_publish(cuts, false);
        AWAIT(cuts_are_up(cuts, 1));
        /* INFO is not always equally long: the last of these may be cut when they are up already. */
        for (int i = 0; i < CUTS; i++)
            assert_in_range(told_count(cuts[i].instance, TOLD_UP, ""), 1, 2);
        cuts_check(cuts);
    }
}

static void connecting_is_tried_ever_more_slowly(void **state)
{
    proxy = byte_proxy_open(&net, redis.port);
    proxy->refusing = true;
    struct instance *a = instance_open_at("A", byte_proxy_url(proxy));
    uint64_t stalled = instances_stalled_ms();
    AWAIT(proxy->accepted >= 8); /* two links a try */
    for (int i = 1; i < 4; i++) {
        uint64_t gap = proxy->accepted_at_ms[2 * i] - proxy->accepted_at_ms[2 * i - 2];
        uint64_t backoff = 100u << (i - 1);
        assert_in_range(gap, backoff / 2 - 2, backoff + 30 + instances_stalled_ms() - stalled);
    }
    proxy->refusing = false;
    AWAIT(a->up);
    /* And once it worked, fast again. */
    byte_proxy_cut(proxy);
    AWAIT(!a->up);
    AWAIT_WITHIN(300, a->up);
    assert_int_equal(told_count(a, TOLD_UP, ""), 2);
}

static void what_goes_on_while_a_link_breaks_is_answered(void **state)
{
    static const char *const types[] = {"normal", "pubsub"};
    struct instance *a = instance_up("A"), *b = instance_up("B");
    struct call *last = NULL;
    int published = 0;
    for (int i = 0; i < 6; i++) {
        size_t downs = told_count(a, TOLD_DOWN, "") + told_count(b, TOLD_DOWN, "");
        for (int j = 0; j < 5; j++, published++)
            last = publish(a, "r", "x");
        struct call *read = read_range(a, SPAN_LIT("r"), &(struct broker_range){.limit = 10});
        struct call *listed = list(a, "r", 0, 10), *probed = probe(a), *said = stats(a);
        if (i % 3 == 1)
            instances_turn();
        else if (i % 3 == 2)
            instances_pass();
        redis_ask(&redis, "CLIENT", "KILL", "TYPE", types[i % 2], "SKIPME", "yes", NULL);
        AWAIT(told_count(a, TOLD_DOWN, "") + told_count(b, TOLD_DOWN, "") == downs + 2);
        AWAIT(a->up && b->up);
        AWAIT(last->answers > 0 && read->answers > 0 && listed->answers > 0 && probed->answers > 0 &&
              said->answers > 0);
        assert_int_equal(last->result, BROKER_OK);
    }
    assert_int_equal(read_all(a, "r")->page.count, published);
    assert_int_equal(told_count(a, TOLD_UP, ""), 7);
}

static void what_is_published_while_the_link_is_down_keeps_its_order(void **state)
{
    enum { COUNT = 30 };
    struct instance *a = instance_up_behind("A", &proxy), *b = instance_up("B");
    struct call *last = NULL;
    subscribe_now(b, "r");
    for (int i = 0; i < COUNT; i++) {
        char body[16];
        snprintf(body, sizeof body, "%d", i);
        last = publish(a, "r", body);
        if (i % 10 == 5)
            byte_proxy_cut(proxy);
        if (i % 3 == 0)
            instances_pass();
    }
    AWAIT(told_count(b, TOLD_PUSHED, "r") == COUNT);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(number_of(told_at(b, TOLD_PUSHED, "r", (size_t)i)->body), i);
    AWAIT_ANSWER(last);
}

static void what_waits_has_a_bound(void **state)
{
    enum { BYTES = 1 << 20, FIT = BROKER_BACKLOG_BYTES_MAX / BYTES };
    proxy = byte_proxy_open(&net, redis.port);
    proxy->refusing = true;
    struct instance *a = instance_open_at("A", byte_proxy_url(proxy));
    char *body = mem_zero(1, 20 << 20);
    struct broker_publish what = {.room = SPAN_LIT("r"), .body = span_of(body, BYTES)};
    struct call *last = NULL, *call;
    int taken = 0;
    /* One that is too large is refused at once, whatever waits. */
    assert_null(
        publish_with(a, &(struct broker_publish){.room = SPAN_LIT("r"), .body = span_of(body, 20 << 20)}, NULL));
    while ((call = publish_with(a, &what, NULL)) != NULL) {
        last = call;
        assert_true(++taken <= FIT);
    }
    assert_in_range(taken, FIT - 1, FIT);
    proxy->refusing = false;
    AWAIT_ANSWER(last);
    assert_int_equal(last->result, BROKER_OK);
    assert_int_equal(read_all(a, "r")->page.count, taken);
    call = publish_with(a, &what, NULL);
    assert_non_null(call);
    AWAIT_ANSWER(call);
    free(body);
}

/* Redis drops a subscriber that does not read. */
static void an_overrun_feed_begins_anew(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    char *body = mem_zero(1, 1 << 20);
    redis_ask(&redis, "CONFIG", "SET", "client-output-buffer-limit", "pubsub 100000 0 0", NULL);
    subscribe_now(b, "r");
    struct broker_publish what = {.room = SPAN_LIT("r"), .body = span_of(body, 1 << 20)};
    struct call *call = publish_with(a, &what, NULL);
    AWAIT(told_count(b, TOLD_DOWN, "") == 1);
    AWAIT_ANSWER(call);
    assert_int_equal(call->result, BROKER_OK);
    AWAIT(b->up);
    redis_ask(&redis, "CONFIG", "SET", "client-output-buffer-limit", "pubsub 32mb 8mb 60", NULL);
    assert_int_equal(told_count(b, TOLD_PUSHED, ""), 0);
    subscribe_now(b, "r");
    assert_int_equal(told_last(b, TOLD_SUBSCRIBED, "r")->number, read_all(b, "r")->page.last);
    assert_int_equal(told_count(a, TOLD_DOWN, ""), 0);
    free(body);
}

/* A network may deliver what was said on a link long after the broker has given that up. */
static void what_comes_late_from_an_earlier_link_does_not_count(void **state)
{
    struct instance *a = instance_up_behind("A", &proxy), *b = instance_up("B");
    subscribe_now(b, "r");
    proxy->delaying = true;
    struct call *call = publish(a, "r", "once");
    subscribe(a, "s");
    enter(a, "r", "x");
    enter(a, "r", "goes meanwhile");
    struct broker_lease lease = {
        .pid = SPAN_LIT("pid"), .sid = SPAN_LIT("sid"), .rooms = SPAN_LIT("old"), .generation = 1, .window_ms = 60000};
    lease_write(a, &lease);
    lease_claim(a, "pid", "", 0);
    instances_run(20);
    byte_proxy_cut(proxy);
    AWAIT(!a->up);
    proxy->delaying = false;
    AWAIT(a->up);
    enter(a, "r", "x");
    lease.rooms = SPAN_LIT("new");
    lease_write(a, &lease);
    AWAIT_ANSWER(call);
    AWAIT(told_count(b, TOLD_ENTERED, "r") == 1);
    byte_proxy_deliver(proxy);
    AWAIT(told_who(b, TOLD_ENTERED, "r", "goes meanwhile") == 1); /* it has been delivered */
    publish_now(a, "r", "twice");
    struct call *log = read_all(b, "r");
    assert_int_equal(log->page.count, 2);
    assert_span(log->page.entries[1].body, "twice");
    AWAIT(told_count(b, TOLD_PUSHED, "r") == 2);
    struct call *probed = probe(a), *claim = lease_claim(b, "pid", "", 0);
    AWAIT(probed->answers > 0 && claim->answers > 0);
    assert_int_equal(told_count(a, TOLD_SUBSCRIBED, ""), 0);
    assert_span(claim->lease.rooms, "new");
    assert_int_equal(claim->lease.generation, 2);
    /* A member that entered by the new link belongs to it. (The other one goes with the life of the old link.) */
    leave(a, "r", "x", false);
    AWAIT_WITHIN(500, told_who(b, TOLD_LEFT, "r", "x") == 1);
    assert_int_equal(told_count(a, TOLD_DOWN, ""), 1);
}

/* Before Redis 7, an error within a script hides what it was behind where it was. */
static void a_primary_that_became_a_replica_is_left(void **state)
{
    static const char *const errors[] = {
        "READONLY You can't write against a read only replica. script: 1234, on @user_script:20.",
        "ERR Error running script (call to f_1234): @user_script:20: @user_script: 20: -READONLY You can't write "
        "against a "
        "read only replica. "};
    struct instance *a = instance_up_behind("A", &proxy);
    for (size_t i = 0; i < 2; i++) {
        proxy->instead = errors[i];
        struct call *call = publish(a, "r", "x");
        AWAIT(told_count(a, TOLD_DOWN, "") == i + 1);
        AWAIT_ANSWER(call);
        assert_int_equal(call->result, BROKER_OK);
        AWAIT(a->up);
    }
    assert_int_equal(read_all(a, "r")->page.count, 2);
}

/* The others, who wait behind it, are not to wait for ever. */
static void a_list_that_is_lost_holds_up_nobody(void **state)
{
    struct instance *a = instance_up_behind("A", &proxy);
    enter(a, "r", "x");
    proxy->swallow = "present ";
    struct call *first = list(a, "r", 0, 10), *second = list(a, "r", 0, 10);
    AWAIT(first->answers > 0 && second->answers > 0);
    assert_int_equal(first->result, BROKER_LOST);
    assert_int_equal(second->result, BROKER_OK);
}

/* When a link comes up, every room is subscribed and everybody enters again: however many they are, the queues are not
 * to overflow, nor Redis' buffer of a subscriber, or the link would break, and all begin anew. */
static void much_at_once_goes_in_turns(void **state)
{
    enum { ROOMS = 3000 };
    char room[1000], sid[16];
    struct instance *a = instance_up("A");
    struct redis_broker *redis_a = container_of(a->broker, struct redis_broker, broker);
    for (int i = 0; i < ROOMS; i++) {
        snprintf(room, sizeof room, "r%0900d", i);
        snprintf(sid, sizeof sid, "s%d", i);
        subscribe(a, room);
        enter(a, room, sid);
    }
    assert_true(conn_queued(&redis_a->feed.conn) < 2 << 20);
    assert_true(conn_queued(&redis_a->commands.conn) < 2 << 20);
    unsubscribe(a, room);
    AWAIT_WITHIN(20000, told_count(a, TOLD_SUBSCRIBED, "") >= ROOMS - 1);
    struct call *call = list(a, room, 0, 10);
    AWAIT_ANSWER(call);
    assert_int_equal(call->presence.count, 1);
    assert_int_equal(told_count(a, TOLD_DOWN, ""), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BROKER_TEST(answers_may_be_cut_anywhere),
        BROKER_TEST(pushes_may_be_cut_anywhere),
        BROKER_TEST(greetings_may_be_cut_anywhere),
        BROKER_TEST(connecting_is_tried_ever_more_slowly),
        BROKER_TEST(what_goes_on_while_a_link_breaks_is_answered),
        BROKER_TEST(what_is_published_while_the_link_is_down_keeps_its_order),
        BROKER_TEST(what_waits_has_a_bound),
        BROKER_TEST(an_overrun_feed_begins_anew),
        BROKER_TEST(what_comes_late_from_an_earlier_link_does_not_count),
        BROKER_TEST(a_primary_that_became_a_replica_is_left),
        BROKER_TEST(a_list_that_is_lost_holds_up_nobody),
        BROKER_TEST(much_at_once_goes_in_turns),
    };
    return instances_main(argc, argv, "broker/redis_links", tests, sizeof tests / sizeof tests[0], NULL);
}
