/* metrics: /metrics, in Prometheus' text format: this instance's counters and the broker's memory.
 * https://prometheus.io/docs/instrumenting/exposition_formats/ . Requests at the same time share one request to the
 * broker. Without the broker, its figures are left out. */
#include "http/http_coding.h"
#include "serve/client.h"

static void metric(struct buf *to, const char *name, const char *type, const char *help, uint64_t value)
{
    buf_printf(to, "# HELP sennit_%s %s\n# TYPE sennit_%s %s\nsennit_%s %llu\n", name, help, name, type, name,
               (unsigned long long)value);
}

static void counter(struct buf *to, const char *name, const char *help, uint64_t value)
{
    metric(to, name, "counter", help, value);
}

static void gauge(struct buf *to, const char *name, const char *help, uint64_t value)
{
    metric(to, name, "gauge", help, value);
}

static void closes(struct buf *to, const struct net *net)
{
    buf_append(to, SPAN_LIT("# HELP sennit_closes_total Connections closed, by reason.\n"
                            "# TYPE sennit_closes_total counter\n"));
    for (int reason = CLOSE_NONE + 1; reason < CLOSE_REASON_COUNT; reason++)
        buf_printf(to, "sennit_closes_total{reason=\"%s\"} %llu\n", close_reason_name((enum close_reason)reason),
                   (unsigned long long)net->closed[reason]);
}

static void refusals(struct buf *to, const struct refusals *refusals)
{
    buf_append(to, SPAN_LIT("# HELP sennit_refusals_total Refused requests of peers, by reason.\n"
                            "# TYPE sennit_refusals_total counter\n"));
    for (int refusal = 0; refusal < REFUSAL_COUNT; refusal++)
        buf_printf(to, "sennit_refusals_total{reason=\"%s\"} %llu\n", refusal_name((enum refusal)refusal),
                   (unsigned long long)refusals->counts[refusal]);
}

static void sessions_encode(struct buf *to, const struct sessions *sessions)
{
    static const char *const names[PROTOCOLS] = {
        [PROTOCOL_SOCKETIO] = "socketio",
        [PROTOCOL_SOCKETIO_MSGPACK] = "socketio_msgpack",
        [PROTOCOL_PLAIN] = "plain",
        [PROTOCOL_RAW] = "raw",
    };
    gauge(to, "sessions", "Sessions of clients.", sessions->count);
    buf_append(to, SPAN_LIT("# HELP sennit_protocol_sessions Of these, by protocol.\n"
                            "# TYPE sennit_protocol_sessions gauge\n"));
    for (int kind = 0; kind < PROTOCOLS; kind++)
        buf_printf(to, "sennit_protocol_sessions{protocol=\"%s\"} %zu\n", names[kind], sessions->of_protocol[kind]);
    gauge(to, "sockets", "Clients in namespaces; one of Socket.IO may be in several.", sessions->socket_count);
}

static void compression_encode(struct buf *to, const struct compression *compression)
{
    gauge(to, "deflate_contexts", "WebSockets that keep a context of permessage-deflate (compression: contexts_max).",
          compression->contexts);
    counter(to, "deflate_agreed_total", "WebSockets that agreed on permessage-deflate.", compression->counters.agreed);
    counter(to, "deflate_contexts_declined_total", "Of those, without a context because too many had one.",
            compression->counters.contexts_declined);
    counter(to, "deflate_messages_out_total", "Messages compressed; one for all clients with the same window.",
            compression->counters.compressed);
    counter(to, "deflate_bytes_out_total", "Their bytes before.", compression->counters.bytes_out);
    counter(to, "deflate_bytes_out_saved_total", "Bytes by which they became shorter.",
            compression->counters.bytes_out_saved);
    counter(to, "deflate_messages_in_total", "Messages of clients decompressed.", compression->counters.decompressed);
    counter(to, "deflate_bytes_in_total", "Their bytes before.", compression->counters.bytes_in);
    counter(to, "deflate_bytes_in_made_total", "Their bytes after.", compression->counters.bytes_in_made);
    counter(to, "deflate_refused_total", "Compressed messages that were invalid or too large.",
            compression->counters.refused);
}

