/* session_extra: what few sessions have: a token that came with a request, what a first request said. */
#include <stdlib.h>

#include "base/mem.h"
#include "session/assembly.h"
#include "session/session.h"

struct session_extra *session_extra(struct session *session)
{
    if (session->extra == NULL) {
        session->extra = mem_zero(1, sizeof *session->extra);
        session->extra->session = session;
    }
    return session->extra;
}

static void token_drop(struct session *session)
{
    char *token = session_has(session).token;
    if (token == NULL)
        return;
    session->sessions->token_bytes -= strlen(token);
    explicit_bzero(token, strlen(token));
    free(token);
    session->extra->token = NULL;
}

void session_token_set(struct session *session, struct span token)
{
    struct sessions *sessions = session->sessions;
    const char *old = session_has(session).token;
    if (token.len == 0 || span_find(token, '\0') >= 0 || (old != NULL && span_equal(token, span_str(old))))
        return;
    token_drop(session);
    if (sessions->token_bytes + token.len > TOKENS_BYTES_MAX) {
        refusals_note(&sessions->refusals, REFUSAL_TOKENS_FULL, SPAN_LIT(""), SPAN_LIT(""));
        return;
    }
    session_extra(session)->token = mem_text(token);
    sessions->token_bytes += token.len;
}

void session_handshake_set(struct session *session, struct span json)
{
    bool keeps = json.len > 0 && json.len <= HANDSHAKE_BYTES_MAX;
    free(session_has(session).handshake);
    if (session->extra != NULL || keeps)
        session_extra(session)->handshake = keeps ? mem_text(json) : NULL;
}

void session_extra_free(struct session *session)
{
    token_drop(session);
    free(session_has(session).handshake);
    assembly_destroy(assembly_take(session));
    free(session->extra);
    session->extra = NULL;
}
