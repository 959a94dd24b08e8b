/* cmd_up: `sennit up`. */
#include <stdlib.h>
#include <string.h>

#include "base/shown.h"
#include "cli/cli.h"
#include "loop/process.h"
#include "platform/instance_network.h"
#include "platform/request_log.h"
#include "platform/up.h"

enum {
    KEY_RUN = 256,
    KEY_STATE,
    KEY_STATUS_PORT,
    KEY_IDLE,
    KEY_STARTUP,
    KEY_ENV,
    KEY_CONNECTIONS,
    KEY_PER_ADDRESS,
    KEY_USER,
    KEY_REQUEST_LOG,
    KEY_BIND,
    KEY_CHECK,
    KEY_SECRETS,
    KEY_ALLOW_EMPTY,
    KEY_TIME_SCALE,
    KEY_AUTOSCALER,
    KEY_TLS,
    KEY_TLS_CERT,
    KEY_TLS_KEY,
    KEY_PROXY_PROTOCOL,
    KEY_TRUSTED_HOPS,
    KEY_CLOSE_FRAME,
    KEY_PROPAGATE_DISCONNECT,
    KEY_DEFAULT,
    KEY_ALLOW,
    KEY_NO_ALLOW,
    KEY_IDENTITY_KEYS,
    KEY_IDENTITY_ISSUER,
    KEY_PROJECT,
    KEY_REGION,
    KEY_NETWORK,
};

struct arguments {
    struct up_options up;
    struct cli_log log;
    const char *pass[UP_PASS_MAX], *paths[UP_PATHS_MAX];
    bool check;
};

