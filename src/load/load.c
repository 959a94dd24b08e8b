/* load: prepares a run (options, descriptors, address), runs the loop, and reports. */
#include "load/load.h"

#include <signal.h>
#include <stdlib.h>

#include "base/mem.h"
#include "load/dial.h"
#include "load/progress.h"
#include "load/report.h"
#include "wire/socketio.h"

enum {
    FILES_SPARE = 64,
    CUT_LINGERS_S = 1,        /* a connection that was cut lives on for about this long, */
    HALF_OPEN_LINGERS_S = 11, /* or this long */
};

static void on_signal(struct signal_watch *watch, int number)
{
    struct run *run =
        number == SIGINT ? container_of(watch, struct run, interrupt) : container_of(watch, struct run, terminate);
    run_abort(run, "interrupted");
}

/* The number of connections that were cut and still exist, on average, when all clients are connected. */
static double connections_cut(const struct load_options *options)
{
    bool half_open = options->cuts & 1u << CUT_HALFOPEN;
    double lingers_s = half_open ? (double)HALF_OPEN_LINGERS_S / __builtin_popcount(options->cuts) : 0;
    double each = options_connections_each(options);
    return options->cut_every_s != 0 ? each * options->clients / options->cut_every_s * (lingers_s + CUT_LINGERS_S) : 0;
}

static bool files_allow(const struct run *run, struct err *err)
{
    const struct load_options *options = run->options;
    uint64_t connections = (uint64_t)options->clients * options_connections_each(options);
    uint64_t wanted = connections + (uint64_t)connections_cut(options) + FILES_SPARE,
             allowed = process_files_allow(wanted);
    return allowed >= wanted ||
           err_set(err,
                   "this run needs %llu descriptors and may have %llu: say `ulimit -n %llu` first (as root, or raise "
                   "nofile in /etc/security/limits.conf), or use fewer --clients",
                   (unsigned long long)wanted, (unsigned long long)allowed, (unsigned long long)wanted);
}

static void id_make(struct run *run)
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    for (size_t i = 0; i < sizeof run->id; i++)
        run->id[i] = digits[loop_random_below(run->loop, sizeof digits - 1)];
    loop_random(run->loop, run->secret, sizeof run->secret);
    scan_init(&run->scan, run->id);
}

/* The bytes in front of every event that is sent. */
static void prefixes_make(struct run *run)
{
    const struct load_options *options = run->options;
    static const char *const paths[] = {[LOAD_SOCKETIO] = "/socket.io/", [LOAD_PLAIN] = "/ws"};
    const char *path = options->path != NULL                 ? options->path
                       : options->protocol == LOAD_WEBSOCKET ? run->url.path
                                                             : paths[options->protocol];
    char mark = span_find(span_str(path), '?') >= 0 ? '&' : '?';
    if (options->protocol != LOAD_SOCKETIO)
        run->target = mem_printf("%s", path);
    else if (options->transport == LOAD_TRANSPORT_WEBSOCKET)
        run->target = mem_printf("%s%cEIO=4&transport=websocket", path, mark);
    else
        run->target = mem_printf("%s%cEIO=4&transport=polling", path, mark);
    if (options->transport == LOAD_TRANSPORT_UPGRADE)
        run->upgrade_target = mem_printf("%s%cEIO=4&transport=websocket", path, mark);
    socketio_prefix_encode(&run->event_prefix, SOCKETIO_EVENT, span_str(options->nsp), (struct span){NULL, 0});
    if (options->binary != 0)
        socketio_binary_prefix_encode(&run->message_prefix, SOCKETIO_BINARY_EVENT, 1, span_str(options->nsp),
                                      (struct span){NULL, 0});
    else
        buf_append(&run->message_prefix, buf_span(&run->event_prefix));
    buf_append(&run->event_head, options->protocol == LOAD_PLAIN ? SPAN_LIT(",\"event\":\"") : SPAN_LIT("[\""));
    buf_append_json(&run->event_head, span_str(options->room_event != NULL ? options->room_event : options->event));
    buf_append(&run->event_head, options->protocol == LOAD_PLAIN ? SPAN_LIT("\",\"args\":[") : SPAN_LIT("\","));
}

static void clients_make(struct run *run)
{
    const struct load_options *options = run->options;
    run->room_count = options->rooms != 0 ? options->rooms : 1;
    run->members = mem_zero(run->room_count, sizeof *run->members);
    run->clients = mem_zero(options->clients, sizeof *run->clients);
    for (uint32_t i = 0; i < options->clients; i++) {
        client_init(&run->clients[i], run, i);
        for (uint32_t slot = 0; slot < options->rooms_each; slot++)
            run->members[client_room(&run->clients[i], slot)]++;
    }
    if (options->check)
        run->check =
            check_create(&run->messages, options->clients, run->room_count, options->rooms_each, options->echo);
}

