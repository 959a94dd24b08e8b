/* netspace: makes network namespaces and steps into them. Addresses are set by the interface's ioctls (netdevice(7)),
 * so that no netlink is needed. */
#include "loop/netspace.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/log.h"

static int own_open(void)
{
    return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

static void change(int fd)
{
    if (setns(fd, CLONE_NEWNET) == 0)
        return;
    /* Else the next sockets would be made in another network than their owner believes. */
    log_event(LOG_ERROR, "a network namespace cannot be entered", LOG_C("why", strerror(errno)));
    abort();
}

static bool address_add(int socket_, const char *label, const char *address)
{
    struct ifreq request = {0};
    struct sockaddr_in *in = (struct sockaddr_in *)&request.ifr_addr;
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", label);
    in->sin_family = AF_INET;
    inet_pton(AF_INET, address, &in->sin_addr);
    if (ioctl(socket_, SIOCSIFADDR, &request) != 0)
        return false;
    in->sin_addr.s_addr = INADDR_BROADCAST; /* this address alone */
    return ioctl(socket_, SIOCSIFNETMASK, &request) == 0;
}

/* In the new namespace, whose loopback interface is down and has no address. */
static bool loopback_set(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    int descriptor = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool ok = descriptor >= 0 && ioctl(descriptor, SIOCSIFFLAGS, &request) == 0 &&
              address_add(descriptor, "lo:1", NETSPACE_ADDRESS) &&
              address_add(descriptor, "lo:2", NETSPACE_METADATA_ADDRESS);
    int error = errno;
    if (descriptor >= 0)
        close(descriptor);
    errno = error;
    return ok;
}

bool netspace_open(struct netspace *space, struct err *err)
{
    *space = (struct netspace){.fd = -1, .home = own_open()};
    if (space->home < 0 || unshare(CLONE_NEWNET) != 0) {
        int error = errno;
        if (space->home >= 0)
            close(space->home);
        return err_set(err, "a network namespace cannot be made: %s%s", strerror(error),
                       error == EPERM ? " (that needs root, without --user, and in a container CAP_SYS_ADMIN)" : "");
    }
    space->fd = own_open();
    bool ok = space->fd >= 0 && loopback_set();
    int error = errno;
    change(space->home);
    space->is_open = true;
    if (ok)
        return true;
    netspace_close(space);
    return err_set(err, "a network namespace cannot be set up: %s", strerror(error));
}

void netspace_close(struct netspace *space)
{
    if (!space->is_open)
        return;
    if (space->fd >= 0)
        close(space->fd);
    close(space->home);
    space->is_open = false;
}

void netspace_enter(const struct netspace *space)
{
    if (space != NULL && space->is_open)
        change(space->fd);
}

void netspace_leave(const struct netspace *space)
{
    if (space != NULL && space->is_open)
        change(space->home);
}

bool netspace_join(const struct netspace *space)
{
    return space == NULL || !space->is_open || setns(space->fd, CLONE_NEWNET) == 0;
}
