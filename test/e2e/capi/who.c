/* who: a program for capi-client.test.mjs. It prints a line for each call of a handler, with what it is told of the
 * client: from a connecting handler, of a new, a resumed and a moved socket, an event, an answer, and an end. */
#include <sennit.h>
#include <stdio.h>

static sennit_server *server;

static const char *text(const char *value)
{
    return value != NULL ? value : "-";
}

static void tell(sennit_event *event, const char *what)
{
    printf("\nwho %s %s: %s agent=%s x-two=%s unkept=%s color=%s user=%s list=%s auth=%s sub=%s uri=%s deep=%s "
           "all=%s\n",
           what, text(sennit_socket_id(sennit_event_socket(event))), text(sennit_client_address(event)),
           text(sennit_client_header(event, "user-AGENT")), text(sennit_client_header(event, "x-two")),
           text(sennit_client_header(event, "X-Unkept")), text(sennit_client_query(event, "the color")),
           text(sennit_client_auth_string(event, "user")), text(sennit_client_auth_json(event, "list.1")),
           text(sennit_client_auth_json(event, NULL) != NULL ? "some" : NULL),
           text(sennit_client_claim_string(event, "sub")),
           text(sennit_client_claim_json(event, "https://example.com/roles")),
           text(sennit_client_claim_string(event, "realm.roles.1")),
           text(sennit_client_claim_json(event, NULL) != NULL ? "some" : NULL));
    fflush(stdout);
}

static void known(sennit_event *event, void *data)
{
    tell(event, data != NULL ? data : sennit_event_name(event));
}

static void later(void *data)
{
    tell(data, "later");
    sennit_ackf(data, "");
    sennit_event_free(data);
}

static void who(sennit_event *event, void *data)
{
    known(event, NULL);
    if (sennit_event_keep(event))
        sennit_after(server, 200, later, event);
    (void)data;
}

int main(int argc, char **argv)
{
    server = sennit_create(argc, argv);
    sennit_nsp *nsp = sennit_namespace(server, "/who");
    sennit_keep_header(server, "User-Agent");
    sennit_keep_header(server, "X-TWO");
    sennit_keep_query(server);
    sennit_keep_auth(server);
    sennit_on_connecting(nsp, known, NULL);
    sennit_on_connect(nsp, known, NULL);
    sennit_on_resumed(nsp, known, NULL);
    sennit_on_moved(nsp, known, NULL);
    sennit_on_disconnect(nsp, known, NULL);
    sennit_on(nsp, "who", who, NULL);
    return sennit_run(server);
}
