/* test_redis_faults: what becomes of brokers when their Redis forgets, restarts, is full, or may not be written
 * to. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "byte_proxy.h"
#include "instances.h"

static bool position_is_ok(struct instance *by, const char *epoch, uint64_t seq)
{
    struct call *call = lease_claim(by, "pid", epoch, seq);
    AWAIT_ANSWER(call);
    assert_int_equal(call->result, BROKER_OK);
    return call->position_ok;
}

static void lease_write_now(struct instance *by)
{
    struct broker_lease lease = {.pid = SPAN_LIT("pid"), .sid = SPAN_LIT("sid"), .generation = 1, .window_ms = 60000};
    struct call *call = lease_write(by, &lease);
    AWAIT_ANSWER(call);
    assert_int_equal(call->result, BROKER_OK);
}

static void forgotten_scripts_are_given_again(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    subscribe_now(b, "r");
    publish_now(a, "r", "1");
    AWAIT(told_count(b, TOLD_PUSHED, "r") == 1);
    for (int i = 0; i < 3; i++) {
        size_t ups = told_count(a, TOLD_UP, "");
        redis_ask(&redis, "SCRIPT", "FLUSH", NULL);
        struct call *call = i == 0   ? publish(a, "r", "2")
                            : i == 1 ? read_range(a, SPAN_LIT("r"), &(struct broker_range){.limit = 1})
                                     : lease_claim(a, "pid", "", 0);
        AWAIT(told_count(a, TOLD_UP, "") == ups + 1);
        AWAIT_ANSWER(call);
        assert_int_equal(call->result, i == 0 ? BROKER_OK : BROKER_LOST);
    }
    AWAIT(told_count(b, TOLD_PUSHED, "r") == 2 || told_count(b, TOLD_DOWN, "") > 0);
    assert_int_equal(read_all(a, "r")->page.count, 2);
    assert_int_equal(told_last(a, TOLD_UP, "")->number, 0);
    assert_int_equal(told_last(a, TOLD_UP, "")->name.len, 0);
}

static void a_restart_that_lost_nothing_ends_the_epoch_all_the_same(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    char before[BROKER_EPOCH_BYTES_MAX + 1];
    snprintf(before, sizeof before, "%s", a->epoch);
    lease_write_now(a);
    for (int i = 0; i < 12; i++)
        publish_now(a, "r", "x");
    redis_process_kill(&redis);
    AWAIT(!a->up && !b->up);
    struct call *meanwhile = publish(a, "r", "meanwhile");
    redis_process_restart(&redis, false);
    AWAIT(a->up && b->up);
    for (int i = 0; i < 2; i++) {
        const struct told *up = told_last(i == 0 ? a : b, TOLD_UP, "");
        assert_span(up->name, before);
        assert_int_equal(up->number, 12);
    }
    assert_string_equal(a->epoch, b->epoch);
    assert_string_not_equal(a->epoch, before);
    AWAIT_ANSWER(meanwhile);
    publish_now(a, "r", "after");
    struct call *log = read_all(b, "r");
    assert_int_equal(log->page.count, 14);
    assert_int_equal(log->page.last, 14);
    /* Entries of the epoch before are good up to its end. */
    assert_true(position_is_ok(a, before, 12));
    assert_true(position_is_ok(a, before, 5));
    assert_false(position_is_ok(a, before, 13));
    assert_true(position_is_ok(a, a->epoch, 14));
    const struct {
        uint64_t seq;
        bool back;
        size_t count;
        bool clipped;
    } reads[] = {{11, false, 3, false},        {12, false, 2, false}, {13, false, 2, true},
                 {UINT64_MAX, false, 2, true}, {13, true, 12, false}, {UINT64_MAX, true, 12, true}};
    for (size_t i = 0; i < sizeof reads / sizeof reads[0]; i++) {
        struct broker_range range = {
            .epoch = span_str(before), .seq = reads[i].seq, .back = reads[i].back, .limit = 20};
        struct call *page = read_range(a, SPAN_LIT("r"), &range);
        AWAIT_ANSWER(page);
        assert_int_equal(page->page.count, reads[i].count);
        assert_int_equal(page->page.clipped, reads[i].clipped);
    }
}

