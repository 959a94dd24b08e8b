/* serve_arguments: the table of flags, and the configuration that they and the environment make. See serve_arguments.h.
 */
#include "embed/serve_arguments.h"

#include <stdlib.h>
#include <string.h>

enum { KEY_BROKER = 512, KEY_SYNC, KEY_REQUEST_TIMEOUT, KEY_ROTATE, KEY_TRUSTED_HOPS };

static const struct argp_option options[] = {
    {"config", 'c', "FILE", 0, "What is relayed to whom, what is logged and replayed (YAML)", 0},
    {"port", 'p', "PORT", 0, "Listen on this port; 0 picks a free one (PORT; default 8080)", 0},
    {"redis-url", 'r', "URL", 0,
     "Connect instances through this Redis: redis://[user:password@]host[:port][/db], rediss://... (TLS), "
     "unix:///path or redis+sentinel://host[:port],.../NAME (REDIS_URL)",
     0},
    {"broker", KEY_BROKER, "NAME", 0,
     "memory, file:DIR (one instance, whose log and positions outlive it in this directory), redis, or "
     "postgres://[user[:password]@]host[:port][/database] (see `sennit schema`), or postgres: the one in DATABASE_URL; "
     "firestore://project[/database]. Default: redis "
     "with a URL; else, if the configuration logs, file, in a directory of its own below $XDG_STATE_HOME; else memory. "
     "With K_SERVICE set and no REDIS_URL, one must be chosen here, because a fleet would split silently "
     "(SENNIT_BROKER)",
     0},
    {"sync", KEY_SYNC, "WHEN", 0,
     "With file: when accepted events are on the disk itself and survive a power cut, too. second: within about one; "
     "batch: before they are acknowledged; never: when the kernel likes (SENNIT_SYNC; default second)",
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
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct serve_arguments *arguments = state->input;
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
        arguments->serve.broker.redis_url = arguments->redis_url = cli_take(argument);
        break;
    case KEY_BROKER:
        free(arguments->broker);
        arguments->serve.broker.broker = arguments->broker = cli_take(argument);
        break;
    case KEY_SYNC:
        arguments->serve.broker.sync = argument;
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
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp argp = {options, parse, NULL, NULL, cli_log_child, NULL, NULL};
const struct argp_child serve_arguments_child[] = {{&argp, 0, NULL, 0}, {0}};

static error_t parse_program(int key, char *argument, struct argp_state *state)
{
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = state->input;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "argument %d is no option, and this program takes nothing else", state->next - 1);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

void serve_arguments_parse(struct serve_arguments *arguments, int argc, char **argv)
{
    static const char doc[] = "One instance of a Socket.IO service. Several of them, with one Redis, are one service.\v"
                              "The flags and variables are those of `sennit serve`.";
    static const struct argp program = {NULL, parse_program, NULL, doc, serve_arguments_child, NULL, NULL};
    cli_parse(&program, argc, argv, arguments);
}