static const struct argp_option options[] = {
    {"port", 'p', "PORT", 0, "Serve on this port; 0 picks a free one (default 8080)", 0},
    {"bind", KEY_BIND, "ADDRESS", 0,
     "Serve on this IP address: 0.0.0.0 or :: for every network (default: this machine only, 127.0.0.1 and ::1)", 0},
    {"tls", KEY_TLS, NULL, 0,
     "Serve https with certificates for localhost and every name below it, from an authority that is made once and "
     "kept in "
     "the state folder",
     0},
    {"tls-cert", KEY_TLS_CERT, "FILE", 0, "Serve https with this certificate (PEM, with the chain behind it)", 0},
    {"tls-key", KEY_TLS_KEY, "FILE", 0, "The key of --tls-cert (PEM, without a passphrase)", 0},
    {"proxy-protocol", KEY_PROXY_PROTOCOL, "CIDR,...", 0,
     "Connections from these addresses are a load balancer's, and begin with a header of the PROXY protocol (version 1 "
     "or 2), which names the client",
     0},
    {"trusted-hops", KEY_TRUSTED_HOPS, "N", 0,
     "N load balancers in front append to X-Forwarded-For and set X-Forwarded-Proto, and are believed (default 0)", 0},
    {"close-frame", KEY_CLOSE_FRAME, NULL, 0,
     "Send a Close frame (1001) to a WebSocket before timeoutSeconds cuts it, which Cloud Run does not", 0},
    {"no-allow-unauthenticated", KEY_NO_ALLOW, NULL, 0,
     "Services take requests with an identity token alone (`sennit token`), unless their file says otherwise", 0},
    {"allow-unauthenticated", KEY_ALLOW, NULL, 0, "They take all (the default)", 0},
    {"identity-keys", KEY_IDENTITY_KEYS, "FILE", 0,
     "Take identity tokens of another issuer, too, verified with its public keys (a JWK set), from the callers in "
     "sennit.dev/invokers",
     0},
    {"identity-issuer", KEY_IDENTITY_ISSUER, "URL", 0,
     "The issuer (iss) of --identity-keys (default: https://accounts.google.com)", 0},
    {"network", KEY_NETWORK, "WHICH", 0,
     "private: each instance has a network of its own, in which PORT is the containerPort and nothing else of this "
     "machine is but the managed servers and the metadata server (needs root); shared: none has; auto (the default): "
     "a program that insists on its port has",
     0},
    {"project", KEY_PROJECT, "ID", 0, "The project's id, as the metadata server says it (default: sennit-local)", 0},
    {"region", KEY_REGION, "REGION", 0, "The region, likewise (default: us-central1)", 0},
    {"propagate-disconnect", KEY_PROPAGATE_DISCONNECT, NULL, 0,
     "End a request at the instance when its client leaves, or ends its half; Cloud Run does so with WebSockets alone",
     0},
    {"default", KEY_DEFAULT, "SERVICE", 0,
     "Of several services, the one that answers http://localhost:PORT (default: a page that lists them all)", 0},
    {"run", KEY_RUN, "COMMAND", 0, "The command to run instead of the image, split into words as a shell does", 0},
    {"env", KEY_ENV, "NAME", 0,
     "Pass this variable of the shell to instances, besides those of the file, and PATH, HOME, TMPDIR and LANG", 0},
    {"connections", KEY_CONNECTIONS, "N", 0,
     "Bound of client connections (default: from the descriptor limit, 50000 at most)", 0},
    {"connections-per-address", KEY_PER_ADDRESS, "N", 0,
     "Bound of client connections from one address, except loopback (default: half of all)", 0},
    {"state", KEY_STATE, "DIR", 0,
     "Directory of the services' state and of the managed servers' data (default: $XDG_STATE_HOME/sennit)", 0},
    {"user", KEY_USER, "NAME", 0,
     "As root: switch to this user when the port is open, so that instances and managed servers do not run as root", 0},
    {"secrets", KEY_SECRETS, "DIR", 0,
     "Folder of the secrets that valueFrom names (default: $XDG_CONFIG_HOME/sennit/secrets)", 0},
    {"status-port", KEY_STATUS_PORT, "PORT", 0,
     "Serve /status (instances, their requests and counters, as JSON) on this loopback port", 0},
    {"check", KEY_CHECK, NULL, 0, "Only check the file, and say which of its fields have no effect here", 0},
    {"allow-empty", KEY_ALLOW_EMPTY, NULL, 0,
     "Start with a folder that has no service yet: `sennit deploy` and `sennit apply` add them", 0},
    {"request-log", KEY_REQUEST_LOG, "WHICH", 0,
     "Write a line for each request when it ends: all (the default), failed (refused, cut, broken, status 400 and "
     "above), or none",
     0},
    {"autoscaler", KEY_AUTOSCALER, "WHICH", 0,
     "cloudrun (the default) or kpa, Knative's; the annotation autoscaling.knative.dev/class chooses too", 0},
    {"time-scale", KEY_TIME_SCALE, "N", 0,
     "Let the platform's clock run N times faster, up to 3600: the autoscaler, idle time, timeoutSeconds", 0},
    {"idle-timeout", KEY_IDLE, "SECONDS", 0, "Stop an instance after this time without a request (default 900)", 0},
    {"startup-timeout", KEY_STARTUP, "SECONDS", 0, "Time for an instance to become ready (default 240)", 0},
    {0},
};

static const char doc[] =
    "Runs a Knative / Cloud Run service.yaml on this machine.\n\n"
    "It runs any program that listens on $PORT, as the platform does: processes as instances, random balancing, "
    "containerConcurrency, timeoutSeconds (which cuts WebSockets too), minScale and maxScale, a queue while instances "
    "start, SIGTERM and ten seconds.\v"
    "A file may have several services, and several files may be given; each service answers NAME.localhost. `sennit "
    "deploy`, `apply`, `services`, `revisions`, `logs`, `traffic` and `rollback` change and list them while it runs; "
    "SIGHUP reads the files again. At its end the log says what Cloud Run would have billed, and "
    "`sennit bill` sums that up by day.\n\n"
    "It does not run images from a registry. Name a command instead: by --run, or in the file by an annotation that "
    "Cloud Run ignores, so that the same file deploys there unchanged:\n\n"
    "  spec:\n"
    "    template:\n"
    "      metadata:\n"
    "        annotations:\n"
    "          sennit.dev/run: node server.js\n"
    "          sennit.dev/redis: managed\n\n"
    "`sennit.dev/redis: managed` starts redis-server beside the service and sets REDIS_URL; `sennit.dev/postgres: "
    "managed` starts a Postgres, makes a database with the schema of `sennit serve`, and sets DATABASE_URL. "
    "`command:` and `args:` of the container work too; relative paths start at the file's directory.";

