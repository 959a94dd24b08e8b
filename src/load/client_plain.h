/* client_plain: what a client of sennit.v1 says and hears (`--protocol plain`): each message is one JSON object.
 * docs/plain.md describes the protocol. */
#ifndef SENNIT_LOAD_CLIENT_PLAIN_H
#define SENNIT_LOAD_CLIENT_PLAIN_H

#include "base/buf.h"

struct client;

#define CLIENT_PLAIN_SUBPROTOCOL "sennit.v1"

/* Appends the message that connects the client, with what it resumes by. */
void client_plain_connect_encode(const struct client *client, struct buf *to);
/* Appends the one that joins its room `slot`; the answer calls client_join_confirmed. */
void client_plain_join_encode(const struct client *client, struct buf *to, uint32_t slot);
/* Takes a message of the server. */
void client_plain_received(struct client *client, struct span text);

#endif
