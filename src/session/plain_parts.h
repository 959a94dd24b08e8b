/* plain_parts: the messages of sennit.v1 that the server sends. For plain.c; all but the first are functions of
 * struct protocol. */
#ifndef SENNIT_SESSION_PLAIN_PARTS_H
#define SENNIT_SESSION_PLAIN_PARTS_H

#include "session/plain.h"
#include "session/subscriber.h"

/* An error for the request with this ref, which may be empty. `field`: the member at fault; NULL: none. */
void plain_error_send(struct session *session, enum refusal refusal, struct span ref, const char *field);

void plain_opened(struct session *session, const char *sid);
void plain_ending_soon(struct session *session, uint64_t in_ms);
void plain_refused(struct subscriber *subscriber, enum refusal refusal, struct span ref);
void plain_connected(struct subscriber *subscriber, bool recovered);
struct frame *plain_event_encode(const struct subscriber *subscriber, const struct content *content,
                                 const struct token *token);
void plain_answer(struct subscriber *subscriber, struct span ref, const struct content *content);

#endif
