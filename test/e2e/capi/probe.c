/* probe: a program for capi.test.mjs, which tries every call of sennit.h that the examples do not make. It answers by
 * acknowledgements and events. */
#include <sennit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static sennit_server *server;
static sennit_nsp *nsp;
static sennit_socket *last; /* whose disconnect was told; its handle has ended since */
static int pipe_ends[2];

static void say(const char *name, sennit_event *event)
{
    sennit_emitf(sennit_to_all(nsp), name, "{'id':s,'data':s,'reason':s,'instance':s}",
                 sennit_socket_id(sennit_event_socket(event)), sennit_data(sennit_event_socket(event), NULL),
                 sennit_event_reason(event), sennit_instance(server));
}

static void connecting(sennit_event *event, void *data)
{
    if (strcmp(sennit_event_name(event), "connecting") == 0 && sennit_arg_bool(event, 0, "bad", false))
        sennit_refuse(event, "no \"bad\" ones", "{\"code\":7}");
    if (sennit_arg_type(event, 0, "as") != SENNIT_ABSENT)
        sennit_present_as(event, sennit_arg_json(event, 0, "as"));
    (void)data;
}

static void connected(sennit_event *event, void *data)
{
    sennit_data_set(sennit_event_socket(event), "born here", 9);
    say(data, event);
}

static void told(sennit_event *event, void *data)
{
    last = sennit_event_socket(event);
    say(data, event);
}

static void types(sennit_event *event, void *data)
{
    struct sennit_blob blob = sennit_arg_bytes(event, 1, NULL);
    sennit_ackf(event,
                "[i,i,i,i,i,i,i,i,i,i],{'count':i,'name':s,'deep':s,'int':I,'half':I,'number':f,'yes':b,'raw':j,'none':"
                "s,'bytes':x}",
                sennit_arg_type(event, 0, NULL), sennit_arg_type(event, 0, "user.name"),
                sennit_arg_type(event, 0, "list.1"), sennit_arg_type(event, 0, "gone"), sennit_arg_type(event, 1, NULL),
                sennit_arg_type(event, 0, "yes"), sennit_arg_type(event, 9, NULL),
                (int)sennit_arg_length(event, 0, NULL), (int)sennit_arg_length(event, 0, "list"),
                (int)sennit_arg_length(event, 0, "user.name"), (int)sennit_arg_count(event), sennit_event_name(event),
                sennit_arg_string(event, 0, "user.name"), sennit_arg_integer(event, 0, "list.1", -1),
                sennit_arg_integer(event, 0, "half", -1), sennit_arg_number(event, 0, "half", -1),
                (int)sennit_arg_bool(event, 0, "yes", false), sennit_arg_json(event, 0, "list"),
                sennit_arg_string(event, 0, "gone"), &blob);
    (void)data;
}

static void answered(sennit_event *answer, void *data)
{
    const char *error = sennit_event_error(answer);
    sennit_ackf(data, "s,s,i", error, sennit_arg_string(answer, 0, NULL), (int)sennit_arg_count(answer));
    sennit_event_free(data);
}

static void ask_back(sennit_event *event, void *data)
{
    sennit_event_keep(event);
    sennit_askf(sennit_event_socket(event), (uint64_t)sennit_arg_integer(event, 0, NULL, 1000), answered, event,
                "question", "'what?'");
    (void)data;
}

static void tell_answer(sennit_event *answer, void *data)
{
    sennit_ack(data, sennit_event_args(answer));
    sennit_event_free(data);
}

/* All in a room, or all but the one who says so. */
static void ask_all(sennit_event *event, void *data)
{
    const char *room = sennit_arg_string(event, 0, NULL);
    sennit_event_keep(event);
    if (!sennit_ask_allf(room != NULL ? sennit_to_room(sennit_event_nsp(event), room) : sennit_to_others(event),
                         (uint64_t)sennit_arg_integer(event, 1, NULL, 1000), tell_answer, event, "all?", "i", 7))
        sennit_event_free(event);
    (void)data;
}

/* The bytes of two answers, how many have some, and how many there are. The answers are kept for a moment, and the
 * bytes with them. */
