/* metadata_answer: the tree of metadata, as paths and values. A folder lists what is in it; `?recursive=true` prints it
 * as JSON. Bytes and names are those of the documentation; the values are of this machine. */
#include "platform/metadata.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "loop/loop.h"
#include "wire/uri.h"

/* A page whose name was made to lead here has another name in Host (DNS rebinding). */
static bool host_is_ours(struct span host)
{
    static const char *const names[] = {"127.0.0.1", "localhost", "metadata.google.internal", "metadata",
                                        "169.254.169.254"};
    struct span name = host;
    span_next(&host, ':', &name);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (span_equal_nocase(name, span_str(names[i])))
            return true;
    return name.len == 0;
}

const char *metadata_fault(const struct http1_head *head, int *status)
{
    bool flavored = span_equal_nocase(http1_field_get(head, SPAN_LIT("Metadata-Flavor")), SPAN_LIT("Google"));
    *status = 403;
    if (http1_field_get(head, SPAN_LIT("X-Forwarded-For")).data != NULL)
        return "Requests with X-Forwarded-For are refused: ask without a proxy.\n";
    if (!host_is_ours(head->host))
        return "The Host is not one of this server: ask for the address in GCE_METADATA_HOST.\n";
    if (!flavored && span_starts_with(head->target, SPAN_LIT("/computeMetadata/")))
        return "Missing Metadata-Flavor:Google header: send it, so that no web page asks by mistake.\n";
    *status = 405;
    if (!span_equal(head->method, SPAN_LIT("GET")) && !span_equal(head->method, SPAN_LIT("HEAD")))
        return "GET and HEAD are allowed: nothing can be written here.\n";
    return NULL;
}

enum leaf {
    PROJECT_ID,
    PROJECT_NUMBER,
    INSTANCE_ID,
    REGION,
    ZONE,
    ALIASES,
    EMAIL,
    SCOPES,
    IDENTITY,
    TOKEN,
    UNIVERSE,
    LEAVES,
};

#define ACCOUNTS "instance/service-accounts/"
#define ACCOUNT ACCOUNTS "default/"

static const struct {
    const char *path;
    const char *json; /* its name in JSON; NULL: not in it, because it is made for the one who asks */
} leaves[LEAVES] = {
    [PROJECT_ID] = {"project/project-id", "projectId"},
    [PROJECT_NUMBER] = {"project/numeric-project-id", "numericProjectId"},
    [INSTANCE_ID] = {"instance/id", "id"},
    [REGION] = {"instance/region", "region"},
    [ZONE] = {"instance/zone", "zone"},
    [ALIASES] = {ACCOUNT "aliases", "aliases"},
    [EMAIL] = {ACCOUNT "email", "email"},
    [SCOPES] = {ACCOUNT "scopes", "scopes"},
    [IDENTITY] = {ACCOUNT "identity", NULL},
    [TOKEN] = {ACCOUNT "token", NULL},
    [UNIVERSE] = {"universe/universe-domain", "universeDomain"},
};

static void value_print(struct buf *to, const struct metadata_port *port, enum leaf leaf)
{
    const struct metadata *metadata = port->metadata;
    switch (leaf) {
    case PROJECT_ID:
        buf_append(to, span_str(metadata->project));
        break;
    case PROJECT_NUMBER:
        buf_append(to, SPAN_LIT(METADATA_PROJECT_NUMBER));
        break;
    case INSTANCE_ID:
        buf_append(to, span_str(port->instance));
        break;
    case REGION:
        buf_printf(to, "projects/" METADATA_PROJECT_NUMBER "/regions/%s", metadata->region);
        break;
    case ZONE:
        buf_printf(to, "projects/" METADATA_PROJECT_NUMBER "/zones/%s-1", metadata->region);
        break;
    case ALIASES:
        buf_append(to, SPAN_LIT("default"));
        break;
    case EMAIL:
        buf_append(to, span_str(port->account));
        break;
    case SCOPES:
        buf_append(to, SPAN_LIT("https://www.googleapis.com/auth/cloud-platform"));
        break;
    case UNIVERSE:
        buf_append(to, SPAN_LIT("googleapis.com"));
        break;
    case IDENTITY:
    case TOKEN:
    case LEAVES:
        break;
    }
}

