/* chatroom: a chat over many instances. It speaks the events of Socket.IO's chat example (`add user`, `new message`,
 * `typing`, `stop typing`) and those of Google's chat for Cloud Run (`signin`, `updateSocketId`, `sendMessage`), so the
 * pages of both work. A user is `{"user":...,"room":...}` in the data of the socket, so the user is still known when
 * the socket comes back on another instance.
 *
 *     cc chatroom.c $(pkg-config --cflags --libs sennit) -o chatroom && ./chatroom --port 8080 */
#include <sennit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 100, TEXT_MAX_BYTES = 4000, HISTORY = 50 };

static const char lobby[] = "lobby"; /* the room of Socket.IO's example, which has no rooms */

/* What a socket keeps: the user's name, a newline, the room. Neither has a newline. */
struct person {
    char user[NAME_MAX_BYTES + 1], room[NAME_MAX_BYTES + 1];
};

static bool is_name(const char *text)
{
    return text != NULL && *text != '\0' && strlen(text) <= NAME_MAX_BYTES && strchr(text, '\n') == NULL;
}

static bool person_of(sennit_socket *socket, struct person *person)
{
    const char *kept = sennit_data(socket, NULL), *line = kept != NULL ? strchr(kept, '\n') : NULL;
    if (line == NULL)
        return false;
    snprintf(person->user, sizeof person->user, "%.*s", (int)(line - kept), kept);
    snprintf(person->room, sizeof person->room, "%s", line + 1);
    return true;
}

static bool person_set(sennit_socket *socket, const char *user, const char *room)
{
    char kept[sizeof(struct person) + 2];
    if (!is_name(user) || !is_name(room))
        return false;
    snprintf(kept, sizeof kept, "%s\n%s", user, room);
    return sennit_data_set(socket, kept, strlen(kept)) && sennit_join(socket, room);
}

/* ---- Socket.IO's chat example ---- */

/* Somebody came or left: the others are told, with the number of users on all instances, and the newcomer is. */
struct change {
    sennit_socket *newcomer; /* NULL: somebody left */
    char user[NAME_MAX_BYTES + 1];
    char id[32];
};

static void counted(sennit_event *event, void *data)
{
    struct change *change = data;
    int64_t users = sennit_arg_integer(event, 0, NULL, 0);
    struct sennit_target others = sennit_except(sennit_to_room(sennit_event_nsp(event), lobby), change->id);
    if (change->newcomer != NULL && sennit_socket_is_here(change->newcomer))
        sennit_emitf(sennit_to_socket(change->newcomer), "login", "{'numUsers':I}", users);
    sennit_emitf(others, change->newcomer != NULL ? "user joined" : "user left", "{'username':s,'numUsers':I}",
                 change->user, users);
    free(change);
}

static void tell_change(sennit_event *event, const char *user, bool came)
{
    struct change *change = calloc(1, sizeof *change);
    change->newcomer = came ? sennit_event_socket(event) : NULL;
    snprintf(change->user, sizeof change->user, "%s", user);
    snprintf(change->id, sizeof change->id, "%s", sennit_socket_id(sennit_event_socket(event)));
    if (!sennit_count(sennit_event_nsp(event), lobby, counted, change))
        free(change);
}

static void add_user(sennit_event *event, void *data)
{
    sennit_socket *socket = sennit_event_socket(event);
    const char *user = sennit_arg_string(event, 0, NULL);
    if (sennit_data(socket, NULL) == NULL && person_set(socket, user, lobby))
        tell_change(event, user, true);
    (void)data;
}

static void new_message(sennit_event *event, void *data)
{
    struct person person;
    const char *text = sennit_arg_string(event, 0, NULL);
    if (person_of(sennit_event_socket(event), &person) && text != NULL && strlen(text) <= TEXT_MAX_BYTES)
        sennit_emitf(sennit_acknowledging(sennit_logged(sennit_to_room_others(event, person.room)), event),
                     "new message", "{'username':s,'message':s}", person.user, text);
    (void)data;
}

/* `typing`, `stop typing`: of interest only now, so not logged. */
static void typing(sennit_event *event, void *data)
{
    struct person person;
    if (person_of(sennit_event_socket(event), &person))
        sennit_emitf(sennit_to_room_others(event, person.room), sennit_event_name(event), "{'username':s}",
                     person.user);
    (void)data;
}

