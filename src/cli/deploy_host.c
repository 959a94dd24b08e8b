/* deploy_host: a deployment talks to the running `sennit up`. Where none runs, it starts one as its child, passes on
 * what that writes, and ends with it.
 *
 *     WAITS --it answers--> ASKED --the revision is ready, or has failed--> OVER */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/shown.h"
#include "cli/control_client.h"
#include "cli/deploy.h"
#include "loop/child.h"
#include "loop/file.h"
#include "loop/process.h"
#include "wire/json.h"

enum { POLL_MS = 100, LINES_BYTES_MAX = 16 * 1024 };
enum phase { WAITS, ASKED, OVER };

struct host {
    struct deploy *deploy;
    struct loop *loop;
    struct child child;
    struct timer tick;
    struct signal_watch interrupt, term, hangup;
    struct err *err;
    struct buf early; /* what `sennit up` has written so far, to be shown if it does not start */
    uint8_t phase;    /* enum phase */
    int status;       /* the exit status; -1: `err` is set */
    bool runs;        /* the child does */
};

void deploy_look(struct deploy *deploy)
{
    struct err ignored;
    buf_clear(&deploy->services);
    deploy->runs = control_ask(deploy->state, "GET", "/services", SPAN_LIT(""), &deploy->services, &ignored);
}

/* The text of a member, as people may see it. */
static void member_print(struct span object, const char *key)
{
    struct buf text = json_text_get(object, key), shown = {0};
    shown_append(&shown, buf_span(&text), SIZE_MAX);
    printf(SPAN_FMT, SPAN_ARG(buf_span(&shown)));
    buf_finish(&text);
    buf_finish(&shown);
}

static struct span named_find(struct span list, const char *name)
{
    struct span one;
    while (list.data != NULL && json_array_next(&list, &one))
        if (json_string_equal(json_object_get(one, SPAN_LIT("name")), span_str(name)))
            return one;
    return (struct span){NULL, 0};
}

static void tag_print(const struct deploy *deploy, struct span service)
{
    struct span list = json_object_get(service, SPAN_LIT("traffic")), target;
    while (deploy->tag != NULL && list.data != NULL && json_array_next(&list, &target)) {
        struct span tag = json_object_get(target, SPAN_LIT("tag"));
        if (tag.data == NULL || !json_string_equal(tag, span_str(deploy->tag)))
            continue;
        printf("The revision can be reached directly at ");
        member_print(target, "url");
        printf("\n");
    }
}

/* Prints what gcloud does. Returns the exit status; -1: it is still being deployed. */
static int outcome_print(const struct deploy *deploy)
{
    struct span json = json_trim(buf_span(&deploy->services));
    struct span service = named_find(json_object_get(json, SPAN_LIT("services")), deploy->wanted.service);
    struct span revisions = service.data != NULL ? json_object_get(service, SPAN_LIT("revisions")) : service;
    struct span revision = named_find(revisions, deploy->wanted.revision);
    if (revision.data == NULL)
        return -1;
    struct span state = json_object_get(revision, SPAN_LIT("state"));
    if (json_string_equal(state, SPAN_LIT("failed"))) {
        printf("Deployment failed\n");
        fflush(stdout);
        fprintf(stderr,
                "sennit deploy: the revision %s is not ready and cannot serve traffic: ", deploy->wanted.revision);
        fflush(stderr);
        member_print(revision, "why");
        printf("\n`sennit logs %s` has its output.\n", deploy->wanted.service);
        return 1;
    }
    if (!json_string_equal(state, SPAN_LIT("ready")))
        return -1;
    printf("  Routing traffic\nDone.\n");
    printf("Service [%s] revision [%s] has been deployed and is serving " SPAN_FMT " percent of traffic.\n",
           deploy->wanted.service, deploy->wanted.revision, SPAN_ARG(json_object_get(revision, SPAN_LIT("percent"))));
    tag_print(deploy, service);
    printf("Service URL: ");
    member_print(service, "url");
    printf("\n");
    return 0;
}

static bool apply(const struct deploy *deploy, struct err *err)
{
    struct buf text = {0}, target = {0}, answer = {0};
    deployment_encode(&text, &deploy->wanted);
    buf_append(&target, SPAN_LIT("/apply?"));
    control_value_append(&target, span_str(deploy->file));
    buf_append_char(&target, '\0');
    printf("  Creating revision %s\n", deploy->wanted.revision);
    fflush(stdout);
    bool ok = control_ask(deploy->state, "POST", buf_span(&target).data, buf_span(&text), &answer, err);
    buf_finish(&text);
    buf_finish(&target);
    buf_finish(&answer);
    return ok;
}

/* The file is kept once it has come into force. */
static void settle(struct host *host)
{
    struct buf text = {0};
    struct err err;
    deployment_encode(&text, &host->deploy->wanted);
    if (host->status == 0 && !file_replace(host->deploy->file, buf_span(&text), &err))
        fprintf(stderr, "sennit deploy: the settings cannot be kept for the next deployment: %s\n", err.text);
    deploy_sweep(host->deploy);
    buf_finish(&text);
    host->phase = OVER;
}

