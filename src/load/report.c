/* report: the report as text for people, and the figures that both reports share. */
#include "load/report.h"

#include <stdio.h>
#include <string.h>

enum {
    BAR_WIDTH = 40,
    ROOMS_SHOWN_MAX = 20,
    NUMBER_BYTES = 32, /* 20 digits and the commas between them */
};

double report_connects_per_s(const struct run *run)
{
    return run->connect_us != 0 ? run->options->clients * 1e6 / (double)run->connect_us : -1;
}

double report_cpu_us_per_connect(const struct run *run)
{
    if (run->after_connect.cpu_us == 0)
        return -1;
    return (double)(run->after_connect.cpu_us - run->before.cpu_us) / run->options->clients;
}

double report_cpu_us_per_delivery(const struct run *run)
{
    if (run->after_publish.cpu_us == 0 || run->counters.delivered == 0)
        return -1;
    return (double)(run->after_publish.cpu_us - run->after_connect.cpu_us) / (double)run->counters.delivered;
}

double report_bytes_per_client(const struct run *run, uint64_t before, uint64_t after)
{
    return before != 0 && after != 0 ? ((double)after - (double)before) / run->options->clients : -1;
}

/* With a comma between thousands. */
static const char *number_text(uint64_t number, char text[NUMBER_BYTES])
{
    char digits[NUMBER_BYTES];
    int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)number), at = 0;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            text[at++] = ',';
        text[at++] = digits[i];
    }
    text[at] = '\0';
    return text;
}

static const char *time_text(uint64_t us, char text[NUMBER_BYTES])
{
    double ms = (double)us / 1e3;
    if (us < 1000)
        snprintf(text, NUMBER_BYTES, "%u us", (unsigned)us);
    else if (us < 1000000)
        snprintf(text, NUMBER_BYTES, ms < 10 ? "%.2f ms" : ms < 100 ? "%.1f ms" : "%.0f ms", ms);
    else
        snprintf(text, NUMBER_BYTES, "%.2f s", ms / 1e3);
    return text;
}

static void bar_print(const struct run *run, uint64_t from_us, uint64_t below_us, uint64_t most)
{
    char bar[BAR_WIDTH + 1], from[NUMBER_BYTES];
    uint64_t count = histogram_between(&run->latency, from_us, below_us);
    uint64_t width = (count * BAR_WIDTH + most - 1) / most; /* a bucket that is not empty shows at least one mark */
    memset(bar, '#', width);
    bar[width] = '\0';
    printf("  %10s  %-*s %6.2f %%\n", time_text(from_us, from), BAR_WIDTH, bar,
           (double)count * 100 / (double)run->latency.total);
}

/* Each power of two in two halves. */
static uint64_t step_after(uint64_t us)
{
    return (us & (us - 1)) == 0 ? us + us / 2 : us / 3 * 4;
}

static void histogram_print(const struct run *run)
{
    enum { FIRST_US = 128 };
    const struct histogram *latency = &run->latency;
    uint64_t most = histogram_between(latency, 0, FIRST_US), first = 0;
    for (uint64_t us = FIRST_US; us <= latency->max; us = step_after(us)) {
        uint64_t count = histogram_between(latency, us, step_after(us));
        most = count > most ? count : most;
        if (count != 0 && first == 0)
            first = us;
    }
    printf("\n");
    if (histogram_between(latency, 0, FIRST_US) != 0) {
        bar_print(run, 0, FIRST_US, most);
        first = FIRST_US;
    }
    for (uint64_t us = first; us <= latency->max; us = step_after(us))
        bar_print(run, us, step_after(us), most);
    printf("\n");
}

static void latency_print(const struct run *run)
{
    static const struct {
        const char *name;
        uint32_t permille;
    } shown[] = {{"p50", 500}, {"p90", 900}, {"p99", 990}, {"p99.9", 999}, {"max", 1000}};
    char text[NUMBER_BYTES];
    if (run->latency.total == 0)
        return;
    printf("latency    ");
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++)
        printf("%s %s%s", shown[i].name, time_text(histogram_permille(&run->latency, shown[i].permille), text),
               i + 1 < sizeof shown / sizeof shown[0] ? "   " : "\n");
    histogram_print(run);
}

