/* cmd_deploy: `sennit deploy`: the flags of `gcloud run deploy`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/shown.h"
#include "cli/cli.h"
#include "cli/deploy.h"
#include "cli/duration.h"
#include "loop/file.h"
#include "loop/process.h"
#include "platform/spec.h"

enum {
    KEY_STATE = 256,
    KEY_SOURCE,
    KEY_LISTEN,
    KEY_TAG,
    KEY_SUFFIX,
    KEY_NO_TRAFFIC,
    KEY_REDIS,
    KEY_POSTGRES,
    KEY_SET_ENV,
    KEY_UPDATE_ENV,
    KEY_REMOVE_ENV,
    KEY_CLEAR_ENV,
    KEY_ENV_FILE,
    KEY_SET_SECRETS,
    KEY_UPDATE_SECRETS,
    KEY_REMOVE_SECRETS,
    KEY_CLEAR_SECRETS,
    KEY_COMMAND,
    KEY_ARGS,
    KEY_TIMEOUT,
    KEY_AFFINITY,
    KEY_NO_AFFINITY,
    KEY_THROTTLING,
    KEY_NO_THROTTLING,
    KEY_ALLOW,
    KEY_NO_ALLOW,
    KEY_AUDIENCES,
    KEY_IMAGE,
    KEY_HTTP2,
    KEY_SIDECAR,
    KEY_VOLUME,
    KEY_SCALING,
    KEY_CHECK,
    KEY_NO_CHECK,
    KEY_INERT,      /* taken, and without effect */
    KEY_TEXT = 400, /* and the number of a text */
};

/* What four flags say of a list, in gcloud's way: --set-X, --update-X, --remove-X and --clear-X, whose keys follow one
 * another. */
struct list_flags {
    const char *set, *update, *remove;
    bool clear;
};

struct arguments {
    struct deploy deploy;
    struct list_flags env, secrets;
    const char *timeout, *command, *args, *audiences, *env_file, *scaling;
    const char *texts[DEPLOYMENT_TEXTS_COUNT];
};

