/* sennit.h: Socket.IO services in C. A program sets handlers and runs; the library is the engine of `sennit serve`, so
 * rooms over instances, resume, limits, drain, health and metrics come with it.
 *
 *     #include <sennit.h>
 *
 *     static void drawing(sennit_event *event, void *data)
 *     {
 *         sennit_emit(sennit_to_others(event), "drawing", sennit_event_args(event));
 *     }
 *
 *     int main(int argc, char **argv)
 *     {
 *         sennit_server *server = sennit_create(argc, argv);
 *         sennit_on(sennit_namespace(server, "/"), "drawing", drawing, NULL);
 *         return sennit_run(server);
 *     }
 *
 * Handles. What a function returns by a pointer to sennit_server, sennit_nsp, sennit_socket, sennit_event,
 * sennit_timer or sennit_watch is a number that is looked up, not an address. A handle that is NULL, or whose object
 * has ended, or that belongs to another thread, is harmless: the call does nothing, returns false, 0 or NULL, and
 * says so in the log, ten times a second at most. All calls on a server are made by the thread that created it.
 *
 * Handlers run in the server's loop, one at a time. While one runs, nothing else does: no client is read, no timer
 * fires. So a handler must not block: give long work to a thread or a process of your own, and watch a descriptor for
 * the result (sennit_watch_fd). A handler that took 100 ms or more is named in the log, and so is a function of a timer
 * or of a descriptor. In C++, no handler and no such function may let an exception out: it would end the process.
 *
 * Memory. Texts that go into a function are copied before it returns. Texts that come from a function belong to the
 * handle that they were asked of: to an event until its handler returns (or sennit_event_free, once it was kept), to
 * a socket until it ends. They end with a NUL. Times are in milliseconds. An allocation that fails ends the process.
 *
 * docs/sennit.h.md has an example of every call. */
#ifndef SENNIT_H
#define SENNIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define SENNIT_API __attribute__((visibility("default")))
#else
#define SENNIT_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sennit_server sennit_server; /* one instance */
typedef struct sennit_nsp sennit_nsp;       /* a namespace of it */
typedef struct sennit_socket sennit_socket; /* a client in a namespace, on this instance */
typedef struct sennit_event sennit_event;   /* something that a handler is called for, with its arguments */
typedef struct sennit_timer sennit_timer;
typedef struct sennit_watch sennit_watch;

enum {
    SENNIT_DATA_MAX = 1024,    /* bytes that a socket keeps (sennit_data_set) */
    SENNIT_ROOMS_MAX = 16,     /* rooms of one target, and as many exceptions */
    SENNIT_BLOBS_MAX = 10,     /* binary attachments of one event */
    SENNIT_KEPT_MAX = 10000,   /* events kept at a time (sennit_event_keep) */
    SENNIT_ASKED_MAX = 1000,   /* questions to one socket that wait for an answer */
    SENNIT_PRESENT_MAX = 1000, /* sockets that sennit_present lists */
    SENNIT_ANSWERS_MAX = 1000, /* sockets that sennit_ask_all asks on one instance */
    SENNIT_ASKING_MAX = 64,    /* sennit_ask_all under way at a time */
};

/* `data` is what was given with the handler. */
typedef void sennit_handler(sennit_event *event, void *data);

/* ---- The server ---- */

/* For a program of its own: reads the flags and the environment that `sennit serve` has (--config, --port or PORT,
 * --redis-url or REDIS_URL, ...; --help lists them), sets up the log, raises the limit of descriptors, ignores SIGPIPE,
 * and drains on SIGTERM and SIGINT. `argv` is as main got it. A wrong command line ends the process, with status 2.
 *
 * Never NULL. If the server cannot start (a wrong configuration), sennit_error says why, other calls do nothing, and
 * sennit_run prints the error and returns 1. So a program needs no check. */
SENNIT_API sennit_server *sennit_create(int argc, char **argv);

/* For a program that has a command line, signals and a log of its own: changes nothing of the process, unless `signals`
 * is true. The environment still counts (PORT, REDIS_URL, ...) for what is NULL here. sennit_stop ends it. Texts are as
 * the flags of `sennit serve` take them. */