static void step(struct host *host)
{
    struct deploy *deploy = host->deploy;
    if (host->phase == OVER)
        return;
    deploy_look(deploy);
    if (host->phase == WAITS && deploy->runs) {
        host->phase = ASKED;
        if (!apply(deploy, host->err)) {
            deploy_undo(deploy);
            host->phase = OVER;
            host->status = -1;
        }
    } else if (host->phase == ASKED && !deploy->runs) {
        host->status = err_set(host->err, "sennit up has ended before the revision was ready") - 1;
        host->phase = OVER;
    } else if (host->phase == ASKED) {
        host->status = outcome_print(deploy);
        if (host->status >= 0)
            settle(host);
    }
    fflush(stdout);
}

static void on_tick(struct timer *timer)
{
    struct host *host = container_of(timer, struct host, tick);
    step(host);
    if (host->phase != OVER) {
        timer_start(host->loop, timer, LOOP_MS(POLL_MS));
    } else if (host->status != 0) {
        child_signal(&host->child, SIGTERM);
    } else {
        printf("\nsennit up runs here, until Ctrl-C. `sennit logs %s --follow` shows more.\n",
               host->deploy->wanted.service);
        fflush(stdout);
    }
}

static void on_line(struct child *child, bool is_stderr, struct span line)
{
    struct host *host = container_of(child, struct host, child);
    if (host->phase == WAITS && host->early.len < LINES_BYTES_MAX) {
        buf_append(&host->early, line);
        buf_append_char(&host->early, '\n');
        return;
    }
    fwrite(line.data, 1, line.len, stdout);
    putchar('\n');
    fflush(stdout);
}

static void on_ended(struct child *child, struct child_end end)
{
    struct host *host = container_of(child, struct host, child);
    host->runs = false;
    if (host->phase == WAITS) {
        fwrite(buf_span(&host->early).data, 1, host->early.len, stderr);
        host->status = err_set(host->err, "sennit up has not started: see above") - 1;
    } else if (host->phase == ASKED) {
        host->status = err_set(host->err, "sennit up has ended before the revision was ready") - 1;
    }
    loop_stop(host->loop);
}

static void on_interrupt(struct signal_watch *watch, int number)
{
    child_signal(&container_of(watch, struct host, interrupt)->child, number);
}

static void on_term(struct signal_watch *watch, int number)
{
    child_signal(&container_of(watch, struct host, term)->child, number);
}

/* Its terminal was closed; for `sennit up`, whose output is a pipe, SIGHUP means something else. */
static void on_hangup(struct signal_watch *watch, int number)
{
    child_signal(&container_of(watch, struct host, hangup)->child, SIGTERM);
}

static bool child_begin(struct host *host, struct err *err)
{
    struct deploy *deploy = host->deploy;
    struct buf self = {0};
    char *folder = mem_printf("%s/deployed", deploy->home);
    file_self(&self);
    buf_append_char(&self, '\0');
    const char *const argv[] = {buf_span(&self).data,
                                "up",
                                folder,
                                "--allow-empty",
                                "--state",
                                deploy->home,
                                "--port",
                                deploy->listen,
                                "--log-format",
                                deploy->text ? "text" : "json",
                                NULL};
    const struct child_spec spec = {.argv = argv};
    host->runs = child_start(&host->child, host->loop, &spec, on_line, on_ended, err);
    buf_finish(&self);
    free(folder);
    return host->runs;
}

/* Until the child ends. */
static void host_run(struct host *host)
{
    timer_init(&host->tick, on_tick);
    timer_start(host->loop, &host->tick, LOOP_MS(POLL_MS));
    signal_watch_start(host->loop, &host->interrupt, SIGINT, on_interrupt);
    signal_watch_start(host->loop, &host->term, SIGTERM, on_term);
    if (!signal_is_ignored(SIGHUP))
        signal_watch_start(host->loop, &host->hangup, SIGHUP, on_hangup);
    loop_run(host->loop);
    timer_stop(host->loop, &host->tick);
    signal_watch_stop(host->loop, &host->interrupt);
    signal_watch_stop(host->loop, &host->term);
    signal_watch_stop(host->loop, &host->hangup);
}

int deploy_host(struct deploy *deploy, struct err *err)
{
    struct host host = {.deploy = deploy, .err = err};
    if (deploy->runs) {
        while (host.phase != OVER) {
            step(&host);
            if (host.phase != OVER)
                process_pause_ms(POLL_MS);
        }
        return host.status;
    }
    list_init(&host.interrupt.node);
    list_init(&host.term.node);
    list_init(&host.hangup.node);
    host.loop = loop_create(err);
    if (host.loop == NULL)
        return -1;
    host.status = -1;
    printf("  No sennit up runs: starting one\n");
    fflush(stdout);
    if (child_begin(&host, err))
        host_run(&host);
    loop_destroy(host.loop);
    buf_finish(&host.early);
    return host.status;
}
