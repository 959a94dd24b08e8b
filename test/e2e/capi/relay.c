/* relay: a program for programs.test.mjs, which gives events back to the rules of its file (sennit_relay), rightly and
 * wrongly. */
#include <sennit.h>
#include <string.h>

static sennit_event *kept;

static void note(sennit_event *event, bool first, bool second)
{
    sennit_emitf(sennit_to_sender(event), "relayed", "b,b", (int)first, (int)second);
}

/* What has a text is the rules' business. */
static void say(sennit_event *event, void *data)
{
    if (sennit_arg_string(event, 0, "text") != NULL)
        sennit_relay(event);
    else
        sennit_ackf(event, "{'error':'no text'}");
}

static void twice(sennit_event *event, void *data)
{
    bool first = sennit_relay(event);
    note(event, first, sennit_relay(event));
}

static void answered(sennit_event *event, void *data)
{
    bool first = sennit_ackf(event, "'by the program'");
    note(event, first, sennit_relay(event));
}

static void later(sennit_event *event, void *data)
{
    if (kept != NULL) {
        note(event, false, sennit_relay(kept));
        sennit_event_free(kept);
    }
    kept = sennit_event_keep(event) ? event : NULL;
}

int main(int argc, char **argv)
{
    sennit_server *server = sennit_create(argc, argv);
    sennit_nsp *nsp = sennit_namespace(server, "/");
    sennit_on(nsp, "say", say, NULL);
    sennit_on(nsp, "twice", twice, NULL);
    sennit_on(nsp, "answered", answered, NULL);
    sennit_on(nsp, "later", later, NULL);
    return sennit_run(server);
}