struct sennit_options {
    const char *config;    /* path of the YAML file; NULL: none */
    const char *port;      /* "0": a free one */
    const char *redis_url; /* NULL: REDIS_URL, or one instance alone */
    const char *broker, *sync, *request_timeout, *rotate, *trusted_hops;
    const char *name; /* an error that ends it is printed on standard error, as `sennit NAME: ...`; NULL: it is not */
    bool signals;     /* SIGTERM and SIGINT drain it */
};
SENNIT_API sennit_server *sennit_create_with(const struct sennit_options *options);

/* Why the server could not start, or ended by itself; NULL: nothing is wrong. Belongs to the server. */
SENNIT_API const char *sennit_error(sennit_server *server);

/* Runs until the server has drained, and frees it with all that belongs to it. Returns what main should: 0, or 1 after
 * an error, which it prints on standard error if the server came from sennit_create, or has a name. */
SENNIT_API int sennit_run(sennit_server *server);

/* Begins to drain, as SIGTERM does: no new clients, and those that are there move to other instances, within 8 s. */
SENNIT_API void sennit_stop(sennit_server *server);

/* Frees a server that has not run. One that has is freed already: then this does nothing. Not from a handler. */
SENNIT_API void sennit_destroy(sennit_server *server);

/* The port that it listens on; 0 until it does (it waits up to 3 s for Redis). */
SENNIT_API unsigned sennit_port(sennit_server *server);
/* The name of this instance. */
SENNIT_API const char *sennit_instance(sennit_server *server);

/* Takes the log's lines, each one JSON object with a newline behind; before it, they go to standard output. For the
 * whole process; from the thread that the lines arise in. */
SENNIT_API void sennit_log_to(void (*sink)(const char *line, size_t bytes));

/* ---- Namespaces and handlers ---- */

/* The namespace of this name: as the YAML file has it, or, if it has none, one that everybody may connect to, in which
 * sockets resume for two minutes after a cut. Events that have a handler go to it; others follow the rules of the
 * file, and without a rule are refused. Call it before sennit_run. NULL: the name does not begin with "/", has a comma
 * or over 128 bytes.
 *
 * A name with `*`, which stands for any run of characters, is a pattern. Each name that a client gives and that no
 * other namespace has makes a namespace, with the settings and handlers of the pattern, and members, rooms and logs of
 * its own: sennit_event_nsp and sennit_socket_nsp tell it. Its handle ends a moment after its last socket here. While
 * the server runs, sennit_namespace gives the one of a name, made for it if there is none, which then stays to the end;
 * NULL: the instance has the most of them (`limits: instance_namespaces`). Handlers set on one are set for the pattern.
 * Nothing can be sent to the pattern itself. */
SENNIT_API sennit_nsp *sennit_namespace(sennit_server *server, const char *name);

/* Settings of a namespace that is not in the YAML file; 0 and NULL: as by default. */
struct sennit_nsp_options {
    uint64_t
        recovery_ms; /* how long a socket may be away, and its disconnect is waited with; from 1000, default 120000 */
    uint64_t log_entries; /* that a room's log keeps; default 10000 */
    uint64_t log_age_ms;  /* how long; default an hour */
    uint64_t replay;      /* that many of the newest entries (1000 at most) are sent to a socket that enters a room */
    bool replay_all;      /* the whole log is */
    bool presence;        /* members of a room are told who comes and goes: the event `presence` */
    bool announce;        /* sockets are told of their instance: the event `sennit` */
    bool close_slow;      /* a client that reads too slowly is closed, and resumes; else it is read to from the log */
};
SENNIT_API sennit_nsp *sennit_namespace_with(sennit_server *server, const char *name,
                                             const struct sennit_nsp_options *options);

/* An event of a client by this name. A later handler replaces an earlier one, and NULL removes it. */
SENNIT_API void sennit_on(sennit_nsp *nsp, const char *name, sennit_handler *handler, void *data);

/* A client asks to connect: on the instance that it reached, before there is a socket. Argument 0 is its `auth`.
 * sennit_refuse keeps it out; else it may come in. Not called for a session that moves. */
