/* report_json: the report as one JSON object. docs/load.md lists its members. */
#include <math.h>
#include <stdio.h>

#include "load/report.h"

static void put_name(struct buf *to, const char *name)
{
    char last = to->len != 0 ? buf_span(to).data[to->len - 1] : '{';
    if (last != '{' && last != '[')
        buf_append_char(to, ',');
    buf_printf(to, "\"%s\":", name);
}

static void put_number(struct buf *to, const char *name, uint64_t number)
{
    put_name(to, name);
    buf_append_u64(to, number);
}

/* A figure that does not exist, which is negative here, is written as null. */
static void put_real(struct buf *to, const char *name, double number, bool known)
{
    put_name(to, name);
    if (known && isfinite(number))
        buf_printf(to, "%.3f", number);
    else
        buf_append(to, SPAN_LIT("null"));
}

static void put_text(struct buf *to, const char *name, const char *text)
{
    put_name(to, name);
    buf_append_char(to, '"');
    buf_append_json(to, span_str(text));
    buf_append_char(to, '"');
}

static void put_latency(struct buf *to, const struct histogram *latency)
{
    enum { FIRST_US = 128 };
    static const struct {
        const char *name;
        uint32_t permille;
    } shown[] = {{"p50", 500}, {"p90", 900}, {"p99", 990}, {"p99_9", 999}, {"max", 1000}};
    put_name(to, "latency_ms");
    buf_append_char(to, '{');
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++)
        put_real(to, shown[i].name, (double)histogram_permille(latency, shown[i].permille) / 1e3, latency->total != 0);
    buf_append_char(to, '}');
    put_name(to, "latency_histogram");
    buf_append_char(to, '[');
    for (uint64_t from = 0, below = FIRST_US; from <= latency->max && latency->total != 0; from = below, below *= 2) {
        if (from != 0)
            buf_append_char(to, ',');
        buf_printf(to, "{\"from_us\":%llu,\"below_us\":%llu,\"count\":%llu}", (unsigned long long)from,
                   (unsigned long long)below, (unsigned long long)histogram_between(latency, from, below));
    }
    buf_append_char(to, ']');
}

static void put_server(struct buf *to, const struct run *run)
{
    const struct process_memory *before = &run->before.memory, *after = &run->after_idle.memory;
    double bytes = after->whole ? report_bytes_per_client(run, before->anonymous, after->anonymous)
                                : report_bytes_per_client(run, before->resident, after->resident);
    double delivery = report_cpu_us_per_delivery(run), connect = report_cpu_us_per_connect(run);
    bool idle = after->resident != 0;
    put_real(to, "server_cpu_us_per_delivery", delivery, delivery >= 0);
    put_real(to, "server_cpu_us_per_connect", connect, connect >= 0);
    put_real(to, "server_bytes_per_client", bytes, idle);
    put_real(to, "server_resident_bytes_per_client", report_bytes_per_client(run, before->resident, after->resident),
             idle);
    put_real(to, "server_proportional_bytes_per_client",
             report_bytes_per_client(run, before->proportional, after->proportional), idle && after->whole);
}

static void put_counts(struct buf *to, const struct check_counts *counts)
{
    put_number(to, "published", counts->published);
    put_number(to, "accepted", counts->accepted);
    put_number(to, "expected", counts->expected);
    put_number(to, "lost", counts->lost);
    put_number(to, "doubled", counts->doubled);
    put_number(to, "doubled_resent", counts->doubled_resent);
    put_number(to, "reordered", counts->reordered);
    put_number(to, "unexpected", counts->unexpected);
    put_number(to, "forgiven", counts->forgiven);
    put_number(to, "early", counts->early);
}

static void put_disagreement(struct buf *to, const struct check_disagreement *found)
{
    put_name(to, "disagreement");
    if (!found->found) {
        buf_append(to, SPAN_LIT("null"));
        return;
    }
    buf_printf(to, "{\"client\":%u,\"other\":%u,\"first\":%u,\"second\":%u}", found->one, found->other, found->first,
               found->second);
}

