/* cmd_load: `sennit load`. */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "cli/cli.h"
#include "load/load.h"
#include "loop/loop.h"

enum {
    KEY_PROTOCOL = 256,
    KEY_TRANSPORT,
    KEY_PATH,
    KEY_DEFLATE,
    KEY_NAMESPACE,
    KEY_AUTH,
    KEY_CONNECT_RATE,
    KEY_CONNECT_TIMEOUT,
    KEY_EVENT,
    KEY_ROOMS,
    KEY_ROOMS_EACH,
    KEY_JOIN_EVENT,
    KEY_ROOM_EVENT,
    KEY_PUBLISHERS,
    KEY_SIZE,
    KEY_BINARY,
    KEY_SETTLE,
    KEY_NO_ACK,
    KEY_ECHO,
    KEY_IDLE,
    KEY_CHECK,
    KEY_CUT_EVERY,
    KEY_CUT,
    KEY_RECONNECT_DELAY,
    KEY_PID,
    KEY_JSON,
};

static const struct argp_option options[] = {
    {NULL, 0, NULL, 0, "Clients:", 1},
    {"clients", 'c', "N", 0, "Number of clients (default 100)", 1},
    {"connect-rate", KEY_CONNECT_RATE, "N", 0,
     "Connects a second (default 500); 0: as fast as the server accepts them, 256 at a time", 1},
    {"connect-timeout", KEY_CONNECT_TIMEOUT, "SECONDS", 0,
     "Give up after this time without a new connection (default 30)", 1},
    {"protocol", KEY_PROTOCOL, "NAME", 0,
     "socketio (default): Engine.IO v4. plain: sennit.v1. websocket: bare messages", 1},
    {"transport", KEY_TRANSPORT, "NAME", 0,
     "Of Socket.IO: websocket (default), polling, or upgrade: from polling to WebSocket, as stock clients do", 1},
    {"deflate", KEY_DEFLATE, NULL, 0, "Compress messages by permessage-deflate; the server must agree", 1},
    {"path", KEY_PATH, "PATH", 0, "Default /socket.io/; /ws with --protocol plain; the URL's path with websocket", 1},
    {"namespace", KEY_NAMESPACE, "NAME", 0, "Namespace (default /)", 1},
    {"auth", KEY_AUTH, "JSON", 0, "Object that each client connects with, like {\"token\":\"abc\"}", 1},
    {NULL, 0, NULL, 0, "Messages:", 2},
    {"rate", 'r', "N", 0, "Messages a second, of all publishers together (default 10)", 2},
    {"publishers", KEY_PUBLISHERS, "N", 0, "Number of clients that publish, in turn (default 1)", 2},
    {"duration", 'd', "SECONDS", 0, "Time of publishing (default 10)", 2},
    {"settle", KEY_SETTLE, "SECONDS", 0, "Longest wait for messages that are still under way (default 10)", 2},
    {"size", KEY_SIZE, "BYTES", 0, "Size of the message's object, with padding (default 64)", 2},
    {"binary", KEY_BINARY, "BYTES", 0,
     "Send so many bytes with each message, as its last argument; a message with other bytes counts as not delivered",
     2},
    {"event", KEY_EVENT, "NAME", 0, "Event with the object as its argument (default drawing)", 2},
    {"no-ack", KEY_NO_ACK, NULL, 0, "Ask for no acknowledgements, and send no message again", 2},
    {"echo", KEY_ECHO, NULL, 0, "The server sends a message to its publisher, too", 2},
    {"idle", KEY_IDLE, NULL, 0, "Publish no messages: connect, stay for --duration, and measure", 2},
    {NULL, 0, NULL, 0, "Rooms:", 3},
    {"rooms", KEY_ROOMS, "N", 0, "Number of rooms to spread the clients over; a message goes to one", 3},
    {"rooms-per-client", KEY_ROOMS_EACH, "N", 0, "Number of rooms of each client (default 1)", 3},
    {"join-event", KEY_JOIN_EVENT, "NAME", 0, "Event of Socket.IO that joins a room, its argument (default join)", 3},
    {"room-event", KEY_ROOM_EVENT, "NAME[:ORDER]", 0,
     "Publish by this event, with the room as an argument of its own; ORDER: room,object (default) or object,room", 3},
    {NULL, 0, NULL, 0, "Faults and proof:", 4},
    {"check", KEY_CHECK, NULL, 0, "Check that accepted messages are delivered once, in one order for all", 4},
    {"cut-every", KEY_CUT_EVERY, "SECONDS", 0, "Cut each client off once in this time, on average; it comes back", 4},
    {"cut", KEY_CUT, "KINDS", 0, "Kinds of cuts: any of fin,rst,halfopen,close (default: all)", 4},
    {"reconnect-delay", KEY_RECONNECT_DELAY, "MS", 0,
     "First delay before a reconnect, half of it more or less; doubles up to five times this (default 1000)", 4},
    {NULL, 0, NULL, 0, "Output:", 5},
    {"pid", KEY_PID, "PID", 0, "Measure the server, a process of this machine: CPU and memory", 5},
    {"json", KEY_JSON, NULL, 0, "Print one JSON object instead", 5},
    {0},
};