SENNIT_API void sennit_on_connecting(sennit_nsp *nsp, sennit_handler *handler, void *data);
/* A new socket is connected, on this instance. */
SENNIT_API void sennit_on_connect(sennit_nsp *nsp, sennit_handler *handler, void *data);
/* A socket has come back after a cut, here, with the id, the rooms and the data that it had. */
SENNIT_API void sennit_on_resumed(sennit_nsp *nsp, sennit_handler *handler, void *data);
/* A socket's session has come here from another instance, between two requests of long-polling. Its client knows
 * nothing of it. */
SENNIT_API void sennit_on_moved(sennit_nsp *nsp, sennit_handler *handler, void *data);
/* A socket has ended for good, and sennit_event_reason says why. One that was cut off has ended when its recovery time
 * is over and no instance has it. The handle of the socket still has its id and its data, until the handler returns.
 *
 * Once for each socket in the whole fleet, and last of all that is called for it: where it ended, or was cut off; if
 * that instance is gone, or the client went away between two requests of long-polling, on any one that has this
 * handler, with the reason "instance_lost". Instances without this handler do not take part, so set it before
 * sennit_run. Called a second time only if the instance is killed, or loses Redis for longer than the recovery time,
 * before the broker has confirmed the first call. */
SENNIT_API void sennit_on_disconnect(sennit_nsp *nsp, sennit_handler *handler, void *data);

/* A socket has come to a room with presence (in the namespace's options, or in the YAML file) or has left it: the event
 * is called `enter` or `leave`. Arguments: the room (null: the namespace itself), the socket's id, the data under which
 * it is present, and how many are there now, on all instances. On every instance that has a socket in that room. One
 * that is cut off leaves when it has been away for 4 s. An instance that has just lost its link to Redis may miss some:
 * to know who is there, ask (sennit_present). */
SENNIT_API void sennit_on_presence(sennit_nsp *nsp, sennit_handler *handler, void *data);

/* In a connecting handler: the client gets `connect_error` with this message and `data` (JSON, or NULL). */
SENNIT_API void sennit_refuse(sennit_event *event, const char *message, const char *data);

/* In a connecting handler: the data under which the socket is present in its rooms (presence in the namespace's
 * options, or in the YAML file): JSON, 1024 bytes at most. They replace what the client says itself. False: refused,
 * and the log says why. */
SENNIT_API bool sennit_present_as(sennit_event *event, const char *data);

/* ---- Received events ---- */

enum sennit_type {
    SENNIT_ABSENT, /* there is no such argument, or no such member */
    SENNIT_NULL,
    SENNIT_BOOL,
    SENNIT_NUMBER,
    SENNIT_STRING,
    SENNIT_ARRAY,
    SENNIT_OBJECT,
    SENNIT_BYTES, /* a binary attachment */
};
struct sennit_blob {
    const void *data;
    size_t bytes;
};

/* The name; of other events than a client's, what it is: "connect", "history", ... */
SENNIT_API const char *sennit_event_name(sennit_event *event);
/* NULL where no socket has to do with it, or before there is one. */
SENNIT_API sennit_socket *sennit_event_socket(sennit_event *event);
SENNIT_API sennit_nsp *sennit_event_nsp(sennit_event *event);
/* Of a disconnect: "left", "instance_lost", or a close reason as the metrics name it. */
SENNIT_API const char *sennit_event_reason(sennit_event *event);
/* Of an answer that was asked for: NULL, or why there is none ("timeout", "gone", ...). */
SENNIT_API const char *sennit_event_error(sennit_event *event);

/* Arguments count from 0, without the event's name. `path` names a member inside an argument, like "user.name" or
 * "list.0" (a member called "0", or the first element); NULL: the argument itself. */
