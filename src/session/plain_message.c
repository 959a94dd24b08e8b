/* plain_message: reads a message and its fields, and refuses what is wrong. */
#include "session/plain_message.h"

#include "session/call.h"
#include "session/plain_parts.h"

/* Of a text in a field. A position, each of its characters escaped, fits. */
enum { FIELD_BYTES_MAX = 6 * TOKEN_BYTES_MAX };

static const char *const names[] = {
#define X(constant, name) name,
    PLAIN_FIELDS(X)
#undef X
        NULL,
};

void plain_refuse(const struct plain_message *message, enum refusal refusal, enum plain_field field)
{
    struct session *session = message->session;
    char peer[ADDR_TEXT_MAX];
    addr_ip_print(session->transport->type->peer(session->transport), peer);
    refusals_note(&session->sessions->refusals, refusal, span_str(peer), span_str(names[field]));
    plain_error_send(session, refusal, message->ref, names[field]);
}

/* Of a member that comes twice, the last one counts. */
static void member_take(struct plain_message *message, struct span key, struct span value)
{
    for (int field = 0; field < PLAIN_FIELD_COUNT; field++) {
        if (!json_string_equal(key, span_str(names[field])))
            continue;
        message->fields[field] = json_type(value) != JSON_NULL ? value : (struct span){NULL, 0};
        return;
    }
}

/* A request is named by a number or a short string. */
static bool ref_is_good(struct span ref)
{
    return ref.len == 0 ||
           (ref.len <= CALL_ID_BYTES_MAX && (json_type(ref) == JSON_NUMBER || json_type(ref) == JSON_STRING));
}

bool plain_message_read(struct plain_message *message, struct session *session, struct span text)
{
    struct span rest = json_trim(text), key, value;
    *message = (struct plain_message){.session = session};
    bool is_valid = json_is_valid_to(text, &message->depth);
    if (message->depth > JSON_DEPTH_MAX) {
        plain_refuse(message, REFUSAL_TOO_DEEP, PLAIN_FIELD_COUNT);
        return false;
    }
    if (!is_valid || json_type(rest) != JSON_OBJECT) {
        plain_refuse(message, REFUSAL_MESSAGE_INVALID, PLAIN_FIELD_COUNT);
        return false;
    }
    while (json_object_next(&rest, &key, &value))
        member_take(message, key, value);
    if (!ref_is_good(message->fields[PLAIN_REF])) {
        plain_refuse(message, REFUSAL_FIELD_INVALID, PLAIN_REF);
        return false;
    }
    message->ref = message->fields[PLAIN_REF];
    return true;
}

bool plain_check_type(const struct plain_message *message, enum plain_field field, enum json_type type)
{
    struct span value = message->fields[field];
    if (value.len == 0 || json_type(value) == type)
        return true;
    plain_refuse(message, REFUSAL_FIELD_INVALID, field);
    return false;
}

bool plain_read_text(const struct plain_message *message, enum plain_field field, struct buf *to)
{
    struct span value = message->fields[field];
    if (value.len == 0 || (value.len <= FIELD_BYTES_MAX && json_string_decode(value, to)))
        return true;
    plain_refuse(message, REFUSAL_FIELD_INVALID, field);
    return false;
}

bool plain_read_bool(const struct plain_message *message, enum plain_field field, bool *to)
{
    struct span value = message->fields[field];
    *to = value.len != 0 && json_type(value) == JSON_TRUE;
    return *to || plain_check_type(message, field, JSON_FALSE);
}

static bool check_position(const struct plain_message *message, enum plain_field field)
{
    struct span value = message->fields[field];
    struct buf text = {0};
    struct token token;
    bool ok = value.len == 0 || (value.len <= FIELD_BYTES_MAX && json_string_decode(value, &text) &&
                                 token_decode(buf_span(&text), &token));
    buf_finish(&text);
    if (!ok)
        plain_refuse(message, REFUSAL_POSITION_INVALID, field);
    return ok;
}

bool plain_check_options(const struct plain_message *message)
{
    struct span limit = message->fields[PLAIN_LIMIT], cursor = message->fields[PLAIN_CURSOR];
    enum plain_field bad = PLAIN_FIELD_COUNT;
    uint64_t number;
    if (!check_position(message, PLAIN_BEFORE) || !check_position(message, PLAIN_AFTER))
        return false;
    if (limit.len != 0 && (!span_to_u64(limit, &number) || number == 0))
        bad = PLAIN_LIMIT;
    else if (cursor.len != 0 &&
             (json_type(cursor) != JSON_STRING || !span_to_u64(span_sub(cursor, 1, cursor.len - 2), &number)))
        bad = PLAIN_CURSOR;
    else if (message->fields[PLAIN_BEFORE].len != 0 && message->fields[PLAIN_AFTER].len != 0)
        bad = PLAIN_AFTER;
    if (bad != PLAIN_FIELD_COUNT)
        plain_refuse(message, REFUSAL_RANGE_INVALID, bad);
    return bad == PLAIN_FIELD_COUNT;
}