static void tell_bytes(sennit_event *answers, void *data)
{
    struct sennit_blob blobs[2] = {{"", 0}, {"", 0}};
    int with_bytes = 0;
    sennit_event_keep(answers);
    for (size_t i = 0; i < sennit_arg_length(answers, 0, NULL); i++) {
        char path[32];
        snprintf(path, sizeof path, "%zu.answer.0", i);
        struct sennit_blob blob = sennit_arg_bytes(answers, 0, path);
        if (sennit_arg_type(answers, 0, path) == SENNIT_BYTES && blob.data != NULL && with_bytes < 2)
            blobs[with_bytes++] = blob;
    }
    sennit_ackf(data, "x,x,i,i", &blobs[0], &blobs[1], with_bytes, (int)sennit_arg_length(answers, 0, NULL));
    sennit_event_free(answers);
    sennit_event_free(data);
}

static void ask_bytes(sennit_event *event, void *data)
{
    struct sennit_blob blob = {"\1\2", 2};
    sennit_event_keep(event);
    if (!sennit_ask_allf(sennit_to_others(event), 3000, tell_bytes, event, "bytes?", "x", &blob))
        sennit_event_free(event);
    (void)data;
}

static void fleet(sennit_event *event, void *data)
{
    const char *what = sennit_arg_string(event, 0, NULL), *room = sennit_arg_string(event, 1, NULL);
    sennit_event_keep(event);
    bool asked = strcmp(what, "count") == 0   ? sennit_count(nsp, room, tell_answer, event)
                 : strcmp(what, "fetch") == 0 ? sennit_fetch(nsp, room, tell_answer, event)
                 : strcmp(what, "present") == 0
                     ? sennit_present(nsp, room, tell_answer, event)
                     : sennit_history(nsp, room, 10, sennit_arg_string(event, 2, NULL), tell_answer, event);
    if (!asked)
        sennit_event_free(event);
    (void)data;
}

static void rooms(sennit_event *event, void *data)
{
    const char *what = sennit_arg_string(event, 0, NULL), *room = sennit_arg_string(event, 1, NULL);
    sennit_socket *socket = sennit_event_socket(event);
    bool good = strcmp(what, "join") == 0    ? sennit_join(socket, room)
                : strcmp(what, "leave") == 0 ? sennit_leave(socket, room)
                : strcmp(what, "is_in") == 0 ? sennit_is_in(socket, room)
                : strcmp(what, "make_join") == 0
                    ? sennit_make_join(sennit_to_room(nsp, sennit_arg_string(event, 2, NULL)), room)
                : strcmp(what, "make_leave") == 0 ? sennit_make_leave(sennit_to_room(nsp, room), room)
                : strcmp(what, "end") == 0        ? sennit_disconnect(socket)
                                                  : sennit_make_disconnect(sennit_to_room(nsp, room));
    sennit_ackf(event, "b", good);
    (void)data;
}

static void send(sennit_event *event, void *data)
{
    struct sennit_target target =
        sennit_except(sennit_and(sennit_to_room(nsp, sennit_arg_string(event, 0, NULL)), "second"), "not here");
    sennit_emit(sennit_arg_bool(event, 1, NULL, false) ? sennit_logged(target) : target, "sent",
                sennit_event_args(event));
    sennit_emitf(sennit_to_sender(event), "you sent", "");
    sennit_ack(event, sennit_no_args());
    (void)data;
}

static void log_text(sennit_event *event, void *data)
{
    sennit_emitf(sennit_acknowledging(sennit_named(sennit_to_room(nsp, sennit_arg_string(event, 0, NULL)),
                                                   sennit_arg_string(event, 1, NULL)),
                                      event),
                 "text", "s", sennit_arg_string(event, 2, NULL));
    (void)data;
}

