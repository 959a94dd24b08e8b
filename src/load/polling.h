/* polling: an Engine.IO session over HTTP long-polling, and its upgrade to WebSocket, as engine.io-client does it.
 *
 *     handshake GET -> open: a GET always, a POST at a time -> over
 *                        |
 *                        +-- probe: a link says 2probe, gets 3probe; no new GET or POST begins; once those under way
 *                            are answered, the link says 5 and is the client's, and the polling is over
 *
 * The client that it belongs to is told the same as by a link, and a probe that fails changes nothing for it. A polling
 * that is over frees itself. */
#ifndef SENNIT_LOAD_POLLING_H
#define SENNIT_LOAD_POLLING_H

#include "base/span.h"
#include "load/options.h"

struct client;
struct line;
struct polling;
struct run;

/* Begins a session for `client`: events of client.h follow, never before this returns. */
struct polling *polling_open(struct run *run, struct client *client);
/* Queues a packet, and POSTs what waits unless a POST is under way: several packets in one, up to the server's
 * maxPayload. */
void polling_send(struct polling *polling, struct span text);
void polling_send_binary(struct polling *polling, struct span bytes);
/* Cuts the session. FIN, RST and HALFOPEN: its connections. CLOSE: a POST of the packet `1`. The client has no polling
 * now, and no function of it is called. */
void polling_cut(struct polling *polling, enum cut_kind kind);
/* The same, at once and without a word to the server. */
void polling_drop(struct polling *polling);

/* Called by its lines: for the answer to a request, after which a line that the server does not keep is nobody's; and
 * when a line has ended. */
void polling_answered(struct polling *polling, struct line *line, int status, struct span body);
void polling_line_closed(struct polling *polling, struct line *line, const char *why);

#endif
