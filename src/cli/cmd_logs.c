/* cmd_logs: `sennit logs`: asks a running `sennit up` for its services' entries, answer by answer; where none runs, it
 * reads those that are on the disk. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/shown.h"
#include "cli/cli.h"
#include "cli/control_client.h"
#include "cli/duration.h"
#include "loop/process.h"
#include "platform/catalog.h"
#include "platform/logbook.h"
#include "platform/logfile.h"
#include "wire/json.h"

enum { KEY_STATE = 256, KEY_REVISION, KEY_INSTANCE, KEY_SEVERITY, KEY_SINCE, KEY_FORMAT, KEY_PAST, FOLLOW_MS = 200 };

struct arguments {
    const char *state, *service, *revision, *instance, *severity;
    uint64_t since_s;
    bool follow, json, past;
};

static const struct argp_option options[] = {
    CLI_OPTION_STATE(KEY_STATE),
    {"follow", 'f', NULL, 0, "Go on with new entries as they come", 0},
    {"revision", KEY_REVISION, "REVISION", 0, "Only entries of this revision", 0},
    {"instance", KEY_INSTANCE, "INSTANCE", 0, "Only entries of this instance", 0},
    {"severity", KEY_SEVERITY, "SEVERITY", 0,
     "Only entries from this severity up: DEFAULT, DEBUG, INFO, NOTICE, WARNING, ERROR, CRITICAL, ALERT, EMERGENCY", 0},
    {"since", KEY_SINCE, "TIME", 0, "Only entries of the last TIME, like 5m, 1h30m or 90 (seconds)", 0},
    {"past", KEY_PAST, NULL, 0,
     "Only entries on the disk, also of earlier runs of `sennit up` (without one that runs: the default)", 0},
    {"format", KEY_FORMAT, "FORMAT", 0, "text (the default), or json: one LogEntry of Cloud Logging a line", 0},
    {0}};

static bool is_json(struct argp_state *state, const char *text)
{
    if (strcmp(text, "json") != 0 && strcmp(text, "text") != 0)
        argp_error(state, "--format: expected text or json, found %s", SHOWN_FOUND(span_str(text)));
    return strcmp(text, "json") == 0;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    enum log_severity severity;
    switch (key) {
    case KEY_STATE:
        arguments->state = argument;
        break;
    case 'f':
        arguments->follow = true;
        break;
    case KEY_REVISION:
        arguments->revision = argument;
        break;
    case KEY_INSTANCE:
        arguments->instance = argument;
        break;
    case KEY_SEVERITY:
        if (!log_severity_parse(span_str(argument), &severity))
            argp_error(state, "--severity: expected one like WARNING, found %s", SHOWN_FOUND(span_str(argument)));
        arguments->severity = argument;
        break;
    case KEY_SINCE:
        if (!duration_parse(argument, &arguments->since_s))
            argp_error(state, "--since: expected a time like 5m, found %s", SHOWN_FOUND(span_str(argument)));
        break;
    case KEY_FORMAT:
        arguments->json = is_json(state, argument);
        break;
    case KEY_PAST:
        arguments->past = true;
        break;
    case ARGP_KEY_ARG:
        cli_one_take(&arguments->service, argument, state);
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

/* Prints a text that came as JSON, in harmless characters. */
static void text_print(struct span value)
{
    struct buf text = {0}, shown = {0};
    if (value.data != NULL && !json_string_decode(value, &text))
        buf_append(&text, value);
    shown_append(&shown, buf_span(&text), SIZE_MAX);
    printf(SPAN_FMT, SPAN_ARG(buf_span(&shown)));
    buf_finish(&text);
    buf_finish(&shown);
}

static void member_print(const char *before, struct span object, const char *key)
{
    struct span value = object.data != NULL ? json_object_get(object, span_str(key)) : object;
    if (value.data == NULL)
        return;
    fputs(before, stdout);
    text_print(value);
}

/* The message, then the other fields as key=value. */
static void payload_print(struct span payload)
{
    struct span key, value;
    member_print(" ", payload, "message");
    while (json_object_next(&payload, &key, &value)) {
        if (json_string_equal(key, SPAN_LIT("message")))
            continue;
        putchar(' ');
        text_print(key);
        putchar('=');
        text_print(value);
    }
}

/* 2026-11-28T15:00:00.123Z WARNING board-00001-1 requests: GET /ws 504 0.100s ... */
static void entry_print(struct span entry)
{
    struct span resource = json_object_get(entry, SPAN_LIT("resource")),
                labels = json_object_get(resource, SPAN_LIT("labels")),
                request = json_object_get(entry, SPAN_LIT("httpRequest")),
                payload = json_object_get(entry, SPAN_LIT("jsonPayload"));
    bool has_instance = json_object_get(labels, SPAN_LIT("instance")).data != NULL,
         has_revision = json_object_get(labels, SPAN_LIT("revision_name")).data != NULL;
    member_print("", entry, "timestamp");
    member_print(" ", entry, "severity");
    member_print(" ", labels, has_instance ? "instance" : has_revision ? "revision_name" : "service_name");
    struct span log = json_object_get(entry, SPAN_LIT("logName"));
    ptrdiff_t slash = span_find(log, '/');
    printf(" " SPAN_FMT ":", SPAN_ARG(span_sub(log, (size_t)slash + 1, log.len - (size_t)slash - 2)));
    member_print(" ", request, "requestMethod");
    member_print(" ", request, "requestUrl");
    member_print(" ", request, "status");
    member_print(" ", request, "latency");
    member_print(" ", entry, "textPayload");
    if (payload.data != NULL)
        payload_print(payload);
    putchar('\n');
}

