/* serve: an instance's life: start, listening once the broker is up, drain on SIGTERM, end. */
#include "serve/serve.h"

#include <signal.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/firestore.h"
#include "broker/memory.h"
#include "broker/postgres.h"
#include "broker/redis.h"
#include "serve/client.h"
#include "session/inquiry.h"
#include "session/polling.h"
#include "session/socket.h"

enum {
    DOOR_MS_MAX = 3000, /* the broker's word is waited for so long */
    /* Sessions are closed in batches, so that they do not all come back in one moment. */
    DRAIN_STEP_MS = 50,
    DRAIN_SPREAD_MS = 5000,
    DRAIN_BATCH_MIN = 20,
    DRAIN_MS_MAX = 8000, /* of the ten seconds between SIGTERM and SIGKILL */
};

static void on_accepted(struct listener *listener, struct io *io, const struct addr *peer)
{
    client_accept(container_of(listener, struct server, listener), io, peer, false);
}

static void on_api_accepted(struct listener *listener, struct io *io, const struct addr *peer)
{
    client_accept(container_of(listener, struct server, api_listener), io, peer, true);
}

/* There is no descriptor to keep it with: it is told so at once, or that this instance lives. */
static void on_exhausted(struct listener *listener, struct io *io, const struct addr *peer)
{
    struct server *server = container_of(listener, struct server, listener);
    client_answer_unkept(server, io, peer);
}

static void end(struct client *client, void *arg)
{
    conn_close(&client->http.conn, CLOSE_DRAINED);
}

/* Sessions are ended in batches. */
static void end_unless_awaited(struct client *client, void *arg)
{
    if (client_session(client) == NULL && !http_is_answering(&client->http))
        end(client, arg);
}

/* Closes the transport only: a Socket.IO DISCONNECT would tell the stock client never to come back. */
static void drain_step(struct timer *timer)
{
    struct server *server = container_of(timer, struct server, drain);
    bool late = loop_now_us(server->loop) >= server->drain_until_us;
    sessions_close_some(&server->sessions, server->drain_batch, CLOSE_DRAINED);
    crowd_each(&server->crowd, late ? end : end_unless_awaited, NULL);
    if (server->http.count == 0)
        loop_stop(server->loop);
    else
        timer_start(server->loop, timer, LOOP_MS(DRAIN_STEP_MS));
}

void server_drain(struct server *server, const char *why)
{
    if (server->draining)
        return;
    log_event(LOG_INFO, "draining", LOG_C("signal", why), LOG_N("connections", server->http.count));
    server->draining = true;
    http_server_stop(&server->http);
    server->drain_batch = server->sessions.count * DRAIN_STEP_MS / DRAIN_SPREAD_MS + DRAIN_BATCH_MIN;
    server->drain_until_us = loop_now_us(server->loop) + LOOP_MS(DRAIN_MS_MAX);
    timer_stop(server->loop, &server->door);
    listener_close(&server->listener);
    listener_close(&server->api_listener);
    timer_start(server->loop, &server->drain, 0);
}

static void on_signal(struct signal_watch *watch, int number)
{
    if (number == SIGTERM)
        server_drain(container_of(watch, struct server, term), "SIGTERM");
    else
        server_drain(container_of(watch, struct server, interrupt), "SIGINT");
}

static bool broker_start(struct server *server, struct err *err)
{
    const struct serve_config *config = &server->config;
    const struct broker_bounds bounds = {.rooms_max = config->bounds.rooms,
                                         .store_bytes_max = config->bounds.log_bytes};
    const struct broker_file_config disk = {
        .directory = config->broker.directory, .sync = config->broker.sync, .bounds = bounds};
    const struct broker_redis_config redis = {
        .url = config->broker.url,
        .prefix = config->prefix,
        .instance = config->instance,
        .bounds = bounds,
    };
    const struct broker_postgres_config postgres = {
        .url = config->broker.url,
        .schema = config->prefix,
        .instance = config->instance,
        .bounds = bounds,
    };
    const struct broker_firestore_config firestore = {
        .url = config->broker.url,
        .prefix = config->prefix,
        .instance = config->instance,
        .emulator_host = getenv("FIRESTORE_EMULATOR_HOST"),
        .key_file = getenv("GOOGLE_APPLICATION_CREDENTIALS"),
        .metadata_host = getenv("GCE_METADATA_HOST"),
        .bounds = bounds,
    };
    switch (config->broker.choice) {
    case BROKER_CHOICE_REDIS:
        server->broker = broker_redis_create(&server->net, &redis, err);
        break;
    case BROKER_CHOICE_POSTGRES:
        server->broker = broker_postgres_create(&server->net, &postgres, err);
        break;
    case BROKER_CHOICE_FIRESTORE:
        server->broker = broker_firestore_create(&server->net, &firestore, err);
        break;
    case BROKER_CHOICE_FILE:
        server->broker = broker_file_create(server->loop, &disk, err);
        break;
    default:
        server->broker = broker_memory_create(server->loop, &bounds);
    }
    return server->broker != NULL;
}

