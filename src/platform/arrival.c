/* arrival: reads the header and not a byte more: what is behind it may be TLS. */
#include "platform/arrival.h"

#include <stdlib.h>

#include "base/mem.h"
#include "wire/proxy.h"

struct arrival {
    struct ingress *ingress;
    struct list of_ingress;
    struct io io;
    struct timer deadline;
    struct addr peer; /* the balancer */
    size_t len;
    char bytes[PROXY_BYTES_MAX]; /* of the header, so far */
};

static void arrival_end(struct arrival *arrival)
{
    timer_stop(arrival->ingress->loop, &arrival->deadline);
    list_remove(&arrival->of_ingress);
    arrival->ingress->arrivals_count--;
    io_close(&arrival->io, false);
    free(arrival);
}

static void arrival_refuse(struct arrival *arrival, const char *rule)
{
    struct ingress *ingress = arrival->ingress;
    struct buf text = {0};
    char ip[ADDR_TEXT_MAX];
    addr_ip_text(&arrival->peer, ip);
    denials_note(&ingress->denials, DENIAL_MALFORMED_PROXY, ip, rule);
    denial_encode(&text, DENIAL_MALFORMED_PROXY, 0, false, true);
    struct iovec part = {text.data + text.off, text.len};
    if (ingress->http.tls == NULL) /* else it expects TLS */
        io_writev(&arrival->io, &part, 1);
    buf_finish(&text);
    arrival_end(arrival);
}

/* The address that the header gives; the balancer's own where it speaks for itself. */
static void client_find(const struct arrival *arrival, const struct proxy_header *header, struct addr *client)
{
    struct addr_ip ip = {.port = header->port};
    char text[ADDR_TEXT_MAX];
    *client = arrival->peer;
    if (header->kind == PROXY_LOCAL)
        return;
    if (header->kind == PROXY_IPV4) {
        ip.bytes[10] = ip.bytes[11] = 0xff; /* mapped */
        memcpy(ip.bytes + 12, header->ip, 4);
    } else {
        memcpy(ip.bytes, header->ip, sizeof ip.bytes);
    }
    addr_ip_print(&ip, text);
    addr_from_ip(client, span_str(text), header->port);
}

static void on_ready(struct io *io, unsigned ready)
{
    struct arrival *arrival = container_of(io, struct arrival, io);
    struct proxy_header header;
    struct addr client;
    ssize_t more = io_peek(io, arrival->bytes + arrival->len, sizeof arrival->bytes - arrival->len);
    if (more == IO_AGAIN)
        return;
    if (more <= 0) { /* it has gone, and nobody is left to be told */
        arrival_end(arrival);
        return;
    }
    ptrdiff_t used = proxy_decode(span_of(arrival->bytes, arrival->len + (size_t)more), &header);
    size_t taken = used > 0 ? (size_t)used - arrival->len : (size_t)more;
    more = io_read(io, arrival->bytes + arrival->len, taken);
    if (used < 0 || more != (ssize_t)taken) {
        arrival_refuse(arrival, used < 0 ? header.rule : "");
        return;
    }
    arrival->len += taken;
    if (used == 0)
        return;
    client_find(arrival, &header, &client);
    ingress_take(arrival->ingress, &arrival->io, &client);
    arrival_end(arrival);
}

static void deadline_passed(struct timer *timer)
{
    arrival_refuse(container_of(timer, struct arrival, deadline), "no whole header came in 5 s");
}

void arrival_begin(struct ingress *ingress, struct io *io, const struct addr *peer)
{
    struct arrival *arrival = mem_zero(1, sizeof *arrival);
    if (ingress->arrivals_count == ARRIVALS_MAX)
        arrival_refuse(container_of(ingress->arrivals.next, struct arrival, of_ingress),
                       "64 connections without a header wait already");
    arrival->ingress = ingress;
    arrival->peer = *peer;
    list_init(&arrival->of_ingress);
    list_append(&ingress->arrivals, &arrival->of_ingress);
    ingress->arrivals_count++;
    io_init(&arrival->io, ingress->loop, on_ready);
    io_move(&arrival->io, io);
    timer_init(&arrival->deadline, deadline_passed);
    timer_start(ingress->loop, &arrival->deadline, LOOP_MS(ARRIVAL_MS_MAX));
    io_want(&arrival->io, IO_READ);
}

void arrivals_cut(struct ingress *ingress)
{
    while (!list_empty(&ingress->arrivals))
        arrival_end(container_of(ingress->arrivals.next, struct arrival, of_ingress));
}
