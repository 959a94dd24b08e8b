/* own_ip: where tests listen that take whoever comes for their own peer.
 *
 * Not 127.0.0.1, at which other tests look, again and again, for servers that are gone: the port may be ours by now. */
#ifndef SENNIT_TEST_OWN_IP_H
#define SENNIT_TEST_OWN_IP_H

#define OWN_IP "127.0.0.2"

#endif
