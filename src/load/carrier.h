/* carrier: what carries a client's messages: a link, or an Engine.IO session over long-polling until it is upgraded.
 * The other parts of a client use these functions, and need not know which. */
#ifndef SENNIT_LOAD_CARRIER_H
#define SENNIT_LOAD_CARRIER_H

#include "base/span.h"
#include "load/options.h"

struct client;

/* The client has none. It is told by client_link_opened and its like. */
void carrier_open(struct client *client);
/* Sends a text or binary message; dropped silently when the client has no carrier. */
void carrier_send(struct client *client, struct span text);
void carrier_send_binary(struct client *client, struct span bytes);
/* Cuts it, or ends it at once: the client has none then, and is not told. Both are harmless when it has none. */
void carrier_cut(struct client *client, enum cut_kind kind);
void carrier_drop(struct client *client);

#endif
