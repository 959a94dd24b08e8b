/* embed_parts: what the files of this layer share: a server of the public API, its namespaces, sockets and events. */
#ifndef SENNIT_EMBED_EMBED_PARTS_H
#define SENNIT_EMBED_EMBED_PARTS_H

#include <sennit.h>

#include "embed/handle.h"
#include "serve/serve.h"
#include "session/asking.h"
#include "session/inquiry.h"

/* A handler, and what it is called with. */
struct deed_handler {
    sennit_handler *call; /* NULL: none */
    void *data;
};

/* A lease must still be there when a socket's recovery time is over. So leases live so much longer. */
enum { AWAY_MARGIN_MS = 1000 };

struct embed {
    sennit_server *handle;
    struct loop *loop; /* NULL: it could not start */
    struct server server;
    struct session_app before; /* the relay's, for events without a handler */
    struct err err;
    bool is_open, running;
    char *name; /* under which errors are printed; NULL: they are not */
    struct list nsps;
    struct list notes;   /* notes.c */
    struct list arrived; /* those of sockets that came in this turn, and were told */
    struct task act;
    struct map aways;    /* away.c: struct away that wait, by lease */
    struct list ends;    /* all of them */
    struct timer look;   /* for leases that lapsed, and made namespaces without a use */
    struct list changes; /* present.c: of presence, that handlers are to be told of */
    struct task tell_changes;
    struct list asked; /* ask.c */
    struct list ticks, watches;
    struct list events; /* that exist */
    struct list counts; /* fleet.c */
    struct timer count_later;
    size_t kept;
    uint64_t next_ask;
    struct subscriber *acting;  /* its handler runs; NULL: none */
    struct subscriber *current; /* its event is being handled, so what is sent counts as its call; NULL: none */
};

struct embed_nsp {
    struct list node;
    sennit_nsp *handle;
    struct embed *embed;
    struct relay_nsp *config;
    struct embed_nsp *like; /* whose handlers count: itself, or the pattern that has made it (made.c) */
    size_t uses;            /* of one that a pattern has made */
    bool is_own;            /* the program has added it, the YAML file has none of this name */
    struct map handlers;    /* struct named_handler */
    struct deed_handler connecting, connect, resumed, moved, disconnect, presence;
    bool looking; /* for leases that lapsed: away.c */
};

struct away;

struct embed_socket {
    sennit_socket *handle;
    struct embed_nsp *nsp;
    struct subscriber *subscriber; /* NULL: it has ended */
    size_t asked;
    char sid[ENGINEIO_SID_BYTES + 1];
    char *data; /* of one that has ended, with a NUL behind; NULL: none */
    size_t data_len;
};

/* A part of an event's arguments that has attachments of its own: a client's answer among others. */
struct embed_part {
    size_t from, to; /* of the arguments' bytes */
    uint32_t count;
    struct span attachments[CONTENT_ATTACHMENTS_MAX];
};

/* An acknowledgement that a client waits for. */
struct owed {
    sennit_socket *socket;
    struct buf id;       /* the client's; empty: none */
    uint8_t promise_len; /* 0: it is for the socket of that handle alone; else see asking_promise */
    char promise[CALL_ID_BYTES_MAX], sid[ENGINEIO_SID_BYTES];
};

struct embed_event {
    struct list node;
    sennit_event *handle;
    struct embed *embed;
    struct embed_nsp *nsp;
    sennit_socket *socket;
    char sid[ENGINEIO_SID_BYTES + 1]; /* its id, also when it has gone; empty: there is none */
    struct owed owed;
    const char *name, *reason, *error;
    struct content content;   /* borrowed, or its own once kept */
    struct embed_part *parts; /* in their order; its memory is the event's */
    size_t part_count;
    size_t skip; /* arguments in front that are not the program's: the name */
    bool kept, is_running;
    struct list memory;               /* what was given out, and copies */
    struct admission *admission;      /* while connecting, */
    const struct client_proof *proof; /* and what the client shows */
    const struct client_event *asked; /* of a client, while its handler runs; NULL: none, or relayed */
};

/* hosted.c */
struct embed *embed_of(struct session_app *app);
/* The server of a handle, if it is open; else NULL, with a line in the log. */
struct embed *embed_find(sennit_server *server, const char *call);
/* The namespace of a handle likewise; it may be a pattern. */
struct embed_nsp *embed_nsp_find(sennit_nsp *nsp, const char *call);
/* The same, unless it is a pattern, which has no sockets. */
struct embed_nsp *embed_nsp_single(sennit_nsp *nsp, const char *call);

/* nsp.c */
void embed_hooks_set(struct embed *embed);
struct embed_nsp *embed_nsp_add(struct embed *embed, struct relay_nsp *config);
void embed_nsps_destroy(struct embed *embed);

/* made.c: namespaces that patterns have made. */
/* NULL: the program asked neither for it nor for its pattern. */
struct embed_nsp *embed_nsp_of(struct embed *embed, const struct nsp *nsp);
/* What holds a namespace uses it. One that a pattern has made ends a moment after its last use. */
struct embed_nsp *embed_nsp_use(struct embed_nsp *nsp);
void embed_nsp_drop(struct embed_nsp *nsp);
/* The one of this name that a pattern has made, or makes now; it is the caller's to use at once. NULL: no pattern
 * matches, or the instance has the most of them. */
struct embed_nsp *embed_nsp_make(struct embed *embed, struct span name);
bool embed_nsp_is_pattern(const struct embed_nsp *nsp);
void embed_nsps_sweep(struct embed *embed);   /* ends those without a use */
void embed_nsps_release(struct embed *embed); /* the relay is about to end */