/* Google's begin with ya29. This one can be mistaken for none. */
static void token_print(struct buf *to, const struct metadata_port *port)
{
    char random[33];
    loop_random_hex(port->metadata->net->loop, random, sizeof random - 1);
    buf_printf(to,
               "{\"access_token\":\"sennit-local-not-a-google-token.%s\",\"expires_in\":%d,\"token_type\":\"Bearer\"}",
               random, IDENTITY_LIFETIME_S - 1);
}

/* The decoded value of a name in `a=b&c=d`; NULL: it is not there, or empty. The caller frees it. */
static char *query_get(struct span query, const char *name)
{
    struct span pair, key;
    while (span_next(&query, '&', &pair)) {
        char *value =
            span_next(&pair, '=', &key) && span_equal(key, span_str(name)) && pair.len > 0 ? uri_decode(pair) : NULL;
        if (value != NULL)
            return value;
    }
    return NULL;
}

static void identity_print(struct metadata_answer *answer, const struct metadata_port *port, struct span query)
{
    struct metadata *metadata = port->metadata;
    char *audience = query_get(query, "audience");
    struct identity_claims claims = {.audience = span_str(audience),
                                     .email = span_str(port->account),
                                     .now_s = loop_wall_ms(metadata->net->loop) / 1000,
                                     .lifetime_s = IDENTITY_LIFETIME_S};
    if (claims.audience.len > 0 && claims.audience.len <= IDENTITY_TEXT_BYTES_MAX) {
        identity_token_make(&answer->text, identities_signer(metadata->identities), &claims);
    } else {
        answer->status = 400;
        buf_append(&answer->text, SPAN_LIT("non-empty audience parameter required: ?audience=URL, of at most 1 KiB\n"));
    }
    free(audience);
}

/* The next part of a path below `folder`, with its slash if it is a folder itself; empty: it is not below. */
static struct span part_of(const char *path, struct span folder)
{
    struct span whole = span_str(path), rest = span_from(whole, folder.len);
    if (!span_starts_with(whole, folder))
        return SPAN_LIT("");
    ptrdiff_t slash = span_find(rest, '/');
    return span_sub(rest, 0, slash < 0 ? rest.len : (size_t)slash + 1);
}

/* A leaf's part is listed once: those of one folder stand together. */
static bool is_first(enum leaf leaf, struct span folder)
{
    return leaf == 0 || !span_equal(part_of(leaves[leaf].path, folder), part_of(leaves[leaf - 1].path, folder));
}

/* False: there is no such folder. */
static bool folder_print(struct buf *to, const struct metadata_port *port, struct span folder)
{
    size_t before = to->len;
    for (enum leaf leaf = 0; leaf < LEAVES; leaf++) {
        struct span part = part_of(leaves[leaf].path, folder);
        if (part.len > 0 && is_first(leaf, folder))
            buf_printf(to, SPAN_FMT "\n", SPAN_ARG(part));
    }
    if (span_equal(folder, SPAN_LIT(ACCOUNTS)))
        buf_printf(to, "%s/\n", port->account);
    return to->len > before;
}

/* Folders in JSON have the names of their paths, as leaves have, in the other spelling. */
static void name_print(struct buf *to, struct span part)
{
    buf_append_char(to, '"');
    for (size_t i = 0; i < part.len && part.data[i] != '/'; i++)
        if (part.data[i] == '-')
            buf_append_char(to, (char)(part.data[++i] & ~0x20));
        else
            buf_append_char(to, part.data[i]);
    buf_append(to, SPAN_LIT("\":"));
}

static void json_leaf_print(struct buf *to, const struct metadata_port *port, enum leaf leaf)
{
    bool is_list = leaf == ALIASES || leaf == SCOPES;
    struct buf value = {0};
    value_print(&value, port, leaf);
    buf_append(to, is_list ? SPAN_LIT("[\"") : leaf == PROJECT_NUMBER ? SPAN_LIT("") : SPAN_LIT("\""));
    buf_append_json(to, buf_span(&value));
    buf_append(to, is_list ? SPAN_LIT("\"]") : leaf == PROJECT_NUMBER ? SPAN_LIT("") : SPAN_LIT("\""));
    buf_finish(&value);
}

