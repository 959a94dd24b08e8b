/* metadata: the ports, their readers, and what a request must be like before it is answered. */
#include "platform/metadata.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "loop/listening.h"
#include "platform/environment.h"

/* A connection. Its instance may end before it. */
struct reader {
    struct http http;
    struct metadata_port *port; /* NULL: the instance has ended; then no request comes any more */
    struct list of_port;
};

static const struct span text_type = SPAN_LIT("text/plain");

static void refuse(struct reader *reader, int status, struct span text)
{
    struct metadata *metadata = container_of(reader->http.server, struct metadata, http);
    metadata->refused++;
    if (!metadata->refusal_told)
        log_event(LOG_INFO, "the metadata server refused a request; later ones are counted",
                  LOG_C("instance", reader->port->instance), LOG_S("why", text));
    metadata->refusal_told = true;
    http_respond(&reader->http, status, text_type, SPAN_LIT(""), text);
}

static void on_request(struct http *http, const struct http1_head *head)
{
    struct reader *reader = container_of(http, struct reader, http);
    int status;
    const char *fault = metadata_fault(head, &status);
    if (fault != NULL) {
        refuse(reader, status, span_str(fault));
        return;
    }
    struct metadata_answer answer = {.status = 200, .type = SPAN_LIT("application/text")};
    metadata_answer(&answer, reader->port, head->target);
    if (answer.status == 200) {
        reader->port->metadata->answered++;
        http_respond(http, answer.status, answer.type, SPAN_LIT(""), buf_span(&answer.text));
    } else {
        refuse(reader, answer.status, buf_span(&answer.text));
    }
    buf_finish(&answer.text);
}

static void on_closed(struct http *http, enum close_reason reason)
{
    struct reader *reader = container_of(http, struct reader, http);
    if (reader->port != NULL)
        reader->port->reader_count--;
    list_remove(&reader->of_port);
    free(reader);
}

static const struct http_events events = {.request = on_request, .closed = on_closed};
static const struct http_rules rules = {.body_bytes_max = UINT64_MAX, /* nobody reads one */
                                        .idle_ms = METADATA_MS_MAX,
                                        .linger_ms = 1000,
                                        .linger_body_ms = 1000};
static const struct conn_limits limits = {
    .queue_bytes_max = 1 << 20, .input_bytes_max = HTTP1_HEAD_BYTES_MAX, .write_stall_ms_max = METADATA_MS_MAX};

/* Each reason once: a request that was refused before has told neither. */
static void closed_tell(const struct metadata_port *port, bool is_own)
{
    struct metadata *metadata = port->metadata;
    bool *told = is_own ? &metadata->crowd_told : &metadata->stranger_told;
    metadata->refused++;
    if (!*told)
        log_event(LOG_WARNING, "a connection to the metadata server is closed; later ones are counted",
                  LOG_C("instance", port->instance),
                  LOG_C("why", is_own ? "the instance has 32 already: let it close some"
                                      : "it is not of the user who runs sennit up"));
    *told = true;
}

static void on_accepted(struct listener *listener, struct io *io, const struct addr *peer)
{
    struct metadata_port *port = container_of(listener, struct metadata_port, listener);
    bool is_own = port->is_private || listening_peer_is_own(addr_port(peer), port->number);
    if (!is_own || port->reader_count == METADATA_READERS_MAX) { /* the listener closes it */
        closed_tell(port, is_own);
        return;
    }
    struct reader *reader = mem_zero(1, sizeof *reader);
    reader->port = port;
    port->reader_count++;
    list_append(&port->readers, &reader->of_port);
    http_accept(&port->metadata->http, &reader->http, io, peer, METADATA_MS_MAX);
}

void metadata_open(struct metadata *metadata, struct net *net, struct identities *identities, const char *project,
                   const char *region)
{
    *metadata = (struct metadata){.net = net,
                                  .identities = identities,
                                  .project = project != NULL ? project : METADATA_PROJECT,
                                  .region = region != NULL ? region : METADATA_REGION};
    http_server_init(&metadata->http, net, &events, &limits, &rules);
    metadata->http.fields = SPAN_LIT("Metadata-Flavor: Google\r\nServer: sennit up, which is not Google's\r\n"
                                     "X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n");
}

void metadata_close(struct metadata *metadata)
{
    if (metadata->net != NULL)
        http_server_cut(&metadata->http, CLOSE_DRAINED);
}

bool metadata_port_open(struct metadata_port *port, struct metadata *metadata, const char *instance,
                        const char *account, const struct netspace *netspace, struct err *err)
{
    struct addr addr;
    *port = (struct metadata_port){
        .instance = instance, .account = account != NULL ? account : METADATA_ACCOUNT, .is_private = netspace->is_open};
    list_init(&port->readers);
    addr_loopback(&addr, 0);
    if (port->is_private)
        addr_from_ip(&addr, SPAN_LIT(NETSPACE_METADATA_ADDRESS), 80);
    netspace_enter(netspace);
    bool ok = listener_open(&port->listener, metadata->net, &addr, on_accepted, err);
    netspace_leave(netspace);
    if (!ok)
        return false;
    port->metadata = metadata;
    port->number = listener_port(&port->listener);
    return true;
}

void metadata_port_name(const struct metadata_port *port, struct words *env)
{
    static const char *const names[] = {"GCE_METADATA_HOST", "GCE_METADATA_IP", "GCE_METADATA_ROOT"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (environment_has(env, span_str(names[i])))
            return;
    for (size_t i = 0; port->metadata != NULL && i < sizeof names / sizeof names[0]; i++)
        environment_set(env, port->is_private ? mem_printf("%s=" NETSPACE_METADATA_ADDRESS, names[i])
                                              : mem_printf("%s=127.0.0.1:%u", names[i], port->number));
}

void metadata_port_close(struct metadata_port *port)
{
    if (port->metadata == NULL)
        return;
    port->metadata = NULL;
    listener_close(&port->listener);
    list_each (node, &port->readers) {
        struct reader *reader = container_of(node, struct reader, of_port);
        list_remove(node);
        reader->port = NULL;
        conn_close(&reader->http.conn, CLOSE_DRAINED);
    }
}