static void an_epoch_ends_at_what_survived(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    char before[BROKER_EPOCH_BYTES_MAX + 1];
    snprintf(before, sizeof before, "%s", a->epoch);
    subscribe_now(a, "r");
    for (int i = 0; i < 5; i++)
        publish_now(a, "r", "kept");
    lease_write_now(a);
    redis_process_save(&redis);
    for (int i = 0; i < 3; i++)
        publish_now(b, "r", "lost");
    AWAIT(told_count(a, TOLD_PUSHED, "r") == 8);
    redis_process_kill(&redis);
    redis_process_restore(&redis);
    redis_process_restart(&redis, false);
    AWAIT(!a->up && !b->up);
    AWAIT(a->up && b->up);
    assert_span(told_last(a, TOLD_UP, "")->name, before);
    assert_int_equal(told_last(a, TOLD_UP, "")->number, 5);
    assert_int_equal(told_last(b, TOLD_UP, "")->number, 5);
    publish_now(b, "r", "anew");
    struct call *log = read_all(a, "r");
    assert_int_equal(log->page.count, 6);
    assert_span(log->page.entries[5].body, "anew");
    assert_int_equal(log->page.entries[5].prev, 5);
    assert_false(position_is_ok(b, before, 6));
    assert_true(position_is_ok(b, before, 5));
    /* Whoever was away for two epochs is told of the one it saw. */
    redis_process_kill(&redis);
    redis_process_restart(&redis, false);
    AWAIT(told_count(a, TOLD_UP, "") == 3 && told_count(b, TOLD_UP, "") == 3);
    assert_true(position_is_ok(b, before, 5));
    assert_false(position_is_ok(b, before, 6));
}

static void what_is_flushed_under_us_ends_the_epoch_at_nothing(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    char before[BROKER_EPOCH_BYTES_MAX + 1];
    snprintf(before, sizeof before, "%s", a->epoch);
    subscribe_now(b, "r");
    for (int i = 0; i < 5; i++)
        publish_now(a, "r", "lost");
    redis_ask(&redis, "FLUSHALL", NULL);
    /* One finds out when it publishes, the other by its heartbeat, if not by what is pushed under another epoch. */
    struct call *call = publish(a, "r", "anew");
    AWAIT(told_count(a, TOLD_UP, "") == 2 && told_count(b, TOLD_UP, "") == 2);
    AWAIT_ANSWER(call);
    assert_int_equal(call->result, BROKER_OK);
    assert_span(told_last(a, TOLD_UP, "")->name, before);
    assert_int_equal(told_last(a, TOLD_UP, "")->number, 0);
    assert_span(told_last(b, TOLD_UP, "")->name, before);
    assert_int_equal(told_last(b, TOLD_UP, "")->number, 0);
    assert_string_equal(a->epoch, b->epoch);
    struct call *log = read_all(b, "r");
    assert_int_equal(log->page.count, 1);
    assert_int_equal(log->page.last, 1);
    redis_ask(&redis, "FLUSHALL", NULL);
    AWAIT(told_count(a, TOLD_UP, "") == 3 && told_count(b, TOLD_UP, "") == 3);
}

/* The server may forget who published last: it was idle for an hour, or the key is gone. */
static void a_forgotten_publisher_goes_on(void **state)
{
    struct instance *a = instance_up("A");
    subscribe_now(a, "r");
    for (int i = 0; i < 3; i++) {
        publish_now(a, "r", "x");
        redis_ask(&redis, "EVAL", "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('DEL', key) end",
                  "0", instances_key("publisher:*"), NULL);
    }
    AWAIT(told_count(a, TOLD_PUSHED, "r") == 3);
    assert_int_equal(read_all(a, "r")->page.count, 3);
    assert_int_equal(told_count(a, TOLD_DOWN, ""), 0);
}

/* What makes Redis refuse to write, and what ends that. */
struct refusal {
    const char *begin[5], *end[5];
    bool link_stays;
};

