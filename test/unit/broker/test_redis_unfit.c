/* test_redis_unfit: what a broker says of a Redis that is not what it needs, and what strange keys and messages do to
 * it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "byte_proxy.h"
#include "instances.h"

/* A Redis that will not do, and what is said of it. */
struct unfit {
    const char *before[8], *after[8]; /* commands that make it so, and mend it */
    const char *login;                /* in the URL */
    const char *path;
    const char *says[3]; /* what is wrong, and what to do */
};

static const struct unfit unfits[] = {
    {.before = {"CONFIG", "SET", "requirepass", "secret"},
     .after = {"CONFIG", "SET", "requirepass", ""},
     .login = "",
     .says = {"NOAUTH", "redis://:password@host"}},
    {.before = {"CONFIG", "SET", "requirepass", "secret"},
     .after = {"CONFIG", "SET", "requirepass", ""},
     .login = ":hunter2@",
     .says = {"WRONGPASS", "REDIS_URL"}},
    {.login = ":hunter2@", .says = {"knows no password", "REDIS_URL"}},
    {.login = "nobody:hunter2@", .says = {"WRONGPASS", "REDIS_URL"}},
    {.login = "", .path = "/99", .says = {"DB index", "another number"}},
    {.before = {"ACL", "SETUSER", "u", "reset", "on", ">p", "+@all"},
     .login = "u:p@",
     .says = {"NOPERM", "docs/serve.md"}}, /* no channel */
    {.before = {"ACL", "SETUSER", "u", "&*", "-xadd", "allkeys", NULL},
     .login = "u:p@",
     .says = {"XADD", "docs/serve.md"}},
    {.before = {"ACL", "SETUSER", "u", "+xadd", "resetkeys", "~other*", NULL},
     .login = "u:p@",
     .says = {"NOPERM", "docs/serve.md"}},
    {.before = {"ACL", "SETUSER", "u", "allkeys", "-@scripting", NULL},
     .login = "u:p@",
     .says = {"NOPERM", "docs/serve.md"}},
    {.before = {"CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", "allkeys-lru"},
     .after = {"CONFIG", "SET", "maxmemory", "0", "maxmemory-policy", "noeviction"},
     .login = "",
     .says = {"allkeys-lru", "CONFIG SET maxmemory-policy noeviction"}},
};

