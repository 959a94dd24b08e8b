/* options: the options of a run, as the command line gives them, and the checks of those that do not go together. */
#ifndef SENNIT_LOAD_OPTIONS_H
#define SENNIT_LOAD_OPTIONS_H

#include <sys/types.h>

#include "base/err.h"
#include "base/span.h"

enum load_protocol {
    LOAD_SOCKETIO,
    LOAD_PLAIN,     /* sennit.v1 */
    LOAD_WEBSOCKET, /* bare messages */
    LOAD_PROTOCOLS,
};

/* What carries a Socket.IO session. */
enum load_transport {
    LOAD_TRANSPORT_WEBSOCKET, /* from the beginning */
    LOAD_TRANSPORT_POLLING,   /* HTTP long-polling */
    LOAD_TRANSPORT_UPGRADE,   /* HTTP long-polling until the upgrade to WebSocket, as the stock client's default is */
    LOAD_TRANSPORTS,
};

/* How a client is cut off. */
enum cut_kind {
    CUT_FIN,      /* our half ends, and nothing more is read */
    CUT_RST,      /* reset */
    CUT_HALFOPEN, /* the server is not told: the connection stays open and silent while the client comes back on another
                   */
    CUT_CLOSE,    /* with a Close frame */
    CUT_KINDS,
};

enum {
    LOAD_CLIENTS_MAX = 1000000,
    LOAD_ROOMS_MAX = 1000000,
    LOAD_ROOMS_EACH_MAX = 1000,
    LOAD_SIZE_MAX = 1 << 24,
    LOAD_RATE_MAX = 1000000,
    LOAD_SECONDS_MAX = 86400,
};

struct load_options {
    const char *url;
    enum load_protocol protocol;
    enum load_transport transport;
    const char *path; /* NULL: /socket.io/, /ws, or the URL's own with bare WebSocket */
    const char *nsp;  /* "/" */
    const char *auth; /* a JSON object, or NULL */
    const char *event, *join_event;
    char *room_event; /* [room, object]; NULL: `event` with the room in the object. Owned. */
    bool room_last;   /* [object, room] */
    uint32_t clients, publishers, rooms, rooms_each;
    double connect_rate; /* a second; 0: as fast as a bounded number in flight allows */
    double rate;         /* messages a second, of all publishers */
    uint32_t size;       /* bytes of the object */
    uint32_t binary;     /* bytes of the attachment of each message; 0: none */
    bool no_ack, echo, check, idle, json, deflate;
    double duration_s, settle_s, connect_timeout_s;
    uint32_t reconnect_ms; /* mean of the first delay; it doubles up to five times that */
    double cut_every_s;    /* of one client, on average; 0: never */
    unsigned cuts;         /* bits 1 << enum cut_kind */
    pid_t pid;             /* the server's, 0: unknown */
};

/* The defaults, with no URL. */
void options_init(struct load_options *options);

/* Parses a decimal number; false with `err` set, whose text begins with `what`, unless it lies in [min, max]. */
bool options_number_read(const char *what, const char *text, double min, double max, double *value, struct err *err);
bool options_count_read(const char *what, const char *text, uint32_t min, uint32_t max, uint32_t *value,
                        struct err *err);
bool options_protocol_read(struct load_options *options, const char *text, struct err *err);
bool options_transport_read(struct load_options *options, const char *text, struct err *err);
/* "fin,rst,halfopen,close": any of them. */
bool options_cuts_read(struct load_options *options, const char *text, struct err *err);
/* "NAME" or "NAME:room,object" or "NAME:object,room". `room_event` is the caller's to free. */
bool options_room_event_read(struct load_options *options, const char *text, struct err *err);

/* Checks all options together; false with `err` set when two do not go together. */
bool options_check(const struct load_options *options, struct err *err);

/* How many connections a client has at the same time, at most. */
uint32_t options_connections_each(const struct load_options *options);

/* Whether messages are acknowledged, and so are sent again until they are. */
static inline bool options_acknowledge(const struct load_options *options)
{
    return options->protocol != LOAD_WEBSOCKET && !options->no_ack;
}

const char *load_protocol_name(enum load_protocol protocol);
const char *cut_kind_name(enum cut_kind kind);
const char *load_transport_name(enum load_transport transport);

#endif
