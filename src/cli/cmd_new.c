/* cmd_new: `sennit new`, which writes the folder of a new service: the files of templates/, with the service's name in
 * the place of @NAME@. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/shown.h"
#include "cli/cli.h"
#include "cli_templates.h"
#include "loop/file.h"
#include "platform/spec.h"

static const struct {
    const char *path, *text; /* @NAME@ in both */
} files[] = {
    {"@NAME@.c", new_program},     {"meson.build", new_meson}, {"Dockerfile", new_Dockerfile},
    {"service.yaml", new_service}, {"README.md", new_README},  {".gitignore", new_gitignore},
    {"talk.mjs", new_talk},
};

/* Meson has targets of these names in every build. */
static const char *const taken[] = {"all",        "benchmark", "clean",         "clean-ctlist",  "clean-gcda",
                                    "clean-gcno", "coverage",  "coverage-html", "coverage-text", "coverage-xml",
                                    "dist",       "distcheck", "install",       "phony",         "reconfigure",
                                    "scan-build", "test",      "uninstall"};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    const char **name = state->input;
    switch (key) {
    case ARGP_KEY_ARG:
        if (*name != NULL)
            argp_error(state, "one service at a time; argument %d is a second one", state->next - 1);
        *name = argument;
        break;
    case ARGP_KEY_END:
        if (*name == NULL)
            argp_error(state, "which name? like: sennit new chat");
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static bool name_check(const char *name, struct err *err)
{
    if (!service_name_is_valid(span_str(name)))
        return err_set(
            err,
            "a service's name is at most %d lower-case letters, digits and hyphens, begins with a letter and "
            "does not end with a hyphen, because it becomes part of a host's name; found %s. Like: sennit new chat",
            SERVICE_NAME_BYTES_MAX, SHOWN_FOUND(span_str(name)));
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        if (strcmp(name, taken[i]) == 0)
            return err_set(err, "Meson has a target \"%s\" of its own; choose another name, like %s-service", name,
                           name);
    return true;
}

/* `text` with the name in the place of @NAME@, and a NUL behind. */
static void filled(struct buf *to, const char *text, const char *name)
{
    static const char mark[] = "@NAME@";
    for (const char *at; (at = strstr(text, mark)) != NULL; text = at + strlen(mark)) {
        buf_append(to, span_of(text, (size_t)(at - text)));
        buf_append(to, span_str(name));
    }
    buf_append(to, span_str(text));
    buf_append_char(to, '\0');
}

static bool file_write(const char *name, const char *path, const char *text, struct err *err)
{
    struct buf filled_path = {0}, filled_text = {0};
    buf_printf(&filled_path, "%s/", name);
    filled(&filled_path, path, name);
    filled(&filled_text, text, name);
    bool ok = file_new(buf_span(&filled_path).data, span_of(buf_span(&filled_text).data, filled_text.len - 1), err);
    buf_finish(&filled_path);
    buf_finish(&filled_text);
    return ok;
}

static bool folder_write(const char *name, struct err *err)
{
    if (!file_new_directory(name, err))
        return err_prefix(err, "nothing is written; choose another name, or run this in another folder: ");
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if (!file_write(name, files[i].path, files[i].text, err))
            return err_prefix(err, "remove the folder %s, and try again: ", name);
    return true;
}

int cmd_new(int argc, char **argv)
{
    static const char doc[] =
        "Writes a folder NAME with a service in C: its source, which uses sennit.h, meson.build, Dockerfile, "
        "service.yaml, README.md, .gitignore, and a client to try it with.\v"
        "It builds and runs at once:\n\n"
        "  sennit new chat && cd chat\n"
        "  meson setup build && ninja -C build\n"
        "  build/chat                     one instance, on port 8080\n"
        "  sennit up service.yaml         several, with a Redis beside them\n\n"
        "NAME has at most 49 lower-case letters, digits and hyphens. A folder of that name must not be there yet.";
    static const struct argp argp = {NULL, parse, "NAME", doc, NULL, NULL, NULL};
    const char *name = NULL;
    struct err err;
    cli_parse(&argp, argc, argv, &name);
    if (!name_check(name, &err) || !folder_write(name, &err))
        return cli_fail("new", &err);
    printf("%s/ is a service. Next: cd %s && meson setup build && ninja -C build && build/%s\n", name, name, name);
    return 0;
}
