/* deflate_offer: reads offers and answers parameter by parameter. The grammar (RFC 6455 section 9.1):
 *
 *     extension-list = 1#( extension-token *( ";" parameter ) )
 *     parameter      = token [ "=" ( token | quoted-string ) ]     what is quoted is a token, too
 *
 * A breach of the grammar fails the connection. A parameter that is wrong declines its offer only. */
#include "wire/deflate_offer.h"

#define FIELD SPAN_LIT("Sec-WebSocket-Extensions")

enum { BITS_MIN = 8, BITS_MAX = 15 };

enum parameter { SERVER_NO_CONTEXT, CLIENT_NO_CONTEXT, SERVER_BITS, CLIENT_BITS, PARAMETERS };

static const char *const names[PARAMETERS] = {
    [SERVER_NO_CONTEXT] = "server_no_context_takeover",
    [CLIENT_NO_CONTEXT] = "client_no_context_takeover",
    [SERVER_BITS] = "server_max_window_bits",
    [CLIENT_BITS] = "client_max_window_bits",
};

/* One extension of the list. */
struct offered {
    bool is_deflate;
    bool is_wrong; /* a parameter is unknown, doubled or has an invalid value */
    bool has[PARAMETERS];
    uint8_t bits[PARAMETERS]; /* of SERVER_BITS and CLIENT_BITS; 0: no value */
};

static void spaces_skip(struct span *rest)
{
    while (rest->len > 0 && (rest->data[0] == ' ' || rest->data[0] == '\t'))
        *rest = span_from(*rest, 1);
}

/* Takes this character and the white space around it. */
static bool take(struct span *rest, char c)
{
    spaces_skip(rest);
    if (rest->len == 0 || rest->data[0] != c)
        return false;
    *rest = span_from(*rest, 1);
    spaces_skip(rest);
    return true;
}

/* The name of a field has the same grammar. */
static bool token_take(struct span *rest, struct span *token)
{
    size_t len = 0;
    while (len < rest->len && http1_name_is_valid(span_sub(*rest, len, 1)))
        len++;
    *token = span_sub(*rest, 0, len);
    *rest = span_from(*rest, len);
    return len > 0;
}

static bool value_take(struct span *rest, struct span *value)
{
    if (rest->len == 0 || rest->data[0] != '"')
        return token_take(rest, value);
    *rest = span_from(*rest, 1);
    if (!token_take(rest, value) || rest->len == 0 || rest->data[0] != '"')
        return false;
    *rest = span_from(*rest, 1);
    return true;
}

/* A decimal number from 8 to 15 without leading zeros (RFC 7692 section 7.1.2); else 0. */
static uint8_t bits_read(struct span value)
{
    uint64_t bits = 0;
    if (value.len == 0 || value.data[0] == '0' || !span_to_u64(value, &bits) || bits < BITS_MIN || bits > BITS_MAX)
        return 0;
    return (uint8_t)bits;
}

static void parameter_note(struct offered *offered, struct span name, bool has_value, struct span value)
{
    int i = 0;
    while (i < PARAMETERS && !span_equal(name, span_str(names[i])))
        i++;
    if (i == PARAMETERS || offered->has[i]) {
        offered->is_wrong = true;
        return;
    }
    offered->has[i] = true;
    if (i == SERVER_BITS || (i == CLIENT_BITS && has_value)) {
        offered->bits[i] = bits_read(value);
        offered->is_wrong |= offered->bits[i] == 0;
    } else {
        offered->is_wrong |= has_value;
    }
}

/* Takes the next extension; false when the grammar is broken. Empty elements of the list are skipped (RFC 9110 section
 * 5.6.1.2); then `*any` is false. */
static bool extension_take(struct span *rest, struct offered *offered, bool *any)
{
    struct span name, value = {"", 0};
    *offered = (struct offered){0};
    *any = false;
    spaces_skip(rest);
    if (rest->len == 0 || rest->data[0] == ',')
        return true;
    if (!token_take(rest, &name))
        return false;
    *any = true;
    offered->is_deflate = span_equal(name, SPAN_LIT("permessage-deflate"));
    while (take(rest, ';')) {
        if (!token_take(rest, &name))
            return false;
        bool has_value = take(rest, '=');
        if (has_value && !value_take(rest, &value))
            return false;
        parameter_note(offered, name, has_value, value);
    }
    spaces_skip(rest);
    return rest->len == 0 || rest->data[0] == ',';
}

typedef bool offered_fn(const struct offered *offered, void *arg); /* returns whether it was what is looked for */