SENNIT_API size_t sennit_arg_count(sennit_event *event);
SENNIT_API enum sennit_type sennit_arg_type(sennit_event *event, size_t index, const char *path);
/* How many elements an array has, or members an object; 0: neither. */
SENNIT_API size_t sennit_arg_length(sennit_event *event, size_t index, const char *path);
/* UTF-8, escapes resolved. NULL: absent, or no string, or it holds a NUL. */
SENNIT_API const char *sennit_arg_string(sennit_event *event, size_t index, const char *path);
/* `otherwise`: absent, or of another type, or (for an integer) a fraction or out of range. */
SENNIT_API int64_t sennit_arg_integer(sennit_event *event, size_t index, const char *path, int64_t otherwise);
SENNIT_API double sennit_arg_number(sennit_event *event, size_t index, const char *path, double otherwise);
SENNIT_API bool sennit_arg_bool(sennit_event *event, size_t index, const char *path, bool otherwise);
/* The value as JSON text, as it came. NULL: absent. */
SENNIT_API const char *sennit_arg_json(sennit_event *event, size_t index, const char *path);
/* An attachment, where the client sent a Buffer. Data NULL: absent, or something else. */
SENNIT_API struct sennit_blob sennit_arg_bytes(sennit_event *event, size_t index, const char *path);

/* ---- The client of an event ----
 *
 * What is known of the client that asks to connect (in a connecting handler), or of the event's socket, while it is
 * here: also after it has moved here, and in an event that was kept. Results belong to the event. NULL: not known, or
 * not kept; the log says so if the event has no client, if its client has ended or is elsewhere (so in a disconnect
 * handler: put into the socket's data what that wants to know), and if the program has not asked to keep it.
 *
 * Of a client that resumes all of it is new: it shows a token and a payload again, and its new first request counts. A
 * session of long-polling that moves, or is upgraded, takes all of it along. */

/* The IP address, as the trusted hops give it (`trusted_hops`): "203.0.113.7", "2001:db8::1". Of long-polling, that of
 * the last request. */
SENNIT_API const char *sennit_client_address(sennit_event *event);
/* A header of the client's first request, if sennit_keep_header or the YAML file (`handshake: {headers: [...]}`) names
 * it. Of a name that came twice, the first value. */
SENNIT_API const char *sennit_client_header(sennit_event *event, const char *name);
/* A parameter of that request's query, decoded, if the query is kept (sennit_keep_query, `handshake: {query: true}`).
 * Of a name that came twice, the last value. */
SENNIT_API const char *sennit_client_query(sennit_event *event, const char *name);
/* What a `path` names (as in an argument; NULL: all of it) in the payload with which the client connected to this
 * namespace: its `auth`. In a connecting handler always; later if it is kept (sennit_keep_auth, `handshake: {auth:
 * true}`) and has 4096 bytes at most. The text of a string, or any value as JSON text. */
SENNIT_API const char *sennit_client_auth_string(sennit_event *event, const char *path);
SENNIT_API const char *sennit_client_auth_json(sennit_event *event, const char *path);
/* A claim of the client's token, in a namespace that takes tokens (`jwt:` in the YAML file): the one of this name, or a
 * member inside others as a path names it ("realm_access.roles"). NULL in place of a name: all claims, an object. They
 * are verified, and of the newest token that the client has shown. The text of a string, or any value as JSON text. */
SENNIT_API const char *sennit_client_claim_string(sennit_event *event, const char *name);
SENNIT_API const char *sennit_client_claim_json(sennit_event *event, const char *name);

/* What is kept of each client for these functions, beside what the YAML file says. It takes memory in each session, may
 * hold secrets, and lists of sockets show it (sennit_fetch, and the HTTP API's). So nothing is kept unless it is asked
 * for, before sennit_run. A first request of which over 8 KiB would be kept is not, with `handshake_unkept` in the log.
 * False: not before sennit_run; or the name is none, or 32 others are kept. */
SENNIT_API bool sennit_keep_header(sennit_server *server, const char *name);
SENNIT_API bool sennit_keep_query(sennit_server *server);
SENNIT_API bool sennit_keep_auth(sennit_server *server);

/* Does with a client's event what the rules of the YAML file say, acknowledgement included, as if it had no handler:
 * for those that this program need not handle. Once, while its handler runs. */
SENNIT_API bool sennit_relay(sennit_event *event);

/* Keeps an event beyond its handler, to be acknowledged later. True: sennit_event_free must follow, once. False: it is
 * kept already, or SENNIT_KEPT_MAX are. */
SENNIT_API bool sennit_event_keep(sennit_event *event);
SENNIT_API void sennit_event_free(sennit_event *event);

/* ---- Emitting ---- */