/* Publishes wait while Redis refuses them, and are accepted once, in order, when it takes them again. */
static void check_waiting(const struct refusal *refusal)
{
    enum { COUNT = 5 };
    struct instance *a = instance_up("A"), *b = instance_up("B");
    struct call *calls[COUNT];
    subscribe_now(b, "r");
    publish_now(a, "r", "0");
    redis_ask_words(&redis, refusal->begin);
    for (int i = 0; i < COUNT; i++) {
        char body[16];
        snprintf(body, sizeof body, "%d", i + 1);
        calls[i] = publish(a, "r", body);
        instances_run(60);
        assert_int_equal(calls[i]->answers, 0);
    }
    struct call *read = read_range(b, SPAN_LIT("r"), &(struct broker_range){.limit = 10});
    AWAIT_ANSWER(read);
    assert_int_equal(read->result, refusal->link_stays || b->up ? BROKER_OK : BROKER_LOST);
    redis_ask_words(&redis, refusal->end);
    AWAIT(calls[COUNT - 1]->answers > 0);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(calls[i]->result, BROKER_OK);
    AWAIT(a->up && b->up);
    struct call *log = read_all(b, "r");
    assert_int_equal(log->page.count, COUNT + 1);
    for (int i = 0; i <= COUNT; i++)
        assert_int_equal(number_of(log->page.entries[i].body), i);
    if (refusal->link_stays) {
        assert_int_equal(told_count(a, TOLD_DOWN, "") + told_count(b, TOLD_DOWN, ""), 0);
        AWAIT(told_count(b, TOLD_PUSHED, "r") == COUNT + 1);
    }
    assert_int_equal(told_count(a, TOLD_UNUSABLE, "") + told_count(b, TOLD_UNUSABLE, ""), 0);
}

/* Events to be logged wait, in their order, and everything else goes on.
 */
static void what_is_to_be_logged_waits_while_memory_is_full(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    subscribe_now(b, "r");
    publish_now(a, "r", "0");
    redis_ask(&redis, "CONFIG", "SET", "maxmemory", "1", NULL);
    struct call *logged = publish(a, "r", "1");
    struct broker_publish passing = {.room = SPAN_LIT("r"), .body = SPAN_LIT("2")};
    struct call *unlogged = publish_with(a, &passing, NOT_LOGGED);
    struct broker_lease lease = {.pid = SPAN_LIT("p"), .sid = SPAN_LIT("s"), .generation = 1, .window_ms = 60000};
    struct call *written = lease_write(a, &lease);
    enter(a, "r", "s");
    AWAIT(unlogged->answers > 0 && written->answers > 0 && told_count(b, TOLD_ENTERED, "r") == 1);
    assert_int_equal(unlogged->result, BROKER_OK);
    assert_int_equal(written->result, BROKER_OK);
    struct call *again = publish(a, "r", "3");
    instances_run(600);
    assert_int_equal(logged->answers + again->answers, 0);
    assert_true(instances_logged("what is to be logged waits"));
    redis_ask(&redis, "CONFIG", "SET", "maxmemory", "0", NULL);
    AWAIT_WITHIN(6000, logged->answers > 0 && again->answers > 0);
    assert_int_equal(logged->result, BROKER_OK);
    assert_int_equal(again->result, BROKER_OK);
    assert_int_equal(told_count(a, TOLD_DOWN, "") + told_count(b, TOLD_DOWN, ""), 0);
    AWAIT(told_count(b, TOLD_PUSHED, "r") == 4);
    struct call *log = read_all(b, "r");
    assert_int_equal(log->page.count, 3);
    assert_span(log->page.entries[1].body, "1");
    assert_span(log->page.entries[2].body, "3");
}

/* However much waits: more than goes into one call. */
static void what_waits_for_memory_holds_up_nothing_else(void **state)
{
    enum { COUNT = 1200 };
    struct instance *a = instance_up("A");
    struct call *last = NULL;
    struct broker_publish passing = {.room = SPAN_LIT("s"), .body = SPAN_LIT("passing")};
    redis_ask(&redis, "CONFIG", "SET", "maxmemory", "1", NULL);
    struct call *said = stats(a);
    AWAIT_ANSWER(said);
    for (int i = 0; i < COUNT; i++)
        last = publish(a, "r", "x");
    struct call *unlogged = publish_with(a, &passing, NOT_LOGGED);
    AWAIT_ANSWER(unlogged);
    assert_int_equal(last->answers, 0);
    redis_ask(&redis, "CONFIG", "SET", "maxmemory", "0", NULL);
    AWAIT_WITHIN(6000, last->answers > 0);
    assert_int_equal(read_all(a, "r")->page.count, COUNT);
}

