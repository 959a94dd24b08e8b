/* source: looks for the files that tell. */
#include "platform/source.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/shown.h"
#include "loop/file.h"
#include "wire/json.h"

static bool has(const struct source_plan *plan, const char *name)
{
    char *path = mem_printf("%s/%s", plan->directory, name);
    bool is_there = file_exists(path);
    free(path);
    return is_there;
}

/* Appends the whole file; nothing if there is none. */
static void text_read(const struct source_plan *plan, const char *name, struct buf *to)
{
    struct err ignored;
    char *path = mem_printf("%s/%s", plan->directory, name);
    file_read(path, SOURCE_FILE_BYTES_MAX, to, &ignored);
    free(path);
}

/* The words end with NULL. */
static void words_set(struct words *words, const char *first, ...)
{
    va_list list;
    va_start(list, first);
    for (const char *word = first; word != NULL; word = va_arg(list, const char *))
        words_add(words, mem_text(span_str(word)));
    va_end(list);
}

#define STEP(plan, ...) words_set(&(plan)->steps[(plan)->step_count++], __VA_ARGS__, NULL)

/* A member of an object in package.json; "" if there is none. The caller frees it. */
static char *package_get(const struct source_plan *plan, const char *object, const char *member)
{
    struct buf text = {0}, value = {0};
    text_read(plan, "package.json", &text);
    struct span json = json_trim(buf_span(&text)), inner;
    if (json_is_valid(json)) {
        inner = object != NULL ? json_object_get(json, span_str(object)) : json;
        inner = inner.data != NULL && member != NULL ? json_object_get(inner, span_str(member)) : inner;
        if (inner.data != NULL && !json_string_decode(inner, &value))
            buf_append(&value, inner);
    }
    char *found = mem_text(buf_span(&value));
    buf_finish(&text);
    buf_finish(&value);
    return found;
}

static bool package_has(const struct source_plan *plan, const char *object, const char *member)
{
    char *value = package_get(plan, object, member);
    bool is_there = value[0] != '\0' && strcmp(value, "{}") != 0;
    free(value);
    return is_there;
}

/* A build script may need what only developers install. */
static void node_plan(struct source_plan *plan)
{
    const char *build = package_has(plan, "scripts", "gcp-build") ? "gcp-build"
                        : package_has(plan, "scripts", "build")   ? "build"
                                                                  : NULL;
    char *modules = mem_printf("%s/node_modules", plan->directory);
    bool needs =
        package_has(plan, "dependencies", NULL) || (build != NULL && package_has(plan, "devDependencies", NULL));
    if (needs && !file_is_directory(modules))
        STEP(plan, "npm", has(plan, "package-lock.json") ? "ci" : "install", "--no-audit", "--no-fund",
             build != NULL ? "--include=dev" : "--omit=dev");
    if (build != NULL)
        STEP(plan, "npm", "run", build);
    free(modules);
}

static void python_plan(struct source_plan *plan)
{
    struct buf requirements = {0};
    text_read(plan, "requirements.txt", &requirements);
    bool needs = span_trim(buf_span(&requirements)).len > 0;
    if (needs)
        STEP(plan, "python3", "-m", "venv", ".venv");
    if (needs)
        STEP(plan, ".venv/bin/pip", "install", "--quiet", "--disable-pip-version-check", "-r", "requirements.txt");
    buf_finish(&requirements);
}

static const char *builder_find(void)
{
    return file_in_path("podman") ? "podman" : file_in_path("docker") ? "docker" : NULL;
}