static void check_unfit(const struct unfit *unfit)
{
    char url[128];
    snprintf(url, sizeof url, "redis://%s127.0.0.1:%u%s", unfit->login, redis.port,
             unfit->path != NULL ? unfit->path : "");
    if (unfit->before[0] != NULL)
        redis_ask_words(&redis, unfit->before);
    struct instance *a = instance_open_at("A", url);
    AWAIT(told_count(a, TOLD_UNUSABLE, "") == 1);
    if (unfit->after[0] != NULL) {
        redis_try(&redis, "AUTH", "secret", NULL);
        redis_ask_words(&redis, unfit->after);
    }
    instances_run(110); /* trying again would help now, but is not done */
    assert_int_equal(a->told_count, 1);
    char why[1024];
    snprintf(why, sizeof why, SPAN_FMT, SPAN_ARG(told_at(a, TOLD_UNUSABLE, "", 0)->name));
    for (int i = 0; unfit->says[i] != NULL; i++)
        if (strstr(why, unfit->says[i]) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", why, unfit->says[i]);
    assert_null(strstr(why, "hunter2"));
    assert_false(instances_logged("hunter2"));
    struct call *call = publish(a, "r", "x"), *read = read_range(a, SPAN_LIT("r"), &(struct broker_range){.limit = 1});
    AWAIT_ANSWER(read);
    assert_int_equal(read->result, BROKER_LOST);
    instance_destroy(a);
    assert_int_equal(call->result, BROKER_LOST);
}

static void what_will_not_do_is_told_with_its_remedy(void **state)
{
    for (size_t i = 0; i < sizeof unfits / sizeof unfits[0]; i++)
        check_unfit(&unfits[i]);
    redis_ask(&redis, "ACL", "DELUSER", "u", NULL);
    /* None of these is left behind. */
    instance_up("B");
}

/* There is no old Redis here: a proxy makes this one look like that. */
static void an_old_redis_is_told(void **state)
{
    char version[64];
    const char *info = redis_ask(&redis, "INFO", "server", NULL), *at = strstr(info, "redis_version:");
    assert_non_null(at);
    snprintf(version, sizeof version, "%.*s", (int)strcspn(at, "\r\n"), at);
    for (int i = 0; i < 2; i++) {
        char other[64];
        snprintf(other, sizeof other, "redis_version:%s%.*s", i == 0 ? "6.1." : "6.2.", (int)strlen(version) - 18,
                 "99999999");
        struct byte_proxy *proxy = byte_proxy_open(&net, redis.port);
        proxy->lie[0] = version;
        proxy->lie[1] = other;
        struct instance *a = instance_open_at("A", byte_proxy_url(proxy));
        if (i == 1) {
            AWAIT(a->up);
            continue;
        }
        AWAIT(told_count(a, TOLD_UNUSABLE, "") == 1);
        char why[256];
        snprintf(why, sizeof why, SPAN_FMT, SPAN_ARG(told_at(a, TOLD_UNUSABLE, "", 0)->name));
        assert_non_null(strstr(why, "6.2 or later is needed, it is 6.1."));
        assert_false(a->up);
    }
}

static void a_policy_does_not_matter_without_a_limit(void **state)
{
    redis_ask(&redis, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru", NULL);
    instance_up("A");
    redis_ask(&redis, "CONFIG", "SET", "maxmemory-policy", "noeviction", NULL);
}

/* A Redis that was up once may be so again: the operator is in the middle of something. */
static void what_worked_once_is_tried_again(void **state)
{
    struct instance *a = instance_up("A");
    struct call *call;
    redis_ask(&redis, "CONFIG", "SET", "requirepass", "secret", NULL);
    redis_ask(&redis, "AUTH", "secret", NULL);
    redis_ask(&redis, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes", NULL);
    AWAIT(!a->up && instances_logged("NOAUTH"));
    call = publish(a, "r", "x");
    instances_run(100);
    redis_ask(&redis, "CONFIG", "SET", "requirepass", "", NULL);
    AWAIT(a->up);
    AWAIT_ANSWER(call);
    assert_int_equal(call->result, BROKER_OK);
    redis_ask(&redis, "CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", "volatile-ttl", NULL);
    redis_ask(&redis, "CLIENT", "KILL", "TYPE", "pubsub", NULL);
    AWAIT(!a->up && instances_logged("volatile-ttl"));
    redis_ask(&redis, "CONFIG", "SET", "maxmemory", "0", "maxmemory-policy", "noeviction", NULL);
    AWAIT(a->up);
    assert_int_equal(told_count(a, TOLD_UNUSABLE, ""), 0);
}

/* Somebody else's data under our key is not our bug: it is said, and tried again. */
static void strange_keys_are_said(void **state)
{
    redis_ask(&redis, "SET", instances_key("state"), "not ours", NULL);
    struct instance *a = instance_open("A");
    AWAIT(instances_logged("WRONGTYPE"));
    assert_int_equal(a->told_count, 0);
    redis_ask(&redis, "DEL", instances_key("state"), NULL);
    AWAIT(a->up);
}

/* Whoever can publish on our channels can break a link, and nothing else. Each message has an instance of its own.
 */
struct strange {
    bool to_inbox;
    const char *text;
    size_t downs; /* links it breaks */
};

static const struct strange stranges[] = {
    {false, "garbage", 1},
    {false, "e 1 2 3", 1},
    {false, "e 1 2 3 99\nx", 1},
    {false, "e x 2 3 0\n", 1},
    {false, "^", 1},
    {false, "^e", 1},
    {false, "^e x", 1},
    {false, "+", 1},
    {false, "+1 9\nx", 1},
    {false, "-x 1\ny", 1},
    {false, "", 0},
    {true, "fence", 1},
    {true, "fence 1 2\nr", 1},
    {true, "fence 1 2 x\nr", 1},
    {true, "fence 1 2 3\n", 1},
    {true, "fence 1 2 3 x\nr", 1},
    {true, "fence 1 2 3 4 5\nr", 1},
    {true, "record", 1},
    {true, "record granted 1 0 0 x e 0 0 0 0 0\nAAAABBBBCCCCDDDDEEEE", 1},
    {true, "record granted 1 0 0 0 e 0 9 0 0 0\nAAAABBBBCCCCDDDDEEEE", 1},
    {true, "record granted 1 0 0 0 e 0 0 0 9999 0\nAAAABBBBCCCCDDDDEEEE", 1},
    {true, "record ponged 1\nshort", 1},
    {true, "entry", 1},
    {true, "entry 9\nx", 1},
    {true, "entry x\nr", 1},
    {true, "top\nr", 1},
    {true, "top x\nr", 1},
    {true, "claimed", 1},
    {true, "claimed x\np", 1},
    {true, "present", 1},
    {true, "present 1 2\n", 1},
    {true, "present 1 x 2\n", 1},
    {true, "present 1 0 1\n5 5\nx", 1},
    {true, "present 1 0 1\nx", 1},
    {true, "probe", 1},
    {true, "probe x\n", 1},
    {true, "", 0},
    {true, "unknown 1 2 3\nx", 0},
    {true, "fence 1 2 3\nr", 0},
    {true, "fence 1 2 3 4\nr", 0},
    {true, "present 1 0 0\n", 0},
    {true, "probe 0\n", 0},
};

static void strange_messages_break_the_link_at_most(void **state)
{
    enum { COUNT = sizeof stranges / sizeof stranges[0] };
    struct instance *all[COUNT];
    char name[16], channel[32];
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "i%d", i);
        all[i] = instance_up(name);
        subscribe_now(all[i], name);
    }
    for (int i = 0; i < COUNT; i++) {
        snprintf(channel, sizeof channel, "%s:i%d", stranges[i].to_inbox ? "inbox" : "push", i);
        redis_ask(&redis, "PUBLISH", instances_key(channel), stranges[i].text, NULL);
    }
    for (int i = 0; i < COUNT; i++) {
        AWAIT(told_count(all[i], TOLD_DOWN, "") >= stranges[i].downs && all[i]->up);
        struct call *probed = probe(all[i]);
        AWAIT_ANSWER(probed);
        assert_int_equal(probed->result, BROKER_OK);
        assert_int_equal(told_count(all[i], TOLD_DOWN, ""), stranges[i].downs);
        assert_int_equal(told_count(all[i], TOLD_SUBSCRIBED, ""), 1);
    }
}

int main(int argc, char **argv)
{
#define UNFIT_TEST(name) cmocka_unit_test_setup_teardown(name, instances_set_up_mended, instances_tear_down)
    static const char *const options[] = {"--appendonly", "yes", "--appendfsync", "always", NULL};
    const struct CMUnitTest tests[] = {
        UNFIT_TEST(what_will_not_do_is_told_with_its_remedy),
        UNFIT_TEST(an_old_redis_is_told),
        UNFIT_TEST(a_policy_does_not_matter_without_a_limit),
        UNFIT_TEST(what_worked_once_is_tried_again),
        UNFIT_TEST(strange_keys_are_said),
        UNFIT_TEST(strange_messages_break_the_link_at_most),
    };
    return instances_main(argc, argv, "broker/redis_unfit", tests, sizeof tests / sizeof tests[0], options);
}
