/* hosted: see hosted.h. Here: the life of an instance behind sennit.h, and the ways to it from handles and hooks. */
#include "embed/hosted.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "embed/embed_parts.h"
#include "session/survey.h"

struct embed *embed_of(struct session_app *app)
{
    struct relay *relay = container_of(app, struct relay, app);
    struct serve_config *config = container_of(relay, struct serve_config, relay);
    return container_of(container_of(config, struct server, config), struct embed, server);
}

struct embed *embed_find(sennit_server *server, const char *call)
{
    struct embed *embed = handle_object(server, HANDLE_SERVER, call);
    if (embed == NULL || embed->is_open)
        return embed;
    handle_misused(call, embed->err.text[0] != '\0' ? embed->err.text : "the server has ended");
    return NULL;
}

struct embed_nsp *embed_nsp_find(sennit_nsp *handle, const char *call)
{
    struct embed_nsp *nsp = handle_object(handle, HANDLE_NSP, call);
    if (nsp == NULL || nsp->embed->is_open)
        return nsp;
    handle_misused(call, "the server has ended");
    return NULL;
}

struct embed_nsp *embed_nsp_single(sennit_nsp *handle, const char *call)
{
    struct embed_nsp *nsp = embed_nsp_find(handle, call);
    if (nsp == NULL || !embed_nsp_is_pattern(nsp))
        return nsp;
    handle_misused(call, "the namespace is a pattern: take the one that an event, a socket or sennit_namespace gives");
    return NULL;
}

struct embed *embed_create(void)
{
    struct embed *embed = mem_zero(1, sizeof *embed);
    embed->handle = handle_create(HANDLE_SERVER, embed);
    list_init(&embed->nsps);
    list_init(&embed->asked);
    list_init(&embed->ticks);
    list_init(&embed->watches);
    list_init(&embed->events);
    list_init(&embed->ends);
    notes_init(embed);
    counts_init(embed);
    changes_init(embed);
    return embed;
}

bool embed_open(struct embed *embed, struct loop *loop, const struct serve_options *options)
{
    embed->loop = loop;
    embed->is_open = server_open(&embed->server, loop, options, &embed->err);
    if (!embed->is_open)
        return false;
    embed->next_ask = loop_random_below(loop, survey_number_min); /* see survey.h */
    embed_hooks_set(embed);
    return true;
}

void embed_close(struct embed *embed)
{
    bool was_open = embed->is_open;
    struct list *node;
    embed->is_open = false; /* from here on a handler can call nothing */
    asked_drop(embed, NULL);
    aways_finish(embed);
    ticks_finish(embed);
    notes_close(embed);
    counts_close(embed);
    if (was_open)
        embed_nsps_release(embed);
    if (embed->loop != NULL)
        server_close(&embed->server);
    counts_finish(embed);
    notes_finish(embed);
    changes_finish(embed);
    while ((node = list_take(&embed->events)) != NULL)
        event_destroy(container_of(node, struct embed_event, node));
    embed_nsps_destroy(embed);
    if (was_open)
        log_event(LOG_INFO, "stopped");
}

void embed_free(struct embed *embed)
{
    handle_end(embed->handle);
    free(embed->name);
    free(embed);
}
