/* ingress: see ingress.h. */
#include "platform/ingress.h"

#include "platform/exchange.h"

static void on_accepted(struct listener *listener, struct io *io, const struct addr *peer)
{
    exchange_accept(container_of(listener, struct ingress, listener), io, peer);
}

bool ingress_open(struct ingress *ingress, struct net *net, struct fleet *fleet, uint16_t port, struct err *err)
{
    struct addr addr;
    *ingress = (struct ingress){
        .net = net,
        .loop = net->loop,
        .fleet = fleet,
        .limits = {.queue_bytes_max = INGRESS_QUEUE_BYTES_MAX,
                   .input_bytes_max = HTTP1_HEAD_BYTES_MAX + INGRESS_PAUSE_BYTES + NET_RECEIVE_BYTES * 2,
                   .write_stall_ms_max = INGRESS_STALL_MS_MAX},
    };
    list_init(&ingress->clients);
    addr_any(&addr, port);
    return listener_open(&ingress->listener, net, &addr, on_accepted, err);
}

void ingress_stop(struct ingress *ingress)
{
    ingress->stopping = true;
    listener_close(&ingress->listener);
    list_each (node, &ingress->clients) {
        struct exchange *exchange = container_of(node, struct exchange, of_ingress);
        if (exchange->state == EXCHANGE_IDLE)
            conn_close(&exchange->conn, CLOSE_DRAINED);
    }
}

void ingress_cut(struct ingress *ingress)
{
    list_each (node, &ingress->clients) {
        conn_close(&container_of(node, struct exchange, of_ingress)->conn, CLOSE_DRAINED);
    }
}