/* Shows all extensions of all fields in order until one is found; the grammar of the rest is checked all the same. */
static enum deflate_offer offers_each(const struct http1_head *head, offered_fn *fn, void *arg)
{
    enum deflate_offer outcome = DEFLATE_OFFER_NONE;
    for (size_t i = 0; i < head->field_count; i++) {
        struct span rest = head->fields[i].value;
        if (!span_equal_nocase(head->fields[i].name, FIELD))
            continue;
        do {
            struct offered offered;
            bool any;
            if (!extension_take(&rest, &offered, &any))
                return DEFLATE_OFFER_MALFORMED;
            if (any && outcome == DEFLATE_OFFER_NONE && fn(&offered, arg))
                outcome = DEFLATE_OFFER_AGREED;
        } while (take(&rest, ','));
    }
    return outcome;
}

struct wanted {
    bool server_keeps, client_keeps;
    struct deflate_terms *terms;
};

static uint8_t server_bits(uint8_t allowed)
{
    if (allowed >= DEFLATE_BITS_LARGE)
        return DEFLATE_BITS_LARGE;
    return allowed >= DEFLATE_BITS_MIDDLE ? DEFLATE_BITS_MIDDLE : DEFLATE_BITS_SMALL;
}

static bool offer_take(const struct offered *offered, void *arg)
{
    const struct wanted *wanted = arg;
    struct deflate_terms *terms = wanted->terms;
    if (!offered->is_deflate || offered->is_wrong)
        return false;
    *terms = (struct deflate_terms){
        .server_keeps = wanted->server_keeps && !offered->has[SERVER_NO_CONTEXT],
        .client_keeps = wanted->client_keeps && !offered->has[CLIENT_NO_CONTEXT],
        .server_bits = server_bits(offered->has[SERVER_BITS] ? offered->bits[SERVER_BITS] : BITS_MAX),
        .server_bits_named = offered->has[SERVER_BITS],
        .client_bits = BITS_MAX,
    };
    if (terms->client_keeps && offered->has[CLIENT_BITS]) {
        uint8_t most = offered->bits[CLIENT_BITS];
        terms->client_bits = most != 0 && most < DEFLATE_BITS_MIDDLE ? most : DEFLATE_BITS_MIDDLE;
        terms->client_bits_named = true;
    }
    return true;
}

enum deflate_offer deflate_offer_accept(const struct http1_head *head, bool server_keeps, bool client_keeps,
                                        struct deflate_terms *terms)
{
    struct wanted wanted = {server_keeps, client_keeps, terms};
    return offers_each(head, offer_take, &wanted);
}

void deflate_terms_encode(struct buf *to, const struct deflate_terms *terms)
{
    buf_append(to, SPAN_LIT("Sec-WebSocket-Extensions: permessage-deflate"));
    if (!terms->server_keeps)
        buf_printf(to, "; %s", names[SERVER_NO_CONTEXT]);
    if (!terms->client_keeps)
        buf_printf(to, "; %s", names[CLIENT_NO_CONTEXT]);
    if (terms->server_bits_named)
        buf_printf(to, "; %s=%u", names[SERVER_BITS], terms->server_bits);
    if (terms->client_bits_named)
        buf_printf(to, "; %s=%u", names[CLIENT_BITS], terms->client_bits);
    buf_append(to, SPAN_LIT("\r\n"));
}

struct answer {
    struct deflate_terms *terms;
    bool is_wrong;
};

/* An answer with an extension or a parameter that nobody offered fails the connection, as does a wrong one. */
static bool answer_take(const struct offered *offered, void *arg)
{
    struct answer *answer = arg;
    struct deflate_terms *terms = answer->terms;
    if (!offered->is_deflate || offered->is_wrong || (offered->has[CLIENT_BITS] && offered->bits[CLIENT_BITS] == 0)) {
        answer->is_wrong = true;
        return false;
    }
    *terms = (struct deflate_terms){
        .server_keeps = !offered->has[SERVER_NO_CONTEXT],
        .client_keeps = !offered->has[CLIENT_NO_CONTEXT],
        .server_bits = offered->has[SERVER_BITS] ? offered->bits[SERVER_BITS] : BITS_MAX,
        .client_bits = offered->has[CLIENT_BITS] ? offered->bits[CLIENT_BITS] : BITS_MAX,
        .server_bits_named = offered->has[SERVER_BITS],
        .client_bits_named = offered->has[CLIENT_BITS],
    };
    return true;
}

enum deflate_offer deflate_answer_read(const struct http1_head *head, struct deflate_terms *terms)
{
    struct answer answer = {terms, false};
    enum deflate_offer outcome = offers_each(head, answer_take, &answer);
    return answer.is_wrong ? DEFLATE_OFFER_MALFORMED : outcome;
}