static uint64_t number(struct argp_state *state, const char *option, const char *text, uint64_t min, uint64_t max)
{
    uint64_t value;
    if (!span_to_u64(span_str(text), &value) || value < min || value > max)
        argp_error(state, "%s: expected a number from %llu to %llu, found %s", option, (unsigned long long)min,
                   (unsigned long long)max, SHOWN_FOUND(span_str(text)));
    return value;
}

static enum request_log_choice request_log(struct argp_state *state, const char *text)
{
    static const char *const names[] = {
        [REQUEST_LOG_ALL] = "all", [REQUEST_LOG_FAILED] = "failed", [REQUEST_LOG_NONE] = "none"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(text, names[i]) == 0)
            return (enum request_log_choice)i;
    argp_error(state, "--request-log: expected all, failed or none, found %s", SHOWN_FOUND(span_str(text)));
    return REQUEST_LOG_ALL;
}

static bool is_kpa(struct argp_state *state, const char *text)
{
    if (strcmp(text, "kpa") != 0 && strcmp(text, "cloudrun") != 0)
        argp_error(state, "--autoscaler: expected cloudrun or kpa, found %s", SHOWN_FOUND(span_str(text)));
    return strcmp(text, "kpa") == 0;
}

/* Options of the ingress; false for any other. */
static bool parse_ingress(int key, char *argument, struct argp_state *state, struct up_options *up)
{
    switch (key) {
    case KEY_TLS:
        up->tls = true;
        break;
    case KEY_TLS_CERT:
        up->tls_cert = argument;
        break;
    case KEY_TLS_KEY:
        up->tls_key = argument;
        break;
    case KEY_PROXY_PROTOCOL:
        up->proxies = argument;
        break;
    case KEY_TRUSTED_HOPS:
        up->trusted_hops = (uint32_t)number(state, "--trusted-hops", argument, 0, 16);
        break;
    case KEY_CLOSE_FRAME:
        up->close_frame = true;
        break;
    case KEY_PROPAGATE_DISCONNECT:
        up->propagate_disconnect = true;
        break;
    case KEY_BIND:
        up->bind = argument;
        break;
    case KEY_CONNECTIONS:
        up->connections = (uint32_t)number(state, "--connections", argument, 1, 1000000);
        break;
    case KEY_PER_ADDRESS:
        up->connections_per_address = (uint32_t)number(state, "--connections-per-address", argument, 1, 1000000);
        break;
    case KEY_REQUEST_LOG:
        up->request_log = (uint8_t)request_log(state, argument);
        break;
    default:
        return false;
    }
    return true;
}

/* A word of a path and of JSON. */
static const char *word(struct argp_state *state, const char *option, const char *text)
{
    size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-:.");
    if (len == 0 || len > 63 || text[len] != '\0')
        argp_error(state, "%s: expected 1 to 63 lower-case letters, digits, -, : and ., found %s", option,
                   SHOWN_FOUND(span_str(text)));
    return text;
}

/* Options about who calls, and as whom; false for any other. */
static bool parse_identity(int key, char *argument, struct argp_state *state, struct up_options *up)
{
    switch (key) {
    case KEY_ALLOW:
    case KEY_NO_ALLOW:
        up->closed = key == KEY_NO_ALLOW;
        break;
    case KEY_IDENTITY_KEYS:
        up->identity_keys = argument;
        break;
    case KEY_IDENTITY_ISSUER:
        up->identity_issuer = argument;
        break;
    case KEY_PROJECT:
        up->project = word(state, "--project", argument);
        break;
    case KEY_REGION:
        up->region = word(state, "--region", argument);
        break;
    default:
        return false;
    }
    return true;
}