/* Everything here is wrong, and harmless. */
static void misuse(sennit_event *event, void *data)
{
    int wrong = 0;
    wrong += !sennit_emitf(sennit_to_all(NULL), "x", "");
    wrong += !sennit_emitf(sennit_to_all(nsp), "connect", "");
    wrong += !sennit_emitf(sennit_to_all(nsp), "x", "{'a':}");
    wrong += !sennit_emitf(sennit_to_all(nsp), "x", "j", "{\"a\":1},2");
    wrong += !sennit_emitf(sennit_to_all(nsp), "x", "f", 1e308 * 10);
    wrong += !sennit_emitf(sennit_to_all(nsp), "x", "%s", "x");
    wrong += !sennit_emit(sennit_to_all(nsp), "x", sennit_json("{}"));
    wrong += !sennit_emit(sennit_to_room(nsp, NULL), "x", sennit_no_args());
    wrong += !sennit_emitf(sennit_to_socket(last), "x", "");
    wrong += !sennit_join((sennit_socket *)server, "x");
    wrong += !sennit_join(sennit_event_socket(event), "");
    wrong += !sennit_data_set(sennit_event_socket(event), "", SENNIT_DATA_MAX + 1);
    wrong += !sennit_emitf(sennit_volatile(sennit_logged(sennit_to_all(nsp))), "x", "");
    wrong += !sennit_ask_allf(sennit_to_all(nsp), 0, tell_answer, event, "x", "");
    wrong += !sennit_ask_allf(sennit_to_all(nsp), 100, NULL, event, "x", "");
    wrong += !sennit_ask_allf(sennit_logged(sennit_to_all(nsp)), 100, tell_answer, event, "x", "");
    wrong += !sennit_ask_all(sennit_to_room(nsp, NULL), 100, tell_answer, event, "x", sennit_no_args());
    sennit_event_free(event); /* it was not kept */
    sennit_timer_stop(NULL);
    sennit_ackf(event, "i", wrong);
    wrong += !sennit_ackf(event, "i", wrong);
    sennit_emitf(sennit_to_sender(event), "misused", "i,b", wrong, (int)sennit_socket_is_here(last));
    (void)data;
}

/* In the namespaces of a pattern. */
static void made_connected(sennit_event *event, void *data)
{
    sennit_data_set(sennit_event_socket(event), "made", 4);
    sennit_emitf(sennit_to_all(sennit_event_nsp(event)), "in", "s", sennit_socket_id(sennit_event_socket(event)));
    (void)data;
}

static void made_ended(sennit_event *event, void *data)
{
    sennit_socket *socket = sennit_event_socket(event);
    sennit_emitf(sennit_to_all(sennit_event_nsp(event)), "out", "s,s,s,b", sennit_socket_id(socket),
                 sennit_event_reason(event), sennit_data(socket, NULL),
                 (int)(sennit_socket_nsp(socket) == sennit_event_nsp(event)));
    (void)data;
}

static void made_say(sennit_event *event, void *data)
{
    sennit_emit(sennit_logged(sennit_to_all(sennit_event_nsp(event))), "said", sennit_event_args(event));
    (void)data;
}

/* Twice to all: first only for those who can be written to. */
static void made_wave(sennit_event *event, void *data)
{
    struct sennit_target all = sennit_to_all(sennit_event_nsp(event));
    sennit_emitf(sennit_volatile(all), "wave", "i", 1);
    sennit_emitf(all, "wave", "i", 2);
    sennit_ack(event, sennit_no_args());
    (void)data;
}

static void made_count(sennit_event *event, void *data)
{
    sennit_event_keep(event);
    if (!sennit_count(sennit_event_nsp(event), NULL, tell_answer, event))
        sennit_event_free(event);
    (void)data;
}

/* Enters a room, and counts who is in it. */
static void made_enter(sennit_event *event, void *data)
{
    const char *room = sennit_arg_string(event, 0, NULL);
    sennit_data_set(sennit_event_socket(event), "entering", 8);
    sennit_join(sennit_event_socket(event), room);
    sennit_event_keep(event);
    if (!sennit_count(sennit_event_nsp(event), room, tell_answer, event))
        sennit_event_free(event);
    (void)data;
}

/* A message to the client, behind the handler. */
static void tell_sender(sennit_event *answer, void *data)
{
    sennit_emitf(sennit_to_sender(data), "counted", "I", sennit_arg_integer(answer, 0, NULL, -1));
    sennit_emitf(sennit_to_others(data), "counted", "i", 0);
    sennit_event_free(data);
}

static void made_tell(sennit_event *event, void *data)
{
    if (sennit_event_keep(event) && !sennit_count(sennit_event_nsp(event), NULL, tell_sender, event))
        sennit_event_free(event);
    (void)data;
}

/* To the namespace of this name, whoever is there, from one of the pattern's or from elsewhere. */
static void made_shout(sennit_event *event, void *data)
{
    sennit_nsp *there = sennit_namespace(server, sennit_arg_string(event, 0, NULL));
    bool again = there == sennit_namespace(server, sennit_arg_string(event, 0, NULL));
    sennit_ackf(event, "b,b,b", (int)sennit_emitf(sennit_to_all(there), "shout", "s", "hello"), (int)again,
                (int)sennit_emitf(sennit_to_all(sennit_namespace(server, "/made-*")), "shout", ""));
    (void)data;
}

