/* test_redis_liar: a Redis that lies: a proxy changes texts, numbers, kinds and counts of what it says. Whatever it
 * says, nothing ends but links, every call is answered, and with the truth everything works again.
 *
 * BROKER_LIES=N runs so many histories, BROKER_LIES_FROM=N begins with that one. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "byte_proxy.h"
#include "instances.h"

enum { HISTORIES = 150, HONEST_EVERY = 25 };

static int number_from(const char *name, int otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? atoi(text) : otherwise;
}

/* Some of everything that asks Redis for something. */
static void ask_of_everything(struct instance *a, int round)
{
    struct broker_lease lease = {.pid = SPAN_LIT("pid"),
                                 .sid = SPAN_LIT("sid"),
                                 .own = SPAN_LIT("@own"),
                                 .rooms = SPAN_LIT("rooms"),
                                 .generation = 1 + (uint64_t)round,
                                 .window_ms = 60000};
    struct broker_publish named = {.room = SPAN_LIT("r"), .body = SPAN_LIT("n"), .id = SPAN_LIT("name")};
    publish(a, "r", "logged");
    publish(a, "@own", "own");
    publish_with(a, &named, NULL);
    publish_with(a, &named, NOT_LOGGED);
    subscribe(a, round % 2 == 0 ? "r" : "s");
    lease_write(a, &lease);
    lease_claim(a, "pid", a->epoch, 1);
    enter(a, "r", "sid");
    list(a, "r", 0, 10);
    read_range(a, SPAN_LIT("r"), &(struct broker_range){.limit = 5});
    read_range(a, SPAN_LIT("r"), &(struct broker_range){.seq = UINT64_MAX, .back = true, .limit = 5});
    stats(a);
    probe(a);
    if (round % 3 == 2)
        leave(a, "r", "sid", round % 2 == 0);
}

static void one_history(int seed, bool honest_at_the_end)
{
    struct byte_proxy *proxy;
    struct instance *a = instance_up_behind("A", &proxy);
    a->loose = true;
    ask_of_everything(a, 0);
    instances_run(3);
    proxy->lie_seed = (uint64_t)seed;
    proxy->lies = 3u << seed % 6;
    for (int round = 1; round < 8; round++) {
        ask_of_everything(a, round);
        instances_run(2);
    }
    instances_forgive();
    proxy->lies = 0;
    if (honest_at_the_end) {
        AWAIT_WITHIN(8000, (instances_forgive(), a->up));
        struct call *call = publish(a, "r", "true");
        AWAIT_WITHIN(8000, (instances_forgive(), call->answers > 0));
    }
    instance_destroy(a);
    byte_proxy_close(proxy);
    instances_forgive();
}

static void lies_end_links_and_nothing_else(void **state)
{
    int from = number_from("BROKER_LIES_FROM", 1), count = number_from("BROKER_LIES", HISTORIES);
    for (int seed = from; seed < from + count; seed++)
        one_history(seed, seed % HONEST_EVERY == 0);
}

/* A page that does not move on would be read for ever. */
static void a_page_that_stands_still_breaks_the_link(void **state)
{
    struct byte_proxy *proxy;
    struct instance *a = instance_up_behind("A", &proxy);
    publish_now(a, "r", "1");
    publish_now(a, "s", "2");
    publish_now(a, "r", "3");
    proxy->lie[0] = "$15\r\n3-";
    proxy->lie[1] = "$15\r\n2-";
    struct call *read = read_range(a, SPAN_LIT("r"), &(struct broker_range){.seq = 2, .limit = 5});
    AWAIT_ANSWER(read);
    assert_int_equal(read->result, BROKER_LOST);
    AWAIT(told_count(a, TOLD_DOWN, "") == 1 && instances_logged("a page of a room's log"));
    proxy->lie[0] = NULL;
    AWAIT(a->up);
    assert_int_equal(read_all(a, "r")->page.count, 2);
}

static void what_goes_on_making_no_sense_is_told(void **state)
{
    struct byte_proxy *proxy;
    struct instance *a = instance_up_behind("A", &proxy);
    publish_now(a, "r", "1");
    proxy->lie[0] = "$1\r\nb\r\n";
    proxy->lie[1] = "$1\r\nx\r\n";
    for (int i = 0; i < 5; i++) {
        AWAIT_WITHIN(8000, a->up);
        struct call *read = read_range(a, SPAN_LIT("r"), &(struct broker_range){.limit = 5});
        AWAIT_ANSWER(read);
        assert_int_equal(read->result, BROKER_LOST);
    }
    assert_true(instances_logged("a page of a room's log"));
    assert_non_null(broker_trouble(a->broker));
    assert_non_null(strstr(broker_trouble(a->broker), "keeps sending invalid answers"));
    proxy->lie[0] = NULL;
    AWAIT_WITHIN(8000, a->up);
    struct call *probed = probe(a);
    AWAIT_ANSWER(probed);
    assert_int_equal(probed->result, BROKER_LOST); /* not yet ready: the link has to prove itself */
    AWAIT_WITHIN(15000, broker_trouble(a->broker) == NULL);
    assert_int_equal(read_all(a, "r")->page.count, 1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BROKER_TEST(lies_end_links_and_nothing_else),
        BROKER_TEST(a_page_that_stands_still_breaks_the_link),
        BROKER_TEST(what_goes_on_making_no_sense_is_told),
    };
    return instances_main(argc, argv, "broker/redis_liar", tests, sizeof tests / sizeof tests[0], NULL);
}
