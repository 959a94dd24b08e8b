/* cmd_control: `sennit apply`, `services`, `revisions`, `traffic` and `rollback`, which talk to a running `sennit up`.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/shown.h"
#include "cli/cli.h"
#include "cli/control_client.h"
#include "loop/file.h"
#include "loop/process.h"
#include "platform/traffic.h"
#include "wire/json.h"
#include "wire/yaml.h"

enum {
    KEY_STATE = 256,
    KEY_TO_LATEST,
    KEY_TO_REVISIONS,
    KEY_SET_TAGS,
    KEY_REMOVE_TAGS,
    KEY_TO,
    KEY_NO_WAIT,
    POLL_MS = 100
};

struct arguments {
    const char *state, *name, *shares, *to;
    struct buf tags; /* as --set-tags has them, those to be removed too */
    bool no_wait;
};

/* Each with a text behind it. */
static void tags_append(struct buf *tags, struct span list, const char *behind)
{
    struct span tag;
    while (span_next(&list, ',', &tag))
        buf_printf(tags, "%s" SPAN_FMT "%s", tags->len > 0 ? "," : "", SPAN_ARG(tag), behind);
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case KEY_STATE:
        arguments->state = argument;
        break;
    case KEY_TO_LATEST:
    case KEY_TO_REVISIONS:
        if (arguments->shares != NULL)
            argp_error(state, "give --to-latest or --to-revisions once, not both");
        arguments->shares = key == KEY_TO_LATEST ? TRAFFIC_LATEST "=100" : argument;
        break;
    case KEY_SET_TAGS:
        tags_append(&arguments->tags, span_str(argument), "");
        break;
    case KEY_REMOVE_TAGS:
        tags_append(&arguments->tags, span_str(argument), "=");
        break;
    case KEY_TO:
        arguments->to = argument;
        break;
    case KEY_NO_WAIT:
        arguments->no_wait = true;
        break;
    case ARGP_KEY_ARG:
        cli_one_take(&arguments->name, argument, state);
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

/* A column of text that came as JSON. */
static void column_print(struct span object, const char *key, int width)
{
    struct buf text = {0}, shown = {0};
    struct span value = json_object_get(object, span_str(key));
    if (value.data == NULL || !json_string_decode(value, &text))
        buf_append(&text, value);
    shown_append(&shown, buf_span(&text), SIZE_MAX);
    printf("%-*.*s", width, SPAN_ARG(buf_span(&shown)));
    buf_finish(&text);
    buf_finish(&shown);
}

static bool is_named(struct span service, const char *name)
{
    struct span value = json_object_get(service, SPAN_LIT("name"));
    return name == NULL || (value.data != NULL && json_string_equal(value, span_str(name)));
}

/* Each target on one line: "board-00001=90% LATEST=10% canary:board-00002". */
static void targets_print(struct span service)
{
    struct span list = json_object_get(service, SPAN_LIT("traffic")), target;
    while (list.data != NULL && json_array_next(&list, &target)) {
        struct span percent = json_object_get(target, SPAN_LIT("percent"));
        if (!span_equal(percent, SPAN_LIT("0"))) {
            column_print(target, "revision", 0);
            printf("=" SPAN_FMT "%% ", SPAN_ARG(percent));
        }
        if (json_object_get(target, SPAN_LIT("tag")).data != NULL) {
            column_print(target, "tag", 0);
            printf(":");
            column_print(target, "revision", 0);
            printf(" ");
        }
    }
}

static void services_print(struct span answer, const char *name)
{
    struct span list = json_object_get(answer, SPAN_LIT("services")), service;
    printf("%-24s %-40s %-28s %12s %12s  %s\n", "SERVICE", "URL", "LATEST", "USD", "USD/MONTH", "TRAFFIC");
    while (list.data != NULL && json_array_next(&list, &service)) {
        if (!is_named(service, name))
            continue;
        column_print(service, "name", 25);
        column_print(service, "url", 41);
        column_print(service, "latest", 29);
        column_print(json_object_get(service, SPAN_LIT("bill")), "usd", 13);
        column_print(json_object_get(service, SPAN_LIT("bill")), "usd_month", 14);
        targets_print(service);
        printf("\n");
    }
}

static void revisions_print(struct span answer, const char *name)
{
    struct span list = json_object_get(answer, SPAN_LIT("services")), service, revision;
    printf("%-32s %-10s %8s %10s %9s  %s\n", "REVISION", "STATE", "TRAFFIC", "INSTANCES", "REQUESTS", "WHY");
    while (list.data != NULL && json_array_next(&list, &service)) {
        struct span revisions = json_object_get(service, SPAN_LIT("revisions"));
        while (is_named(service, name) && revisions.data != NULL && json_array_next(&revisions, &revision)) {
            column_print(revision, "name", 33);
            column_print(revision, "state", 11);
            printf("%7.*s%% %10.*s %9.*s  ", SPAN_ARG(json_object_get(revision, SPAN_LIT("percent"))),
                   SPAN_ARG(json_object_get(revision, SPAN_LIT("instances"))),
                   SPAN_ARG(json_object_get(revision, SPAN_LIT("requests"))));
            column_print(revision, "why", 0);
            printf("\n");
        }
    }
}

/* Whether the answer has that service. False with `err` set. */
static bool name_check(struct span answer, const char *name, struct err *err)
{
    struct span list = json_object_get(answer, SPAN_LIT("services")), service;
    bool found = name == NULL;
    while (!found && list.data != NULL && json_array_next(&list, &service))
        found = is_named(service, name);
    return found || err_set(err, "there is no service of that name: `sennit services` lists them");
}

static bool services_ask(const struct arguments *arguments, struct buf *answer, struct err *err)
{
    return control_ask(arguments->state, "GET", "/services", SPAN_LIT(""), answer, err);
}

static int show(const char *command, const struct argp *argp, int argc, char **argv,
                void (*print)(struct span answer, const char *name))
{
    struct arguments arguments = {0};
    struct buf answer = {0};
    struct err err;
    cli_parse(argp, argc, argv, &arguments);
    bool ok = services_ask(&arguments, &answer, &err) && name_check(json_trim(buf_span(&answer)), arguments.name, &err);
    if (ok)
        print(json_trim(buf_span(&answer)), arguments.name);
    buf_finish(&answer);
    return ok ? 0 : cli_fail(command, &err);
}

int cmd_services(int argc, char **argv)
{
    static const struct argp_option options[] = {CLI_OPTION_STATE(KEY_STATE), {0}};
    static const struct argp argp = {options, parse, "[SERVICE]", "Lists the services of a running `sennit up`.",
                                     NULL,    NULL,  NULL};
    return show("services", &argp, argc, argv, services_print);
}

int cmd_revisions(int argc, char **argv)
{
    static const struct argp_option options[] = {CLI_OPTION_STATE(KEY_STATE), {0}};
    static const struct argp argp = {
        options, parse, "[SERVICE]", "Lists the revisions of a running `sennit up`, and what became of them.",
        NULL,    NULL,  NULL};
    return show("revisions", &argp, argc, argv, revisions_print);
}

/* Asks for a change of a service's traffic, and prints what it is then. */
static int change(const char *command, const struct arguments *arguments, const struct buf *target)
{
    struct buf answer = {0}, text = {0};
    struct err err;
    buf_append(&text, buf_span(target));
    buf_append_char(&text, '\0');
    bool ok = control_ask(arguments->state, "POST", buf_span(&text).data, SPAN_LIT(""), &answer, &err);
    if (ok)
        services_print(json_trim(buf_span(&answer)), arguments->name);
    buf_finish(&answer);
    buf_finish(&text);
    return ok ? 0 : cli_fail(command, &err);
}

static void target_begin(struct buf *target, const char *name, const char *what)
{
    buf_append(target, SPAN_LIT("/services/"));
    control_value_append(target, span_str(name));
    buf_printf(target, "/%s?", what);
}

static void pair_append(struct buf *target, const char *key, const char *value)
{
    if (value == NULL)
        return;
    buf_printf(target, "%s=", key);
    control_value_append(target, span_str(value));
    buf_append_char(target, '&');
}

int cmd_traffic(int argc, char **argv)
{
    static const struct argp_option options[] = {
        CLI_OPTION_STATE(KEY_STATE),
        {"to-latest", KEY_TO_LATEST, NULL, 0, "All requests go to the latest revision, now and after each deployment",
         0},
        {"to-revisions", KEY_TO_REVISIONS, "A=50,B=50", 0, "Shares of the requests, 100 together; LATEST is one, too",
         0},
        {"set-tags", KEY_SET_TAGS, "TAG=REVISION,...", 0,
         "Hosts TAG---SERVICE.localhost that lead to one revision; TAG= removes one, and others stay", 0},
        {"update-tags", KEY_SET_TAGS, NULL, OPTION_ALIAS, NULL, 0},
        {"remove-tags", KEY_REMOVE_TAGS, "TAG,...", 0, "Removes such hosts", 0},
        {0}};
    static const struct argp argp = {
        options, parse, "SERVICE", "Divides the requests of a service; those under way stay where they are.",
        NULL,    NULL,  NULL};
    struct arguments arguments = {0};
    struct buf target = {0};
    cli_parse(&argp, argc, argv, &arguments);
    if (arguments.name == NULL || (arguments.shares == NULL && arguments.tags.len == 0)) {
        fputs("sennit traffic: which service, and how? like: sennit traffic board "
              "--to-revisions=board-00001=90,LATEST=10\n",
              stderr);
        return CLI_USAGE;
    }
    target_begin(&target, arguments.name, "traffic");
    pair_append(&target, "to", arguments.shares);
    buf_append_char(&arguments.tags, '\0');
    pair_append(&target, "tags", arguments.tags.len > 1 ? buf_span(&arguments.tags).data : NULL);
    int status = change("traffic", &arguments, &target);
    buf_finish(&target);
    buf_finish(&arguments.tags);
    return status;
}

int cmd_rollback(int argc, char **argv)
{
    static const struct argp_option options[] = {
        CLI_OPTION_STATE(KEY_STATE),
        {"to", KEY_TO, "REVISION", 0, "To this one (default: the ready one before)", 0},
        {0}};
    static const struct argp argp = {
        options, parse, "SERVICE", "Gives all requests of a service to an earlier revision.", NULL, NULL, NULL};
    struct arguments arguments = {0};
    struct buf target = {0};
    cli_parse(&argp, argc, argv, &arguments);
    if (arguments.name == NULL) {
        fputs("sennit rollback: which service? like: sennit rollback board\n", stderr);
        return CLI_USAGE;
    }
    target_begin(&target, arguments.name, "rollback");
    pair_append(&target, "to", arguments.to);
    int status = change("rollback", &arguments, &target);
    buf_finish(&target);
    return status;
}

/* The first service that still deploys; NULL data: none does. */
static struct span deploying_find(struct span answer)
{
    struct span list = json_object_get(answer, SPAN_LIT("services")), service;
    while (list.data != NULL && json_array_next(&list, &service))
        if (!json_string_equal(json_object_get(service, SPAN_LIT("deploying")), SPAN_LIT("")))
            return service;
    return (struct span){NULL, 0};
}

/* Whether the revision `name`, a JSON string, has failed; prints what became of it. */
static bool outcome_print(struct span answer, struct span name)
{
    struct span list = json_object_get(answer, SPAN_LIT("services")), service, revision;
    while (list.data != NULL && json_array_next(&list, &service)) {
        struct span revisions = json_object_get(service, SPAN_LIT("revisions"));
        while (revisions.data != NULL && json_array_next(&revisions, &revision)) {
            if (!span_equal(json_object_get(revision, SPAN_LIT("name")), name))
                continue;
            bool failed = json_string_equal(json_object_get(revision, SPAN_LIT("state")), SPAN_LIT("failed"));
            printf("Service [");
            column_print(service, "name", 0);
            printf("] revision [");
            column_print(revision, "name", 0);
            printf(failed ? "] has not become ready, and gets no requests: "
                          : "] has been deployed and is serving " SPAN_FMT " percent of traffic.\n",
                   SPAN_ARG(json_object_get(revision, SPAN_LIT("percent"))));
            if (failed) {
                column_print(revision, "why", 0);
                printf("\n");
            }
            printf("Service URL: ");
            column_print(service, "url", 0);
            printf("\n");
            return failed;
        }
    }
    return true;
}

/* Waits until every service has deployed or failed. Returns how many failed; -1 with `err` set: nobody answers. */
static int outcomes_wait(const struct arguments *arguments, struct buf *answer, struct err *err)
{
    int failed = 0;
    for (;;) {
        struct span service = deploying_find(json_trim(buf_span(answer)));
        if (service.data == NULL)
            return failed;
        char *name = mem_text(json_object_get(service, SPAN_LIT("deploying")));
        bool is_same = true;
        while (is_same) {
            process_pause_ms(POLL_MS);
            buf_clear(answer);
            if (!services_ask(arguments, answer, err)) {
                free(name);
                return -1;
            }
            service = deploying_find(json_trim(buf_span(answer)));
            is_same =
                service.data != NULL && span_equal(json_object_get(service, SPAN_LIT("deploying")), span_str(name));
        }
        failed += outcome_print(json_trim(buf_span(answer)), span_str(name));
        free(name);
    }
}

static bool apply(const struct arguments *arguments, struct buf *answer, struct err *err)
{
    struct buf text = {0}, target = {0};
    char *whole = file_absolute(arguments->name);
    bool ok = file_read(arguments->name, YAML_BYTES_MAX, &text, err);
    buf_append(&target, SPAN_LIT("/apply?"));
    control_value_append(&target, span_str(whole));
    buf_append_char(&target, '\0');
    ok = ok && control_ask(arguments->state, "POST", buf_span(&target).data, buf_span(&text), answer, err);
    buf_finish(&text);
    buf_finish(&target);
    free(whole);
    return ok;
}

int cmd_apply(int argc, char **argv)
{
    static const struct argp_option options[] = {
        CLI_OPTION_STATE(KEY_STATE),
        {"no-wait", KEY_NO_WAIT, NULL, 0, "Do not wait until the new revisions are ready", 0},
        {0}};
    static const struct argp argp = {options,
                                     parse,
                                     "FILE.yaml",
                                     "Deploys a service.yaml on a running `sennit up`. New requests go to the new "
                                     "revision once it is ready; if it does "
                                     "not become ready, all stays as it is, and the exit status is 1. A file in which "
                                     "anything is wrong changes nothing.",
                                     NULL,
                                     NULL,
                                     NULL};
    struct arguments arguments = {0};
    struct buf answer = {0};
    struct err err;
    cli_parse(&argp, argc, argv, &arguments);
    if (arguments.name == NULL) {
        fputs("sennit apply: which file? like: sennit apply service.yaml\n", stderr);
        return CLI_USAGE;
    }
    int failed = apply(&arguments, &answer, &err) ? 0 : -1;
    if (failed == 0 && deploying_find(json_trim(buf_span(&answer))).data == NULL)
        printf("No new revision: the services have what the file says.\n");
    if (failed == 0 && !arguments.no_wait)
        failed = outcomes_wait(&arguments, &answer, &err);
    buf_finish(&answer);
    return failed < 0 ? cli_fail("apply", &err) : failed > 0;
}
