/* engine_client_parts: declarations that the files of the Engine.IO client share. */
#ifndef SENNIT_SIM_ENGINE_CLIENT_PARTS_H
#define SENNIT_SIM_ENGINE_CLIENT_PARTS_H

#include "engine_client.h"

/* engine_client.c: notes an event; printf's rules. The session goes on by polling; a packet has come; the session is
 * over. */
void engine_note(struct engine_client *engine, const char *format, ...) __attribute__((format(printf, 2, 3)));
void engine_poll(struct engine_client *engine);
void engine_packet(struct engine_client *engine, struct span text);
void engine_fail(struct engine_client *engine, uint16_t code);

/* engine_client_ws.c: dials a WebSocket for the session, or one that is to prove itself. */
void engine_dial(struct engine_client *engine, uint16_t port);
void engine_probe(struct engine_client *engine);
/* No request is under way: sends `5`, and what waits. */
void engine_move(struct engine_client *engine);
void engine_frame_send(struct engine_client *engine, enum ws_opcode opcode, struct span payload);

#endif