static void value_append(struct buf *target, const char *name, const char *value)
{
    if (value == NULL)
        return;
    buf_printf(target, "&%s=", name);
    control_value_append(target, span_str(value));
}

static void target_make(struct buf *target, const struct arguments *arguments, int64_t since_ms, uint64_t after)
{
    buf_printf(target, "/logs?after=%llu", (unsigned long long)after);
    if (since_ms > 0)
        buf_printf(target, "&since_ms=%lld", (long long)since_ms);
    value_append(target, "service", arguments->service);
    value_append(target, "revision", arguments->revision);
    value_append(target, "instance", arguments->instance);
    value_append(target, "severity", arguments->severity);
    buf_append_char(target, '\0');
}

static void line_print(const struct arguments *arguments, struct span entry)
{
    if (arguments->json)
        printf(SPAN_FMT "\n", SPAN_ARG(entry));
    else
        entry_print(entry);
}

static void past_entry(struct span entry, void *context)
{
    line_print(context, entry);
}

/* What earlier runs have left on the disk. */
static bool past_print(struct arguments *arguments, int64_t since_ms, struct err *err)
{
    char since[LOGBOOK_TIME_BYTES], last[32];
    enum log_severity severity = SEVERITY_DEFAULT;
    logbook_time_print(since, since_ms);
    if (arguments->severity != NULL)
        log_severity_parse(span_str(arguments->severity), &severity);
    const struct logfile_query query = {.service = arguments->service,
                                        .revision = arguments->revision,
                                        .instance = arguments->instance,
                                        .since = since_ms > 0 ? since : NULL,
                                        .severity_min = severity};
    char *directory = catalog_directory(arguments->state);
    bool ok = logfile_read(directory, &query, past_entry, arguments, last, err);
    fflush(stdout);
    if (ok && !arguments->past)
        fprintf(stderr, "sennit logs: no sennit up runs on this state folder; earlier ones left these, until %s\n",
                last);
    free(directory);
    return ok;
}

/* One answer. `*more`: another one follows at once. */
static bool some_print(const struct arguments *arguments, int64_t since_ms, uint64_t *after, bool *more, bool *runs,
                       struct err *err)
{
    struct buf target = {0}, answer = {0};
    struct span entries, entry;
    target_make(&target, arguments, since_ms, *after);
    bool ok = control_ask_if_it_runs(arguments->state, "GET", buf_span(&target).data, SPAN_LIT(""), &answer, runs, err);
    if (ok) {
        struct span json = json_trim(buf_span(&answer));
        entries = json_object_get(json, SPAN_LIT("entries"));
        while (entries.data != NULL && json_array_next(&entries, &entry))
            line_print(arguments, entry);
        span_to_u64(json_object_get(json, SPAN_LIT("next")), after);
        *more = span_equal(json_object_get(json, SPAN_LIT("more")), SPAN_LIT("true"));
    }
    fflush(stdout);
    buf_finish(&target);
    buf_finish(&answer);
    return ok;
}

int cmd_logs(int argc, char **argv)
{
    static const struct argp argp = {
        options,
        parse,
        "[SERVICE]",
        "Prints what the requests and programs of `sennit up` have logged: its request log, the output of "
        "its instances, and what the platform did with them. A program's line that is a JSON object is understood as "
        "Cloud Logging does (severity, message, logging.googleapis.com/trace).\v"
        "Of each service, the last 4 MiB or 10,000 entries are kept in memory; the last 16 MiB or more of all of them "
        "stay on the disk when `sennit up` has ended. Where none runs, those are printed.",
        NULL,
        NULL,
        NULL};
    struct arguments arguments = {0};
    struct err err;
    uint64_t after = 0;
    bool more = false, runs = false, ok;
    cli_parse(&argp, argc, argv, &arguments);
    int64_t since_ms = arguments.since_s > 0 ? loop_clock_ms() - (int64_t)arguments.since_s * 1000 : 0;
    if (arguments.past)
        return past_print(&arguments, since_ms, &err) ? 0 : cli_fail("logs", &err);
    while ((ok = some_print(&arguments, since_ms, &after, &more, &runs, &err)) && (more || arguments.follow)) {
        if (ferror(stdout)) /* its reader has gone */
            return 0;
        if (!more)
            process_pause_ms(FOLLOW_MS);
    }
    if (!ok && !runs && after == 0 && !arguments.follow) {
        struct err none;
        ok = past_print(&arguments, since_ms, &none);
    }
    return ok ? 0 : cli_fail("logs", &err);
}