static void put_check(struct buf *to, const struct run *run)
{
    put_name(to, "check");
    if (run->check == NULL) {
        buf_append(to, SPAN_LIT("null"));
        return;
    }
    buf_append_char(to, '{');
    put_counts(to, &run->totals.counts);
    put_number(to, "recovered", run->totals.recovered);
    put_number(to, "not_recovered", run->totals.not_recovered);
    put_number(to, "wrongly_recovered", run->totals.wrongly_recovered);
    put_disagreement(to, &run->check->disagreement);
    put_name(to, "rooms");
    buf_append_char(to, '[');
    for (uint32_t i = 0; i < run->check->room_count; i++) {
        if (i > 0)
            buf_append_char(to, ',');
        buf_append_char(to, '{');
        put_counts(to, &run->check->rooms[i].counts);
        buf_append_char(to, '}');
    }
    buf_append(to, SPAN_LIT("]}"));
}

static void put_traffic(struct buf *to, const struct run *run)
{
    const struct run_counters *counters = &run->counters;
    double seconds = (double)run->deliver_us / 1e6;
    put_number(to, "sent", counters->sent);
    put_number(to, "acknowledged", counters->acknowledged);
    put_number(to, "refused", counters->refused);
    put_number(to, "resent", counters->resent);
    put_number(to, "skipped", counters->skipped);
    put_number(to, "delivered", counters->delivered);
    put_number(to, "expected", run->check != NULL ? run->totals.counts.expected : run->expected);
    put_number(to, "other_events", counters->foreign);
    put_real(to, "deliveries_per_second", (double)counters->delivered / seconds, seconds > 0);
    put_latency(to, &run->latency);
    put_name(to, "cuts");
    buf_append_char(to, '{');
    for (int kind = 0; kind < CUT_KINDS; kind++)
        put_number(to, cut_kind_name((enum cut_kind)kind), counters->cuts[kind]);
    buf_append_char(to, '}');
    put_number(to, "closed_by_server", counters->closed_by_server);
    put_number(to, "recovered", counters->recovered);
    put_number(to, "not_recovered", counters->not_recovered);
    put_number(to, "away", run->away);
    if (run->options->transport != LOAD_TRANSPORT_WEBSOCKET) {
        put_name(to, "polling");
        buf_append_char(to, '{');
        put_number(to, "gets", counters->gets);
        put_number(to, "posts", counters->posts);
        put_number(to, "upgraded", counters->upgraded);
        put_number(to, "upgrades_failed", counters->upgrades_failed);
        buf_append_char(to, '}');
    }
    if (run->options->deflate) {
        put_name(to, "deflate");
        buf_append_char(to, '{');
        put_number(to, "messages_in", run->packer.messages_in);
        put_number(to, "bytes_in", run->packer.bytes_in);
        put_number(to, "bytes_in_made", run->packer.bytes_in_made);
        put_number(to, "messages_out", run->packer.messages_out);
        buf_append_char(to, '}');
    }
    put_real(to, "lag_ms_max", (double)run->lag_us_max / 1e3, true);
    put_real(to, "own_cpu", (double)run->own_cpu_us / (double)run->publish_us, run->publish_us != 0);
}

void report_print_json(struct run *run)
{
    static const char *const outcomes[] = {"good", "check_failed", "wrong", "aborted"};
    const struct load_options *options = run->options;
    struct buf text = {0};
    buf_append_char(&text, '{');
    put_text(&text, "url", run->url.shown);
    put_text(&text, "protocol", load_protocol_name(options->protocol));
    put_text(&text, "transport", load_transport_name(options->transport));
    put_text(&text, "outcome", outcomes[run->outcome]);
    put_text(&text, "why", run->outcome != LOAD_GOOD ? run->why.text : "");
    put_number(&text, "clients", options->clients);
    put_number(&text, "publishers", options->publishers);
    put_number(&text, "rooms", options->rooms);
    put_real(&text, "rate", options->rate, true);
    put_number(&text, "size", options->size);
    put_real(&text, "duration_s", options->duration_s, true);
    put_number(&text, "connected", run->connected);
    put_number(&text, "connect_failures", run->counters.connect_failures);
    put_real(&text, "connect_seconds", (double)run->connect_us / 1e6, run->connect_us != 0);
    put_real(&text, "connects_per_second", report_connects_per_s(run), run->connect_us != 0);
    put_traffic(&text, run);
    put_server(&text, run);
    put_check(&text, run);
    buf_append(&text, SPAN_LIT("}\n"));
    fwrite(buf_span(&text).data, 1, text.len, stdout);
    fflush(stdout);
    buf_finish(&text);
}
