/* test_listening: where this process listens. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../own_ip.h"
#include "loop/listening.h"

static int listen_on(const char *ip, uint16_t *port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(ip)};
    socklen_t len = sizeof in;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(listen(fd, 1), 0);
    getsockname(fd, (struct sockaddr *)&in, &len);
    *port = ntohs(in.sin_port);
    return fd;
}

static int listen_on_6(const struct in6_addr *ip, uint16_t *port)
{
    struct sockaddr_in6 in = {.sin6_family = AF_INET6, .sin6_addr = *ip};
    socklen_t len = sizeof in;
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && bind(fd, (const struct sockaddr *)&in, sizeof in) != 0) {
        close(fd);
        fd = -1;
    }
    if (fd < 0)
        return -1;
    assert_int_equal(listen(fd, 1), 0);
    getsockname(fd, (struct sockaddr *)&in, &len);
    *port = ntohs(in.sin6_port);
    return fd;
}

static bool is_among(uint16_t port, const uint16_t *ports, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (ports[i] == port)
            return true;
    return false;
}

static void test_addresses(void **state)
{
    uint16_t local, any, six;
    int a = listen_on("127.0.0.1", &local), b = listen_on("0.0.0.0", &any), c = listen_on_6(&in6addr_loopback, &six);
    assert_int_equal(listening_on(getpid(), local), LISTENING_LOOPBACK);
    assert_int_equal(listening_on(getpid(), any), LISTENING_OTHERS);
    if (c >= 0)
        assert_int_equal(listening_on(getpid(), six), LISTENING_LOOPBACK);
    close(a);
    close(b);
    close(c);
    assert_int_equal(listening_on(getpid(), local), LISTENING_NOT);
    c = listen_on_6(&in6addr_any, &six);
    if (c >= 0)
        assert_int_equal(listening_on(getpid(), six), LISTENING_OTHERS);
    close(c);
}

static void test_ports_of_a_group(void **state)
{
    uint16_t one, two, ports[64];
    int a = listen_on("127.0.0.1", &one), b = listen_on("127.0.0.1", &two);
    size_t count = listening_ports(getpgrp(), ports, 64);
    assert_true(is_among(one, ports, count));
    assert_true(is_among(two, ports, count));
    assert_int_equal(listening_ports(getpgrp(), ports, 1), 1);
    close(a);
    count = listening_ports(getpgrp(), ports, 64);
    assert_false(is_among(one, ports, count));
    assert_true(is_among(two, ports, count));
    close(b);
    assert_int_equal(listening_ports(INT32_MAX, ports, 64), 0);
}

static int connect_to(uint16_t port, uint16_t *own)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = inet_addr("127.0.0.1")};
    socklen_t len = sizeof in;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&in, sizeof in), 0);
    getsockname(fd, (struct sockaddr *)&in, &len);
    *own = ntohs(in.sin_port);
    return fd;
}

static void test_whose_a_connection_is(void **state)
{
    uint16_t port, own;
    int listener = listen_on("127.0.0.1", &port), fd = connect_to(port, &own);
    assert_true(listening_peer_is_own(own, port));
    assert_false(listening_peer_is_own(own, (uint16_t)(port + 1)));
    assert_false(listening_peer_is_own((uint16_t)(own + 1), port));
    close(fd);
    assert_false(listening_peer_is_own(own, port)); /* nobody's any more */
    close(listener);
}

/* Only root can ask as somebody else. */
static void test_another_users_connection(void **state)
{
    enum { SOMEBODY = 65534 };
    uint16_t port, own = 0;
    int tell[2];
    if (geteuid() != 0)
        skip();
    int listener = listen_on("127.0.0.1", &port);
    assert_int_equal(pipe(tell), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (setuid(SOMEBODY) != 0)
            _exit(1);
        connect_to(port, &own);
        if (write(tell[1], &own, sizeof own) != sizeof own)
            _exit(1);
        pause();
    }
    assert_int_equal(read(tell[0], &own, sizeof own), sizeof own);
    assert_false(listening_peer_is_own(own, port));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(listener);
    close(tell[0]);
    close(tell[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_addresses), cmocka_unit_test(test_whose_a_connection_is),
                                       cmocka_unit_test(test_another_users_connection),
                                       cmocka_unit_test(test_ports_of_a_group)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