static bool bridge_start(struct server *server, struct err *err)
{
    const struct serve_config *config = &server->config;
    if (config->bridge.url == NULL)
        return true;
    bool is_common = broker_config_is_common(&config->broker);
    server->bridge = bridge_create(&server->sessions, &server->config.relay, &server->net, &config->bridge,
                                   span_str(is_common ? config->prefix : config->instance), err);
    return server->bridge != NULL;
}

static void fail(struct server *server)
{
    loop_stop(server->loop);
}

/* Opens the listener: the broker is up, or has been silent for too long. */
static void door_open(struct server *server)
{
    struct addr addr;
    timer_stop(server->loop, &server->door);
    if (server->draining || io_is_open(&server->listener.io) || server->failure.text[0] != '\0')
        return;
    addr_any(&addr, server->config.port);
    server->listener.exhausted = on_exhausted;
    if (!listener_open(&server->listener, &server->net, &addr, on_accepted, &server->failure) ||
        (server->config.api.has_port && !listener_open(&server->api_listener, &server->net, &server->config.api.listen,
                                                       on_api_accepted, &server->failure))) {
        fail(server);
        return;
    }
    if (server->config.api.has_port)
        log_event(LOG_INFO, "the HTTP API listens", LOG_N("port", listener_port(&server->api_listener)));
    log_event(LOG_INFO, "listening", LOG_N("port", listener_port(&server->listener)),
              LOG_C("instance", server->config.instance), LOG_C("broker", broker_config_name(&server->config.broker)),
              LOG_N("connections_max", server->config.bounds.connections));
}

static void door_waited(struct timer *timer)
{
    struct server *server = container_of(timer, struct server, door);
    log_event(LOG_WARNING, "the broker has not answered yet: listening, but not ready");
    door_open(server);
}

static void broker_up(void *arg)
{
    door_open(arg);
}

static void broker_unusable(void *arg, const char *why)
{
    struct server *server = arg;
    err_set(&server->failure, "%s", why);
    fail(server);
}

static const struct broker_watcher watcher = {broker_up, broker_unusable};

bool server_open(struct server *server, struct loop *loop, const struct serve_options *options, struct err *err)
{
    uint64_t seed[2];
    *server = (struct server){.loop = loop, .started_us = loop_now_us(loop)};
    list_init(&server->ready_waiters);
    list_init(&server->ready_operators);
    list_init(&server->metrics_waiters);
    list_init(&server->term.node);
    list_init(&server->interrupt.node);
    net_init(&server->net, loop);
    io_init(&server->listener.io, loop, NULL);
    io_init(&server->api_listener.io, loop, NULL);
    timer_init(&server->drain, drain_step);
    timer_init(&server->door, door_waited);
    if (!serve_config_read(&server->config, loop, options, err) || !broker_start(server, err))
        return false;
    crowd_init(&server->crowd, loop, &server->config.bounds, server->config.files.spare, server->config.bounds_address);
    server->crowd.behind_proxies = server->config.trusted_hops > 0;
    /* A connection that gives way keeps its descriptor until the end of the turn. So one turn may not accept more than
     * the reserve has beside the spare places. */
    uint64_t accepts = server->config.files.spare / 2;
    if (accepts < server->net.budget.accepts_per_turn)
        server->net.budget.accepts_per_turn = accepts > 0 ? (uint32_t)accepts : 1;
    loop_random(loop, seed, sizeof seed);
    store_init(&server->store, seed, server->config.files.open);
    broker_watch(server->broker, &watcher, server);
    server->hub = hub_create(loop, server->broker);
    server->config.relay.made_max = server->config.bounds.instance_namespaces;
    sessions_init(&server->sessions, server->hub, &server->config.relay.app, &server->config.limits);
    server->sessions.instance = server->config.instance;
    server->sessions.keeps_auth = server->config.handshake.auth;
    server->sessions.compression.settings = server->config.compression;
    server->sessions.request_timeout_ms = server->config.request_timeout_ms;
    if (server->config.msgpack)
        server->sessions.polling_protocol = &socket_msgpack_protocol;
    server->inquiries = inquiries_create(&server->sessions);
    client_server_init(server);
    if (!bridge_start(server, err))
        return false;
    if (!options->unsignalled) {
        signal_watch_start(loop, &server->term, SIGTERM, on_signal);
        signal_watch_start(loop, &server->interrupt, SIGINT, on_signal);
    }
    timer_start(loop, &server->door, LOOP_MS(DOOR_MS_MAX));
    return true;
}

void server_close(struct server *server)
{
    timer_stop(server->loop, &server->drain);
    timer_stop(server->loop, &server->door);
    signal_watch_stop(server->loop, &server->term);
    signal_watch_stop(server->loop, &server->interrupt);
    listener_close(&server->listener);
    listener_close(&server->api_listener);
    crowd_each(&server->crowd, end, NULL);
    net_reap(&server->net);
    pool_finish(&server->clients);
    if (server->hub != NULL)
        pollings_cut(&server->sessions, CLOSE_DRAINED);
    bridge_destroy(server->bridge);
    broker_destroy(server->broker);
    inquiries_destroy(server->inquiries);
    if (server->hub != NULL) {
        sessions_finish(&server->sessions);
        hub_destroy(server->hub);
    }
    crowd_finish(&server->crowd);
    store_finish(&server->store);
    serve_config_finish(&server->config);
    net_finish(&server->net);
}
