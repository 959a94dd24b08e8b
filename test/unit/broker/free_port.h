/* free_port: a port of the loopback that nothing listened on a moment ago, for a server that the test starts. */
#ifndef SENNIT_BROKER_FREE_PORT_H
#define SENNIT_BROKER_FREE_PORT_H

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
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

#endif