static void bridge_encode(struct buf *to, const struct bridge *bridge)
{
    const struct bridge_counters *counters = bridge_counters(bridge);
    gauge(to, "bridge_up", "1 while the link to the bridge's Redis is up.", bridge_is_up(bridge));
    gauge(to, "bridge_asks", "Clients whose answers servers behind the bridge await.", bridge_asks(bridge));
    counter(to, "bridge_received_total", "Messages of servers and emitters behind the bridge.", counters->received);
    counter(to, "bridge_sent_total", "Messages and answers to servers behind the bridge.", counters->sent);
    counter(to, "bridge_logged_total", "Messages from there handed to the broker, to be logged once.",
            counters->logged);
    counter(to, "bridge_asked_total", "Clients asked for an answer, on behalf of a server there.", counters->asked);
}

static void instance_encode(struct buf *to, const struct server *server)
{
    const struct sessions *sessions = &server->sessions;
    const struct hub_counters *hub = hub_counters(server->hub);
    gauge(to, "up_seconds", "Seconds since the start.", (loop_now_us(server->loop) - server->started_us) / 1000000);
    gauge(to, "connections", "Open client connections.", server->http.count);
    gauge(to, "connections_max", "How many there may be (limits: connections).", server->config.bounds.connections);
    gauge(to, "connections_spare", "Of those open, beyond a bound, to be told so.", server->crowd.spare_count);
    gauge(to, "request_bytes", "Kept of unfinished and waiting requests.", server->crowd.waiting_bytes);
    gauge(to, "output_bytes", "Memory that waits to be sent (limits: output_bytes).", frame_bytes_alive());
    gauge(to, "lease_bytes", "Left by clients that were cut off (limits: lease_bytes).", sessions->departed.bytes);
    gauge(to, "rate_addresses", "Addresses whose rates are remembered (limits: ..._per_address).",
          sessions->rates.addresses.count);
    gauge(to, "files_open", "Files that are being sent.", server->store.open_count);
    sessions_encode(to, sessions);
    gauge(to, "namespaces_made", "Namespaces that patterns have made (limits: instance_namespaces).",
          server->config.relay.made);
    gauge(to, "asks", "Answers of sockets that other sockets await (limits: instance_asks).", sessions->asking.count);
    gauge(to, "rooms", "Rooms this instance is subscribed to.", hub_room_count(server->hub));
    counter(to, "bytes_in_total", "Bytes read, from clients and broker.", server->net.bytes_in);
    counter(to, "bytes_out_total", "Bytes written, to clients and broker.", server->net.bytes_out);
    counter(to, "writes_total", "Gathered writes.", server->net.writes);
    counter(to, "events_in_total", "Events from clients.", sessions->counters.events_in);
    counter(to, "asked_total", "Events that asked another socket for an answer.", sessions->counters.asked);
    counter(to, "answered_total", "Answers that reached the asking socket, failures included.",
            sessions->counters.answered);
    counter(to, "volatile_dropped_total", "Volatile events not sent, because the client could not be written to.",
            sessions->counters.volatile_dropped);
    counter(to, "entries_pushed_total", "Entries pushed by the broker.", hub->pushed);
    counter(to, "delivered_total", "Entries queued for clients.", hub->delivered);
    counter(to, "replayed_total", "Entries queued for clients that were read from a log.", hub->replayed);
    counter(to, "reads_total", "Pages read from logs.", hub->reads);
    counter(to, "holes_total", "Missed pushes, recovered from the log.", hub->holes);
    counter(to, "slowed_total", "Dropped queues of slow clients; their events are read again from the log.",
            sessions->counters.slowed);
    counter(to, "connects_total", "Sockets connected anew.", sessions->counters.connects);
    counter(to, "resumes_total", "Sockets recovered.", sessions->counters.resumes);
    counter(to, "resumes_refused_total", "Sockets that were told that recovery failed.",
            sessions->counters.resumes_refused);
    counter(to, "rooms_forgotten_total", "Rooms whose keys the broker has lost.", hub->forgotten);
    counter(to, "history_lost_total", "Sockets ended because an entry that they needed was gone.", hub->lost);
    counter(to, "superseded_total", "Sockets that had come back on another instance.",
            sessions->counters.leases_superseded);
    counter(to, "kept_total", "Unlogged events that came for a polling session between two requests.",
            sessions->counters.kept);
    counter(to, "kept_lost_total", "Such events that were too many or too large to be kept.",
            sessions->counters.kept_lost);
    gauge(to, "polls_held", "GETs of polling clients that wait for events (limits: held_polls).",
          sessions->polls_held_count);
    counter(to, "polls_shortened_total", "Such GETs that were too many, and ended soon.",
            sessions->refusals.counts[REFUSAL_POLLS_SHORTENED]);
    counter(to, "rotated_total", "Sessions closed ahead of the request timeout.", sessions->counters.rotated);
    counter(to, "directives_total", "Directives that sockets obeyed: to join, to leave, to end.",
            sessions->counters.directed);
    gauge(to, "api_requests", "Requests to the HTTP API under way (limits: api_requests).", server->api_requests);
    counter(to, "weak_ids_total", "Messages whose names other clients could guess.", server->config.relay.weak_ids);
    counter(to, "stalled_total", "Times that a session was not read for a while, because of too many calls or changes.",
            sessions->counters.stalled);
    gauge(to, "calls_bytes", "Bytes of unanswered calls of clients.", sessions->loads.cost);
    gauge(to, "position", "Seq up to which this instance has handled every entry.", hub_position(server->hub));
    compression_encode(to, &sessions->compression);
    if (server->bridge != NULL)
        bridge_encode(to, server->bridge);
    closes(to, &server->net);
    refusals(to, &sessions->refusals);
    gauge(to, "broker_trouble", "1 while the broker cannot be relied on; /ready and the log say why.",
          broker_trouble(server->broker) != NULL);
    gauge(to, "broker_up", "1 while the link to the broker is up.", broker_is_up(server->broker));
}

