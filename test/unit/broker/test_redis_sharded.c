/* test_redis_sharded: a Cluster of one node. Messages go through its sharded channels as long as all instances listen
 * there; whoever does not, misses nothing. */
#include <stdio.h>
#include <stdlib.h>

#include "instances.h"

/* How often the server was called so; 0 too where it never was. */
static unsigned calls(const char *command)
{
    char name[64];
    snprintf(name, sizeof name, "cmdstat_%s:calls=", command);
    const char *at = strstr(redis_ask(&redis, "INFO", "commandstats", NULL), name);
    return at != NULL ? (unsigned)atoi(at + strlen(name)) : 0;
}

/* An instance with this behind its URL. */
static struct instance *up_with(const char *name, const char *login, const char *options)
{
    char url[128];
    snprintf(url, sizeof url, "redis+cluster://%s127.0.0.1:%u%s", login, redis.port, options);
    struct instance *instance = instance_open_at(name, url);
    AWAIT(instance->up);
    return instance;
}

/* A publish of `by` is pushed to all three at once, and through sharded channels or not. */
static void assert_way(struct instance *by, struct instance *const others[2], bool sharded, const char *body)
{
    unsigned before = calls("spublish");
    size_t had[2];
    for (int i = 0; i < 2; i++)
        had[i] = told_count(others[i], TOLD_PUSHED, "r");
    publish_now(by, "r", body);
    for (int i = 0; i < 2; i++) {
        AWAIT_WITHIN(500, told_count(others[i], TOLD_PUSHED, "r") == had[i] + 1);
        assert_span(told_last(others[i], TOLD_PUSHED, "r")->body, body);
    }
    if (sharded)
        assert_true(calls("spublish") > before);
    else
        assert_int_equal(calls("spublish"), before);
}

static void all_listen_there(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B"), *c = up_with("C", "", "");
    subscribe_now(a, "r");
    subscribe_now(b, "r");
    subscribe_now(c, "r");
    assert_way(a, (struct instance *[]){b, c}, true, "1");
    assert_way(c, (struct instance *[]){a, b}, true, "2");
    enter(a, "r", "sid1");
    AWAIT(told_who(b, TOLD_ENTERED, "r", "sid1") == 1);
    unsubscribe(b, "r");
    publish_now(a, "r", "3");
    instances_run(50);
    assert_int_equal(told_count(b, TOLD_PUSHED, "r"), 2);
}

/* An instance of an earlier version, or one whose URL says so: the first publish behind the beginning of its life comes
 * to it, and none is pushed twice. */
static void one_does_not(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    subscribe_now(a, "r");
    subscribe_now(b, "r");
    publish_now(a, "r", "0");
    struct instance *old = up_with("old", "", "?sharded=no");
    subscribe_now(old, "r");
    for (int i = 0; i < 20; i++)
        assert_way(a, (struct instance *[]){b, old}, false, "1");
    assert_way(old, (struct instance *[]){a, b}, false, "2");
    unsigned before = calls("spublish");
    instance_destroy(old);
    AWAIT((publish_now(a, "r", "3"), calls("spublish") > before)); /* its life is over */
    AWAIT(told_count(a, TOLD_PUSHED, "r") == told_count(b, TOLD_PUSHED, "r"));
    assert_int_equal(told_count(a, TOLD_DOWN, "") + told_count(b, TOLD_DOWN, ""), 0);
}

/* The server takes the subscriptions back when the slot goes. Here it comes back before anybody looks. */
static void the_slot_leaves_the_node(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    subscribe_now(a, "r");
    subscribe_now(b, "r");
    publish_now(a, "r", "1");
    AWAIT(told_count(b, TOLD_PUSHED, "r") == 1);
    redis_ask(&redis, "CLUSTER", "DELSLOTSRANGE", "0", "16383", NULL);
    redis_ask(&redis, "CLUSTER", "ADDSLOTSRANGE", "0", "16383", NULL);
    AWAIT(told_count(a, TOLD_DOWN, "") == 1);
    assert_false(instances_logged("is down for now")); /* no command had to find out */
    AWAIT(told_count(a, TOLD_UP, "") == 2 && told_count(b, TOLD_UP, "") == 2 && a->up && b->up);
    subscribe_now(a, "r");
    subscribe_now(b, "r");
    struct call *call = publish(a, "r", "2");
    AWAIT_ANSWER(call);
    assert_int_equal(call->result, BROKER_OK);
    AWAIT(told_count(b, TOLD_PUSHED, "r") == 2);
}

static void without_the_permission(void **state)
{
    static const char *const commands[] = {"-ssubscribe", "-spublish"};
    for (int i = 0; i < 2; i++) {
        redis_ask(&redis, "ACL", "SETUSER", "u", "reset", "on", ">p", "+@all", "allkeys", "&*", commands[i], NULL);
        struct instance *a = instance_up("A"), *poor = up_with("poor", "u:p@", "");
        assert_true(instances_logged("without sharded Pub/Sub"));
        assert_true(instances_logged("+ssubscribe +sunsubscribe +spublish"));
        subscribe_now(a, "r");
        subscribe_now(poor, "r");
        assert_way(a, (struct instance *[]){a, poor}, false, "1");
        assert_way(poor, (struct instance *[]){a, poor}, false, "2");
        instance_destroy(poor);
        instance_destroy(a);
    }
    redis_ask(&redis, "ACL", "DELUSER", "u", NULL);
}

/* Somebody wrote a channel of another node's slot into our keys: the heartbeat cannot publish there so. */
static void a_heartbeat_that_fails_goes_on_without(void **state)
{
    char slot[8];
    snprintf(slot, sizeof slot, "%s", redis_ask(&redis, "CLUSTER", "KEYSLOT", "elsewhere", NULL));
    redis_ask(&redis, "CONFIG", "SET", "cluster-require-full-coverage", "no", NULL);
    redis_ask(&redis, "CLUSTER", "DELSLOTS", slot, NULL);
    struct instance *a = instance_up("A"), *b = instance_up("B");
    subscribe_now(a, "r");
    subscribe_now(b, "r");
    redis_ask(&redis, "ZADD", instances_key("recent"), "1", "elsewhere", NULL);
    AWAIT(instances_logged("a heartbeat on sharded channels failed"));
    AWAIT(a->up && b->up);
    subscribe_now(a, "r");
    subscribe_now(b, "r");
    publish_now(a, "r", "1");
    publish_now(b, "r", "2");
    AWAIT(told_count(a, TOLD_PUSHED, "r") == 2 && told_count(b, TOLD_PUSHED, "r") == 2);
    AWAIT(strcmp(redis_ask(&redis, "ZSCORE", instances_key("recent"), "elsewhere", NULL), "(nil)") == 0);
    redis_ask(&redis, "CLUSTER", "ADDSLOTS", slot, NULL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BROKER_TEST(all_listen_there),
        BROKER_TEST(one_does_not),
        BROKER_TEST(the_slot_leaves_the_node),
        BROKER_TEST(without_the_permission),
        BROKER_TEST(a_heartbeat_that_fails_goes_on_without),
    };
    return instances_main(argc, argv, "broker/redis_sharded", tests, sizeof tests / sizeof tests[0], NULL);
}
