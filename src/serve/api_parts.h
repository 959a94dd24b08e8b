/* api_parts: what the files of the HTTP API share. For src/serve/ only.
 *
 * A request lives until its handler is done with it, which may be after its client has gone or its time has passed. */
#ifndef SENNIT_SERVE_API_PARTS_H
#define SENNIT_SERVE_API_PARTS_H

#include "serve/api.h"
#include "session/backend.h"
#include "session/emit.h"
#include "session/inquiry.h"

enum {
    API_BODY_EXTRA = 64 << 10, /* of a body, beside one event of `max_payload` */
    API_LATE_MS = 10000,       /* by then the broker must have accepted a message */
    API_EVENT_BYTES_MAX = 256,
    API_ID_BYTES_MAX = 128,
    API_LIMIT_DEFAULT = 100,
    API_ASK_MS = 5000, /* for the answers of clients, unless the request says otherwise */
};

/* Names: one text, or a list. */
struct api_names {
    struct buf text;
    size_t ends[INQUIRY_ROOMS_MAX];
    struct span list[INQUIRY_ROOMS_MAX];
    size_t count;
};

/* The fields of a request, wherever they stand. */
struct api_input {
    struct buf nsp, event, socket, before, after;
    struct api_names rooms, excepts, join, leave;
    struct span args, id; /* raw JSON, in the body; NULL data: not given */
    char unknown[40];     /* the beginning of the name of a field that is not known */
    uint32_t limit, timeout_ms;
    bool is_volatile, here, whole;
};

struct api_request {
    struct client *client; /* NULL: it has gone, or has its answer */
    struct server *server;
    const struct api_route *route;
    struct timer late;
    struct api_input input;
    const struct nsp *nsp; /* a reference; NULL: not found yet */
    bool logged, acting;   /* acting: the broker has a call of it */
    bool missed;           /* the answer is incomplete, although all instances have answered */
    uint64_t digest;       /* of the entry that it has published, */
    struct buf room;       /* and the entry's room on the broker */
};

/* Answers, once; later calls do nothing. */
void api_answer(struct api_request *request, int status, struct span json);
/* Refuses: counts, logs, and answers. `field` may be NULL, and so may `cure`: then it is the table's. */
void api_refuse(struct api_request *request, int status, enum refusal refusal, const char *field, const char *cure);
/* The handler is done: frees the request. */
void api_done(struct api_request *request);
/* Finds the namespace; false: refused. */
bool api_nsp_find(struct api_request *request);

/* api_input.c: read the fields that are in `allowed` (names separated by spaces). False: `*field` is wrong, and `*cure`
 * says what is expected. */
bool api_input_body(struct api_input *input, struct span body, const char *allowed, const char **field,
                    const char **cure);
bool api_input_query(struct api_input *input, struct span query, const char *allowed, const char **field,
                     const char **cure);
void api_input_finish(struct api_input *input);

/* api_act.c. The receivers that the request selects; its event. False: refused. */
bool api_selection(struct api_request *request, struct subscriber_emit *emit);
bool api_event_check(struct api_request *request);
/* Appends ["event", argument, ...]; arguments pass as the bytes they came as. */
void api_args_make(struct buf *to, const struct api_input *input);

/* api_find.c. Answers with what the fleet has said: the JSON, and
 * `"incomplete":false,"instances":{"living":2,"answered":2}}`. Ends the request. */
void api_found(struct api_request *request, struct buf *json, const struct inquiry_found *found);
/* The text of an item, or `null` if it is no JSON: another instance has written it, or another program that writes on
 * the broker. */
struct span api_text_of(const struct inquiry_item *item);

/* Appends `,"attachments":["<base64>",...]`; nothing if there are none. */
void api_attachments_append(struct buf *to, const struct content *content);

/* Handlers: api_act.c, api_ask.c and api_find.c. Each calls api_done in the end. */
void api_publish(struct api_request *request);
void api_ask(struct api_request *request);
void api_join(struct api_request *request);
void api_leave(struct api_request *request);
void api_disconnect(struct api_request *request);
void api_rooms(struct api_request *request);
void api_sockets(struct api_request *request);
void api_socket(struct api_request *request);
void api_count(struct api_request *request);
void api_history(struct api_request *request);

#endif