/* Arguments: JSON text of one array, and the attachments that its placeholders {"_placeholder":true,"num":0} stand for.
 * Borrowed by the call that takes it. */
struct sennit_args {
    const char *json; /* NULL: no arguments */
    const struct sennit_blob *blobs;
    size_t blob_count;
};
/* The arguments of an event, attachments included, to be passed on unread. */
SENNIT_API struct sennit_args sennit_event_args(sennit_event *event);
static inline struct sennit_args sennit_json(const char *array)
{
    struct sennit_args args = {array, NULL, 0};
    return args;
}
static inline struct sennit_args sennit_no_args(void)
{
    return sennit_json(NULL);
}

/* Formats for the functions whose names end in f: arguments, separated by commas. Only valid JSON can come of it: a
 * format with a fault, or a value that is none, sends nothing, and the log says where the fault is.
 *
 *     { } [ ] : ,   as they are            'text'   a string (a member's name)
 *     s   const char *, a string; NULL is null; bytes that are not UTF-8 become U+FFFD
 *     i   int     I   int64_t     f   double, finite     b   int, false or true     n   null
 *     j   const char *, JSON text of one value     x   struct sennit_blob *, an attachment
 *
 *     sennit_emitf(target, "message", "{'user':s,'text':s,'at':I}", user, text, now); */

/* Who gets it. Values, made by these functions, and changed by those below; texts in them are borrowed until they are
 * used. Of rooms and exceptions beyond SENNIT_ROOMS_MAX nothing is sent. */
struct sennit_target {
    sennit_nsp *nsp;
    sennit_event *answers;
    const char *rooms[SENNIT_ROOMS_MAX], *excepts[SENNIT_ROOMS_MAX];
    const char *name;
    size_t room_count, except_count;
    char socket[24]; /* an id */
    bool except_socket, only_socket, logged, is_volatile;
};
SENNIT_API struct sennit_target sennit_to_all(sennit_nsp *nsp);
/* A room, or the socket with this id, wherever in the fleet it is. */
SENNIT_API struct sennit_target sennit_to_room(sennit_nsp *nsp, const char *room);
/* The socket that the event came from, also if the event was kept and the socket has gone to another instance; all but
 * that one; those in a room but that one. */
SENNIT_API struct sennit_target sennit_to_sender(sennit_event *event);
SENNIT_API struct sennit_target sennit_to_others(sennit_event *event);
SENNIT_API struct sennit_target sennit_to_room_others(sennit_event *event, const char *room);
SENNIT_API struct sennit_target sennit_to_socket(sennit_socket *socket);
/* Also those in this room. */
SENNIT_API struct sennit_target sennit_and(struct sennit_target target, const char *room);
/* Not those in this room, or the socket with this id. */
SENNIT_API struct sennit_target sennit_except(struct sennit_target target, const char *room);
/* Only for those that can be written to at once: a client that is behind with reading does not get it, nor one that
 * polls and is between two requests. For what is old a moment later, like a cursor. Not with sennit_logged. */
SENNIT_API struct sennit_target sennit_volatile(struct sennit_target target);
/* It goes into the log of its room (of the namespace, if it is for several rooms): a client that is cut off, or reads
 * slowly, gets it all the same, once and in order. An event that is not logged reaches clients that are connected and
 * keep up. */
SENNIT_API struct sennit_target sennit_logged(struct sennit_target target);
/* Logged, under a name (at most 128 bytes; random, if clients choose it): the same event with this name in the same
 * room is the same message, and does not come twice. So what each instance says under one name is said once in the
 * fleet. Another event or other arguments under a name that is taken are refused: the first stays, and the log has
 * `id_taken`. */
SENNIT_API struct sennit_target sennit_named(struct sennit_target target, const char *name);
/* The event, one that asked for an acknowledgement, is acknowledged (without arguments) once the broker has accepted
 * what is sent: a client that sends again until it is acknowledged, under a name, loses nothing and doubles nothing. If
 * the broker refuses it (the name is taken, the log is full), there is no acknowledgement, since clients would take it
 * for an acceptance; where the namespace announces, the client is told by the event `sennit` ({refused, error}). */
SENNIT_API struct sennit_target sennit_acknowledging(struct sennit_target target, sennit_event *event);

