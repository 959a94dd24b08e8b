/* ready: /ready makes a real round trip through the broker's push path. Requests during a probe share it, and requests
 * shortly after it get its outcome, so that frequent requests do not reach the broker. */
#include "serve/client.h"

enum { PROBE_EVERY_MS = 100 };

static void answer(struct client *client, int status, struct span body)
{
    http_respond(&client->http, status, SPAN_LIT("text/plain"), SPAN_LIT("Cache-Control: no-store\r\n"), body);
}

/* Not ready: for a reason that the broker names, if the operator asks, or for this one. */
static void answer_why(struct client *client, bool may_know, const char *why)
{
    const char *trouble = may_know ? broker_trouble(client_server(client)->broker) : NULL;
    struct buf text = {0};
    buf_printf(&text, "%s\n", trouble != NULL ? trouble : why);
    answer(client, 503, buf_span(&text));
    buf_finish(&text);
}

static void outcome(struct client *client, bool may_know)
{
    const struct server *server = client_server(client);
    if (server->draining)
        answer(client, 503, SPAN_LIT("shutting down\n"));
    else if (server->probe_passed)
        answer(client, 200, SPAN_LIT("ready\n"));
    else
        answer_why(client, may_know, "the broker does not answer");
}

static void outcome_all(struct list *waiters, bool may_know)
{
    struct list *node;
    while ((node = list_take(waiters)) != NULL)
        outcome(container_of(http_of_waiter(node), struct client, http), may_know);
}

static void probed(void *arg, enum broker_result result)
{
    struct server *server = arg;
    server->probing = false;
    server->probe_passed = result == BROKER_OK;
    server->probed_us = loop_now_us(server->loop);
    outcome_all(&server->ready_waiters, false);
    outcome_all(&server->ready_operators, true);
}

void ready_request(struct client *client, const struct http1_head *head)
{
    struct server *server = client_server(client);
    bool may_know = admin_allows(&server->config.admin, &client->http.conn.peer, head);
    if (server->draining) {
        answer(client, 503, SPAN_LIT("shutting down\n"));
        return;
    }
    if (!broker_is_up(server->broker)) {
        answer_why(client, may_know, "no link to the broker");
        return;
    }
    if (!server->probing && server->probed_us != 0 &&
        loop_now_us(server->loop) - server->probed_us < LOOP_MS(PROBE_EVERY_MS)) {
        outcome(client, may_know);
        return;
    }
    list_append(may_know ? &server->ready_operators : &server->ready_waiters, http_waiter(&client->http));
    if (!server->probing) {
        server->probing = true;
        broker_probe(server->broker, probed, server);
    }
}
