/* client: what a handler can read of the client behind an event: its address, its first request, the payload of its
 * CONNECT, and the claims of its token. A client that asks to connect shows them (struct client_proof); afterwards its
 * session and its subscriber have them, wherever the session has moved. Nothing is kept here. */
#include "embed/embed_parts.h"
#include "wire/json.h"

/* No data: not known. */
struct shown {
    const struct addr_ip *peer;
    struct span handshake, auth;
    const struct identity *identity;
};

static bool shown_of_socket(const struct embed_event *event, struct shown *shown)
{
    const struct embed_socket *socket = handle_peek(event->socket, HANDLE_SOCKET);
    if (!event->embed->is_open || socket == NULL || socket->subscriber == NULL ||
        !subscriber_is_connected(socket->subscriber))
        return false;
    const struct session *session = socket->subscriber->session;
    const struct subscriber_extra extra = subscriber_has(socket->subscriber);
    *shown = (struct shown){.peer = session->transport->type->peer(session->transport),
                            .handshake = span_str(session_has(session).handshake),
                            .auth = span_str(extra.auth),
                            .identity = extra.identity};
    return true;
}

/* The event, if its client is here; else NULL, with a line in the log. */
static struct embed_event *find(sennit_event *handle, const char *call, struct shown *shown)
{
    struct embed_event *event = handle_object(handle, HANDLE_EVENT, call);
    if (event == NULL)
        return NULL;
    if (event->proof != NULL) {
        *shown =
            (struct shown){event->proof->peer, event->proof->handshake, event->proof->auth, event->admission->identity};
        return event;
    }
    if (shown_of_socket(event, shown))
        return event;
    handle_misused(call, "the event has no client, or its client has gone, or is elsewhere");
    return NULL;
}

/* A name that must be given. */
static struct embed_event *find_named(sennit_event *handle, const char *name, const char *call, struct shown *shown)
{
    struct embed_event *event = find(handle, call, shown);
    if (event == NULL || name != NULL)
        return event;
    handle_misused(call, "there is no name");
    return NULL;
}

const char *sennit_client_address(sennit_event *handle)
{
    struct shown shown;
    char text[ADDR_TEXT_MAX];
    struct embed_event *event = find(handle, "sennit_client_address", &shown);
    if (event == NULL || shown.peer == NULL)
        return NULL;
    addr_ip_print(shown.peer, text);
    return event_text(event, span_str(text));
}

const char *sennit_client_header(sennit_event *handle, const char *name)
{
    struct shown shown;
    struct embed_event *event = find_named(handle, name, "sennit_client_header", &shown);
    struct span key, value, fields;
    if (event == NULL)
        return NULL;
    fields = json_object_get(shown.handshake, SPAN_LIT("headers"));
    for (struct span rest = fields; json_type(fields) == JSON_OBJECT && json_object_next(&rest, &key, &value);)
        if (span_equal_nocase(span_sub(key, 1, key.len - 2), span_str(name))) /* a header's name has no escapes */
            return embed_string(event, value);
    if (!handshake_header_is_kept(&event->embed->server.config.handshake, span_str(name)))
        handle_misused("sennit_client_header", "this header is not kept: name it to sennit_keep_header");
    return NULL;
}

const char *sennit_client_query(sennit_event *handle, const char *name)
{
    struct shown shown;
    struct embed_event *event = find_named(handle, name, "sennit_client_query", &shown);
    if (event == NULL)
        return NULL;
    struct span query = json_object_get(shown.handshake, SPAN_LIT("query"));
    struct span value = json_object_get(query, span_str(name));
    if (value.data == NULL && !event->embed->server.config.handshake.query)
        handle_misused("sennit_client_query", "the query is not kept: call sennit_keep_query");
    return embed_string(event, value);
}

static struct span auth_find(sennit_event *handle, const char *path, const char *call, struct embed_event **event)
{
    struct shown shown = {.peer = NULL};
    *event = find(handle, call, &shown);
    if (*event != NULL && shown.auth.len == 0 && (*event)->proof == NULL &&
        !(*event)->embed->server.sessions.keeps_auth)
        handle_misused(call, "behind the connecting handler it is not kept: call sennit_keep_auth");
    return *event != NULL && shown.auth.len > 0 ? embed_member(shown.auth, path) : (struct span){NULL, 0};
}

const char *sennit_client_auth_string(sennit_event *handle, const char *path)
{
    struct embed_event *event;
    struct span value = auth_find(handle, path, "sennit_client_auth_string", &event);
    return embed_string(event, value);
}

const char *sennit_client_auth_json(sennit_event *handle, const char *path)
{
    struct embed_event *event;
    struct span value = auth_find(handle, path, "sennit_client_auth_json", &event);
    return value.data != NULL ? event_text(event, value) : NULL;
}

/* A claim of this very name, as URIs have dots; else what the path names. */
static struct span claim_find(sennit_event *handle, const char *name, const char *call, struct embed_event **event)
{
    struct shown shown;
    struct span value = {NULL, 0};
    *event = find(handle, call, &shown);
    if (*event == NULL || shown.identity == NULL)
        return value;
    if (name != NULL)
        value = identity_claim(shown.identity, span_str(name));
    return value.data != NULL ? value : embed_member(identity_claims(shown.identity), name);
}

const char *sennit_client_claim_string(sennit_event *handle, const char *name)
{
    struct embed_event *event;
    struct span value = claim_find(handle, name, "sennit_client_claim_string", &event);
    return embed_string(event, value);
}

const char *sennit_client_claim_json(sennit_event *handle, const char *name)
{
    struct embed_event *event;
    struct span value = claim_find(handle, name, "sennit_client_claim_json", &event);
    return value.data != NULL ? event_text(event, value) : NULL;
}

/* What is to be kept is decided before clients come. */
static struct embed *not_running(sennit_server *server, const char *call)
{
    struct embed *embed = embed_find(server, call);
    if (embed == NULL || !embed->running)
        return embed;
    handle_misused(call, "the server runs already: call it before sennit_run");
    return NULL;
}

bool sennit_keep_header(sennit_server *server, const char *name)
{
    struct embed *embed = not_running(server, "sennit_keep_header");
    if (embed == NULL)
        return false;
    bool kept = handshake_header_keep(&embed->server.config.handshake, span_str(name));
    if (!kept)
        handle_misused("sennit_keep_header", "this is no name of a header, or 32 are kept already");
    return kept;
}

bool sennit_keep_query(sennit_server *server)
{
    struct embed *embed = not_running(server, "sennit_keep_query");
    if (embed != NULL)
        embed->server.config.handshake.on = embed->server.config.handshake.query = true;
    return embed != NULL;
}

bool sennit_keep_auth(sennit_server *server)
{
    struct embed *embed = not_running(server, "sennit_keep_auth");
    if (embed != NULL)
        embed->server.config.handshake.auth = embed->server.sessions.keeps_auth = true;
    return embed != NULL;
}