static bool kind_find(struct source_plan *plan)
{
    static const struct {
        const char *file;
        enum source_kind kind;
    } files[] = {{"package.json", SOURCE_NODE}, {"requirements.txt", SOURCE_PYTHON}, {"main.py", SOURCE_PYTHON},
                 {"app.py", SOURCE_PYTHON},     {"meson.build", SOURCE_MESON},       {"Makefile", SOURCE_MAKE},
                 {"makefile", SOURCE_MAKE},     {"GNUmakefile", SOURCE_MAKE},        {"server", SOURCE_EXECUTABLE},
                 {"Procfile", SOURCE_PROCFILE}};
    plan->builder = builder_find();
    plan->ignores_dockerfile = has(plan, "Dockerfile") && plan->builder == NULL;
    plan->kind = SOURCE_CONTAINER;
    if (has(plan, "Dockerfile") && plan->builder != NULL)
        return true;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        plan->kind = (uint8_t)files[i].kind;
        if (has(plan, files[i].file))
            return true;
    }
    plan->kind = SOURCE_EXECUTABLE;
    return has(plan, plan->service);
}

static void save_plan(struct source_plan *plan, const char *image)
{
    bool is_podman = strcmp(plan->builder, "podman") == 0;
    if (is_podman)
        STEP(plan, "podman", "save", "--quiet", "--format", "oci-archive", "-o", SOURCE_ARCHIVE, image);
    else
        STEP(plan, "docker", "save", "-o", SOURCE_ARCHIVE, image);
    plan->reference =
        mem_printf("%s:%s/%s", is_podman ? "oci-archive" : "docker-archive", plan->directory, SOURCE_ARCHIVE);
}

bool source_image_plan(struct source_plan *plan, const char *directory, const char *image, struct err *err)
{
    *plan = (struct source_plan){.directory = directory, .kind = SOURCE_CONTAINER};
    plan->builder = builder_find();
    if (plan->builder == NULL)
        return err_set(err,
                       "--image: %.300s would come from a registry, and nothing is fetched from there: install podman "
                       "(apt-get install podman) and `podman pull` it, or save it elsewhere and name its file: "
                       "--image=oci-archive:FILE, docker-archive:FILE or oci:DIR",
                       image);
    save_plan(plan, image);
    return true;
}

static void steps_plan(struct source_plan *plan, const char *build)
{
    if (plan->kind == SOURCE_CONTAINER) {
        plan->image = mem_printf("localhost/sennit/%s", build);
        STEP(plan, plan->builder, "build", "-t", plan->image, ".");
        save_plan(plan, plan->image);
    } else if (plan->kind == SOURCE_NODE) {
        node_plan(plan);
    } else if (plan->kind == SOURCE_PYTHON) {
        python_plan(plan);
    } else if (plan->kind == SOURCE_MESON) {
        STEP(plan, "meson", "setup", "build");
        STEP(plan, "ninja", "-C", "build");
    } else if (plan->kind == SOURCE_MAKE) {
        STEP(plan, "make");
    }
}

bool source_plan_make(struct source_plan *plan, const char *directory, const char *service, const char *build,
                      struct err *err)
{
    *plan = (struct source_plan){.directory = directory, .service = service};
    if (!kind_find(plan))
        return err_set(err, plan->ignores_dockerfile
                                ? "it has a Dockerfile, and neither podman nor docker is installed here: install one "
                                  "(apt-get install podman), or add a Procfile (web: COMMAND), package.json, "
                                  "requirements.txt, meson.build or Makefile"
                                : "it is no source that is known here: expected a Dockerfile, Procfile (web: COMMAND), "
                                  "package.json, requirements.txt, main.py, meson.build, Makefile, or an executable "
                                  "called \"server\" or like the service");
    steps_plan(plan, build);
    return true;
}

/* A line for a shell, which becomes the program itself where it is one command. `modules`: programs of npm's packages
 * are found. */
static void shell_set(struct words *command, const char *line, bool modules)
{
    bool is_one = strpbrk(line, "&|;<>()\n") == NULL;
    char *whole = mem_printf("%s%s%s", modules ? "PATH=\"$PWD/node_modules/.bin:$PATH\"; export PATH; " : "",
                             is_one ? "exec env " : "", line);
    words_set(command, "/bin/sh", "-c", whole, NULL);
    free(whole);
}

