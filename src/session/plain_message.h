/* plain_message: a message of a client that speaks sennit.v1, taken apart in one pass. Members that no kind of message
 * has are passed over. For plain.c. */
#ifndef SENNIT_SESSION_PLAIN_MESSAGE_H
#define SENNIT_SESSION_PLAIN_MESSAGE_H

#include "base/buf.h"
#include "net/refusals.h"
#include "wire/json.h"

struct session;

/* X(NAME, "member") */
#define PLAIN_FIELDS(X) \
    X(TYPE, "type") \
    X(REF, "ref") \
    X(NS, "ns") \
    X(RESUME, "resume") \
    X(AT, "at") \
    X(AUTH, "auth") \
    X(ROOM, "room") \
    X(ROOMS, "rooms") \
    X(EVENT, "event") \
    X(ARGS, "args") \
    X(ATTACHMENTS, "attachments") \
    X(ID, "id") \
    X(EXCEPT_SELF, "except_self") \
    X(BEFORE, "before") \
    X(AFTER, "after") \
    X(LIMIT, "limit") \
    X(CURSOR, "cursor")

enum plain_field {
#define X(constant, name) PLAIN_##constant,
    PLAIN_FIELDS(X)
#undef X
        PLAIN_FIELD_COUNT
};

struct plain_message {
    struct session *session;
    struct span ref;                       /* raw JSON, CALL_ID_BYTES_MAX at most; empty: no answer is asked for */
    uint32_t depth;                        /* levels of the object */
    struct span fields[PLAIN_FIELD_COUNT]; /* raw JSON; empty: absent, or null */
};

/* Takes a text apart. False: it is no JSON object, is nested too deep to be read, or has a `ref` that cannot be
 * answered; the client has been told. */
bool plain_message_read(struct plain_message *message, struct session *session, struct span text);
/* Refuses the message: counts and logs it, and tells the client. `field`: the one at fault; PLAIN_FIELD_COUNT: none. */
void plain_refuse(const struct plain_message *message, enum refusal refusal, enum plain_field field);

/* The functions below refuse the message and return false if the field is there and is not what they ask for. */
bool plain_check_type(const struct plain_message *message, enum plain_field field, enum json_type type);
/* A text of FIELD_BYTES_MAX at most; appends it. */
bool plain_read_text(const struct plain_message *message, enum plain_field field, struct buf *to);
/* True or false; absent: `*to` becomes false. */
bool plain_read_bool(const struct plain_message *message, enum plain_field field, bool *to);
/* Options of a question: before, after, limit and cursor. */
bool plain_check_options(const struct plain_message *message);

#endif