static const char doc[] =
    "Connects clients to a server of Socket.IO or WebSocket, measures, and checks deliveries.\n\n"
    "The clients connect, a few of them publish, all receive. They behave as socket.io-client does: they come "
    "back after 0.5 to 1.5 seconds, resume from their offset, and send unacknowledged messages again, under the same "
    "ids.\v"
    "Examples, for a server that sends `drawing` to the others, as `sennit serve` does with the file of its --help:\n\n"
    "  How fast is it, and what does it cost the server?\n"
    "    sennit load http://127.0.0.1:8080 -c 1000 -r 50 --pid PID\n\n"
    "  What does an idle client cost?\n"
    "    sennit load http://127.0.0.1:8080 -c 10000 --idle -d 5 --pid PID\n\n"
    "  Is anything lost when each client is cut off every ten seconds?\n"
    "    sennit load http://127.0.0.1:8080 -r 100 -d 60 --check --cut-every 10\n\n"
    "  50 rooms, joined by `join` and written to by `say`, whose arguments are the room and the object:\n"
    "    sennit load http://127.0.0.1:8080 --rooms 50 --room-event say --check\n\n"
    "  Clients that speak the protocol sennit.v1, at /ws:\n"
    "    sennit load http://127.0.0.1:8080 --protocol plain --check --cut-every 10\n\n"
    "  Any WebSocket server that sends what it gets to the others:\n"
    "    sennit load ws://127.0.0.1:8080/chat --protocol websocket\n\n"
    "Exit status: 0 all is well, 1 the check failed, 2 the command line is wrong, 3 it could not connect or was "
    "interrupted. docs/load.md explains the figures.";

/* An error that argp reports ends the program with status 2. */
static void expect(struct argp_state *state, bool ok, const struct err *err)
{
    if (!ok)
        argp_error(state, "%s", err->text);
}

