/* instance_network: a network of its own for an instance (loop/netspace.h), in which PORT is the containerPort, as on
 * Cloud Run. On its loopback are the program, the metadata server at Google's address, and the managed Redis' port. The
 * machine's own loopback is not there. Debian's slirp4netns, if it is installed, leads outside, and has made the way
 * before the program starts; the machine's 127.0.0.1 is 10.0.2.2 then.
 *
 * So by default (NETWORK_AUTO) a program gets one only if it needs one: it listens on the containerPort instead of
 * $PORT, or ends because its port is taken. The fleet remembers that, and its later instances begin so. A container
 * image's program always gets one, where this user may make it. */
#ifndef SENNIT_PLATFORM_INSTANCE_NETWORK_H
#define SENNIT_PLATFORM_INSTANCE_NETWORK_H

#include "loop/child.h"
#include "platform/redis_port.h"

enum network_choice { NETWORK_AUTO, NETWORK_SHARED, NETWORK_PRIVATE };

/* Zeroed memory is closed. */
struct instance_network {
    struct netspace space;
    struct redis_door redis;
    struct child outside; /* slirp4netns */
    char *outside_said;   /* its last line of errors */
    bool is_missed;       /* the program listens on the containerPort instead of $PORT, or wrote that it is in use */
};

struct instance;

/* Makes it if the fleet's instances have one. False with `err` set: --network private cannot be had. With NETWORK_AUTO
 * the instance starts without it then, and the log says why. */
bool instance_network_open(struct instance *instance, struct err *err);
/* In a network of its own: appends /etc/hosts as the program sees it, with a NUL. False: it sees this machine's. */
bool instance_network_hosts(const struct instance *instance, struct buf *hosts);
void instance_network_close(struct instance *instance);
/* A line that the program wrote while it starts. */
void instance_network_line(struct instance *instance, struct span line);
/* The program listens on this port instead of $PORT. True: it is started again, in a network of its own. */
bool instance_network_insists(struct instance *instance, uint16_t port);
/* It ended before it listened. True: for want of a network of its own, which the next one has. */
bool instance_network_was_missing(struct instance *instance);

#endif
