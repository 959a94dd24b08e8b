/* test_destroy: a broker may go in any state, with anything under way; every call is answered once, and nothing is
 * left.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "byte_proxy.h"
#include "instances.h"

/* One of each call. That all are answered once is what the tear-down looks at. */
static void ask_everything(struct instance *by)
{
    struct broker_lease lease = {
        .pid = SPAN_LIT("pid"), .sid = SPAN_LIT("sid"), .own = SPAN_LIT("@own"), .generation = 1, .window_ms = 60000};
    subscribe(by, "r");
    subscribe(by, "@own");
    publish(by, "r", "1");
    publish(by, "@own", "2");
    publish_with(by, &(struct broker_publish){.room = SPAN_LIT("r"), .body = SPAN_LIT("3")}, NOT_LOGGED);
    read_range(by, SPAN_LIT("r"), &(struct broker_range){.limit = 10});
    lease_write(by, &lease);
    lease_claim(by, "pid", "", 0);
    lease_release(by, &lease, false);
    enter(by, "r", "x");
    list(by, "r", 0, 10);
    leave(by, "r", "x", true);
    enter(by, "r", "y");
    leave(by, "r", "y", false);
    stats(by);
    probe(by);
    unsubscribe(by, "r");
}

/* One turn; now and then the server is given the time to answer. */
static void step(int number)
{
    if (number % 2 == 1)
        nanosleep(&(struct timespec){.tv_nsec = kind == KIND_POSTGRES ? 1500000 : 200000}, NULL);
    instances_turn();
}

static void it_may_go_after_any_turn(void **state)
{
    enum { TURNS = 40 };
    bool was_up = false, was_down = false;
    for (int before = 0; before < TURNS; before++) {
        for (int after = 0; after < 4; after++) {
            struct instance *a = instance_open("A");
            for (int i = 0; i < before; i++)
                step(i);
            if (before == TURNS - 1)
                AWAIT(a->up); /* on a busy machine no turn may have been enough */
            was_up |= a->up;
            was_down |= !a->up;
            if (after != 2)
                ask_everything(a);
            for (int i = 0; i < after; i++)
                step(i);
            if (after == 3)
                ask_everything(a);
            instance_destroy(a);
        }
        if (before % 10 == 9)
            instances_pass();
    }
    assert_true(was_down && was_up);
}

static void it_may_go_with_answers_under_way(void **state)
{
    for (int i = 0; i < 30; i++) {
        struct instance *a = instance_up("A");
        ask_everything(a);
        for (int j = 0; j < i % 10; j++)
            step(j);
        ask_everything(a);
        if (i % 3 == 0)
            instances_pass();
        instance_destroy(a);
    }
}

/* Accepted publishes are answered so; the others are answered as lost. */
static void what_it_answers_at_the_end_is_true(void **state)
{
    struct instance *a = instance_up("A"), *b = kind_is_shared() ? instance_up("B") : NULL;
    struct call *last = publish(a, "r", "x"), *read = read_range(a, SPAN_LIT("r"), &(struct broker_range){.limit = 1});
    struct call *claim = lease_claim(a, "pid", "", 0), *said = stats(a), *listed = list(a, "r", 0, 1);
    instance_destroy(a);
    assert_int_equal(last->answers, 1);
    assert_int_equal(last->result, !kind_is_shared() ? BROKER_OK : BROKER_LOST);
    const struct call *const others[] = {read, claim, said, listed};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_int_equal(others[i]->answers, 1);
        assert_int_equal(others[i]->result, BROKER_LOST);
    }
    if (b != NULL)
        publish_now(b, "r", "y");
}

static void a_broker_that_does_not_exist_may_go(void **state)
{
    broker_destroy(NULL);
}

static void it_may_go_while_it_tries_to_connect(void **state)
{
    if (!kind_is_shared())
        return; /* it has nothing to connect to */
    struct byte_proxy *proxy = byte_proxy_open(&net, instances_server_port());
    char silent[64];
    snprintf(silent, sizeof silent, "%s", instances_url(listener_port(&proxy->listener)));
    proxy->held[PROXY_COMMANDS] = proxy->held[PROXY_FEED] = true;
    /* Nobody listens there; somebody does, and says nothing. */
    const char *const of_redis[] = {"redis://127.0.0.1:1", "redis://[::1]:1", "unix:///nonexistent", silent};
    const char *const of_postgres[] = {"postgres://127.0.0.1:1", "postgres://[::1]:1", "postgres://%2Fnonexistent",
                                       silent};
    const char *const of_firestore[] = {"127.0.0.1:1", "[::1]:1", "nonexistent.invalid:1", silent};
    const char *const *urls = kind == KIND_POSTGRES ? of_postgres : kind == KIND_FIRESTORE ? of_firestore : of_redis;
    for (size_t i = 0; i < sizeof of_redis / sizeof of_redis[0]; i++) {
        for (int turns = 0; turns < 12; turns++) {
            struct instance *a = instance_open_at("A", urls[i]);
            ask_everything(a);
            for (int j = 0; j < turns; j++)
                instances_turn();
            if (turns % 4 == 3)
                instances_pass();
            instance_destroy(a);
        }
    }
}

static void it_may_go_while_its_links_are_down(void **state)
{
    if (!kind_is_shared())
        return;
    for (int turns = 0; turns < 10; turns++) {
        struct byte_proxy *proxy;
        struct instance *a = instance_up_behind("A", &proxy);
        ask_everything(a);
        byte_proxy_close(proxy);
        for (int j = 0; j < turns; j++)
            step(j);
        ask_everything(a);
        if (turns % 3 == 2)
            instances_pass();
        instance_destroy(a);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BROKER_TEST(it_may_go_after_any_turn),
        BROKER_TEST(it_may_go_with_answers_under_way),
        BROKER_TEST(what_it_answers_at_the_end_is_true),
        BROKER_TEST(a_broker_that_does_not_exist_may_go),
        BROKER_TEST(it_may_go_while_it_tries_to_connect),
        BROKER_TEST(it_may_go_while_its_links_are_down),
    };
    return instances_main(argc, argv, "broker/destroy", tests, sizeof tests / sizeof tests[0], NULL);
}