static const struct argp_option options[] = {
    {"source", KEY_SOURCE, "DIR", 0, "The folder with the source (default: .)", 0},
    {"image", KEY_IMAGE, "IMAGE", 0,
     "Runs this image instead: oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE, or one that podman or "
     "docker has. Nothing is fetched from a registry",
     0},
    {"allow-unauthenticated", KEY_ALLOW, NULL, 0, "Everybody may connect (the default)", 0},
    {"no-allow-unauthenticated", KEY_NO_ALLOW, NULL, 0, "Requests need an identity token (`sennit token`)", 0},
    {"set-custom-audiences", KEY_AUDIENCES, "URL,...", 0, "Audiences of tokens beside the service's URL", 0},
    {"service-account", KEY_TEXT + DEPLOYMENT_account, "EMAIL", 0,
     "As whom the service calls others: the address in its identity tokens", 0},
    {"port", KEY_TEXT + DEPLOYMENT_port, "PORT", 0,
     "The container's port, as the file has it; the program must listen on $PORT", 0},
    {"concurrency", KEY_TEXT + DEPLOYMENT_concurrency, "N", 0, "Requests of an instance at once, 1 to 1000", 0},
    {"timeout", KEY_TIMEOUT, "TIME", 0, "Of a request, like 300 or 10m5s, up to 1h", 0},
    {"min-instances", KEY_TEXT + DEPLOYMENT_min, "N", 0, "Least number of the revision's instances", 0},
    {"max-instances", KEY_TEXT + DEPLOYMENT_max, "N", 0, "Greatest number of the revision's instances", 0},
    {"min", KEY_TEXT + DEPLOYMENT_service_min, "N", 0, "Least number of instances, said of the service", 0},
    {"service-min-instances", KEY_TEXT + DEPLOYMENT_service_min, "N", OPTION_ALIAS, NULL, 0},
    {"max", KEY_TEXT + DEPLOYMENT_service_max, "N", 0, "Greatest number of instances, said of the service", 0},
    {"service-max-instances", KEY_TEXT + DEPLOYMENT_service_max, "N", OPTION_ALIAS, NULL, 0},
    {"scaling", KEY_SCALING, "auto|N", 0, "As many instances as are needed, or always N", 0},
    {"cpu", KEY_TEXT + DEPLOYMENT_cpu, "CPU", 0, "CPUs of an instance, 0.08 to 8", 0},
    {"memory", KEY_TEXT + DEPLOYMENT_memory, "BYTES", 0, "Memory of an instance, like 512Mi", 0},
    {"startup-probe", KEY_TEXT + DEPLOYMENT_startup, "KEY=VALUE,...", 0,
     "Like httpGet.path=/health,periodSeconds=5 or tcpSocket.port=8080; an empty text takes it away", 0},
    {"liveness-probe", KEY_TEXT + DEPLOYMENT_liveness, "KEY=VALUE,...", 0, "Likewise", 0},
    {"readiness-probe", KEY_TEXT + DEPLOYMENT_readiness, "KEY=VALUE,...", 0, "Likewise", 0},
    {"session-affinity", KEY_AFFINITY, NULL, 0, "A client returns to its instance, by a cookie", 0},
    {"no-session-affinity", KEY_NO_AFFINITY, NULL, 0, "It does not (the default)", 0},
    {"cpu-throttling", KEY_THROTTLING, NULL, 0, "CPU only for requests (the default)", 0},
    {"no-cpu-throttling", KEY_NO_THROTTLING, NULL, 0, "CPU always", 0},
    {"set-env-vars", KEY_SET_ENV, "NAME=VALUE,...", 0, "These are the variables, and no others", 0},
    {"update-env-vars", KEY_UPDATE_ENV, "NAME=VALUE,...", 0, "Sets these, and keeps the others", 0},
    {"remove-env-vars", KEY_REMOVE_ENV, "NAME,...", 0, "Takes these away", 0},
    {"clear-env-vars", KEY_CLEAR_ENV, NULL, 0, "Takes all away", 0},
    {"env-vars-file", KEY_ENV_FILE, "FILE", 0, "The variables of a YAML file, and no others: NAME: VALUE lines", 0},
    {"set-secrets", KEY_SET_SECRETS, "NAME=SECRET:VERSION,...", 0,
     "These are the secrets, and no others: NAME is a variable or /FOLDER/FILE (docs/up.md), VERSION latest or a "
     "number",
     0},
    {"update-secrets", KEY_UPDATE_SECRETS, "NAME=SECRET:VERSION,...", 0, "Sets these, and keeps the others", 0},
    {"remove-secrets", KEY_REMOVE_SECRETS, "NAME,...", 0, "Takes these away", 0},
    {"clear-secrets", KEY_CLEAR_SECRETS, NULL, 0, "Takes all away", 0},
    {"command", KEY_COMMAND, "WORD,...", 0, "Runs this in the built source or the image, instead of what that says", 0},
    {"args", KEY_ARGS, "WORD,...", 0, "Arguments behind the command", 0},
    {"no-traffic", KEY_NO_TRAFFIC, NULL, 0,
     "The new revision gets no requests; `sennit traffic --to-latest` gives them", 0},
    {"tag", KEY_TAG, "TAG", 0, "The host TAG---SERVICE.localhost leads to the new revision", 0},
    {"revision-suffix", KEY_SUFFIX, "SUFFIX", 0, "The revision is SERVICE-SUFFIX (default: the next number)", 0},
    {"redis", KEY_REDIS, NULL, 0, "Runs redis-server beside the service (sennit.dev/redis: managed)", 0},
    {"postgres", KEY_POSTGRES, NULL, 0, "Runs a Postgres beside the service (sennit.dev/postgres: managed)", 0},
    {"listen", KEY_LISTEN, "PORT", 0, "Where no `sennit up` runs: the port of the one that starts (default 8080)", 0},
    CLI_OPTION_STATE(KEY_STATE),
    {"region", KEY_INERT, "REGION", 0,
     "Taken as gcloud does, and without effect; so are project, platform, quiet, "
     "ingress, labels, execution-environment, cpu-boost, no-cpu-boost, deploy-health-check, format, async, verbosity "
     "and account",
     0},
    {"project", KEY_INERT, "PROJECT", OPTION_HIDDEN, NULL, 0},
    {"platform", KEY_INERT, "PLATFORM", OPTION_HIDDEN, NULL, 0},
    {"quiet", 'q', NULL, OPTION_HIDDEN, NULL, 0},
    {"ingress", KEY_TEXT + DEPLOYMENT_ingress, "INGRESS", OPTION_HIDDEN, NULL, 0},
    {"labels", KEY_INERT, "LABELS", OPTION_HIDDEN, NULL, 0},
    {"update-labels", KEY_INERT, "LABELS", OPTION_HIDDEN, NULL, 0},
    {"execution-environment", KEY_TEXT + DEPLOYMENT_generation, "GEN", OPTION_HIDDEN, NULL, 0},
    {"deploy-health-check", KEY_CHECK, NULL, OPTION_HIDDEN, NULL, 0},
    {"no-deploy-health-check", KEY_NO_CHECK, NULL, OPTION_HIDDEN, NULL, 0},
    {"no-use-http2", KEY_INERT, NULL, OPTION_HIDDEN, NULL, 0},
    {"verbosity", KEY_INERT, "LEVEL", OPTION_HIDDEN, NULL, 0},
    {"container", KEY_SIDECAR, "NAME", OPTION_HIDDEN, NULL, 0},
    {"depends-on", KEY_SIDECAR, "NAME", OPTION_HIDDEN, NULL, 0},
    {"add-volume", KEY_VOLUME, "VOLUME", OPTION_HIDDEN, NULL, 0},
    {"add-volume-mount", KEY_VOLUME, "MOUNT", OPTION_HIDDEN, NULL, 0},
    {"cpu-boost", KEY_INERT, NULL, OPTION_HIDDEN, NULL, 0},
    {"no-cpu-boost", KEY_INERT, NULL, OPTION_HIDDEN, NULL, 0},
    {"format", KEY_INERT, "FORMAT", OPTION_HIDDEN, NULL, 0},
    {"async", KEY_INERT, NULL, OPTION_HIDDEN, NULL, 0},
    {"account", KEY_INERT, "ACCOUNT", OPTION_HIDDEN, NULL, 0},
    {"use-http2", KEY_HTTP2, NULL, OPTION_HIDDEN, NULL, 0},
    {0}};

