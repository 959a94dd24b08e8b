/* cmd_serve: `sennit serve`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "loop/process.h"
#include "serve/manual.h"
#include "serve/serve.h"

enum { KEY_BROKER = 256, KEY_REQUEST_TIMEOUT, KEY_ROTATE, KEY_TRUSTED_HOPS, KEY_DESCRIBE };

struct arguments {
    struct serve_options serve;
    struct cli_log log;
    char *redis_url;              /* owned */
    void (*page)(struct buf *to); /* to be printed; NULL: none */
};

static const struct argp_option options[] = {
    {"config", 'c', "FILE", 0, "What is relayed to whom, what is logged and replayed (YAML)", 0},
    {"port", 'p', "PORT", 0, "Listen on this port; 0 picks a free one (PORT; default 8080)", 0},
    {"redis-url", 'r', "URL", 0,
     "Connect instances through this Redis: redis://[user:password@]host[:port][/db], rediss://... (TLS), "
     "unix:///path or redis+sentinel://host[:port],.../NAME (REDIS_URL; default: the in-process broker)",
     0},
    {"broker", KEY_BROKER, "NAME", 0,
     "memory or redis. With K_SERVICE set and no REDIS_URL, the in-process broker must be "
     "chosen here, because a fleet would split silently (SENNIT_BROKER)",
     0},
    {"request-timeout", KEY_REQUEST_TIMEOUT, "SECONDS", 0,
     "The age at which the platform cuts a stream (SENNIT_REQUEST_TIMEOUT_SECONDS)", 0},
    {"rotate", KEY_ROTATE, "WHEN", 0,
     "How long before the request timeout to begin closing sessions, each in a quiet moment, so that they resume "
     "elsewhere: "
     "a duration like 20s, off, or auto, a tenth of the request timeout and 30s at most (SENNIT_ROTATE; default auto)",
     0},
    {"trusted-hops", KEY_TRUSTED_HOPS, "N", 0,
     "The number of proxies in front that append to X-Forwarded-For: logs and limits use the address that they name "
     "(SENNIT_TRUSTED_HOPS, trusted_hops; default 0: the field is not read)",
     0},
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
        state->child_inputs[0] = &arguments->log;
        break;
    case 'c':
        if (strstr(argument, "://") != NULL)
            argp_error(state, "--config: expected a file, found an address (not repeated here)");
        arguments->serve.config_path = argument;
        break;
    case 'p':
        arguments->serve.port = argument;
        break;
    case 'r':
        free(arguments->redis_url);
        arguments->serve.redis_url = arguments->redis_url = cli_take(argument);
        break;
    case KEY_BROKER:
        arguments->serve.broker = argument;
        break;
    case KEY_REQUEST_TIMEOUT:
        arguments->serve.request_timeout = argument;
        break;
    case KEY_ROTATE:
        arguments->serve.rotate = argument;
        break;
    case KEY_TRUSTED_HOPS:
        arguments->serve.trusted_hops = argument;
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

int cmd_serve(int argc, char **argv)
{
    static const struct argp argp = {options, parse, NULL, doc, cli_log_child, NULL, NULL};
    struct arguments arguments = {0};
    struct err err;
    cli_parse(&argp, argc, argv, &arguments);
    if (arguments.page != NULL) {
        page_print(arguments.page);
        free(arguments.redis_url);
        return 0;
    }
    arguments.serve.files_allowed = process_files_allow(CLI_FILES_WANTED);
    bool ok = cli_log_begin(&arguments.log, NULL, &err) && serve_run(&arguments.serve, &err);
    free(arguments.redis_url);
    return ok ? 0 : cli_fail("serve", &err);
}
