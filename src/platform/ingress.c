/* ingress: accepts clients through the door, evicts silent ones when places are scarce, and stops. */
#include "platform/ingress.h"

#include "base/shown.h"
#include "platform/arrival.h"
#include "platform/exchange.h"
#include "platform/leftover.h"
#include "platform/tunnel.h"

/* Ends connections that have been silent for long, so that a new one finds a place. */
static void make_room(struct ingress *ingress)
{
    uint64_t now = loop_now_us(ingress->loop);
    for (int i = 0;
         i < INGRESS_EVICTED_MAX && door_is_at(&ingress->door, INGRESS_CROWDED_PERCENT) && !list_empty(&ingress->idle);
         i++) {
        struct exchange *longest = container_of(ingress->idle.next, struct exchange, idle);
        bool full = ingress->door.count >= ingress->door.count_max;
        uint64_t ms_max = full ? INGRESS_SILENT_MS_FULL : INGRESS_SILENT_MS_MAX;
        if (now - longest->idle_since_us < LOOP_MS(ms_max))
            return;
        exchange_evict(longest);
    }
}

void ingress_take(struct ingress *ingress, struct io *io, const struct addr *peer)
{
    struct door_address *address;
    struct addr_ip ip;
    char text[ADDR_TEXT_MAX];
    addr_ip_of(peer, &ip);
    make_room(ingress);
    enum door_answer answer = door_enter(&ingress->door, &ip, &address);
    enum denial denial = answer == DOOR_FULL ? DENIAL_CONNECTIONS_FULL : DENIAL_ADDRESS_FULL;
    if (answer == DOOR_ENTERED) {
        exchange_accept(ingress, io, peer, address);
    } else if (ingress->turned_away < INGRESS_TURNED_AWAY_MAX && ingress->http.tls == NULL) {
        exchange_turn_away(ingress, io, peer, denial);
    } else { /* the listener closes it */
        addr_ip_print(&ip, text);
        denials_note(&ingress->denials, denial, text, "");
    }
}

static void take(struct ingress *ingress, struct io *io, const struct addr *peer)
{
    struct addr_ip ip;
    addr_ip_of(peer, &ip);
    if (proxies_have(&ingress->proxies, &ip))
        arrival_begin(ingress, io, peer);
    else
        ingress_take(ingress, io, peer);
}

static void on_accepted(struct listener *listener, struct io *io, const struct addr *peer)
{
    take(container_of(listener, struct ingress, listener), io, peer);
}

static void on_accepted6(struct listener *listener, struct io *io, const struct addr *peer)
{
    take(container_of(listener, struct ingress, listener6), io, peer);
}

/* `localhost` may lead to either of this machine's own addresses, and some clients try only the first. */
static bool listen_at(struct ingress *ingress, const struct ingress_options *options, struct err *err)
{
    struct addr addr;
    struct err ignored;
    if (options->bind != NULL) {
        if (!addr_from_ip(&addr, span_str(options->bind), options->port))
            return err_set(err, "--bind: expected an IP address, such as 0.0.0.0 or ::, found %s",
                           SHOWN_FOUND(span_str(options->bind)));
        return listener_open(&ingress->listener, ingress->net, &addr, on_accepted, err);
    }
    addr_loopback(&addr, options->port);
    if (!listener_open(&ingress->listener, ingress->net, &addr, on_accepted, err))
        return false;
    addr_loopback6(&addr, listener_port(&ingress->listener));
    if (!listener_open(&ingress->listener6, ingress->net, &addr, on_accepted6, &ignored))
        log_event(LOG_DEBUG, "not on ::1", LOG_C("error", ignored.text));
    return true;
}

bool ingress_open(struct ingress *ingress, struct net *net, const struct route *route,
                  const struct ingress_options *options, struct err *err)
{
    static const struct http_rules rules = {
        .body_bytes_max = INGRESS_BODY_BYTES_MAX,
        .body_ms = INGRESS_BODY_MS,
        .linger_ms = INGRESS_LINGER_MS,
        .linger_body_ms = INGRESS_LINGER_BODY_MS,
    };
    uint64_t seed[2];
    *ingress = (struct ingress){
        .net = net,
        .loop = net->loop,
        .route = route,
        .proxies = options->proxies,
        .trusted_hops = options->trusted_hops,
        .close_frame = options->close_frame,
        .propagate_disconnect = options->propagate_disconnect,
        .limits = {.queue_bytes_max = INGRESS_QUEUE_BYTES_MAX,
                   .input_bytes_max = HTTP1_HEAD_BYTES_MAX + INGRESS_PAUSE_BYTES + NET_RECEIVE_BYTES * 2,
                   .write_stall_ms_max = INGRESS_STALL_MS_MAX},
    };
    ingress->tail_limits = ingress->limits;
    ingress->tail_limits.write_stall_ms_max = INGRESS_TAIL_MS;
    http_server_init(&ingress->http, net, &exchange_events, &ingress->limits, &rules);
    list_init(&ingress->leftovers);
    list_init(&ingress->arrivals);
    list_init(&ingress->idle);
    list_init(&ingress->tunnels);
    list_init(&ingress->tails);
    loop_random(net->loop, seed, sizeof seed);
    door_init(&ingress->door, seed, options->connections_max, options->connections_per_address, DOOR_EXEMPTS_LOOPBACK);
    denials_init(&ingress->denials, net->loop);
    request_log_init(&ingress->log, net->loop, options->log);
    return listen_at(ingress, options, err);
}

void ingress_tls_set(struct ingress *ingress, const struct tls_server *server)
{
    ingress->http.tls = server;
}

void ingress_identities_set(struct ingress *ingress, struct identities *identities, bool closed)
{
    ingress->admission = (struct admission_door){.identities = identities,
                                                 .route = ingress->route,
                                                 .scheme = ingress->http.tls != NULL ? "https" : "http",
                                                 .port = listener_port(&ingress->listener),
                                                 .closed = closed};
}

void ingress_bounds_set(struct ingress *ingress, uint32_t connections_max, uint32_t per_address_max)
{
    ingress->door.count_max = connections_max;
    ingress->door.address_max = per_address_max;
}

void ingress_finish(struct ingress *ingress)
{
    door_finish(&ingress->door);
    request_log_finish(&ingress->log);
}

void ingress_stop(struct ingress *ingress)
{
    listener_close(&ingress->listener);
    listener_close(&ingress->listener6);
    arrivals_cut(ingress);
    http_server_stop(&ingress->http);
}

void ingress_cut(struct ingress *ingress)
{
    ingress->is_cut = true;
    http_server_cut(&ingress->http, CLOSE_DRAINED);
    leftovers_cut(ingress);
    tunnels_cut(ingress, CLOSE_DRAINED);
}
