/* netspace: a network namespace (network_namespaces(7)) for a program that is to have ports of its own. It has loopback
 * alone, with the addresses that a container of Cloud Run knows: its own, and the metadata server's. Making one needs
 * CAP_SYS_ADMIN, so root. The kernel removes it when nobody has it open and no process is in it, also after a SIGKILL.
 *
 * A socket belongs to the namespace in which it was made, for good. So this process steps into the namespace only while
 * it makes one:
 *
 *     netspace_enter(space);
 *     conn_connect(conn, &addr);
 *     netspace_leave(space);
 *
 * `platform` makes one for an instance (instance_network.h); a child enters it by child_spec.netspace. */
#ifndef SENNIT_LOOP_NETSPACE_H
#define SENNIT_LOOP_NETSPACE_H

#include "loop/io.h"

/* The addresses of its loopback interface, besides 127.0.0.1. */
#define NETSPACE_ADDRESS "169.254.8.1"
#define NETSPACE_METADATA_ADDRESS "169.254.169.254"

/* Zeroed memory is closed. */
struct netspace {
    int fd, home; /* of the namespace, and of the one that we are in; valid while it is open */
    bool is_open;
};

/* False with `err` set: this process may not. */
bool netspace_open(struct netspace *space, struct err *err);
/* Processes and sockets in it go on. Harmless when closed. */
void netspace_close(struct netspace *space);
/* From one to the other, this thread makes its sockets there. No effect for NULL and for a closed one. Ends this
 * process if the kernel refuses, which it does not with descriptors that are open. */
void netspace_enter(const struct netspace *space);
void netspace_leave(const struct netspace *space);
/* For a child, between fork and exec. */
bool netspace_join(const struct netspace *space);

#endif
