/* made: namespaces that a pattern has made, for programs. Each has a handle of its own, and the handlers of its
 * pattern. It has a reference of the relay's namespace as long as anything here uses it: a socket, an event, a
 * question. It is not ended where its last use ends, but a moment later, because the use may end within a call that
 * goes on with it. */
#include <stdlib.h>

#include "base/mem.h"
#include "embed/embed_parts.h"

static struct relay_nsp *config_of(const struct nsp *nsp)
{
    return (struct relay_nsp *)container_of(nsp, const struct relay_nsp, nsp);
}

struct embed_nsp *embed_nsp_of(struct embed *embed, const struct nsp *nsp)
{
    struct relay_nsp *config = config_of(nsp);
    struct embed_nsp *like = config->like->part;
    if (config->part != NULL || like == NULL)
        return config->part;
    if (!embed->is_open)
        return like;
    struct embed_nsp *made = mem_zero(1, sizeof *made);
    made->embed = embed;
    made->config = config;
    made->like = like;
    made->handle = handle_create(HANDLE_NSP, made);
    list_init(&made->node);
    list_append(&embed->nsps, &made->node);
    config->part = made;
    nsp_ref(embed->server.sessions.app, nsp);
    return made;
}

struct embed_nsp *embed_nsp_use(struct embed_nsp *nsp)
{
    if (nsp != NULL)
        nsp->uses++;
    return nsp;
}

void embed_nsp_drop(struct embed_nsp *nsp)
{
    if (nsp != NULL)
        nsp->uses--;
}

struct embed_nsp *embed_nsp_make(struct embed *embed, struct span name)
{
    struct session_app *app = embed->server.sessions.app;
    enum refusal refusal = REFUSAL_COUNT;
    const struct nsp *nsp = app->nsp_find(app, name, &refusal);
    if (nsp == NULL) {
        refusals_note(&embed->server.sessions.refusals, refusal, SPAN_LIT("sennit.h"), name);
        return NULL;
    }
    struct embed_nsp *found = embed_nsp_of(embed, nsp);
    nsp_unref(app, nsp);
    return found;
}

bool embed_nsp_is_pattern(const struct embed_nsp *nsp)
{
    return span_find(nsp->config->nsp.name, '*') >= 0 && nsp->like == nsp;
}

/* The relay's namespace may end with this. */
static void reference_end(struct embed_nsp *made)
{
    struct relay_nsp *config = made->config;
    made->config = made->like->config;
    config->part = NULL;
    nsp_unref(made->embed->server.sessions.app, &config->nsp);
}

void embed_nsps_sweep(struct embed *embed)
{
    list_each (node, &embed->nsps) {
        struct embed_nsp *made = container_of(node, struct embed_nsp, node);
        if (made->like == made || made->uses > 0)
            continue;
        reference_end(made);
        handle_end(made->handle);
        list_remove(&made->node);
        free(made);
    }
}

void embed_nsps_release(struct embed *embed)
{
    list_each (node, &embed->nsps) {
        struct embed_nsp *made = container_of(node, struct embed_nsp, node);
        if (made->like != made)
            reference_end(made);
    }
}