/* Somebody switches it on while everything runs. */
static void eviction_is_noticed_and_its_end(void **state)
{
    struct instance *a = instance_up("A");
    publish_now(a, "r", "0");
    redis_ask(&redis, "CONFIG", "SET", "maxmemory", "1gb", "maxmemory-policy", "allkeys-lru", NULL);
    AWAIT_WITHIN(10000, broker_trouble(a->broker) != NULL);
    assert_non_null(strstr(broker_trouble(a->broker), "allkeys-lru"));
    assert_true(instances_logged("the broker cannot be relied on"));
    struct call *probed = probe(a);
    AWAIT_ANSWER(probed);
    assert_int_equal(probed->result, BROKER_LOST); /* so /ready says */
    publish_now(a, "r", "1");                      /* those who are here go on */
    redis_ask(&redis, "CONFIG", "SET", "maxmemory", "0", "maxmemory-policy", "noeviction", NULL);
    AWAIT_WITHIN(10000, broker_trouble(a->broker) == NULL);
    probed = probe(a);
    AWAIT_ANSWER(probed);
    assert_int_equal(probed->result, BROKER_OK);
    assert_int_equal(told_count(a, TOLD_DOWN, ""), 0);
}

/* The counter goes, the logs stay; or what the digest is made of is of another kind. Nothing may be accepted and lost.
 */
static void what_is_accepted_is_logged_whatever_key_is_spoiled(void **state)
{
    static const struct {
        const char *what[8];
        bool other_epoch;
    } faults[] = {
        {{"DEL", "state"}, true},
        {{"HDEL", "state", "seq"}, true},
        {{"HSET", "state", "seq", "2"}, true},
        {{"HSET", "state", "seq", "x"}, true},
        {{"DEL", "room:r"}, false},
        {{"DEL", "log:r"}, false},
        {{"DEL", "rooms"}, false},
        {{"DEL", "sizes"}, false},
        {{"SET", "recent", "x"}, false},
        {{"SET", "rooms", "x"}, false},
        {{"SET", "sizes", "x"}, false},
        {{"SET", "away", "x"}, false},
        {{"SET", "heres", "x"}, false},
        {{"SET", "log:r", "x"}, false},
        {{"SET", "room:r", "x"}, false},
        {{"SET", "names:r", "x"}, false},
        {{"HSET", "room:r", "last", "999999999999999999999"}, false},
        {{"HSET", "room:r", "sum", "x"}, false},
        {{"XADD", "log:r", "4000000-1", "foreign", "fields"}, true},
    };
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        char prefix[32];
        snprintf(prefix, sizeof prefix, "spoil%zu", i);
        instances_use_prefix(prefix);
        struct instance *a = instance_up("A"), *b = instance_up("B");
        for (int j = 0; j < 5; j++)
            publish_now(a, "r", "before");
        /* SET does not mind the kind that a key is of. */
        const char *words[8] = {faults[i].what[0], instances_key(faults[i].what[1])};
        for (int j = 2; faults[i].what[j] != NULL; j++)
            words[j] = faults[i].what[j];
        redis_ask_words(&redis, words);
        struct call *calls[6];
        size_t accepted = 0;
        for (int j = 0; j < 6; j++) {
            struct broker_publish what = {
                .room = SPAN_LIT("r"), .body = SPAN_LIT("after"), .id = span_of(&"abcdef"[j], 1)};
            calls[j] = publish_with(a, &what, NULL);
            AWAIT_ANSWER(calls[j]);
            assert_true(calls[j]->result == BROKER_OK || calls[j]->result == BROKER_SPOILED);
            accepted += calls[j]->result == BROKER_OK;
            calls[j] = publish(a, "other", "after");
            AWAIT_ANSWER(calls[j]);
            assert_int_equal(calls[j]->result, BROKER_OK);
        }
        AWAIT(a->up && b->up && strcmp(a->epoch, b->epoch) == 0);
        struct call *log = read_all(b, "r"), *other = read_all(b, "other");
        size_t after = 0;
        for (size_t j = 0; j < log->page.count; j++)
            after += span_equal(log->page.entries[j].body, SPAN_LIT("after"));
        if (accepted != after)
            fail_msg("%s %s: %zu accepted, %zu in the log", words[0], words[1], accepted, after);
        assert_int_equal(other->page.count, 6);
        assert_int_equal(told_count(a, TOLD_UP, "") > 1, faults[i].other_epoch);
        if (accepted < 6)
            assert_true(instances_logged("a key holds foreign or damaged data"));
        instance_destroy(a);
        instance_destroy(b);
    }
}

