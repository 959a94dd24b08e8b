/* routes: passes each request to the handler of its path: the engine, the client library, /health and the like, files.
 */
#include <stdio.h>
#include <stdlib.h>

#include "http/http_coding.h"
#include "serve/api.h"
#include "serve/conditional.h"
#include "serve/engine.h"
#include "serve/files.h"

#define TEXT SPAN_LIT("text/plain; charset=utf-8")
#define RETRY_SOON SPAN_LIT("Retry-After: 1\r\n")
#define NO_STORE SPAN_LIT("Cache-Control: no-store\r\n")

static void not_found(struct client *client, struct span path, struct span text)
{
    client_note(client, REFUSAL_NOT_FOUND, path);
    http_respond(&client->http, 404, TEXT, SPAN_LIT("X-Sennit-Reason: not_found\r\n"), text);
}

/* Cache-Control and what else says which version it is and that parts of it can be had. */
static void version_fields(struct buf *to, const struct stored *stored, const char *etag,
                           const struct conditional_answer *answer, struct span caching)
{
    char date[CONDITIONAL_DATE_BYTES];
    conditional_date_encode(stored->about.modified_ns / 1000000000, date);
    buf_printf(to, "Cache-Control: " SPAN_FMT "\r\nETag: %s\r\nLast-Modified: %.*s\r\nAccept-Ranges: bytes\r\n",
               SPAN_ARG(caching), etag, CONDITIONAL_DATE_BYTES, date);
    if (answer->status == 206)
        buf_printf(to, "Content-Range: bytes %llu-%llu/%llu\r\n", (unsigned long long)answer->from,
                   (unsigned long long)answer->end - 1, (unsigned long long)stored->about.bytes);
    if (answer->status == 416)
        buf_printf(to, "Content-Range: bytes */%llu\r\n", (unsigned long long)stored->about.bytes);
}

/* A file that a request asks for. */
struct wanted_file {
    const char *directory;
    struct span path; /* below it */
    struct span type, caching;
    struct span fields;  /* further lines of the answer */
    struct span absent;  /* the text of the 404 */
    const char *version; /* becomes its entity tag; NULL: the store's */
    bool may_pack;       /* a client that takes gzip gets it so */
};

/* A part of a file is a part of its own bytes, so a request with a range gets those. */
static bool wants_packed(const struct http1_head *head, struct stored *stored)
{
    return http_coding_choose(head).kind == HTTP_GZIP && http1_field_get(head, SPAN_LIT("Range")).data == NULL &&
           stored_pack(stored);
}

static void file_send(struct client *client, const struct http1_head *head, struct stored *stored,
                      const struct wanted_file *wanted)
{
    struct buf fields = {0};
    bool packed = wanted->may_pack && wants_packed(head, stored);
    /* A version names the library in every coding, as upstream has it. */
    const char *etag = packed && wanted->version == NULL ? stored->packed_etag : stored->etag;
    struct conditional_version version = {
        .etag = span_str(etag),
        .modified_s = stored->about.modified_ns / 1000000000,
        .bytes = packed ? stored->packed.len : stored->about.bytes,
    };
    struct conditional_answer answer = conditional_answer(head, &version);
    version_fields(&fields, stored, etag, &answer, wanted->caching);
    buf_append(&fields, wanted->fields);
    if (wanted->may_pack)
        buf_append(&fields, SPAN_LIT("Vary: Accept-Encoding\r\n"));
    if (packed && answer.status == 200) {
        buf_append(&fields, SPAN_LIT("Content-Encoding: gzip\r\n"));
        http_respond(&client->http, answer.status, wanted->type, buf_span(&fields), buf_span(&stored->packed));
        stored_unref(stored);
    } else if (answer.status == 200 || answer.status == 206) {
        http_respond_source(&client->http, answer.status, wanted->type, buf_span(&fields), &stored->source, answer.from,
                            answer.end);
    } else {
        stored_unref(stored);
        bool has_body = answer.status != 304;
        http_respond(&client->http, answer.status, has_body ? TEXT : SPAN_LIT(""), buf_span(&fields),
                     has_body ? span_str(http1_status_text(answer.status)) : SPAN_LIT(""));
    }
    buf_finish(&fields);
}

static void file_request(struct client *client, const struct http1_head *head, const struct wanted_file *wanted)
{
    struct server *server = client_server(client);
    struct stored *stored;
    char *file = wanted->directory != NULL ? files_path(wanted->directory, wanted->path) : NULL;
    enum store_result result =
        file != NULL ? store_find(&server->store, file, loop_wall_ms(server->loop), &stored) : STORE_ABSENT;
    free(file);
    if (result == STORE_FOUND && wanted->version != NULL)
        snprintf(stored->etag, sizeof stored->etag, "\"%s\"", wanted->version);
    if (result == STORE_FOUND)
        file_send(client, head, stored, wanted);
    else if (result == STORE_BUSY)
        client_refuse(client, 503, REFUSAL_FILES_FULL, RETRY_SOON, wanted->path);
    else
        not_found(client, wanted->path, wanted->absent);
}

