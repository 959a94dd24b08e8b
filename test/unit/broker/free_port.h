/* free_port: a port of the loopback that nothing listened on a moment ago, for a server that the test starts, and the
 * wait until that server listens there. */
#ifndef SENNIT_BROKER_FREE_PORT_H
#define SENNIT_BROKER_FREE_PORT_H

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static inline uint16_t free_port(void)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof name;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
    close(fd);
    return ntohs(name.sin_port);
}

static inline bool port_is_listening(uint16_t port)
{
    struct sockaddr_in name = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool up = connect(fd, (struct sockaddr *)&name, sizeof name) == 0;
    close(fd);
    return up;
}

/* False: the server has ended, and `*server` is 0 then, or it does not listen in time. */
static inline bool port_await(uint16_t port, pid_t *server, int ms_max)
{
    enum { ASK_MS = 10 };
    for (int ms = 0; !port_is_listening(port); ms += ASK_MS) {
        bool has_ended = waitpid(*server, NULL, WNOHANG) != 0;
        if (has_ended)
            *server = 0; /* the number is nobody's any more */
        if (has_ended || ms > ms_max)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = ASK_MS * 1000000}, NULL);
    }
    return true;
}

#endif
