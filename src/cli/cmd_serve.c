/* cmd_serve: `sennit serve`: a program with sennit.h that sets no handler, so the rules of its file count. */
#include <sennit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "embed/serve_arguments.h"
#include "loop/process.h"
#include "serve/manual.h"

enum { KEY_DESCRIBE = 256 };

struct arguments {
    struct serve_arguments all;
    void (*page)(struct buf *to); /* to be printed; NULL: none */
};

static const struct argp_option options[] = {
    {"describe", KEY_DESCRIBE, "PAGE", OPTION_ARG_OPTIONAL,
     "Print a page of the manual and end: configuration (every flag, variable and field; the default) or refusals", 0},
    {0},
};

static const char doc[] =
    "Runs one stateless realtime instance for Socket.IO clients.\n\n"
    "Several instances behind any load balancer, with one Redis, form one service: each request of a long-polling "
    "client may reach another instance, and a client that is cut off and lands on another one receives exactly what it "
    "missed.\v"
    "A configuration that relays the stock Socket.IO whiteboard, logs its strokes for a day and sends late joiners the "
    "whole drawing:\n\n"
    "  namespaces:\n"
    "    /:\n"
    "      auth: none\n"
    "      log: {entries: 100000, age: 24h}\n"
    "      replay: all\n"
    "      events:\n"
    "        drawing: {to: others, log: true, id: 0.id}\n\n"
    "Paths served: /socket.io/ (the engine, and the client library as socket.io.js), /health (alive), /ready (a round "
    "trip through the broker), /metrics (Prometheus; for this machine, or with the token of "
    "SENNIT_ADMIN_TOKEN), and the files of `static:`.";

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &arguments->all;
        break;
    case KEY_DESCRIBE:
        if (argument != NULL && strcmp(argument, "configuration") != 0 && strcmp(argument, "refusals") != 0)
            argp_error(state, "--describe: expected configuration or refusals");
        arguments->page =
            argument != NULL && strcmp(argument, "refusals") == 0 ? manual_refusals : manual_configuration;
        break;
    case ARGP_KEY_ARG:
        argp_error(state, "argument %d is no option, and serve takes nothing else (a value with spaces needs quotes)",
                   state->next - 1);
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static void page_print(void (*page)(struct buf *to))
{
    struct buf text = {0};
    page(&text);
    fwrite(text.data + text.off, 1, text.len, stdout);
    buf_finish(&text);
}

static int run(const struct serve_options *given)
{
    const struct sennit_options all = {.config = given->config_path,
                                       .port = given->port,
                                       .redis_url = given->broker.redis_url,
                                       .broker = given->broker.broker,
                                       .sync = given->broker.sync,
                                       .request_timeout = given->request_timeout,
                                       .rotate = given->rotate,
                                       .trusted_hops = given->trusted_hops,
                                       .name = "serve",
                                       .signals = true};
    process_files_allow(CLI_FILES_WANTED);
    return sennit_run(sennit_create_with(&all));
}

int cmd_serve(int argc, char **argv)
{
    static const struct argp argp = {options, parse, NULL, doc, serve_arguments_child, NULL, NULL};
    struct arguments arguments = {0};
    struct err err;
    int status = 0;
    cli_parse(&argp, argc, argv, &arguments);
    if (arguments.page != NULL)
        page_print(arguments.page);
    else if (cli_log_begin(&arguments.all.log, NULL, &err))
        status = run(&arguments.all.serve);
    else
        status = cli_fail("serve", &err);
    free(arguments.all.redis_url);
    free(arguments.all.broker);
    return status;
}
