/* publish: the bytes of messages, and the times at which they are sent.
 *
 *     42[/namespace,][ack id]["event",{"id":"<run>.<publisher>-<message>","t":µs,"room":"room-3","pad":"xxx"}]
 *     42[/namespace,][ack id]["event","room-3",{...}]      with --room-event
 *     {"type":"publish","event":"event","args":[...],...}   with --protocol plain
 *     {...}                                                over bare WebSocket
 *
 * `t` counts from the start of the run. The bytes follow from the message's number, so a message that is sent again has
 * the same bytes. */
#ifndef SENNIT_LOAD_PUBLISH_H
#define SENNIT_LOAD_PUBLISH_H

#include "load/run.h"

/* Appends the packet that carries a message. */
void publish_encode(struct run *run, struct buf *to, uint32_t message);
/* Appends the bytes that go with it as its attachment, --binary of them. They differ from message to message. */
void publish_bytes_encode(const struct run *run, struct buf *to, uint32_t message);
void publish_room_name(struct buf *to, uint32_t room);

/* Publishes from now on at the rate of the options, until publish_stop. */
void publish_start(struct run *run);
void publish_stop(struct run *run);

/* The server answered a message of this client with an error. */
void publish_refused(struct run *run, struct client *client, uint32_t message);
/* The server acknowledged a message of this client. */
void publish_acknowledged(struct run *run, struct client *client, uint32_t message);

#endif
