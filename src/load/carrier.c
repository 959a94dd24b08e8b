/* carrier: a link or a polling. */
#include "load/carrier.h"

#include "load/client.h"
#include "load/link.h"
#include "load/polling.h"
#include "load/run.h"

void carrier_open(struct client *client)
{
    struct run *run = client->run;
    if (run->options->transport == LOAD_TRANSPORT_WEBSOCKET)
        client->link = link_open(run, client, &client_link_events, span_str(run->target));
    else
        client->polling = polling_open(run, client);
}

void carrier_send(struct client *client, struct span text)
{
    if (client->polling != NULL)
        polling_send(client->polling, text);
    else if (client->link != NULL)
        link_send(client->link, text);
}

void carrier_send_binary(struct client *client, struct span bytes)
{
    if (client->polling != NULL)
        polling_send_binary(client->polling, bytes);
    else if (client->link != NULL)
        link_send_binary(client->link, bytes);
}

void carrier_cut(struct client *client, enum cut_kind kind)
{
    struct polling *polling = client->polling;
    struct link *link = client->link;
    client->polling = NULL;
    client->link = NULL;
    if (polling != NULL)
        polling_cut(polling, kind);
    else if (link != NULL)
        link_cut(link, kind);
}

void carrier_drop(struct client *client)
{
    struct polling *polling = client->polling;
    struct link *link = client->link;
    client->polling = NULL;
    client->link = NULL;
    if (polling != NULL)
        polling_drop(polling);
    else if (link != NULL)
        link_drop(link);
}
