/* deploy_build: STATE/sources/SERVICE/REVISION is the source as it was deployed, and what was built of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/shown.h"
#include "cli/deploy.h"
#include "loop/child.h"
#include "loop/file.h"
#include "platform/ignore.h"
#include "platform/image.h"
#include "platform/source.h"
#include "wire/json.h"

/* A step that runs: a child with a loop of its own. */
struct step {
    struct child child;
    struct loop *loop;
    struct child_end end;
};

static void line_print(struct child *child, bool is_stderr, struct span line)
{
    struct buf shown = {0};
    shown_append(&shown, line, SIZE_MAX);
    printf("    " SPAN_FMT "\n", SPAN_ARG(buf_span(&shown)));
    fflush(stdout);
    buf_finish(&shown);
}

static void step_ended(struct child *child, struct child_end end)
{
    struct step *step = container_of(child, struct step, child);
    step->end = end;
    loop_stop(step->loop);
}

static bool step_run(const struct words *argv, const char *directory, struct err *err)
{
    struct step step = {.loop = loop_create(err)};
    struct buf line = {0};
    for (size_t i = 0; i < argv->count; i++)
        buf_printf(&line, "%s%s", i > 0 ? " " : "", argv->list[i]);
    printf("  Building: " SPAN_FMT "\n", SPAN_ARG(buf_span(&line)));
    fflush(stdout);
    const struct child_spec spec = {.argv = (const char *const *)argv->list, .directory = directory};
    bool ok = step.loop != NULL && child_start(&step.child, step.loop, &spec, line_print, step_ended, err);
    if (ok) {
        loop_run(step.loop);
        ok = (step.end.signal == 0 && step.end.exit_status == 0) ||
             err_set(err, "the build failed: %.200s ended with %s %d; nothing was deployed",
                     buf_span(&line).len > 0 ? argv->list[0] : "", step.end.signal != 0 ? "signal" : "exit status",
                     step.end.signal != 0 ? step.end.signal : step.end.exit_status);
    }
    loop_destroy(step.loop);
    buf_finish(&line);
    return ok;
}

/* The state folder, to which the source is copied, may be inside of the source. */
static bool home_exclude(struct ignore *ignore, const struct deploy *deploy, struct err *err)
{
    char *source = file_absolute(deploy->source), *home = file_absolute(deploy->home);
    bool ok = true;
    size_t len = strlen(source);
    if (strncmp(home, source, len) == 0 && home[len] == '/') {
        char *rule = mem_printf("%s\n", home + len);
        ok = ignore_add(ignore, span_str(rule), err);
        free(rule);
    }
    free(source);
    free(home);
    return ok;
}

static bool source_copy(const struct deploy *deploy, const char *to, struct err *err)
{
    struct ignore ignore = {0};
    struct tree_count count;
    bool ok = ignore_read(&ignore, deploy->source, err) || err_prefix(err, "the rules about files to leave out: ");
    ok = ok && home_exclude(&ignore, deploy, err);
    ok = ok && tree_copy(deploy->source, to, &ignore.filter, &count, err);
    if (ok)
        printf("  Copying the source: %u files, %llu KB\n", count.files,
               (unsigned long long)(count.bytes + 999) / 1000);
    ignore_finish(&ignore);
    return ok;
}

/* The steps, told. */
static bool plan_make(const struct deploy *deploy, const char *directory, struct source_plan *plan, struct err *err)
{
    const struct deployment *wanted = &deploy->wanted;
    if (deploy->image != NULL)
        return source_image_plan(plan, directory, deploy->image, err) && file_make_directory(directory, err);
    *plan = (struct source_plan){0};
    if (!source_copy(deploy, directory, err) ||
        !source_plan_make(plan, directory, wanted->service, wanted->revision, err))
        return err_prefix(err, "--source=%.300s: ", deploy->source);
    printf("  Building with %s%s%s\n", source_kind_name(plan), plan->image != NULL ? " and " : "",
           plan->image != NULL ? plan->builder : "");
    if (plan->ignores_dockerfile)
        printf("  (its Dockerfile is left aside: neither podman nor docker is installed here)\n");
    return true;
}

static bool build(struct deploy *deploy, const char *directory, struct err *err)
{
    struct source_plan plan;
    struct deployment *wanted = &deploy->wanted;
    bool ok = plan_make(deploy, directory, &plan, err);
    for (size_t i = 0; ok && i < plan.step_count; i++)
        ok = step_run(&plan.steps[i], directory, err);
    if (ok && plan.reference != NULL)
        wanted->image = mem_text(span_str(plan.reference));
    else if (ok && wanted->command.count == 0)
        ok = source_command_find(&plan, &wanted->command, err);
    source_plan_finish(&plan);
    return ok;
}

/* One on the disk stays where it is. */
static bool image_take(struct deploy *deploy, struct err *err)
{
    struct image image;
    bool ok = image_read(&image, deploy->image, "here", err) || err_prefix(err, "--");
    image_finish(&image);
    if (ok)
        deploy->wanted.image = image_reference_complete(deploy->image);
    return ok;
}

bool deploy_build(struct deploy *deploy, struct err *err)
{
    if (deploy->image != NULL && image_is_local(deploy->image))
        return image_take(deploy, err);
    char *builds = mem_printf("%s/sources/%s", deploy->home, deploy->wanted.service);
    char *directory = mem_printf("%s/%s", builds, deploy->wanted.revision);
    bool ok = file_make_directory(builds, err);
    if (ok && file_is_directory(directory))
        ok = err_set(err, "there is a build of the revision %s already: --revision-suffix with another one",
                     deploy->wanted.revision);
    else if (ok && !build(deploy, directory, err)) {
        tree_remove(directory);
        ok = false;
    }
    if (ok)
        deploy->wanted.directory = file_absolute(directory);
    free(builds);
    free(directory);
    return ok;
}

static bool is_known(struct span services, const char *service, const char *revision)
{
    struct span list = json_object_get(services, SPAN_LIT("services")), one, inner;
    while (list.data != NULL && json_array_next(&list, &one)) {
        if (!json_string_equal(json_object_get(one, SPAN_LIT("name")), span_str(service)))
            continue;
        struct span revisions = json_object_get(one, SPAN_LIT("revisions"));
        while (revisions.data != NULL && json_array_next(&revisions, &inner))
            if (json_string_equal(json_object_get(inner, SPAN_LIT("name")), span_str(revision)))
                return true;
    }
    return false;
}

void deploy_undo(const struct deploy *deploy)
{
    if (deploy->wanted.directory != NULL)
        tree_remove(deploy->wanted.directory);
}

void deploy_sweep(const struct deploy *deploy)
{
    struct span services = json_trim(buf_span(&deploy->services));
    const struct deployment *wanted = &deploy->wanted;
    struct err ignored;
    char *builds = mem_printf("%s/sources/%s", deploy->home, wanted->service);
    char **names = services.len > 0 ? file_list(builds, "", &ignored) : NULL;
    for (size_t i = 0; names != NULL && names[i] != NULL; i++) {
        char *path = mem_printf("%s/%s", builds, names[i]);
        if (strcmp(names[i], wanted->revision) != 0 && !is_known(services, wanted->service, names[i]))
            tree_remove(path);
        free(path);
        free(names[i]);
    }
    free(names);
    free(builds);
}