static bool list_parse(struct list_flags *flags, int first, int key, const char *argument)
{
    enum { SET, UPDATE, REMOVE, CLEAR };
    switch (key - first) {
    case SET:
        flags->clear = true;
        flags->set = argument;
        break;
    case UPDATE:
        flags->update = argument;
        break;
    case REMOVE:
        flags->remove = argument;
        break;
    case CLEAR:
        flags->clear = true;
        break;
    default:
        return false;
    }
    return true;
}

static error_t parse_text(int key, char *argument, struct arguments *arguments)
{
    switch (key) {
    case KEY_COMMAND:
        arguments->command = argument;
        break;
    case KEY_ARGS:
        arguments->args = argument;
        break;
    case KEY_AUDIENCES:
        arguments->audiences = argument;
        break;
    case KEY_ENV_FILE:
        arguments->env.clear = true;
        arguments->env_file = argument;
        break;
    case KEY_SCALING:
        arguments->scaling = argument;
        break;
    case KEY_TIMEOUT:
        arguments->timeout = argument;
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

/* Flags that set a text to a value of their own. */
static error_t parse_switch(int key, struct arguments *arguments)
{
    switch (key) {
    case KEY_AFFINITY:
        arguments->texts[DEPLOYMENT_affinity] = "true";
        break;
    case KEY_NO_AFFINITY:
        arguments->texts[DEPLOYMENT_affinity] = "default";
        break;
    case KEY_THROTTLING:
        arguments->texts[DEPLOYMENT_throttling] = "default";
        break;
    case KEY_NO_THROTTLING:
        arguments->texts[DEPLOYMENT_throttling] = "false";
        break;
    case KEY_CHECK:
        arguments->texts[DEPLOYMENT_unchecked] = "default";
        break;
    case KEY_NO_CHECK:
        arguments->texts[DEPLOYMENT_unchecked] = "true";
        break;
    case KEY_REDIS:
        arguments->texts[DEPLOYMENT_redis] = "managed";
        break;
    case KEY_POSTGRES:
        arguments->texts[DEPLOYMENT_postgres] = "managed";
        break;
    case KEY_NO_TRAFFIC:
        arguments->deploy.no_traffic = true;
        break;
    case KEY_ALLOW:
        arguments->texts[DEPLOYMENT_allow] = "true";
        break;
    case KEY_NO_ALLOW:
        arguments->texts[DEPLOYMENT_allow] = "false";
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static error_t parse_refused(int key, struct argp_state *state)
{
    if (key == KEY_HTTP2)
        argp_error(state, "--use-http2: WebSockets need HTTP/1.1 to the container");
    else if (key == KEY_SIDECAR)
        argp_error(state, "--container, --depends-on: a service has one container here, and no sidecars");
    else if (key == KEY_VOLUME)
        argp_error(state, "--add-volume, --add-volume-mount: secrets are mounted with --set-secrets "
                          "/FOLDER/FILE=SECRET:VERSION; for other volumes write them into a service.yaml, and `sennit "
                          "apply` it");
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    struct deploy *deploy = &arguments->deploy;
    uint64_t port;
    if (key >= KEY_TEXT && key < KEY_TEXT + DEPLOYMENT_TEXTS_COUNT) {
        arguments->texts[key - KEY_TEXT] = argument;
        return 0;
    }
    switch (key) {
    case KEY_STATE:
        deploy->state = argument;
        break;
    case KEY_SOURCE:
        deploy->source = argument;
        break;
    case KEY_IMAGE:
        deploy->image = argument;
        break;
    case KEY_TAG:
        deploy->tag = argument;
        break;
    case KEY_SUFFIX:
        deploy->suffix = argument;
        break;
    case KEY_LISTEN:
        if (!span_to_u64(span_str(argument), &port) || port > 65535)
            argp_error(state, "--listen: expected a port, found %s", SHOWN_FOUND(span_str(argument)));
        deploy->listen = argument;
        break;
    case KEY_INERT:
    case 'q':
        break;
    case ARGP_KEY_ARG: {
        const char *name = deploy->wanted.service;
        cli_one_take(&name, argument, state);
        deploy->wanted.service = mem_text(span_str(name));
        break;
    }
    default:
        if (list_parse(&arguments->env, KEY_SET_ENV, key, argument) ||
            list_parse(&arguments->secrets, KEY_SET_SECRETS, key, argument) ||
            parse_text(key, argument, arguments) == 0 || parse_switch(key, arguments) == 0)
            return 0;
        return parse_refused(key, state);
    }
    return 0;
}

/* "a,b" as words. */
static void words_take(struct words *words, const char *list)
{
    struct span rest = span_str(list != NULL ? list : ""), word;
    while (span_next(&rest, ',', &word))
        if (word.len > 0)
            words_add(words, mem_text(word));
}

/* "a,b" as the annotation has it; none of them takes it away. */
static void audiences_take(struct deployment *wanted, const char *list)
{
    struct span rest = span_str(list), one;
    struct buf json = {0};
    while (span_next(&rest, ',', &one)) {
        if (one.len == 0)
            continue;
        buf_append(&json, json.len == 0 ? SPAN_LIT("[\"") : SPAN_LIT(",\""));
        buf_append_json(&json, one);
        buf_append_char(&json, '"');
    }
    buf_append(&json, json.len == 0 ? SPAN_LIT("default") : SPAN_LIT("]"));
    buf_append_char(&json, '\0');
    deployment_set(wanted, DEPLOYMENT_audiences, buf_span(&json).data);
    buf_finish(&json);
}

/* `auto`, or so many instances. */
static void scaling_take(struct deployment *wanted, const char *scaling)
{
    bool is_auto = strcmp(scaling, "auto") == 0;
    deployment_set(wanted, DEPLOYMENT_scaling, is_auto ? "default" : "manual");
    deployment_set(wanted, DEPLOYMENT_manual, is_auto ? "default" : scaling);
}

static bool texts_take(struct arguments *arguments, struct err *err)
{
    struct deployment *wanted = &arguments->deploy.wanted;
    uint64_t seconds;
    for (int i = 0; i < DEPLOYMENT_TEXTS_COUNT; i++) {
        const char *text = arguments->texts[i];
        if (text != NULL && !deployment_is_probe((enum deployment_text)i))
            deployment_set(wanted, (enum deployment_text)i, text);
        else if (text != NULL && !deployment_probe_set(wanted, (enum deployment_text)i, text, err))
            return false;
    }
    if (arguments->scaling != NULL)
        scaling_take(wanted, arguments->scaling);
    if (arguments->audiences != NULL)
        audiences_take(wanted, arguments->audiences);
    if (arguments->timeout == NULL)
        return true;
    if (!duration_parse(arguments->timeout, &seconds))
        return err_set(err, "--timeout: expected a time like 300, 10m5s or 1h, found %s",
                       SHOWN_FOUND(span_str(arguments->timeout)));
    char *text = mem_printf("%llu", (unsigned long long)seconds);
    deployment_set(wanted, DEPLOYMENT_timeout, text);
    free(text);
    return true;
}

static void list_shorten(const struct list_flags *flags, struct words *list, struct deployment *wanted,
                         void (*remove)(struct deployment *deployment, const char *names))
{
    if (flags->clear)
        words_finish(list);
    if (flags->remove != NULL)
        remove(wanted, flags->remove);
}

static bool list_extend(const struct list_flags *flags, struct deployment *wanted,
                        bool (*add)(struct deployment *deployment, const char *pairs, struct err *err), struct err *err)
{
    return (flags->set == NULL || add(wanted, flags->set, err)) &&
           (flags->update == NULL || add(wanted, flags->update, err));
}

/* The settings of the last deployment, and what the flags change. */
static bool settings_take(struct arguments *arguments, struct err *err)
{
    struct deployment *wanted = &arguments->deploy.wanted;
    if (!deployment_read(wanted, arguments->deploy.file, err) || !texts_take(arguments, err))
        return false;
    words_take(&wanted->command, arguments->command);
    words_take(&wanted->args, arguments->args);
    list_shorten(&arguments->secrets, &wanted->secrets, wanted, deployment_secrets_remove);
    list_shorten(&arguments->env, &wanted->env, wanted, deployment_env_remove);
    return (arguments->env_file == NULL || deployment_env_file_add(wanted, arguments->env_file, err)) &&
           list_extend(&arguments->secrets, wanted, deployment_secrets_add, err) &&
           list_extend(&arguments->env, wanted, deployment_env_add, err);
}

static bool home_find(struct deploy *deploy, struct err *err)
{
    char *folder, *home = deploy->state != NULL ? mem_text(span_str(deploy->state)) : process_state_home();
    bool ok = file_make_directory(home, err);
    deploy->home = file_absolute(home);
    folder = mem_printf("%s/deployed", deploy->home);
    ok = ok && file_make_directory(folder, err);
    deploy->file = mem_printf("%s/%s.yaml", folder, deploy->wanted.service);
    free(folder);
    free(home);
    return ok;
}

/* The file is read as `sennit up` will, so that a wrong value is found before anything is built. */
static bool check(const struct deploy *deploy, struct err *err)
{
    struct buf text = {0};
    struct service_spec spec;
    struct deployment trial = deploy->wanted;
    trial.directory = (char *)"/";
    deployment_encode(&text, &trial);
    bool ok = service_spec_parse(&spec, "the flags' service.yaml", buf_span(&text), err);
    service_spec_finish(&spec);
    buf_finish(&text);
    return ok;
}

static int deploy_run(struct arguments *arguments, struct err *err)
{
    struct deploy *deploy = &arguments->deploy;
    if (!service_name_is_valid(span_str(deploy->wanted.service))) {
        err_set(err, "a service's name is at most %d lower-case letters, digits and hyphens, and begins with a letter",
                SERVICE_NAME_BYTES_MAX);
        return -1;
    }
    if (deploy->image != NULL && deploy->source != NULL) {
        err_set(err, "--source and --image: a service is built from a source, or is an image that is there; give one");
        return -1;
    }
    deploy->source = deploy->source != NULL ? deploy->source : ".";
    if (!file_is_directory(deploy->source)) {
        err_set(err, "--source: %.300s is no folder", deploy->source);
        return -1;
    }
    if (!home_find(deploy, err) || !settings_take(arguments, err))
        return -1;
    deploy_look(deploy);
    if (!deploy_plan(deploy, err) || !check(deploy, err))
        return -1;
    printf("Building and deploying container to Cloud Run service [%s], on this machine\n", deploy->wanted.service);
    fflush(stdout);
    return deploy_build(deploy, err) ? deploy_host(deploy, err) : -1;
}

int cmd_deploy(int argc, char **argv)
{
    static const struct argp argp = {
        options,
        parse,
        "SERVICE",
        "Builds a folder of source, or takes an image, and deploys it as a service, as `gcloud run deploy` does: on "
        "the running `sennit up`, or on one that it starts and keeps until Ctrl-C.\v"
        "Known sources: Dockerfile (with podman or docker), Procfile, package.json (npm), requirements.txt or main.py "
        "(Python), meson.build, Makefile, an executable. Files that .gcloudignore, or else .gitignore, excludes are "
        "left out. Settings that no flag names stay as they were.",
        NULL,
        NULL,
        NULL};
    struct arguments arguments = {.deploy = {.listen = "8080", .text = file_stdout_is_terminal()}};
    struct err err;
    cli_parse(&argp, argc, argv, &arguments);
    if (arguments.deploy.wanted.service == NULL) {
        fputs("sennit deploy: which service? like: sennit deploy whiteboard --source=. --allow-unauthenticated\n",
              stderr);
        return CLI_USAGE;
    }
    int status = deploy_run(&arguments, &err);
    deployment_finish(&arguments.deploy.wanted);
    buf_finish(&arguments.deploy.services);
    free(arguments.deploy.home);
    free(arguments.deploy.file);
    return status < 0 ? cli_fail("deploy", &err) : status;
}