static void traffic_print(const struct run *run)
{
    const struct run_counters *counters = &run->counters;
    char one[NUMBER_BYTES], two[NUMBER_BYTES], three[NUMBER_BYTES];
    printf("published  %s", number_text(counters->sent, one));
    if (counters->acknowledged != 0)
        printf(", %s acknowledged, %s sent again", number_text(counters->acknowledged, two),
               number_text(counters->resent, three));
    if (counters->refused != 0)
        printf(", %s refused", number_text(counters->refused, two));
    if (counters->skipped != 0)
        printf("; %s were due while no publisher was connected", number_text(counters->skipped, two));
    printf("\n");
    if (run->deliver_us == 0)
        return;
    printf("delivered  %s", number_text(counters->delivered, one));
    if (run->check == NULL)
        printf(" of %s", number_text(run->expected, two));
    printf(", %s a second\n",
           number_text((uint64_t)((double)counters->delivered * 1e6 / (double)run->deliver_us), three));
}

static void packed_print(const struct run *run)
{
    const struct packer *packer = &run->packer;
    if (run->options->deflate)
        printf("deflate    %llu messages came compressed, %llu bytes as %llu; %llu were sent so\n",
               (unsigned long long)packer->messages_in, (unsigned long long)packer->bytes_in_made,
               (unsigned long long)packer->bytes_in, (unsigned long long)packer->messages_out);
}

static void polling_print(const struct run *run)
{
    const struct run_counters *counters = &run->counters;
    if (run->options->transport == LOAD_TRANSPORT_WEBSOCKET)
        return;
    printf("polling    %llu GETs, %llu POSTs; %llu sessions upgraded to WebSocket", (unsigned long long)counters->gets,
           (unsigned long long)counters->posts, (unsigned long long)counters->upgraded);
    if (counters->upgrades_failed != 0)
        printf(", %llu upgrades failed", (unsigned long long)counters->upgrades_failed);
    printf("\n");
}

static void returns_print(const struct run *run)
{
    const struct run_counters *counters = &run->counters;
    uint64_t cuts = 0;
    for (int kind = 0; kind < CUT_KINDS; kind++)
        cuts += counters->cuts[kind];
    if (cuts + counters->closed_by_server == 0)
        return;
    printf("cuts       ");
    for (int kind = 0; kind < CUT_KINDS; kind++)
        printf("%llu %s, ", (unsigned long long)counters->cuts[kind], cut_kind_name((enum cut_kind)kind));
    printf("%llu by the server\n", (unsigned long long)counters->closed_by_server);
    printf("returns    %llu recovered, %llu not", (unsigned long long)counters->recovered,
           (unsigned long long)counters->not_recovered);
    if (run->away != 0)
        printf("; %u away at the end", run->away);
    printf("\n");
}

static void server_print(const struct run *run)
{
    const struct process_memory *before = &run->before.memory, *after = &run->after_idle.memory;
    double delivery = report_cpu_us_per_delivery(run), connect = report_cpu_us_per_connect(run);
    if (run->options->pid == 0)
        return;
    printf("server     ");
    if (delivery >= 0)
        printf("%.2f us of CPU a delivery, ", delivery);
    if (connect >= 0)
        printf("%.0f us of CPU a connect", connect);
    if (after->resident != 0 && after->whole)
        printf(", %.0f bytes of memory an idle client (resident: %.0f)",
               report_bytes_per_client(run, before->anonymous, after->anonymous),
               report_bytes_per_client(run, before->resident, after->resident));
    else if (after->resident != 0)
        printf(", %.0f bytes resident an idle client", report_bytes_per_client(run, before->resident, after->resident));
    printf("\n");
}

static void own_print(const struct run *run)
{
    char text[NUMBER_BYTES];
    if (run->publish_us == 0)
        return;
    double busy = (double)run->own_cpu_us / (double)run->publish_us;
    printf("here       %.0f %% of a core, %s late at most%s\n", busy * 100, time_text(run->lag_us_max, text),
           busy > 0.9 ? ": this generator is the bottleneck, so latencies are its own" : "");
}

