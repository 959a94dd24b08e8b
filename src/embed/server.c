/* server: a server of the public API: made from a command line or from options, run, and freed. */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "embed/command_line.h"
#include "embed/embed_parts.h"
#include "embed/serve_arguments.h"
#include "loop/process.h"

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

static struct embed *embed_create(void)
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

static void embed_open(struct embed *embed, const struct serve_options *options)
{
    embed->loop = loop_create(&embed->err);
    if (embed->loop == NULL)
        return;
    embed->is_open = server_open(&embed->server, embed->loop, options, &embed->err);
    if (!embed->is_open)
        return;
    embed->next_ask = loop_random_below(embed->loop, UINT64_C(1) << 30); /* not every client reads more than 31 bits */
    embed_hooks_set(embed);
}

sennit_server *sennit_create(int argc, char **argv)
{
    struct serve_arguments arguments = {0};
    struct embed *embed = embed_create();
    embed->name = mem_text(SPAN_LIT("server"));
    process_signals_set();
    serve_arguments_parse(&arguments, argc, argv);
    arguments.serve.files_allowed = process_files_allow(CLI_FILES_WANTED);
    if (cli_log_begin(&arguments.log, NULL, &embed->err))
        embed_open(embed, &arguments.serve);
    free(arguments.redis_url);
    free(arguments.broker);
    return embed->handle;
}

sennit_server *sennit_create_with(const struct sennit_options *options)
{
    struct embed *embed = embed_create();
    static const struct sennit_options none;
    options = options != NULL ? options : &none;
    const struct serve_options serve = {
        .config_path = options->config,
        .port = options->port,
        .broker = {.redis_url = options->redis_url, .broker = options->broker, .sync = options->sync},
        .request_timeout = options->request_timeout,
        .rotate = options->rotate,
        .trusted_hops = options->trusted_hops,
        .files_allowed = process_files_allow(0),
        .unsignalled = !options->signals,
    };
    embed->name = options->name != NULL ? mem_text(span_str(options->name)) : NULL;
    embed_open(embed, &serve);
    return embed->handle;
}

const char *sennit_error(sennit_server *server)
{
    struct embed *embed = handle_object(server, HANDLE_SERVER, "sennit_error");
    if (embed == NULL)
        return "there is no such server";
    return embed->err.text[0] != '\0' ? embed->err.text : NULL;
}

static void embed_destroy(struct embed *embed)
{
    bool was_open = embed->is_open;
    struct list *node;
    embed->is_open = false; /* from here on a handler can call nothing */
    asked_drop(embed, NULL);
    aways_finish(embed);
    ticks_finish(embed);
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
    loop_destroy(embed->loop);
    handle_end(embed->handle);
    free(embed->name);
    free(embed);
}

int sennit_run(sennit_server *server)
{
    struct embed *embed = handle_object(server, HANDLE_SERVER, "sennit_run");
    if (embed == NULL)
        return 1;
    if (embed->running) {
        handle_misused("sennit_run", "the server runs already");
        return 1;
    }
    if (embed->is_open) {
        embed->running = true;
        loop_run(embed->loop);
        if (embed->server.failure.text[0] != '\0')
            err_set(&embed->err, "%s", embed->server.failure.text);
    }
    bool failed = embed->err.text[0] != '\0';
    if (failed && embed->name != NULL)
        cli_fail(embed->name, &embed->err);
    embed_destroy(embed);
    return failed;
}

void sennit_stop(sennit_server *server)
{
    struct embed *embed = embed_find(server, "sennit_stop");
    if (embed != NULL)
        server_drain(&embed->server, "sennit_stop");
}

void sennit_destroy(sennit_server *server)
{
    struct embed *embed = handle_peek(server, HANDLE_SERVER);
    if (embed == NULL)
        return;
    if (embed->running)
        handle_misused("sennit_destroy", "the server runs: call sennit_stop, and sennit_run frees it");
    else
        embed_destroy(embed);
}

unsigned sennit_port(sennit_server *server)
{
    struct embed *embed = embed_find(server, "sennit_port");
    return embed != NULL && io_is_open(&embed->server.listener.io) ? listener_port(&embed->server.listener) : 0;
}

const char *sennit_instance(sennit_server *server)
{
    struct embed *embed = embed_find(server, "sennit_instance");
    return embed != NULL ? embed->server.config.instance : NULL;
}

const char *sennit_version(void)
{
    return SENNIT_VERSION;
}