/* ---- Google's chat for Cloud Run ---- */

static void notify(struct sennit_target target, const char *title, const char *user, const char *what)
{
    char text[NAME_MAX_BYTES + 40];
    snprintf(text, sizeof text, "%s %s", user, what);
    sennit_emitf(target, "notification", "{'title':s,'description':s}", title, text);
}

/* The newcomer gets the messages so far with its acknowledgement: `(error, [{user, text}, ...])`. */
static void history(sennit_event *answer, void *data)
{
    sennit_event *signin = data;
    char *list = malloc(1 << 20), *end = list;
    end += sprintf(end, "[");
    for (size_t i = 0; i < HISTORY; i++) {
        char path[32];
        snprintf(path, sizeof path, "%zu.args.0", i);
        const char *name = sennit_arg_string(answer, 0, path);
        snprintf(path, sizeof path, "%zu.args.1", i);
        const char *message = sennit_arg_json(answer, 0, path);
        if (name == NULL || message == NULL || strcmp(name, "message") != 0 ||
            strlen(message) > (1 << 20) / HISTORY - 8)
            continue;
        end += sprintf(end, "%s%s", end > list + 1 ? "," : "", message);
    }
    sprintf(end, "]");
    sennit_ackf(signin, sennit_event_error(answer) == NULL ? "n,j" : "'try again',j", list);
    sennit_event_free(signin);
    free(list);
}

static void signin(sennit_event *event, void *data)
{
    const char *user = sennit_arg_string(event, 0, "user"), *room = sennit_arg_string(event, 0, "room");
    if (!person_set(sennit_event_socket(event), user, room)) {
        sennit_ackf(event, "'User or room is missing, or too long',n");
        return;
    }
    notify(sennit_to_room_others(event, room), "Someone's here", user, "just entered the room");
    if (sennit_event_keep(event) && !sennit_history(sennit_event_nsp(event), room, HISTORY, NULL, history, event))
        sennit_event_free(event);
    (void)data;
}

/* The page says again who it is, after it has connected anew. */
static void update_socket_id(sennit_event *event, void *data)
{
    person_set(sennit_event_socket(event), sennit_arg_string(event, 0, "user"), sennit_arg_string(event, 0, "room"));
    (void)data;
}

static void send_message(sennit_event *event, void *data)
{
    struct person person;
    const char *text = sennit_arg_string(event, 0, NULL);
    if (!person_of(sennit_event_socket(event), &person) || text == NULL || strlen(text) > TEXT_MAX_BYTES)
        sennit_ackf(event, "'Sign in first, and write at most 4000 bytes'");
    else
        sennit_emitf(sennit_acknowledging(sennit_logged(sennit_to_room(sennit_event_nsp(event), person.room)), event),
                     "message", "{'user':s,'text':s}", person.user, text);
    (void)data;
}

static void disconnect(sennit_event *event, void *data)
{
    struct person person;
    if (!person_of(sennit_event_socket(event), &person))
        return;
    if (strcmp(person.room, lobby) == 0)
        tell_change(event, person.user, false);
    notify(sennit_to_room(sennit_event_nsp(event), person.room), "Someone just left", person.user,
           "just left the room");
    (void)data;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        sennit_handler *handler;
    } events[] = {{"add user", add_user},       {"new message", new_message}, {"typing", typing},
                  {"stop typing", typing},      {"signin", signin},           {"updateSocketId", update_socket_id},
                  {"sendMessage", send_message}};
    /* A user who is away for longer has left. */
    const char *seconds = getenv("CHATROOM_AWAY_SECONDS");
    const struct sennit_nsp_options options = {.recovery_ms = (uint64_t)atoi(seconds != NULL ? seconds : "20") * 1000,
                                               .announce = true};
    sennit_server *server = sennit_create(argc, argv);
    sennit_nsp *chat = sennit_namespace_with(server, "/", &options);
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
        sennit_on(chat, events[i].name, events[i].handler, NULL);
    sennit_on_disconnect(chat, disconnect, NULL);
    return sennit_run(server);
}
