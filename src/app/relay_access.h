/* relay_access: who may connect to the relay's namespaces and what they may do there: the tokens of the instance, and
 * the rules of each namespace. */
#ifndef SENNIT_APP_RELAY_ACCESS_H
#define SENNIT_APP_RELAY_ACCESS_H

#include "app/relay.h"

/* The hooks of struct session_app. */
void relay_admit(struct session_app *app, const struct nsp *nsp, const struct client_proof *proof,
                 struct admission *admission);
bool relay_may(struct session_app *app, const struct subscriber *subscriber, enum deed deed, struct span room);

/* Reads `jwt:` (NULL: none), and `auth:`, `access:` and `presence: {claims}` of each namespace that relay_init has
 * read. `on_platform`: strangers reach this instance, so a namespace that everybody may connect to must say so. False
 * with `err` set. */
bool relay_access_read(struct relay *relay, struct loop *loop, const struct yaml_node *jwt,
                       const struct yaml_node *namespaces, bool on_platform, struct err *err);
void relay_access_finish(struct relay_nsp *config);

/* The event `sennit` of a client, with a new token: `{token}`. Answers it with `{expires_in_ms}`. False: it is none
 * that this namespace takes. */
bool relay_renew(struct subscriber *subscriber, const struct client_event *asked);
/* Whether a client may send this event to all of these rooms; without any, to the namespace. Else it is refused. */
bool relay_may_send(struct subscriber *subscriber, const struct relay_rule *rule, const struct span *rooms,
                    size_t count, const struct client_event *asked);

#endif
