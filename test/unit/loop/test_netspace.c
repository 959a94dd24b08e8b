/* test_netspace: two namespaces have the same port, ours has it a third time, and each is reached from its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop/child.h"
#include "loop/loop.h"
#include "loop/netspace.h"

static struct loop *loop;

static int set_up(void **state)
{
    struct err err;
    loop = loop_create(&err);
    return loop != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    loop_destroy(loop);
    return 0;
}

/* False where this user may not make one: then nothing can be tried. */
static bool opened(struct netspace *space)
{
    struct err err;
    if (netspace_open(space, &err))
        return true;
    assert_false(space->is_open);
    assert_non_null(strstr(err.text, "network namespace"));
    print_message("a network namespace cannot be made here\n");
    return false;
}

static void listen_in(const struct netspace *space, struct io *io, uint16_t port)
{
    struct addr addr;
    struct err err;
    assert_true(addr_from_ip(&addr, SPAN_LIT("0.0.0.0"), port));
    io_init(io, loop, NULL);
    netspace_enter(space);
    assert_true(io_listen(io, &addr, &err));
    netspace_leave(space);
}

/* A connect to an address of this machine is over at once. */
static bool connects(const struct netspace *space, uint16_t port)
{
    struct addr addr;
    struct io io;
    addr_from_ip(&addr, SPAN_LIT(NETSPACE_ADDRESS), port);
    io_init(&io, loop, NULL);
    netspace_enter(space);
    bool begun = io_connect(&io, &addr);
    netspace_leave(space);
    bool connected = begun && io_connected(&io) == 0;
    io_close(&io, false);
    return connected;
}

static void each_has_ports_of_its_own(void **state)
{
    struct netspace first, second;
    struct io in_first, in_second;
    if (!opened(&first))
        skip();
    assert_true(opened(&second));
    listen_in(&first, &in_first, 8080);
    listen_in(&second, &in_second, 8080);
    assert_true(connects(&first, 8080));
    io_close(&in_second, false);
    assert_true(connects(&first, 8080));
    assert_false(connects(&second, 8080));
    netspace_close(&second);
    netspace_close(&second);
    io_close(&in_first, false);
    netspace_close(&first);
}

static char said[128];

static void on_line(struct child *child, bool is_stderr, struct span line)
{
    snprintf(said, sizeof said, SPAN_FMT, SPAN_ARG(line));
}

static void on_ended(struct child *child, struct child_end end)
{
    loop_stop(loop);
}

/* What a child says of its network. */
static const char *network_of_child(const struct netspace *space)
{
    static struct child child;
    struct err err;
    const char *const argv[] = {"readlink", "/proc/self/ns/net", NULL};
    const struct child_spec spec = {.argv = argv, .netspace = space};
    said[0] = '\0';
    if (!child_start(&child, loop, &spec, on_line, on_ended, &err))
        fail_msg("%s", err.text);
    loop_run(loop);
    return said;
}

static void a_child_is_in_it(void **state)
{
    struct netspace space;
    char ours[128] = "", its[128] = "", path[64];
    if (!opened(&space))
        return;
    snprintf(path, sizeof path, "/proc/self/fd/%d", space.fd);
    assert_true(readlink(path, its, sizeof its - 1) > 0);
    assert_true(readlink("/proc/self/ns/net", ours, sizeof ours - 1) > 0);
    assert_string_equal(network_of_child(&space), its);
    assert_string_equal(network_of_child(NULL), ours);
    assert_string_not_equal(its, ours);
    netspace_close(&space);
}

static void a_closed_one_is_ours(void **state)
{
    struct netspace closed = {.is_open = false};
    netspace_enter(&closed);
    netspace_leave(&closed);
    netspace_enter(NULL);
    netspace_leave(NULL);
    assert_true(netspace_join(&closed));
    assert_true(netspace_join(NULL));
    netspace_close(&closed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_has_ports_of_its_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_child_is_in_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_closed_one_is_ours, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