/* The line `web: ...` of a Procfile; NULL: none. */
static char *procfile_get(const struct source_plan *plan)
{
    struct buf text = {0};
    char *found = NULL;
    text_read(plan, "Procfile", &text);
    struct span rest = buf_span(&text), line;
    while (found == NULL && span_next(&rest, '\n', &line))
        if (span_starts_with(line, SPAN_LIT("web:")))
            found = mem_text(span_trim(span_from(line, 4)));
    buf_finish(&text);
    return found;
}

static bool node_find(const struct source_plan *plan, struct words *command)
{
    char *start = package_get(plan, "scripts", "start"), *entry = package_get(plan, "main", NULL);
    bool has_more = package_has(plan, "scripts", "prestart") || package_has(plan, "scripts", "poststart");
    bool found = true;
    if (start[0] != '\0' && has_more)
        words_set(command, "npm", "start", NULL);
    else if (start[0] != '\0')
        shell_set(command, start, true);
    else if (entry[0] != '\0' && has(plan, entry))
        words_set(command, "node", entry, NULL);
    else if (has(plan, "server.js") || has(plan, "index.js"))
        words_set(command, "node", has(plan, "server.js") ? "server.js" : "index.js", NULL);
    else
        found = false;
    free(start);
    free(entry);
    return found;
}

static bool python_find(const struct source_plan *plan, struct words *command)
{
    const char *module = has(plan, "main.py") ? "main" : has(plan, "app.py") ? "app" : NULL;
    if (module == NULL)
        return false;
    char *line = has(plan, ".venv/bin/gunicorn")
                     ? mem_printf(".venv/bin/gunicorn --bind 0.0.0.0:$PORT --threads 80 --timeout 0 %s:app", module)
                     : mem_printf("%s %s.py", has(plan, ".venv/bin/python") ? ".venv/bin/python" : "python3", module);
    shell_set(command, line, false);
    free(line);
    return true;
}

/* An executable that the steps have made, in `folder` ("" or "build/"). */
static bool executable_find(const struct source_plan *plan, const char *folder, struct words *command)
{
    const char *const names[] = {plan->service, "server", "app", "main"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *path = mem_printf("%s%s", folder, names[i]);
        bool found = has(plan, path);
        if (found)
            words_add(command, mem_printf("./%s", path));
        free(path);
        if (found)
            return true;
    }
    return false;
}

static bool make_has_run(const struct source_plan *plan)
{
    struct buf text = {0};
    text_read(plan, "Makefile", &text);
    struct span rest = buf_span(&text), line;
    bool found = false;
    while (!found && span_next(&rest, '\n', &line))
        found = span_starts_with(line, SPAN_LIT("run:"));
    buf_finish(&text);
    return found;
}

bool source_command_find(const struct source_plan *plan, struct words *command, struct err *err)
{
    bool found = true;
    char *line = procfile_get(plan);
    if (line != NULL)
        shell_set(command, line, plan->kind == SOURCE_NODE);
    else if (plan->kind == SOURCE_NODE)
        found = node_find(plan, command);
    else if (plan->kind == SOURCE_PYTHON)
        found = python_find(plan, command);
    else
        found = executable_find(plan, plan->kind == SOURCE_MESON ? "build/" : "", command);
    if (!found && plan->kind == SOURCE_MAKE && make_has_run(plan)) {
        words_set(command, "make", "run", NULL);
        found = true;
    }
    free(line);
    return found || err_set(err,
                            "the source is built, and no command is known that runs it: add a Procfile with the line "
                            "`web: COMMAND`%s, or give --command",
                            plan->kind == SOURCE_NODE     ? ", or a start script in package.json"
                            : plan->kind == SOURCE_PYTHON ? ", or main.py"
                                                          : ", or an executable with the service's name");
}

const char *source_kind_name(const struct source_plan *plan)
{
    static const char *const names[SOURCE_KINDS] = {"Dockerfile", "package.json", "Python",  "meson.build",
                                                    "Makefile",   "executable",   "Procfile"};
    return names[plan->kind];
}

void source_plan_finish(struct source_plan *plan)
{
    for (int i = 0; i < SOURCE_STEPS_MAX; i++)
        words_finish(&plan->steps[i]);
    free(plan->image);
    free(plan->reference);
}