/* Sends. False: nothing is sent, and the log says why (no such handle, no JSON, a reserved name, the broker's backlog
 * is full). Receivers get it in the order in which the broker accepts it, those of this instance too. */
SENNIT_API bool sennit_emit(struct sennit_target target, const char *name, struct sennit_args args);
SENNIT_API bool sennit_emitf(struct sennit_target target, const char *name, const char *format, ...);

/* Acknowledges an event: in its handler, or later if it was kept. A client that polls gets it wherever its session is
 * by then, within 5 minutes; after them it has been told that there is no answer. False: the client asked for none, has
 * had it, or its socket has ended here: then nothing is sent. */
SENNIT_API bool sennit_ack(sennit_event *event, struct sennit_args args);
SENNIT_API bool sennit_ackf(sennit_event *event, const char *format, ...);
/* Whether the client waits for an acknowledgement. */
SENNIT_API bool sennit_wants_ack(sennit_event *event);

/* Asks the client of a socket: sends an event, and calls `done` once, with the arguments of its acknowledgement or with
 * sennit_event_error. If the socket ends, or goes to another instance, the error comes at the latest after
 * `timeout_ms` (1 to 3600000). False, without `done`: nothing is sent. Clients of Socket.IO can be asked, others
 * cannot. */
SENNIT_API bool sennit_ask(sennit_socket *socket, uint64_t timeout_ms, sennit_handler *done, void *data,
                           const char *name, struct sennit_args args);
SENNIT_API bool sennit_askf(sennit_socket *socket, uint64_t timeout_ms, sennit_handler *done, void *data,
                            const char *name, const char *format, ...);

/* Asks all clients of a target, on all instances, for an answer, and calls `done` once: when all have answered or have
 * ended, else after `timeout_ms` (1 to 300000), or up to 2 s later if an instance with sockets is silent. Its arguments
 * are
 * [{"id":ID,"answer":[...]},...], each with the arguments of the client's acknowledgement; [ID,...], those who have not
 * answered; and whether that is all: every instance that lives has told, all were asked, and no answer was dropped.
 * Both lists are sorted by id.
 *
 * At most SENNIT_ANSWERS_MAX sockets are asked on each instance, and so many that poll. An answer has up to 64 KiB, all
 * of an instance up to 512 KiB, attachments included. sennit_arg_bytes and sennit_arg_type find the attachments of an
 * answer by its path, such as "3.answer.0" in argument 0; sennit_event_args does not have them. A client may answer on
 * another instance than it was asked on. One that is cut off when it is asked is in neither list. One that is between
 * two polls is asked with its next one, perhaps too late.
 * Clients of other protocols than Socket.IO get the event, and are in neither list. The event has up to 512 KiB, no
 * place in the order of other events, and is not logged.
 *
 * False, without `done`: nothing is sent, and the log says why. SENNIT_ASKING_MAX are under way at most. */
SENNIT_API bool sennit_ask_all(struct sennit_target target, uint64_t timeout_ms, sennit_handler *done, void *data,
                               const char *name, struct sennit_args args);
SENNIT_API bool sennit_ask_allf(struct sennit_target target, uint64_t timeout_ms, sennit_handler *done, void *data,
                                const char *name, const char *format, ...);

/* ---- A socket ---- */

SENNIT_API const char *sennit_socket_id(sennit_socket *socket);
SENNIT_API sennit_nsp *sennit_socket_nsp(sennit_socket *socket);
/* Whether it is connected, here. Asked of any handle, without a line in the log. */
SENNIT_API bool sennit_socket_is_here(sennit_socket *socket);
/* Rooms: 1 to about 1000 bytes. Its lease records them, so they survive a cut. False: refused, the log says why. */
SENNIT_API bool sennit_join(sennit_socket *socket, const char *room);
SENNIT_API bool sennit_leave(sennit_socket *socket, const char *room);
SENNIT_API bool sennit_is_in(sennit_socket *socket, const char *room);
/* Ends it: the client is told, and does not come back by itself. In the next turn of the loop; on_disconnect follows.
 */
