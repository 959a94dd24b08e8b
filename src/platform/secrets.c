/* secrets: finds a version's file. */
#include "platform/secrets.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "loop/file.h"
#include "loop/process.h"
#include "platform/environment.h"

static const char latest[] = "latest";

bool secret_name_is_valid(struct span name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
            return false;
    }
    return name.len > 0 && name.len <= SECRET_NAME_BYTES_MAX;
}

bool secret_version_is_valid(struct span version)
{
    uint64_t number;
    return span_equal(version, span_str(latest)) ||
           (span_to_u64(version, &number) && number > 0 && version.data[0] != '0');
}

char *secrets_directory(const char *given)
{
    char *home = given == NULL ? process_config_home() : NULL;
    char *directory = given != NULL ? mem_text(span_str(given)) : mem_printf("%s/secrets", home);
    free(home);
    return directory;
}

/* The highest number in the folder; 0: it has none. */
static uint64_t latest_find(const char *folder)
{
    struct err ignored;
    char **names = file_list(folder, "", &ignored);
    uint64_t highest = 0, number;
    for (size_t i = 0; names != NULL && names[i] != NULL; i++) {
        if (secret_version_is_valid(span_str(names[i])) && span_to_u64(span_str(names[i]), &number) && number > highest)
            highest = number;
        free(names[i]);
    }
    free(names);
    return highest;
}

static char *path_find(const char *directory, const char *name, const char *version)
{
    char *secret = mem_printf("%s/%s", directory, name), *path = NULL;
    bool is_latest = strcmp(version, latest) == 0;
    if (!file_is_directory(secret))
        return is_latest || strcmp(version, "1") == 0 ? secret : (free(secret), NULL);
    if (is_latest)
        path = mem_printf("%s/%llu", secret, (unsigned long long)latest_find(secret));
    else
        path = mem_printf("%s/%s", secret, version);
    free(secret);
    return path;
}

char *secret_find(const char *given, const char *name, const char *version, struct err *err)
{
    char *directory = secrets_directory(given), *path = path_find(directory, name, version);
    if (path == NULL || !file_exists(path)) {
        err_set(err,
                "there is no version %s of the secret %s: write it into %.200s/%s, or into %s/1, %s/2 ... below that "
                "folder (--secrets names another one)",
                version, name, directory, name, name, name);
        free(path);
        path = NULL;
    }
    free(directory);
    return path;
}

/* Appends the value: all bytes of the file. Name and version are valid. False with `err` set: it is not there, or no
 * variable can hold it. */
static bool secret_read(const char *given, const char *name, const char *version, struct buf *to, struct err *err)
{
    size_t before = to->len;
    char *path = secret_find(given, name, version, err);
    bool ok = path != NULL && file_read(path, SECRET_BYTES_MAX, to, err);
    if (ok && span_find(span_from(buf_span(to), before), '\0') >= 0)
        ok = err_set(err, "the secret %s has a NUL in it, which no variable can hold", name);
    free(path);
    return ok;
}

bool secrets_take(struct words *env, const struct words *secrets, const char *given, struct err *err)
{
    bool ok = true;
    for (size_t i = 0; ok && i + 2 < secrets->count; i += 3) {
        struct buf text = {0};
        if (environment_has(env, span_str(secrets->list[i])))
            continue;
        buf_printf(&text, "%s=", secrets->list[i]);
        ok = secret_read(given, secrets->list[i + 1], secrets->list[i + 2], &text, err) ||
             err_prefix(err, "the variable %s: ", secrets->list[i]);
        if (ok)
            environment_set(env, mem_text(buf_span(&text)));
        buf_finish(&text);
    }
    return ok;
}