static error_t parse_clients(int key, char *argument, struct argp_state *state)
{
    struct load_options *load = state->input;
    struct err err;
    switch (key) {
    case 'c':
        expect(state, options_count_read("--clients", argument, 1, LOAD_CLIENTS_MAX, &load->clients, &err), &err);
        break;
    case KEY_CONNECT_RATE:
        expect(state, options_number_read("--connect-rate", argument, 0, LOAD_RATE_MAX, &load->connect_rate, &err),
               &err);
        break;
    case KEY_CONNECT_TIMEOUT:
        expect(
            state,
            options_number_read("--connect-timeout", argument, 0.1, LOAD_SECONDS_MAX, &load->connect_timeout_s, &err),
            &err);
        break;
    case KEY_PROTOCOL:
        expect(state, options_protocol_read(load, argument, &err), &err);
        break;
    case KEY_TRANSPORT:
        expect(state, options_transport_read(load, argument, &err), &err);
        break;
    case KEY_PATH:
        load->path = argument;
        break;
    case KEY_NAMESPACE:
        load->nsp = argument;
        break;
    case KEY_AUTH:
        free((char *)load->auth);
        load->auth = cli_take(argument);
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static error_t parse_messages(int key, char *argument, struct argp_state *state)
{
    struct load_options *load = state->input;
    struct err err;
    switch (key) {
    case 'r':
        expect(state, options_number_read("--rate", argument, 0.001, LOAD_RATE_MAX, &load->rate, &err), &err);
        break;
    case KEY_PUBLISHERS:
        expect(state, options_count_read("--publishers", argument, 1, LOAD_CLIENTS_MAX, &load->publishers, &err), &err);
        break;
    case 'd':
        expect(state, options_number_read("--duration", argument, 0.1, LOAD_SECONDS_MAX, &load->duration_s, &err),
               &err);
        break;
    case KEY_SETTLE:
        expect(state, options_number_read("--settle", argument, 0, LOAD_SECONDS_MAX, &load->settle_s, &err), &err);
        break;
    case KEY_SIZE:
        expect(state, options_count_read("--size", argument, 1, LOAD_SIZE_MAX, &load->size, &err), &err);
        break;
    case KEY_BINARY:
        expect(state, options_count_read("--binary", argument, 1, LOAD_SIZE_MAX, &load->binary, &err), &err);
        break;
    case KEY_EVENT:
        load->event = argument;
        break;
    case KEY_NO_ACK:
        load->no_ack = true;
        break;
    case KEY_ECHO:
        load->echo = true;
        break;
    case KEY_IDLE:
        load->idle = true;
        break;
    default:
        return parse_clients(key, argument, state);
    }
    return 0;
}

static error_t parse_rest(int key, char *argument, struct argp_state *state)
{
    struct load_options *load = state->input;
    struct err err;
    uint32_t pid;
    switch (key) {
    case KEY_ROOMS:
        expect(state, options_count_read("--rooms", argument, 1, LOAD_ROOMS_MAX, &load->rooms, &err), &err);
        break;
    case KEY_ROOMS_EACH:
        expect(state,
               options_count_read("--rooms-per-client", argument, 1, LOAD_ROOMS_EACH_MAX, &load->rooms_each, &err),
               &err);
        break;
    case KEY_JOIN_EVENT:
        load->join_event = argument;
        break;
    case KEY_ROOM_EVENT:
        expect(state, options_room_event_read(load, argument, &err), &err);
        break;
    case KEY_CHECK:
        load->check = true;
        break;
    case KEY_DEFLATE:
        load->deflate = true;
        break;
    case KEY_CUT_EVERY:
        expect(state, options_number_read("--cut-every", argument, 0.1, LOAD_SECONDS_MAX, &load->cut_every_s, &err),
               &err);
        break;
    case KEY_CUT:
        expect(state, options_cuts_read(load, argument, &err), &err);
        break;
    case KEY_RECONNECT_DELAY:
        expect(state, options_count_read("--reconnect-delay", argument, 1, 600000, &load->reconnect_ms, &err), &err);
        break;
    case KEY_PID:
        expect(state, options_count_read("--pid", argument, 1, INT32_MAX, &pid, &err), &err);
        load->pid = (pid_t)pid;
        break;
    case KEY_JSON:
        load->json = true;
        break;
    default:
        return parse_messages(key, argument, state);
    }
    return 0;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct load_options *load = state->input;
    struct err err;
    switch (key) {
    case ARGP_KEY_ARG:
        if (load->url != NULL)
            argp_error(state, "one server at a time; argument %d is a second one (a value with spaces needs quotes)",
                       state->next - 1);
        load->url = cli_take(argument);
        return 0;
    case ARGP_KEY_END:
        if (load->url == NULL)
            argp_error(state, "which server? like: sennit load http://127.0.0.1:8080");
        expect(state, options_check(load, &err), &err);
        return 0;
    default:
        return parse_rest(key, argument, state);
    }
}

/* Standard output has the report alone. */
static void line_to_stderr(struct span line)
{
    fwrite(line.data, 1, line.len, stderr);
}

int cmd_load(int argc, char **argv)
{
    static const struct argp argp = {options, parse, "URL", doc, NULL, NULL, NULL};
    struct load_options load;
    struct err err;
    options_init(&load);
    cli_parse(&argp, argc, argv, &load);
    log_init(LOG_TEXT, LOG_WARNING, loop_clock_ms, line_to_stderr);
    enum load_outcome outcome = load_run(&load, &err);
    if (outcome != LOAD_GOOD)
        cli_fail("load", &err);
    free(load.room_event);
    free((char *)load.url);
    free((char *)load.auth);
    return (int)outcome;
}