/* notes.c: sockets that came and went, and the handlers that are to be told. */
void notes_init(struct embed *embed);
void notes_close(struct embed *embed); /* the sessions are about to end */
void notes_finish(struct embed *embed);
void notes_act(struct embed *embed); /* tells them now */
/* Notes that a socket has ended, and ends its handle afterwards. `away` (NULL: none) is told then: away_told. */
void note_disconnect(struct embed_socket *socket, const char *reason, struct away *away);
/* The handle of a socket ends, and no handler is told. */
void note_gone(struct embed_socket *socket);
/* A socket that is not connected here; the data are copied. */
struct embed_socket *embed_socket_left(struct embed_nsp *nsp, const struct leaver *leaver);
void embed_arrived(struct session_app *app, struct subscriber *subscriber, enum arrival arrival);
void embed_departed(struct session_app *app, const struct leaver *leaver, enum departure departure,
                    enum close_reason reason);
/* The connected socket of a handle, or NULL with a line in the log. */
struct embed_socket *embed_socket_find(sennit_socket *socket, const char *call);

/* away.c: sockets that have ended, until the broker has said that it is this instance that tells so. */
/* One that was cut off here: it may come back. */
void away_cut(struct embed_nsp *nsp, const struct leaver *leaver, const char *reason);
/* One that has ended here. Takes over the socket. */
void away_ended(struct embed_nsp *nsp, const struct leaver *leaver, const char *reason, struct embed_socket *socket);
void away_returned(struct embed *embed, struct span lease);
void away_told(struct away *away);
void aways_init(struct embed *embed);
void aways_look(struct embed *embed); /* from now on: there is a namespace */
void aways_finish(struct embed *embed);

/* present.c */
void changes_init(struct embed *embed);
void changes_finish(struct embed *embed);
void embed_presence_changed(struct session_app *app, struct span room, const struct broker_present *who, bool entered,
                            uint64_t count);

/* event.c */
struct embed_event *event_create(struct embed *embed, struct embed_nsp *nsp, const char *name);
/* The socket that it has to do with; NULL: none. */
void event_socket_set(struct embed_event *event, const struct embed_socket *socket);
/* Calls the handler, and ends the event unless it was kept. One without a handler ends at once. */
void event_run(struct embed_event *event, struct deed_handler handler);
/* What a program was called for is done: a line in the log if it took too long (loop_clock_ms). */
void embed_took(const char *handler, int64_t begun_ms);
void event_destroy(struct embed_event *event);
/* Memory that lives as long as the event. */
void *event_memory(struct embed_event *event, size_t size);
char *event_text(struct embed_event *event, struct span text);

/* owed.c: acknowledgements. */
/* The connected subscriber that waits for it; NULL: none does, or it has ended, or is elsewhere. */
struct subscriber *owed_subscriber(const struct owed *owed);
/* One that is due behind the handler: wherever the socket is by then. */
void owed_promise(struct owed *owed);
/* Pays it. False: there is none, or its socket is gone. */
bool owed_pay(struct owed *owed, struct embed_nsp *nsp, const struct content *content);
/* Takes it from `from`. */
void owed_take(struct owed *owed, struct owed *from);
/* It will not be paid. */
void owed_drop(struct owed *owed);

/* argument.c */
/* The member of a JSON value that a path like "user.name" or "list.0" names (NULL: the value itself); no data: absent.
 */
struct span embed_member(struct span value, const char *path);
/* The text of a JSON string, which lives as long as the event; NULL: there is no data, it is no string, or it holds a
 * NUL. */
const char *embed_string(struct embed_event *event, struct span value);

/* format.c: appends `["name",args]`, or without a name `[args]`; the content's arguments point into `to`. False, with a
 * line in the log: a fault. */
struct format_result {
    struct buf text;
    struct content content;
};
bool args_build(struct format_result *to, const char *call, const char *name, struct sennit_args args);
bool args_format(struct format_result *to, const char *call, const char *name, const char *format, va_list values);

/* A target as the session layer has it. emit.c reads it; false, with a line in the log: it has a fault. `id` is to be
 * finished in either case. */
struct receivers {
    struct embed_nsp *nsp;
    struct subscriber_emit emit;
    struct span rooms[SENNIT_ROOMS_MAX], excepts[SENNIT_ROOMS_MAX + 1];
    struct buf id;
};
bool receivers_read(struct receivers *to, const struct sennit_target *target, const char *call);

/* ask.c */
bool embed_answered(struct session_app *app, struct subscriber *subscriber, struct span id,
                    const struct content *content);
void asked_drop(struct embed *embed, struct embed_socket *socket); /* NULL: all */

/* fleet.c */
void counts_init(struct embed *embed);
void counts_close(struct embed *embed); /* the sessions are about to end */
void counts_finish(struct embed *embed);
/* What waits for an answer of the fleet. */
struct inquirer {
    struct embed_nsp *nsp;
    struct deed_handler done;
};
struct inquirer *inquirer_create(struct embed_nsp *nsp, struct deed_handler done);
void inquirer_free(struct inquirer *inquirer);
/* Calls `done` with the answer, a JSON array; or with the error. */
void embed_answer(struct embed_nsp *nsp, const char *name, struct deed_handler done, struct span args,
                  const char *error);
/* The same for one with parts that have attachments; they are copied. */
void embed_answer_parts(struct embed_nsp *nsp, const char *name, struct deed_handler done, struct span args,
                        const struct embed_part *parts, size_t part_count, const char *error);
/* A room's name as it may be asked for; NULL stands for the namespace. False, with a line in the log: it is none. */
bool embed_room_read(const char *room, const char *call, struct span *to);
/* False, with a line in the log: there is none. */
bool embed_handler_is_there(sennit_handler *done, const char *call);

/* ticks.c */
void ticks_finish(struct embed *embed);

#endif