static void counts_print(const char *name, const struct check_counts *counts)
{
    char accepted[NUMBER_BYTES], expected[NUMBER_BYTES];
    printf("  %-12s %12s %16s %8llu %8llu %10llu %11llu %9llu\n", name, number_text(counts->accepted, accepted),
           number_text(counts->expected, expected), (unsigned long long)counts->lost,
           (unsigned long long)counts->doubled, (unsigned long long)counts->reordered,
           (unsigned long long)counts->unexpected, (unsigned long long)counts->forgiven);
}

static bool is_wrong(const struct check_counts *counts)
{
    return counts->lost + counts->doubled + counts->reordered + counts->unexpected != 0;
}

static void disagreement_print(const struct run *run)
{
    const struct check_disagreement *found = &run->check->disagreement;
    if (!found->found)
        return;
    printf("  client %u was sent message %u before %u, and client %u the other way round (or by way of others)\n",
           found->one, found->first, found->second, found->other);
}

static void check_print(const struct run *run)
{
    const struct check *check = run->check;
    uint32_t shown = 0;
    if (check == NULL)
        return;
    printf("\n  %-12s %12s %16s %8s %8s %10s %11s %9s\n", "room", "accepted", "expected", "lost", "doubled",
           "reordered", "unexpected", "forgiven");
    for (uint32_t i = 0; run->options->rooms != 0 && i < check->room_count && shown < ROOMS_SHOWN_MAX; i++) {
        char name[NUMBER_BYTES];
        if (check->room_count > ROOMS_SHOWN_MAX && !is_wrong(&check->rooms[i].counts))
            continue;
        snprintf(name, sizeof name, "room-%u", i);
        counts_print(name, &check->rooms[i].counts);
        shown++;
    }
    counts_print("in all", &run->totals.counts);
    disagreement_print(run);
    if (run->totals.counts.doubled_resent != 0)
        printf("  %llu of the doubled had been sent again under the same id: this server takes an id twice (or use "
               "--no-ack)\n",
               (unsigned long long)run->totals.counts.doubled_resent);
    if (run->totals.counts.unexpected != 0 && !run->options->echo)
        printf("  unexpected are a publisher's own messages that came back to it: if that is the rule, say --echo\n");
    printf("  %llu reconnects recovered, %llu of them wrongly; %llu not recovered\n",
           (unsigned long long)run->totals.recovered, (unsigned long long)run->totals.wrongly_recovered,
           (unsigned long long)run->totals.not_recovered);
    if (run->outcome == LOAD_GOOD)
        printf("  good: everything that was accepted was delivered, once, in one order\n");
}

void report_print(struct run *run)
{
    static const char *const names[] = {
        [LOAD_SOCKETIO] = "Socket.IO", [LOAD_PLAIN] = "sennit.v1", [LOAD_WEBSOCKET] = "bare WebSocket"};
    const struct load_options *options = run->options;
    printf("%u clients at %s, %s", options->clients, run->url.shown, names[options->protocol]);
    if (options->transport != LOAD_TRANSPORT_WEBSOCKET)
        printf(" over %s", options->transport == LOAD_TRANSPORT_POLLING ? "polling" : "polling, upgraded");
    if (options->idle)
        printf(", idle for %g s\n\n", options->duration_s);
    else
        printf("; %u publisher%s, %g messages a second of %u bytes for %g s\n\n", options->publishers,
               options->publishers > 1 ? "s" : "", options->rate, options->size, options->duration_s);
    printf("connects   %u of %u", run->connected, options->clients);
    if (run->connect_us != 0)
        printf(" in %.2f s, %.0f a second", (double)run->connect_us / 1e6, report_connects_per_s(run));
    if (run->counters.connect_failures != 0)
        printf("; %llu attempts failed", (unsigned long long)run->counters.connect_failures);
    printf("\n");
    if (!options->idle && run->connect_us != 0) {
        traffic_print(run);
        latency_print(run);
        packed_print(run);
        polling_print(run);
        returns_print(run);
    }
    server_print(run);
    if (!options->idle)
        own_print(run);
    check_print(run);
    fflush(stdout);
}