static void measured(void *arg, enum broker_result result, const struct broker_stats *stats)
{
    struct server *server = arg;
    struct buf text = {0};
    struct list *node;
    server->measuring = false;
    instance_encode(&text, server);
    if (result == BROKER_OK) {
        gauge(&text, "broker_memory_bytes", "Memory that the broker uses.", stats->memory_bytes);
        gauge(&text, "broker_memory_max_bytes", "Memory that the broker may use; 0: no limit is set.",
              stats->memory_bytes_max);
        gauge(&text, "broker_instances", "Instances with a recent heartbeat.", stats->instances);
        counter(&text, "broker_commits_total", "Commits to the disk (--broker file:DIR).", stats->commits);
        counter(&text, "broker_commits_refused_total", "Commits that the disk refused; each is tried again.",
                stats->commits_refused);
    }
    while ((node = list_take(&server->metrics_waiters)) != NULL) {
        http_respond_coded(http_of_waiter(node), 200, SPAN_LIT("text/plain; version=0.0.4; charset=utf-8"),
                           SPAN_LIT("Cache-Control: no-store\r\n"), buf_span(&text));
    }
    buf_finish(&text);
}

void metrics_request(struct client *client, const struct http1_head *head)
{
    struct server *server = client_server(client);
    list_append(&server->metrics_waiters, http_waiter(&client->http));
    if (!server->measuring) {
        server->measuring = true;
        broker_stats(server->broker, measured, server);
    }
}
