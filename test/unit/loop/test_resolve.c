/* test_resolve: names through c-ares, which asks a name server of ours on the loopback. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ares.h>
#include <cmocka.h>

#include "../patience.h"
#include "loop/io.h"
#include "loop/resolve.h"

enum { WAIT_MS = 10000, TYPE_A = 1, TYPE_AAAA = 28 };

static struct loop *loop;
static struct io server; /* of names */
static uint16_t server_port;
static unsigned asked;
static bool deaf;

/* The linker puts it in front of c-ares' own: what is made asks our server only. The types are spelled differently from
 * one version of c-ares to the next. */
int __real_ares_init_options(void *channel, void *options, int mask);
int __wrap_ares_init_options(void *channel, void *options, int mask);
int __wrap_ares_init_options(void *channel, void *options, int mask)
{
    char servers[32];
    ((struct ares_options *)options)->flags = ARES_FLAG_NOSEARCH;
    int status = __real_ares_init_options(channel, options, mask | ARES_OPT_FLAGS);
    snprintf(servers, sizeof servers, "127.0.0.1:%u", server_port);
    if (status == ARES_SUCCESS)
        status = ares_set_servers_ports_csv(*(ares_channel *)channel, servers);
    return status;
}

/* Any name that begins with "known" has the address 127.0.0.9. */
static void on_question(struct io *io, unsigned ready)
{
    unsigned char message[512 + 16];
    struct sockaddr_in from;
    socklen_t from_len = sizeof from;
    ssize_t len = recvfrom(io->fd, message, 512, 0, (struct sockaddr *)&from, &from_len);
    if (len < 17 || deaf)
        return;
    asked++;
    size_t end = 12;
    while (end < (size_t)len && message[end] != 0)
        end += message[end] + 1u;
    end += 5; /* the root, type, class */
    bool known = memcmp(message + 13, "known", 5) == 0, has = known && message[end - 3] == TYPE_A;
    message[2] = 0x84; /* an answer, with authority */
    message[3] = known ? 0 : 3;
    memset(message + 6, 0, 6);
    if (has) {
        static const unsigned char record[] = {0xc0, 12, 0, TYPE_A, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 9};
        message[7] = 1;
        memcpy(message + end, record, sizeof record);
        end += sizeof record;
    }
    sendto(io->fd, message, end, 0, (const struct sockaddr *)&from, from_len);
}

static struct io listener, stream;
static bool stream_heard, answered;
static size_t count;
static char ip[ADDR_TEXT_MAX], reason[128];

static void on_answer(void *arg, const struct addr *addrs, size_t addr_count, const char *why)
{
    answered = true;
    count = addr_count;
    if (count > 0)
        addr_ip_text(&addrs[0], ip);
    else
        snprintf(reason, sizeof reason, "%s", why);
    loop_stop(loop);
}

static void on_stream(struct io *io, unsigned ready)
{
    stream_heard = true;
    io_want(io, 0);
    loop_stop(loop);
}

/* As all callers do, it connects to the address: the new stream may get a descriptor that c-ares has just closed. */
static void on_answer_connect(void *arg, const struct addr *addrs, size_t addr_count, const char *why)
{
    struct addr addr;
    answered = true;
    io_local(&listener, &addr);
    assert_true(io_connect(&stream, &addr));
    io_want(&stream, IO_WRITE);
}

static int set_up(void **state)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof in;
    struct err err;
    struct addr addr;
    loop = loop_create(&err);
    io_init(&server, loop, on_question);
    io_init(&listener, loop, on_stream);
    io_init(&stream, loop, on_stream);
    addr_loopback(&addr, 0);
    assert_true(io_listen(&listener, &addr, &err));
    server.fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server.fd, (const struct sockaddr *)&in, sizeof in), 0);
    getsockname(server.fd, (struct sockaddr *)&in, &len);
    server_port = ntohs(in.sin_port);
    io_want(&server, IO_READ);
    asked = 0;
    deaf = stream_heard = answered = false;
    return 0;
}

static int tear_down(void **state)
{
    io_close(&server, false);
    io_close(&listener, false);
    io_close(&stream, false);
    loop_destroy(loop);
    return 0;
}

static void test_a_name(void **state)
{
    resolve_start(loop, "known.test", 6379, on_answer, NULL);
    run_for(loop, WAIT_MS);
    assert_true(answered && asked > 0);
    assert_int_equal(count, 1);
    assert_string_equal(ip, "127.0.0.9");
}

static void test_an_address(void **state)
{
    resolve_start(loop, "127.0.0.3", 6379, on_answer, NULL);
    assert_false(answered);
    run_for(loop, WAIT_MS);
    assert_string_equal(ip, "127.0.0.3");
    assert_int_equal(asked, 0);
}

static void test_a_name_that_is_not_known(void **state)
{
    resolve_start(loop, "strange.test", 6379, on_answer, NULL);
    run_for(loop, WAIT_MS);
    assert_true(answered);
    assert_int_equal(count, 0);
    assert_string_equal(reason, "Domain name not found");
}

static void test_what_is_opened_on_the_answer_is_heard(void **state)
{
    for (int i = 0; i < 5; i++) {
        answered = stream_heard = false;
        resolve_start(loop, "known.test", 6379, on_answer_connect, NULL);
        run_for(loop, 2000);
        assert_true(answered);
        assert_true(stream_heard);
        io_close(&stream, false);
    }
}

static void test_cancelled(void **state)
{
    deaf = true;
    struct resolve *resolve = resolve_start(loop, "known.test", 6379, on_answer, NULL);
    run_for(loop, 100);
    resolve_cancel(resolve);
    run_for(loop, 100);
    assert_false(answered);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_name),    TEST(an_address), TEST(a_name_that_is_not_known), TEST(what_is_opened_on_the_answer_is_heard),
        TEST(cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