static void made_presence(sennit_event *event, void *data)
{
    sennit_emitf(sennit_to_all(sennit_event_nsp(event)), sennit_event_name(event), "s,s,j,i,s,b",
                 sennit_arg_string(event, 0, NULL), sennit_arg_string(event, 1, NULL), sennit_arg_json(event, 2, NULL),
                 (int)sennit_arg_integer(event, 3, NULL, -1), sennit_instance(server),
                 (int)(sennit_event_socket(event) == NULL));
    (void)data;
}

static void made_join(sennit_event *event, void *data)
{
    sennit_join(sennit_event_socket(event), sennit_arg_string(event, 0, NULL));
    sennit_ackf(event, "");
    (void)data;
}

static void made_set_up(void)
{
    const struct sennit_nsp_options options = {.recovery_ms = 1000};
    sennit_nsp *made = sennit_namespace_with(server, "/made-*", &options);
    sennit_on_connecting(made, connecting, NULL);
    sennit_on_connect(made, made_connected, NULL);
    sennit_on_disconnect(made, made_ended, NULL);
    sennit_on(made, "say", made_say, NULL);
    sennit_on(made, "wave", made_wave, NULL);
    sennit_on(made, "count", made_count, NULL);
    sennit_on(made, "tell", made_tell, NULL);
    sennit_on(made, "enter", made_enter, NULL);
    sennit_on(made, "shout", made_shout, NULL);
    sennit_on(made, "ask all", ask_all, NULL);
    const struct sennit_nsp_options present = {.recovery_ms = 1000, .presence = true};
    sennit_nsp *hall = sennit_namespace_with(server, "/made-hall", &present); /* before the pattern */
    sennit_on_connecting(hall, connecting, NULL);
    sennit_on_presence(hall, made_presence, NULL);
    sennit_on(hall, "join", made_join, NULL);
}

static void block(sennit_event *event, void *data)
{
    usleep(120000);
    sennit_ackf(event, "");
    (void)data;
}

static void readable(int fd, unsigned ready, void *data)
{
    char byte;
    if ((ready & SENNIT_READ) != 0 && read(fd, &byte, 1) == 1)
        sennit_emitf(sennit_to_all(nsp), "readable", "");
    sennit_watch_stop(*(sennit_watch **)data);
}

static void tick(void *data)
{
    static sennit_watch *watch;
    static int ticks;
    sennit_emitf(sennit_to_all(nsp), "tick", "i", ++ticks);
    if (ticks < 3)
        return;
    sennit_timer_stop(*(sennit_timer **)data);
    watch = sennit_watch_fd(server, pipe_ends[0], SENNIT_READ, readable, &watch);
    if (write(pipe_ends[1], "x", 1) != 1)
        abort();
}

static void start_ticks(sennit_event *event, void *data)
{
    static sennit_timer *timer;
    timer = sennit_every(server, 10, tick, &timer);
    (void)event, (void)data;
}

static void stop(sennit_event *event, void *data)
{
    sennit_stop(server);
    (void)event, (void)data;
}

int main(int argc, char **argv)
{
    const struct sennit_nsp_options options = {.recovery_ms = 1000, .presence = true, .announce = true};
    if (pipe(pipe_ends) != 0)
        return 1;
    server = sennit_create(argc, argv);
    nsp = sennit_namespace_with(server, "/probe", &options);
    sennit_on_connecting(nsp, connecting, NULL);
    sennit_on_connect(nsp, connected, "told connect");
    sennit_on_resumed(nsp, told, "told resumed");
    sennit_on_moved(nsp, told, "told moved");
    sennit_on_disconnect(nsp, told, "told disconnect");
    sennit_on(nsp, "types", types, NULL);
    sennit_on(nsp, "ask back", ask_back, NULL);
    sennit_on(nsp, "ask all", ask_all, NULL);
    sennit_on(nsp, "ask bytes", ask_bytes, NULL);
    sennit_on(nsp, "fleet", fleet, NULL);
    sennit_on(nsp, "rooms", rooms, NULL);
    sennit_on(nsp, "send", send, NULL);
    sennit_on(nsp, "log", log_text, NULL);
    sennit_on(nsp, "misuse", misuse, NULL);
    sennit_on(nsp, "block", block, NULL);
    sennit_on(nsp, "ticks", start_ticks, NULL);
    sennit_on(nsp, "stop", stop, NULL);
    made_set_up();
    return sennit_run(server);
}
