/* relay_access: who is let in, what they may do there, and how a token is renewed. See relay_access.h. */
#include "app/relay_access.h"

#include <stdlib.h>

#include "base/mem.h"
#include "wire/json.h"

enum { RENEWAL_CHANGES = 10 }; /* a new token counts so much: a signature is verified */

static struct relay *relay_of(struct session_app *app)
{
    return container_of(app, struct relay, app);
}

static const struct relay_nsp *config_of(const struct nsp *nsp)
{
    return container_of(nsp, struct relay_nsp, nsp)->like;
}

/* The chosen claims that the token has, as one JSON object. The caller frees it. */
static char *presence_of(const struct relay_nsp *config, const struct identity *identity)
{
    struct buf text = {0};
    buf_append_char(&text, '{');
    for (size_t i = 0; i < config->presence_claim_count; i++) {
        struct span name = span_str(config->presence_claims[i]), value = identity_claim(identity, name);
        if (value.data == NULL)
            continue;
        buf_append(&text, text.len > 1 ? SPAN_LIT(",\"") : SPAN_LIT("\""));
        buf_append_json(&text, name);
        buf_append(&text, SPAN_LIT("\":"));
        buf_append(&text, value);
    }
    buf_append_char(&text, '}');
    char *copy = mem_text(buf_span(&text));
    buf_finish(&text);
    return copy;
}

/* Checks a token, and whether its bearer may connect. REFUSAL_COUNT: the identity is the caller's. */
static enum refusal token_check(struct relay *relay, const struct relay_nsp *config, const struct client_proof *proof,
                                struct identity **identity)
{
    struct buf token = {0};
    *identity = NULL;
    enum refusal refusal = jwt_take(&relay->jwt, proof->auth, proof->token, &token);
    if (refusal == REFUSAL_COUNT)
        refusal = jwt_check(&relay->jwt, buf_span(&token), loop_wall_ms(relay->loop), identity);
    buf_finish(&token);
    if (refusal == REFUSAL_COUNT && !access_connects(&config->access, *identity)) {
        identity_destroy(*identity);
        *identity = NULL;
        refusal = REFUSAL_CONNECT_FORBIDDEN;
    }
    return refusal;
}

void relay_admit(struct session_app *app, const struct nsp *nsp, const struct client_proof *proof,
                 struct admission *admission)
{
    const struct relay_nsp *config = config_of(nsp);
    if (!config->needs_token) {
        admission->refusal = access_connects(&config->access, NULL) ? REFUSAL_COUNT : REFUSAL_CONNECT_FORBIDDEN;
        return;
    }
    admission->refusal = token_check(relay_of(app), config, proof, &admission->identity);
    if (admission->refusal == REFUSAL_COUNT && config->presence_claim_count > 0)
        admission->presence_data = presence_of(config, admission->identity);
}

bool relay_may(struct session_app *app, const struct subscriber *subscriber, enum deed deed, struct span room)
{
    return access_allows(&config_of(subscriber->nsp)->access, subscriber_has(subscriber).identity, deed, room);
}

bool relay_renew(struct subscriber *subscriber, const struct client_event *asked)
{
    struct relay *relay = relay_of(subscriber_sessions(subscriber)->app);
    const struct relay_nsp *config = config_of(subscriber->nsp);
    struct client_proof proof = {.auth = json_array_at(asked->content.args, 1)};
    struct identity *identity = NULL;
    if (!config->needs_token || !json_string_equal(asked->name, SPAN_LIT("sennit")))
        return false;
    enum refusal refusal = token_check(relay, config, &proof, &identity);
    session_change(subscriber->session, RENEWAL_CHANGES);
    if (refusal == REFUSAL_COUNT)
        refusal = subscriber_identity_renew(subscriber, identity);
    if (refusal != REFUSAL_COUNT) {
        identity_destroy(identity);
        subscriber_refuse(subscriber, refusal, subscriber->nsp->name, asked->id);
        return true;
    }
    struct buf args = {0};
    uint64_t left_ms = subscriber_expires_in_ms(subscriber);
    if (left_ms != UINT64_MAX)
        buf_printf(&args, "[{\"expires_in_ms\":%llu}]", (unsigned long long)left_ms);
    else
        buf_append(&args, SPAN_LIT("[{\"expires_in_ms\":null}]"));
    struct content content = content_of(buf_span(&args));
    subscriber_answer(subscriber, asked->id, &content);
    buf_finish(&args);
    return true;
}

bool relay_may_send(struct subscriber *subscriber, const struct relay_rule *rule, const struct span *rooms,
                    size_t count, const struct client_event *asked)
{
    const struct access *access = &config_of(subscriber->nsp)->access;
    const struct identity *identity = subscriber_has(subscriber).identity;
    struct span event = rule->by_event.key;
    bool may = rule->action == RELAY_OTHERS || rule->action == RELAY_EVERYONE
                   ? access_sends(access, identity, event, SPAN_LIT(""))
                   : access_sends_event(access, identity, event);
    for (size_t i = 0; i < count && may; i++)
        may = access_sends(access, identity, event, rooms[i]);
    if (!may)
        subscriber_refuse(subscriber, REFUSAL_SEND_FORBIDDEN, asked->name, asked->id);
    return may;
}