SENNIT_API bool sennit_disconnect(sennit_socket *socket);
/* Bytes that belong to it: they are in its lease, and come along when it resumes or moves. SENNIT_DATA_MAX at most,
 * else false. sennit_data: the bytes, with a NUL behind; NULL: none. `bytes` may be NULL. The result belongs to the
 * socket until the next sennit_data_set. */
SENNIT_API bool sennit_data_set(sennit_socket *socket, const void *data, size_t bytes);
SENNIT_API const char *sennit_data(sennit_socket *socket, size_t *bytes);

/* ---- The fleet ----
 *
 * `done` is called once, later, with an event whose arguments are the answer. False, without `done`: not asked. The
 * event's error is set if there is no answer. */

/* How many sockets are in a room (NULL: in the namespace), on all instances: arguments are the number, and whether
 * that is all: every instance that lives has answered within 2 s, and the broker has listed those that poll. Sessions
 * of long-polling count between two requests, too. In a handler of a client's event: with what it has joined just now.
 */
SENNIT_API bool sennit_count(sennit_nsp *nsp, const char *room, sennit_handler *done, void *data);
/* The sockets themselves, 1000 at most: [{"socket":ID,"instance":...,"rooms":[...],...},...], and whether all are
 * there. docs/api.md describes their members; between two requests of long-polling, "instance" is null. */
SENNIT_API bool sennit_fetch(sennit_nsp *nsp, const char *room, sennit_handler *done, void *data);
/* The sockets that are present in a room with presence (NULL: in the namespace), SENNIT_PRESENT_MAX at most:
 * [{"id":ID,"data":...},...], how many there are, and whether all are listed. Those that were cut off a moment ago (4
 * s) count as present, and so do sessions of long-polling between two requests. */
SENNIT_API bool sennit_present(sennit_nsp *nsp, const char *room, sennit_handler *done, void *data);
/* The newest `limit` (1 to 1000) entries of a room's log (NULL: the namespace's), below the position `before` (an `at`
 * of an earlier answer; NULL: the newest): [{"at":...,"time":ms,"args":["event",...]},...], oldest first, and whether
 * there are older ones. Entries with attachments, and those for some of the room only, are left out. */
SENNIT_API bool sennit_history(sennit_nsp *nsp, const char *room, unsigned limit, const char *before,
                               sennit_handler *done, void *data);
/* Makes the sockets of a target join a room, leave it, or end, on all instances, in their place among the logged
 * events: also those that are cut off, when they resume. */
SENNIT_API bool sennit_make_join(struct sennit_target target, const char *room);
SENNIT_API bool sennit_make_leave(struct sennit_target target, const char *room);
SENNIT_API bool sennit_make_disconnect(struct sennit_target target);

/* ---- The loop ---- */

/* Calls `fire` once after `ms`, or again and again every `ms` (at least 1). On this instance: each one of the fleet has
 * timers of its own (to say something once in the fleet, give it a name: sennit_named). Where the platform gives an
 * instance no CPU between requests, as Cloud Run does by default, a timer that is due then fires once when the next
 * request comes. */
SENNIT_API sennit_timer *sennit_after(sennit_server *server, uint64_t ms, void (*fire)(void *data), void *data);
SENNIT_API sennit_timer *sennit_every(sennit_server *server, uint64_t ms, void (*fire)(void *data), void *data);
/* Also from `fire`. A timer that has fired once and for all has ended by itself. */
SENNIT_API void sennit_timer_stop(sennit_timer *timer);

/* Calls `ready` while a descriptor of yours can be read, or written: a database's socket, a pipe of a child or a
 * thread. It stays yours; stop watching before you close it. A duplicate of it is watched: what you close all the same
 * stays open until it is ready, and then its watch ends, with a line in the log. NULL: it is of a file, which needs no
 * waiting. */
enum sennit_ready { SENNIT_READ = 1, SENNIT_WRITE = 2 };
SENNIT_API sennit_watch *sennit_watch_fd(sennit_server *server, int fd, unsigned wanted,
                                         void (*ready)(int fd, unsigned ready, void *data), void *data);
SENNIT_API void sennit_watch_stop(sennit_watch *watch);

/* "0.1.0". */
SENNIT_API const char *sennit_version(void);

#ifdef __cplusplus
}
#endif

#endif