/* As deep as the table's paths. */
static void json_print(struct buf *to, const struct metadata_port *port, struct span folder)
{
    bool begun = false;
    buf_append_char(to, '{');
    for (enum leaf leaf = 0; leaf < LEAVES; leaf++) {
        struct span part = part_of(leaves[leaf].path, folder);
        if (part.len == 0 || !is_first(leaf, folder) ||
            (leaves[leaf].json == NULL && !span_ends_with(part, SPAN_LIT("/"))))
            continue;
        buf_append(to, begun ? SPAN_LIT(",") : SPAN_LIT(""));
        begun = true;
        if (span_ends_with(part, SPAN_LIT("/"))) {
            name_print(to, part);
            json_print(to, port, span_of(leaves[leaf].path, folder.len + part.len));
        } else {
            buf_printf(to, "\"%s\":", leaves[leaf].json);
            json_leaf_print(to, port, leaf);
        }
    }
    buf_append_char(to, '}');
}

/* `instance/service-accounts/ADDRESS/...` is that of the default account. The caller frees it. */
static char *path_make(const struct metadata_port *port, struct span path)
{
    char *named = mem_printf(ACCOUNTS "%s", port->account);
    struct span rest = span_from(path, strlen(named));
    bool is_named = span_starts_with(path, span_str(named)) && (rest.len == 0 || rest.data[0] == '/');
    char *made = is_named ? mem_printf(ACCOUNTS "default" SPAN_FMT, SPAN_ARG(rest)) : mem_text(path);
    free(named);
    return made;
}

static void not_found(struct metadata_answer *answer)
{
    answer->status = 404;
    buf_append(&answer->text, SPAN_LIT("Not Found: /computeMetadata/v1/ lists what is here\n"));
}

static void path_answer(struct metadata_answer *answer, const struct metadata_port *port, struct span path,
                        struct span query)
{
    enum leaf leaf = 0;
    while (leaf < LEAVES && !span_equal(path, span_str(leaves[leaf].path)))
        leaf++;
    if (leaf == IDENTITY) {
        identity_print(answer, port, query);
    } else if (leaf == TOKEN) {
        answer->type = SPAN_LIT("application/json");
        token_print(&answer->text, port);
    } else if (leaf < LEAVES) {
        value_print(&answer->text, port, leaf);
    } else {
        char *recursive = query_get(query, "recursive");
        char *folder =
            mem_printf(SPAN_FMT "%s", SPAN_ARG(path), path.len > 0 && path.data[path.len - 1] != '/' ? "/" : "");
        bool is_there = folder_print(&answer->text, port, span_str(folder));
        if (!is_there) {
            not_found(answer);
        } else if (recursive != NULL && strcmp(recursive, "true") == 0) {
            buf_clear(&answer->text);
            answer->type = SPAN_LIT("application/json");
            json_print(&answer->text, port, span_str(folder));
        }
        free(folder);
        free(recursive);
    }
}

void metadata_answer(struct metadata_answer *answer, const struct metadata_port *port, struct span target)
{
    static const struct span base = SPAN_LIT("/computeMetadata/v1");
    struct span query = target, path;
    span_next(&query, '?', &path);
    struct span rest = span_from(path, base.len);
    if (span_equal(path, SPAN_LIT("/"))) {
        buf_append(&answer->text, SPAN_LIT("computeMetadata/\n"));
    } else if (span_equal(path, SPAN_LIT("/computeMetadata")) || span_equal(path, SPAN_LIT("/computeMetadata/"))) {
        buf_append(&answer->text, SPAN_LIT("v1/\n"));
    } else if (!span_starts_with(path, base) || (rest.len > 0 && rest.data[0] != '/')) {
        not_found(answer);
    } else {
        char *made = path_make(port, span_from(rest, 1));
        path_answer(answer, port, span_str(made), query);
        free(made);
    }
}