void library_request(struct client *client, const struct http1_head *head, struct span name, struct span fields)
{
    const struct serve_config *config = &client_server(client)->config;
    bool is_map = span_ends_with(name, SPAN_LIT(".map"));
    struct buf path = {0};
    buf_append_char(&path, '/');
    buf_append(&path, name);
    const struct wanted_file wanted = {
        .directory = config->client_dir,
        .path = buf_span(&path),
        .type =
            is_map ? SPAN_LIT("application/json; charset=utf-8") : SPAN_LIT("application/javascript; charset=utf-8"),
        .caching = SPAN_LIT("public, max-age=0"),
        .fields = fields,
        .absent = SPAN_LIT("socket.io-client is not installed here; run npm install socket.io-client, or set "
                           "`client:` in the configuration to its dist directory"),
        .version = config->client_version,
        .may_pack = true,
    };
    if (files_is_client(name, config->msgpack))
        file_request(client, head, &wanted);
    else
        not_found(client, name, SPAN_LIT("this library is served where the configuration says `parser: msgpack`"));
    buf_finish(&path);
}

/* A file of the operator's. */
static void static_request(struct client *client, const struct http1_head *head, struct span path)
{
    const struct wanted_file wanted = {
        .directory = client_server(client)->config.static_dir,
        .path = path,
        .type = span_str(files_type(path)),
        .caching = SPAN_LIT("no-cache"),
        .absent = span_str(refusal_text(REFUSAL_NOT_FOUND)),
    };
    file_request(client, head, &wanted);
}

/* Easily left out in a client of one's own. */
static void slash_lacks(struct client *client, struct span path)
{
    client_note(client, REFUSAL_PATH_SLASH, path);
    http_respond(&client->http, 404, TEXT, SPAN_LIT("X-Sennit-Reason: path_slash\r\n"),
                 span_str(refusal_text(REFUSAL_PATH_SLASH)));
}

/* One that has no place: it may ask whether this instance lives, and the operator may ask why it is full. */
static bool is_refused(struct client *client, const struct http1_head *head, struct span path)
{
    if (client->crowd.place != CROWD_SPARE)
        return false;
    if (span_equal(path, SPAN_LIT("/health")) ||
        (span_equal(path, SPAN_LIT("/metrics")) &&
         admin_allows(&client_server(client)->config.admin, &client->http.conn.peer, head))) {
        http_last(&client->http, CLOSE_DONE);
        return false;
    }
    client_refuse(client, client->crowd.refusal == REFUSAL_ADDRESS_FULL ? 429 : 503, client->crowd.refusal,
                  SPAN_LIT("Retry-After: 5\r\n"), path);
    return true;
}

static void admin_request(struct client *client, const struct http1_head *head, struct span path)
{
    const struct admin *admin = &client_server(client)->config.admin;
    if (admin_allows(admin, &client->http.conn.peer, head))
        metrics_request(client, head);
    else if (admin->token != NULL)
        client_refuse(client, 401, REFUSAL_ADMIN, SPAN_LIT("WWW-Authenticate: Bearer\r\nCache-Control: no-store\r\n"),
                      path);
    else
        client_refuse(client, 403, REFUSAL_ADMIN, NO_STORE, path);
}

void route_request(struct client *client, const struct http1_head *head)
{
    const struct engine_config *engine = &client_server(client)->config.engine;
    struct span query = head->target, path, rest;
    bool reads = span_equal(head->method, SPAN_LIT("GET")) || span_equal(head->method, SPAN_LIT("HEAD"));
    span_next(&query, '?', &path);
    if (is_refused(client, head, path))
        return;
    if (head->upgrade_websocket) /* what is not upgraded ends */
        http_last(&client->http, CLOSE_DONE);
    if (client->speaking.by_api_port || api_has(path)) {
        api_request(client, head, path, query);
    } else if (engine_config_has(engine, path, &rest)) {
        engine_request(client, head, rest, query);
    } else if (reads && engine_config_lacks_slash(engine, path)) {
        slash_lacks(client, path);
    } else if (plain_request(client, head, path, query)) {
        return;
    } else if (!reads) {
        client_refuse(client, 405, REFUSAL_METHOD, SPAN_LIT("Allow: GET, HEAD\r\n"), head->method);
    } else if (span_equal(path, SPAN_LIT("/health"))) {
        http_respond(&client->http, 200, TEXT, NO_STORE, SPAN_LIT("alive\n"));
    } else if (span_equal(path, SPAN_LIT("/ready"))) {
        ready_request(client, head);
    } else if (span_equal(path, SPAN_LIT("/metrics"))) {
        admin_request(client, head, path);
    } else if (span_equal(path, SPAN_LIT("/")) && client_server(client)->config.static_dir == NULL) {
        welcome_request(client, head);
    } else {
        static_request(client, head, path);
    }
}
