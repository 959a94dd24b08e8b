/* server: a server of the public API: made from a command line or from options, run, and freed. */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "embed/command_line.h"
#include "embed/embed_parts.h"
#include "embed/hosted.h"
#include "embed/serve_arguments.h"
#include "loop/process.h"

/* On a loop of its own. */
static void open_alone(struct embed *embed, const struct serve_options *options)
{
    struct loop *loop = loop_create(&embed->err);
    if (loop != NULL)
        embed_open(embed, loop, options);
}

static void destroy_alone(struct embed *embed)
{
    struct loop *loop = embed->loop;
    embed_close(embed);
    loop_destroy(loop);
    embed_free(embed);
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
        open_alone(embed, &arguments.serve);
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
    open_alone(embed, &serve);
    return embed->handle;
}

const char *sennit_error(sennit_server *server)
{
    struct embed *embed = handle_object(server, HANDLE_SERVER, "sennit_error");
    if (embed == NULL)
        return "there is no such server";
    return embed->err.text[0] != '\0' ? embed->err.text : NULL;
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
    if (embed->is_open && list_empty(&embed->nsps) && embed->server.config.lacks.text[0] != '\0') {
        err_set(&embed->err, "%s", embed->server.config.lacks.text);
    } else if (embed->is_open) {
        embed->running = true;
        loop_run(embed->loop);
        if (embed->server.failure.text[0] != '\0')
            err_set(&embed->err, "%s", embed->server.failure.text);
    }
    bool failed = embed->err.text[0] != '\0';
    if (failed && embed->name != NULL)
        cli_fail(embed->name, &embed->err);
    destroy_alone(embed);
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
        destroy_alone(embed);
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
