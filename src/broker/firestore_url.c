/* firestore_url: reads the URL. Project and database are names of Google's: letters, digits and hyphens. */
#include "broker/firestore_url.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/shown.h"
#include "base/span.h"

enum { NAME_BYTES_MAX = 64 };

/* A project may have its organization's domain in front: example.com:project. */
static bool is_name(struct span name, const char *others)
{
    if (name.len == 0 || name.len > NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && (c == '\0' || strchr(others, c) == NULL))
            return false;
    }
    return true;
}

static bool host_read(struct firestore_url *url, const char *emulator, struct err *err)
{
    struct span whole = span_str(emulator);
    const char *colon = strrchr(emulator, ':');
    size_t host_len = colon != NULL ? (size_t)(colon - emulator) : 0;
    struct span host = span_sub(whole, 0, host_len);
    if (host_len == 0 || !span_to_port(span_from(whole, host_len + 1), &url->port))
        return err_set(err, "FIRESTORE_EMULATOR_HOST: expected HOST:PORT, found %s", SHOWN_FOUND(whole));
    if (host.data[0] == '[' && host.data[host.len - 1] == ']')
        host = span_sub(host, 1, host.len - 2);
    url->host = mem_text(host);
    return true;
}

bool firestore_url_parse(struct firestore_url *url, const char *text, const char *emulator, struct err *err)
{
    struct span whole = span_str(text), project, database = SPAN_LIT("(default)");
    const struct span scheme = SPAN_LIT("firestore://");
    *url = (struct firestore_url){.port = 443};
    if (!span_starts_with(whole, scheme))
        return err_set(err, "--broker firestore: write its URL, like --broker firestore://PROJECT");
    struct span rest = span_from(whole, scheme.len);
    ptrdiff_t slash = span_find(rest, '/');
    project = slash >= 0 ? span_sub(rest, 0, (size_t)slash) : rest;
    if (slash >= 0)
        database = span_from(rest, (size_t)slash + 1);
    if (!is_name(project, ".:") || !is_name(database, "()"))
        return err_set(err, "--broker: expected firestore://PROJECT or firestore://PROJECT/DATABASE, found %s",
                       SHOWN_FOUND(whole));
    if (emulator != NULL ? !host_read(url, emulator, err) : false)
        return false;
    if (emulator == NULL)
        url->host = mem_text(SPAN_LIT("firestore.googleapis.com"));
    url->project = mem_text(project);
    url->database = mem_text(database);
    return true;
}
