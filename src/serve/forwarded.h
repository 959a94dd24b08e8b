/* forwarded: decides the address of a client behind trusted proxies, from X-Forwarded-For. Pure.
 *
 * Each proxy appends the address that it was connected from, so the list grows to the right, and everything to the left
 * of what the trusted proxies wrote is the client's own invention. With `trusted_hops: 2` the last entry is what the
 * nearest proxy saw (the other proxy), and the one before it is what that proxy saw: the client. So the client is the
 * entry number `hops` from the right, and no other entry is ever looked at. */
#ifndef SENNIT_SERVE_FORWARDED_H
#define SENNIT_SERVE_FORWARDED_H

#include "base/err.h"
#include "loop/io.h"
#include "wire/http1.h"
#include "wire/yaml.h"

enum { FORWARDED_HOPS_MAX = 16 };

/* Finds the address that `hops` trusted proxies vouch for: of all fields X-Forwarded-For of the request in their order.
 * An entry is an IPv4 or IPv6 address, with a port or without; the latter also in brackets. False: there are fewer
 * entries than hops, or the entry is no address. `*client` is then unchanged. */
bool forwarded_find(const struct http1_head *head, unsigned hops, struct addr_ip *client);

/* Reads the number of trusted proxies: of `flag`, else of `environment`, else of the field `trusted_hops:` of `root`;
 * NULL: not given. 0 when none is. False with `err` set. */
bool forwarded_hops_read(unsigned *hops, const char *flag, const char *environment, const struct yaml_node *root,
                         struct err *err);

#endif
