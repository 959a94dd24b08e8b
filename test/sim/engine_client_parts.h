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
/* Sends a request with this body; its tag. A GET, which is noted as the one under way. The packets of an answer. */
uint64_t engine_ask(struct engine_client *engine, uint16_t *port, const char *method, struct span body);
void engine_get(struct engine_client *engine);
void engine_payload(struct engine_client *engine, struct span payload);

/* engine_client_python.c: of a strict client; a request was answered, or not (status 0). The queue may be sent. */
void engine_python_init(struct engine_client *engine);
void engine_python_leave(struct engine_client *engine);
void engine_python_got(struct engine_client *engine, int status, struct span body);
void engine_python_posted(struct engine_client *engine, int status);
void engine_python_post(struct engine_client *engine);
/* A GET, a POST, or a WebSocket that is to prove itself begins; how it waits. */
void engine_python_asked(struct engine_client *engine);
void engine_python_probes(struct engine_client *engine);
void engine_python_proved(struct engine_client *engine);

/* engine_client_ws.c: dials a WebSocket for the session, or one that is to prove itself. */
void engine_dial(struct engine_client *engine, uint16_t port);
void engine_probe(struct engine_client *engine);
/* No request is under way: sends `5`, and what waits. */
void engine_move(struct engine_client *engine);
/* The WebSocket that was tried is given up. */
void engine_probe_end(struct engine_client *engine);
void engine_frame_send(struct engine_client *engine, enum ws_opcode opcode, struct span payload);

#endif
