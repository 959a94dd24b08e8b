/* @NAME@: a Socket.IO service. Its clients may be on any number of instances. */
#include <sennit.h>

/* `say TEXT`: all clients get `said TEXT`, on every instance. The log keeps it, so a client that was cut off gets it when it is
 * back. The sender is acknowledged when the broker has it. */
static void say(sennit_event *event, void *data)
{
    const char *text = sennit_arg_string(event, 0, NULL);
    struct sennit_target all = sennit_logged(sennit_to_all(sennit_event_nsp(event)));
    if (text == NULL)
        sennit_ackf(event, "s", "say expects a text");
    else
        sennit_emitf(sennit_acknowledging(all, event), "said", "s", text);
}

int main(int argc, char **argv)
{
    sennit_server *server = sennit_create(argc, argv);
    sennit_nsp *nsp = sennit_namespace(server, "/");
    sennit_on(nsp, "say", say, NULL);
    return sennit_run(server);
}