static void publishes_wait_while_replicas_are_missing(void **state)
{
    static const struct refusal alone = {
        {"CONFIG", "SET", "min-replicas-to-write", "1"}, {"CONFIG", "SET", "min-replicas-to-write", "0"}, true};
    check_waiting(&alone);
    assert_true(instances_logged("NOREPLICAS"));
}

static void publishes_wait_while_it_is_a_replica(void **state)
{
    static const struct refusal replica = {{"REPLICAOF", "127.0.0.1", "1"}, {"REPLICAOF", "NO", "ONE"}, false};
    check_waiting(&replica);
    assert_true(instances_logged("READONLY"));
}

/* A refused member must enter again: the link says so by breaking, which also ends what could not be ended. */
static void presence_that_was_refused_is_told_anew(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    subscribe_now(b, "r");
    for (int i = 0; i < 2; i++) {
        redis_ask(&redis, "CONFIG", "SET", "min-replicas-to-write", "1", NULL);
        if (i == 0)
            enter(a, "r", "x");
        else
            leave(a, "r", "x", false);
        AWAIT(told_count(a, TOLD_DOWN, "") == (size_t)i + 1);
        redis_ask(&redis, "CONFIG", "SET", "min-replicas-to-write", "0", NULL);
        AWAIT(a->up);
        if (i == 0)
            enter(a, "r", "x");
        AWAIT(told_count(b, TOLD_ENTERED, "r") == 1);
    }
    /* Its leaving is told when the life it was entered in has ended: slow_present.c. */
    assert_int_equal(told_count(b, TOLD_DOWN, ""), 0);
}

/* With 2100 commands to load, a fifth of a millisecond each; it looks up at every 1024th. */
static void a_server_that_is_loading_is_waited_for(void **state)
{
    struct instance *a = instance_up("A");
    publish_now(a, "r", "1");
    redis_ask(&redis, "EVAL", "for i = 1, 2100 do redis.call('INCR', 'many') end", "0", NULL);
    redis_process_kill(&redis);
    redis_process_restart(&redis, true);
    struct call *call = publish(a, "r", "2");
    struct instance *b = instance_open("B");
    AWAIT(instances_logged("LOADING"));
    assert_false(a->up || b->up);
    AWAIT(a->up && b->up);
    AWAIT_ANSWER(call);
    assert_int_equal(call->result, BROKER_OK);
    assert_int_equal(read_all(b, "r")->page.count, 2);
    assert_int_equal(told_count(a, TOLD_UNUSABLE, "") + told_count(b, TOLD_UNUSABLE, ""), 0);
}

int main(int argc, char **argv)
{
#define FAULT_TEST(name) cmocka_unit_test_setup_teardown(name, instances_set_up_mended, instances_tear_down)
    static const char *const options[] = {"--appendonly", "yes", "--appendfsync", "always", "--key-load-delay",
                                          "200",          NULL};
    const struct CMUnitTest tests[] = {
        FAULT_TEST(forgotten_scripts_are_given_again),
        FAULT_TEST(a_restart_that_lost_nothing_ends_the_epoch_all_the_same),
        FAULT_TEST(an_epoch_ends_at_what_survived),
        FAULT_TEST(what_is_flushed_under_us_ends_the_epoch_at_nothing),
        FAULT_TEST(a_forgotten_publisher_goes_on),
        FAULT_TEST(what_is_to_be_logged_waits_while_memory_is_full),
        FAULT_TEST(what_waits_for_memory_holds_up_nothing_else),
        FAULT_TEST(eviction_is_noticed_and_its_end),
        FAULT_TEST(what_is_accepted_is_logged_whatever_key_is_spoiled),
        FAULT_TEST(publishes_wait_while_replicas_are_missing),
        FAULT_TEST(publishes_wait_while_it_is_a_replica),
        FAULT_TEST(presence_that_was_refused_is_told_anew),
        FAULT_TEST(a_server_that_is_loading_is_waited_for),
    };
    return instances_main(argc, argv, "broker/redis_faults", tests, sizeof tests / sizeof tests[0], options);
}
