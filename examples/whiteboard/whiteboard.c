/* whiteboard: what board.yaml does, as a program: each stroke goes to the others, into the log, and to whoever comes
 * later. A stroke has an id, so one that a client sends twice is drawn once. With board.yaml it also serves our page
 * (web/whiteboard), whose other events follow the rules of that file.
 *
 *     cc whiteboard.c $(pkg-config --cflags --libs sennit) -o whiteboard && ./whiteboard --config board.yaml --port 8080 */
#include <sennit.h>

static void drawing(sennit_event *event, void *data)
{
    const char *id = sennit_arg_string(event, 0, "id");
    struct sennit_target others = sennit_acknowledging(sennit_logged(sennit_to_others(event)), event);
    sennit_emit(id != NULL ? sennit_named(others, id) : others, "drawing", sennit_event_args(event));
    (void)data;
}

int main(int argc, char **argv)
{
    const struct sennit_nsp_options board = {.log_entries = 200000, .log_age_ms = 86400000, .replay_all = true};
    sennit_server *server = sennit_create(argc, argv);
    sennit_on(sennit_namespace_with(server, "/", &board), "drawing", drawing, NULL);
    return sennit_run(server);
}