static uint8_t network(struct argp_state *state, const char *argument)
{
    static const char *const names[] = {
        [NETWORK_AUTO] = "auto", [NETWORK_SHARED] = "shared", [NETWORK_PRIVATE] = "private"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(argument, names[i]) == 0)
            return (uint8_t)i;
    argp_error(state, "--network: expected auto, shared or private, found \"%s\"", argument);
    return NETWORK_AUTO;
}

static void path_take(struct argp_state *state, const char *path)
{
    struct arguments *arguments = state->input;
    if (arguments->up.path_count == UP_PATHS_MAX)
        argp_error(state, "more than %d files: name their folder", UP_PATHS_MAX);
    if (strstr(path, "://") != NULL)
        argp_error(state, "expected a file, found an address (not repeated here)");
    arguments->paths[arguments->up.path_count++] = path;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &arguments->log;
        break;
    case 'p':
        arguments->up.port = (uint16_t)number(state, "--port", argument, 0, 65535);
        break;
    case KEY_TIME_SCALE:
        arguments->up.time_scale = (uint32_t)number(state, "--time-scale", argument, 1, 3600);
        break;
    case KEY_AUTOSCALER:
        arguments->up.kpa = is_kpa(state, argument);
        break;
    case KEY_CHECK:
        arguments->check = true;
        break;
    case KEY_ALLOW_EMPTY:
        arguments->up.may_be_empty = true;
        break;
    case KEY_DEFAULT:
        arguments->up.bare = argument;
        break;
    case KEY_RUN:
        arguments->up.run = argument;
        break;
    case KEY_NETWORK:
        arguments->up.network = network(state, argument);
        break;
    case KEY_USER:
        arguments->up.user = argument;
        break;
    case KEY_SECRETS:
        arguments->up.secrets = argument;
        break;
    case KEY_STATE:
        arguments->up.state_dir = argument;
        break;
    case KEY_STATUS_PORT:
        arguments->up.status_port = (int32_t)number(state, "--status-port", argument, 0, 65535);
        break;
    case KEY_ENV:
        if (arguments->up.pass_count == UP_PASS_MAX)
            argp_error(state, "--env: more than %d of them", UP_PASS_MAX);
        arguments->pass[arguments->up.pass_count++] = argument;
        break;
    case KEY_IDLE:
        arguments->up.idle_ms = number(state, "--idle-timeout", argument, 1, 86400) * 1000;
        break;
    case KEY_STARTUP:
        arguments->up.startup_ms = number(state, "--startup-timeout", argument, 1, 3600) * 1000;
        break;
    case ARGP_KEY_ARG:
        path_take(state, argument);
        break;
    case ARGP_KEY_END:
        if (arguments->up.path_count == 0)
            argp_error(state, "which service? like: sennit up service.yaml");
        if ((arguments->up.tls_cert == NULL) != (arguments->up.tls_key == NULL))
            argp_error(state, "--tls-cert and --tls-key belong together: name both files");
        if (arguments->up.identity_issuer != NULL && arguments->up.identity_keys == NULL)
            argp_error(state, "--identity-issuer is the issuer of --identity-keys: name its keys, too");
        break;
    default:
        return parse_ingress(key, argument, state, &arguments->up) ||
                       parse_identity(key, argument, state, &arguments->up)
                   ? 0
                   : ARGP_ERR_UNKNOWN;
    }
    return 0;
}

int cmd_up(int argc, char **argv)
{
    static const struct argp argp = {options, parse, "FILE.yaml|DIR...", doc, cli_log_child, NULL, NULL};
    struct arguments arguments = {.up = {.port = 8080, .status_port = -1}};
    struct err err;
    cli_parse(&argp, argc, argv, &arguments);
    process_files_allow(CLI_FILES_WANTED);
    arguments.up.pass = arguments.pass;
    arguments.up.paths = arguments.paths;
    bool ok = cli_log_begin(&arguments.log, &arguments.up.text_log, &err) &&
              (arguments.check ? up_check(&arguments.up, &err) : up_run(&arguments.up, &err));
    return ok ? 0 : cli_fail("up", &err);
}
