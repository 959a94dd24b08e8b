/* relay: what relay.yaml does, as a program with sennit.h: the event `drawing` of one client goes to all others.
 * bench/small.mjs compares the two. */
#include <sennit.h>

static void drawing(sennit_event *event, void *data)
{
    sennit_emit(sennit_to_others(event), "drawing", sennit_event_args(event));
}

int main(int argc, char **argv)
{
    sennit_server *server = sennit_create(argc, argv);
    sennit_on(sennit_namespace(server, "/"), "drawing", drawing, NULL);
    return sennit_run(server);
}
