/* image_program: as Docker and Cloud Run choose it. */
#include "platform/image_program.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/shown.h"
#include "loop/rootfs.h"
#include "platform/environment.h"

enum { USERS_BYTES_MAX = 256 * 1024 };
#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* `command` replaces the image's ENTRYPOINT, and its CMD, too; `args` its CMD.
 * https://cloud.google.com/run/docs/configuring/services/containers */
static void argv_make(struct words *argv, const struct image *image, const struct service_spec *spec)
{
    words_add_all(argv, spec->command.count > 0 ? &spec->command : &image->entrypoint);
    if (spec->args.count > 0)
        words_add_all(argv, &spec->args);
    else if (spec->command.count == 0)
        words_add_all(argv, &image->command);
}

bool image_program_check(const struct image *image, const struct service_spec *spec, struct err *err)
{
    struct words argv = {0};
    argv_make(&argv, image, spec);
    bool ok = argv.count > 0 && argv.list[0][0] != '\0';
    words_finish(&argv);
    return ok || err_set(err,
                         "image: %.300s has neither ENTRYPOINT nor CMD: say which program it runs, with `command` in "
                         "the file, or with one of these in its Dockerfile",
                         spec->image);
}

void image_environment(struct words *env, const struct image *image)
{
    environment_set(env, mem_text(SPAN_LIT("PATH=" PATH_DEFAULT)));
    for (size_t i = 0; i < image->env.count; i++) {
        struct span rest = span_str(image->env.list[i]), name;
        bool is_one = span_find(rest, '=') > 0 && span_next(&rest, '=', &name);
        if (is_one)
            environment_set(env, mem_text(span_str(image->env.list[i])));
    }
}

/* One line of /etc/passwd or /etc/group: the field at `index`. */
static struct span field_of(struct span line, int index)
{
    struct span field = {0};
    for (int i = 0; i <= index; i++)
        if (!span_next(&line, ':', &field))
            return span_str("");
    return field;
}

/* The line with this text in the field at `index`; empty: there is none. */
static struct span line_find(struct span file, int index, struct span wanted)
{
    struct span line;
    while (span_next(&file, '\n', &line))
        if (line.len > 0 && span_equal(field_of(line, index), wanted))
            return line;
    return span_str("");
}

static struct buf file_of(const char *root, const char *path)
{
    struct buf text = {0};
    size_t len = USERS_BYTES_MAX;
    if (rootfs_read(root, path, buf_reserve(&text, len), &len))
        buf_added(&text, len);
    return text;
}

static bool id_get(struct span text, uint32_t *id)
{
    uint64_t number;
    if (!span_to_u64(text, &number) || number >= UINT32_MAX)
        return false;
    *id = (uint32_t)number;
    return true;
}

/* USER: a name or a number, and perhaps a group likewise: `node`, `1000`, `1000:1000`. */
static void user_find(struct image_program *program, const char *root, const char *user)
{
    enum { NAME, UID = 2, GID, HOME = 5 };
    struct buf users = file_of(root, "/etc/passwd"), groups = file_of(root, "/etc/group");
    struct span group = span_str(user), name = span_str("");
    span_next(&group, ':', &name);
    bool is_number = id_get(name, &program->uid);
    struct span line = line_find(buf_span(&users), is_number ? UID : NAME, name.len > 0 ? name : SPAN_LIT("root"));
    if (line.len > 0 && id_get(field_of(line, UID), &program->uid))
        id_get(field_of(line, GID), &program->gid);
    else
        program->is_unknown_user = !is_number && name.len > 0;
    if (group.len > 0 && !id_get(group, &program->gid))
        id_get(field_of(line_find(buf_span(&groups), NAME, group), 2), &program->gid);
    struct span home = field_of(line, HOME);
    program->home = mem_text(home.len > 0 ? home : program->uid == 0 ? SPAN_LIT("/root") : SPAN_LIT("/"));
    buf_finish(&users);
    buf_finish(&groups);
}

/* securityContext of the file counts before the image's USER. NULL: it says nothing. */
static char *user_given(const struct service_spec *spec)
{
    if (!spec->uid.is_given)
        return NULL;
    return spec->gid.is_given ? mem_printf("%u:%u", spec->uid.number, spec->gid.number)
                              : mem_printf("%u", spec->uid.number);
}

/* The path of a program: relative to the working directory if it has a slash, else in PATH; NULL: there is none. */
static char *path_find(const char *root, const char *directory, const char *name, struct span list)
{
    struct span folder;
    if (strchr(name, '/') != NULL) {
        char *path = name[0] == '/' ? mem_text(span_str(name)) : mem_printf("%s/%s", directory, name);
        if (rootfs_is_program(root, path))
            return path;
        free(path);
        return NULL;
    }
    while (span_next(&list, ':', &folder)) {
        char *path = mem_printf(SPAN_FMT "/%s", SPAN_ARG(folder), name);
        if (path[0] == '/' && rootfs_is_program(root, path))
            return path;
        free(path);
    }
    return NULL;
}

static bool missing_tell(const char *root, const char *directory, const char *name, struct span list, struct err *err)
{
    static const char cure[] = "name one that is there, in `command`, ENTRYPOINT or CMD";
    if (strchr(name, '/') == NULL)
        return err_set(err, "the image has no program %s (looked for in its PATH, %s): %s", SHOWN_FOUND(span_str(name)),
                       SHOWN_FOUND(list), cure);
    char *path = name[0] == '/' ? mem_text(span_str(name)) : mem_printf("%s/%s", directory, name);
    bool is_there = rootfs_is_there(root, path);
    if (is_there && !rootfs_is_folder(root, path))
        err_set(err, "nobody may execute the image's %s: COPY it with --chmod=755 in its Dockerfile, or RUN chmod +x",
                SHOWN_FOUND(span_str(path)));
    else
        err_set(err, "the image has no program %s (looked for from the working directory on): %s",
                SHOWN_FOUND(span_str(name)), cure);
    free(path);
    return false;
}

static char *directory_of(const struct image *image, const struct service_spec *spec)
{
    const char *wanted = spec->working_dir != NULL ? spec->working_dir : image->directory;
    return mem_printf("%s%s", wanted[0] == '/' ? "" : "/", wanted);
}

bool image_program_find(struct image_program *program, const struct image *image, const char *root,
                        const struct service_spec *spec, const struct words *env, struct err *err)
{
    *program = (struct image_program){0};
    if (!image_program_check(image, spec, err))
        return false;
    argv_make(&program->argv, image, spec);
    program->directory = directory_of(image, spec);
    char *given = user_given(spec);
    user_find(program, root, given != NULL ? given : image->user);
    free(given);
    if (spec->not_root && program->uid == 0)
        return err_set(err, "securityContext.runAsNonRoot is true, and the image runs as root: give a runAsUser, or "
                            "a USER in its Dockerfile");
    char **name = &program->argv.list[0];
    char *path = path_find(root, program->directory, *name, environment_get(env, SPAN_LIT("PATH")));
    if (path == NULL)
        return missing_tell(root, program->directory, *name, environment_get(env, SPAN_LIT("PATH")), err);
    free(*name);
    *name = path;
    return true;
}

void image_program_finish(struct image_program *program)
{
    words_finish(&program->argv);
    free(program->directory);
    free(program->home);
    *program = (struct image_program){0};
}
