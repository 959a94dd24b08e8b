/* chatroom: a chat over many instances. It speaks the events of Socket.IO's chat example and those of Google's chat for
 * Cloud Run, so the pages of both work (they load scripts of other sites: `headers: {csp: none}`). With chatroom.yaml
 * it also serves our page (web/chatroom), whose rooms, history and people follow the rules of that file. A user's name
 * and room are in the data of the socket, so they are still known when the socket comes back on another instance.
 *
 *     cc chatroom.c $(pkg-config --cflags --libs sennit) -o chatroom && ./chatroom --config chatroom.yaml --port 8080
 */
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
    const char *kept = sennit_data(socket, NULL);
    return kept != NULL && sscanf(kept, "%100[^\n]\n%100[^\n]", person->user, person->room) == 2;
}

static bool person_set(sennit_socket *socket, const char *user, const char *room)
{
    char kept[sizeof(struct person) + 2];
    if (!is_name(user) || !is_name(room))
        return false;
    snprintf(kept, sizeof kept, "%s\n%s", user, room);
    return sennit_join(socket, room) && sennit_data_set(socket, kept, strlen(kept));
}

/* What somebody wrote who has said who it is; NULL: nothing, or too much. */
static const char *text_of(sennit_event *event, struct person *person)
{
    const char *text = sennit_arg_string(event, 0, NULL);
    bool is_known = person_of(sennit_event_socket(event), person);
    return is_known && text != NULL && strlen(text) <= TEXT_MAX_BYTES ? text : NULL;
}

/* ---- Socket.IO's chat example ---- */
/* Our page says `{username, ...}, room` by the same names, which follows the rules of chatroom.yaml. */
static bool is_of_page(sennit_event *event)
{
    return sennit_arg_type(event, 0, NULL) == SENNIT_OBJECT;
}

/* Somebody came or left: all are told, with the number of users on all instances. */
struct change {
    char newcomer[24]; /* its id, since it may have gone to another instance; empty: somebody left */
    char user[NAME_MAX_BYTES + 1];
};

static void counted(sennit_event *event, void *data)
{
    struct change *change = data;
    bool came = change->newcomer[0] != '\0';
    int64_t users = sennit_arg_integer(event, 0, NULL, 0);
    sennit_nsp *nsp = sennit_event_nsp(event);
    struct sennit_target others = sennit_to_room(nsp, lobby);
    if (came && sennit_emitf(sennit_to_room(nsp, change->newcomer), "login", "{'numUsers':I}", users))
        others = sennit_except(others, change->newcomer);
    sennit_emitf(others, came ? "user joined" : "user left", "{'username':s,'numUsers':I}", change->user, users);
    free(change);
}

static void tell_change(sennit_event *event, const char *user, bool came)
{
    struct change *change = calloc(1, sizeof *change);
    if (came)
        snprintf(change->newcomer, sizeof change->newcomer, "%s", sennit_socket_id(sennit_event_socket(event)));
    snprintf(change->user, sizeof change->user, "%s", user);
    if (!sennit_count(sennit_event_nsp(event), lobby, counted, change))
        free(change);
}

static void add_user(sennit_event *event, void *data)
{
    sennit_socket *socket = sennit_event_socket(event);
    const char *user = sennit_arg_string(event, 0, NULL);
    if (sennit_data(socket, NULL) == NULL && person_set(socket, user, lobby))
        tell_change(event, user, true);
}

static void new_message(sennit_event *event, void *data)
{
    struct person person;
    const char *text = text_of(event, &person);
    if (is_of_page(event))
        sennit_relay(event);
    else if (text != NULL)
        sennit_emitf(sennit_acknowledging(sennit_logged(sennit_to_room_others(event, person.room)), event),
                     "new message", "{'username':s,'message':s}", person.user, text);
}

/* `typing`, `stop typing`: of interest only now, so not logged. */
static void typing(sennit_event *event, void *data)
{
    struct person person;
    if (is_of_page(event))
        sennit_relay(event);
    else if (person_of(sennit_event_socket(event), &person))
        sennit_emitf(sennit_to_room_others(event, person.room), sennit_event_name(event), "{'username':s}",
                     person.user);
}

/* ---- Google's chat for Cloud Run ---- */

static void notify(struct sennit_target target, const char *title, const char *user, const char *what)
{
    char text[NAME_MAX_BYTES + 40];
    snprintf(text, sizeof text, "%s %s", user, what);
    sennit_emitf(target, "notification", "{'title':s,'description':s}", title, text);
}

/* The newcomer gets the messages so far with its acknowledgement: `(error, {messages: [{user, text}, ...]})`. */
static void history(sennit_event *answer, void *data)
{
    char *list, path[32];
    size_t bytes, count = 0;
    FILE *to = open_memstream(&list, &bytes);
    for (size_t i = 0; i < HISTORY; i++) {
        snprintf(path, sizeof path, "%zu.args.0", i);
        const char *name = sennit_arg_string(answer, 0, path);
        snprintf(path, sizeof path, "%zu.args.1", i);
        if (name != NULL && strcmp(name, "message") == 0)
            fprintf(to, "%c%s", count++ == 0 ? '[' : ',', sennit_arg_json(answer, 0, path));
    }
    fputs(count == 0 ? "[]" : "]", to);
    fclose(to);
    sennit_ackf(data, sennit_event_error(answer) == NULL ? "n,{'messages':j}" : "'try again',{'messages':j}", list);
    sennit_event_free(data);
    free(list);
}

/* Also `updateSocketId`, with which the page says again who it is after it has connected anew. */
static void signin(sennit_event *event, void *data)
{
    const char *user = sennit_arg_string(event, 0, "user"), *room = sennit_arg_string(event, 0, "room");
    if (!person_set(sennit_event_socket(event), user, room)) {
        sennit_ackf(event, "'User or room is missing, or too long',n");
        return;
    }
    if (strcmp(sennit_event_name(event), "signin") != 0)
        return;
    notify(sennit_to_room_others(event, room), "Someone's here", user, "just entered the room");
    if (sennit_event_keep(event) && !sennit_history(sennit_event_nsp(event), room, HISTORY, NULL, history, event))
        sennit_event_free(event);
}

static void send_message(sennit_event *event, void *data)
{
    struct person person;
    const char *text = text_of(event, &person);
    if (text == NULL)
        sennit_ackf(event, "'Sign in first, and write at most 4000 bytes'");
    else
        sennit_emitf(sennit_acknowledging(sennit_logged(sennit_to_room(sennit_event_nsp(event), person.room)), event),
                     "message", "{'user':s,'text':s}", person.user, text);
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
}

int main(int argc, char **argv)
{
    /* A user who is away for longer has left. */
    const char *seconds = getenv("CHATROOM_AWAY_SECONDS");
    const struct sennit_nsp_options options = {.recovery_ms = (uint64_t)atoi(seconds != NULL ? seconds : "20") * 1000,
                                               .announce = true};
    sennit_server *server = sennit_create(argc, argv);
    sennit_nsp *chat = sennit_namespace_with(server, "/", &options);
    sennit_on(chat, "add user", add_user, NULL);
    sennit_on(chat, "new message", new_message, NULL);
    sennit_on(chat, "typing", typing, NULL);
    sennit_on(chat, "stop typing", typing, NULL);
    sennit_on(chat, "signin", signin, NULL);
    sennit_on(chat, "updateSocketId", signin, NULL);
    sennit_on(chat, "sendMessage", send_message, NULL);
    sennit_on_disconnect(chat, disconnect, NULL);
    return sennit_run(server);
}
