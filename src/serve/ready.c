/* ready: /ready is a true round trip through the broker's push path, not a flag. Requests that come while one probe is
 * under way share it. */
#include "serve/client.h"

static void answer(struct client *client, int status, struct span body)
{
    client_respond(client, status, SPAN_LIT("text/plain"), SPAN_LIT("Cache-Control: no-store\r\n"), body);
}

static void probed(void *arg, enum broker_result result)
{
    struct server *server = arg;
    struct list *node;
    server->probing = false;
    while ((node = list_take(&server->ready_waiters)) != NULL) {
        struct client *client = container_of(node, struct client_http, waiter)->client;
        if (result == BROKER_OK && !server->draining)
            answer(client, 200, SPAN_LIT("ready\n"));
        else
            answer(client, 503, SPAN_LIT("the broker does not answer\n"));
        conn_read_pause(&client->conn, false);
    }
}

void ready_request(struct client *client, const struct http1_head *head)
{
    struct server *server = client->server;
    if (server->draining || !broker_is_up(server->broker)) {
        answer(client, 503, server->draining ? SPAN_LIT("shutting down\n") : SPAN_LIT("no link to the broker\n"));
        return;
    }
    list_append(&server->ready_waiters, &client->http->waiter);
    conn_read_pause(&client->conn, true);
    if (!server->probing) {
        server->probing = true;
        broker_probe(server->broker, probed, server);
    }
}