/* Without acknowledgements, messages sent on a connection that lasted count as accepted. */
static void unacknowledged_take(struct run *run)
{
    const struct load_options *options = run->options;
    if (options_acknowledge(options))
        return;
    for (uint32_t i = 0; i < run->messages.count; i++) {
        const struct client *publisher = &run->clients[messages_at(&run->messages, i)->publisher];
        if (publisher->state == CLIENT_READY && i >= publisher->ready_at)
            messages_acknowledge(&run->messages, i);
    }
}

static void judge(struct run *run)
{
    const struct check_totals *totals = &run->totals;
    const struct check_counts *counts = &totals->counts;
    uint32_t clients = run->options->clients;
    bool *away = mem_zero(clients, sizeof *away);
    for (uint32_t i = 0; i < clients; i++) {
        const struct client *client = &run->clients[i];
        /* A client that had been back and had received everything does not count as away: with a short request timeout,
         * some client is always reconnecting. */
        away[i] = client->state != CLIENT_READY && (client->state == CLIENT_GONE || !client->was_back ||
                                                    run->check == NULL || check_lacks(run->check, i));
        run->away += away[i];
    }
    if (run->check != NULL) {
        unacknowledged_take(run);
        check_finish(run->check, away, &run->totals);
    }
    free(away);
    if (run->check == NULL || run->outcome != LOAD_GOOD)
        return;
    if (counts->lost + counts->doubled + counts->reordered + counts->unexpected + totals->wrongly_recovered != 0)
        err_set(&run->why,
                "the check failed: %llu lost, %llu doubled, %llu reordered, %llu unexpected, %llu wrongly recovered",
                (unsigned long long)counts->lost, (unsigned long long)counts->doubled,
                (unsigned long long)counts->reordered, (unsigned long long)counts->unexpected,
                (unsigned long long)totals->wrongly_recovered);
    else if (run->away != 0)
        err_set(&run->why, "the check failed: %u of %u clients were away at the end", run->away, clients);
    else if (counts->accepted == 0)
        err_set(&run->why, "the check failed: nothing was accepted, so nothing is shown; if the server does not "
                           "acknowledge events, say --no-ack");
    else
        return;
    run->outcome = LOAD_CHECK_FAILED;
}

/* All clients say goodbye; one more turn of the loop ends the open connections. */
static void everybody_leaves(struct run *run)
{
    run_stop(run);
    progress_stop(run);
    for (uint32_t i = 0; i < run->options->clients; i++)
        client_leave(&run->clients[i]);
    list_each (node, &run->dials)
        dial_drop(container_of(node, struct dial, of_run));
    loop_stop(run->loop);
    loop_run(run->loop);
    for (uint32_t i = 0; i < run->options->clients; i++)
        client_finish(&run->clients[i]);
    signal_watch_stop(run->loop, &run->interrupt);
    signal_watch_stop(run->loop, &run->terminate);
    net_finish(&run->net);
}

static void run_free(struct run *run)
{
    check_destroy(run->check);
    messages_finish(&run->messages);
    packer_finish(&run->packer);
    buf_finish(&run->scratch);
    buf_finish(&run->text);
    buf_finish(&run->event_prefix);
    buf_finish(&run->message_prefix);
    buf_finish(&run->event_head);
    url_finish(&run->url);
    free(run->target);
    free(run->upgrade_target);
    free(run->members);
    free(run->clients);
    loop_destroy(run->loop);
    free(run);
}

static bool prepare(struct run *run, struct err *err)
{
    uint64_t unused;
    if (!url_parse(&run->url, run->options->url, err))
        return false;
    if (run->options->protocol != LOAD_WEBSOCKET && strcmp(run->url.path, "/") != 0)
        return err_set(err, "%s: the URL's path is not used with --protocol %s: say --path, or --namespace",
                       run->url.shown, load_protocol_name(run->options->protocol));
    return run->options->pid == 0 || process_cpu_read(run->options->pid, &unused, err) || err_prefix(err, "--pid: ");
}

enum load_outcome load_run(const struct load_options *options, struct err *err)
{
    struct run *run = mem_zero(1, sizeof *run);
    enum load_outcome outcome = LOAD_WRONG;
    run->options = options;
    if (!prepare(run, err))
        goto free;
    outcome = LOAD_ABORTED;
    if (!files_allow(run, err) || (run->loop = loop_create(err)) == NULL)
        goto free;
    net_init(&run->net, run->loop);
    id_make(run);
    prefixes_make(run);
    clients_make(run);
    signal_watch_start(run->loop, &run->interrupt, SIGINT, on_signal);
    signal_watch_start(run->loop, &run->terminate, SIGTERM, on_signal);
    progress_start(run);
    run_start(run);
    loop_run(run->loop);
    judge(run);
    everybody_leaves(run);
    if (options->json)
        report_print_json(run);
    else
        report_print(run);
    outcome = run->outcome;
    *err = run->why;
free:
    run_free(run);
    return outcome;
}
