/* test_redis_address: a name with several addresses, not all of which answer. The look-up is ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "broker/broker.h"
#include "broker/redis.h"
#include "loop/resolve.h"
#include "net/listener.h"

enum { WAIT_MS = 5000 };

static struct loop *loop;
static struct net net;
static struct listener listener;
static struct timer patience;
static unsigned lookups, accepted;

/* Answers from the loop, as it must: nobody listens on the first of the two. */
struct resolve {
    struct timer timer;
    uint16_t port;
    resolve_fn *done;
    void *arg;
};

static void on_lookup(struct timer *timer)
{
    struct resolve *resolve = container_of(timer, struct resolve, timer);
    struct addr addrs[2];
    addr_from_ip(&addrs[0], SPAN_LIT("127.0.0.2"), resolve->port);
    addr_from_ip(&addrs[1], SPAN_LIT("127.0.0.1"), resolve->port);
    resolve->done(resolve->arg, addrs, 2, NULL);
    free(resolve);
}

struct resolve *resolve_start(struct loop *of, const char *host, uint16_t port, resolve_fn *done, void *arg)
{
    struct resolve *resolve = mem_zero(1, sizeof *resolve);
    assert_string_equal(host, "two.test");
    lookups++;
    resolve->port = port;
    resolve->done = done;
    resolve->arg = arg;
    timer_init(&resolve->timer, on_lookup);
    timer_start(of, &resolve->timer, 0);
    return resolve;
}

void resolve_cancel(struct resolve *resolve)
{
    if (resolve == NULL)
        return;
    timer_stop(loop, &resolve->timer);
    free(resolve);
}

static void on_accepted(struct listener *of, struct io *io, const struct addr *peer)
{
    if (++accepted == 2) /* both links */
        loop_stop(loop);
}

static void on_patience(struct timer *timer)
{
    loop_stop(loop);
}

static void test_the_next_address_is_tried(void **state)
{
    struct err err;
    struct addr addr;
    loop = loop_create(&err);
    net_init(&net, loop);
    addr_loopback(&addr, 0);
    assert_true(listener_open(&listener, &net, &addr, on_accepted, &err));
    char *url = mem_printf("redis://two.test:%u", listener_port(&listener));
    const struct broker_redis_config config = {.url = url, .prefix = "sennit", .instance = "test"};
    struct broker *broker = broker_redis_create(&net, &config, &err);
    assert_non_null(broker);
    timer_init(&patience, on_patience);
    timer_start(loop, &patience, LOOP_MS(WAIT_MS));
    loop_run(loop);
    timer_stop(loop, &patience);
    assert_int_equal(lookups, 2);
    assert_int_equal(accepted, 2);
    broker_destroy(broker);
    listener_close(&listener);
    net_finish(&net);
    loop_destroy(loop);
    free(url);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_the_next_address_is_tried)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
