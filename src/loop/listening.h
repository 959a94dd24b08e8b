/* listening: where processes of this machine listen for TCP connections. Linux: /proc.
 *
 * `platform` asks, to tell why a program that runs cannot be reached. */
#ifndef SENNIT_LOOP_LISTENING_H
#define SENNIT_LOOP_LISTENING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum listening { LISTENING_NOT, LISTENING_LOOPBACK, LISTENING_OTHERS };

/* Whether somebody in the network of this process listens on this port: on no address, on this machine's own alone, or
 * on others too. */
enum listening listening_on(pid_t pid, uint16_t port);
/* Whether an established connection between loopback's ports `peer_port` and `port` (ours) belongs, at the peer's end,
 * to a process of this user or of root. */
bool listening_peer_is_own(uint16_t peer_port, uint16_t port);
/* Ports of its leader's network that the processes of a process group listen on, `max` at most, each once. Returns how
 * many; 0 also where this user may not look. */
size_t listening_ports(pid_t group, uint16_t *ports, size_t max);

#endif
