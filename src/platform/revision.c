/* revision: makes what a fleet needs of a spec. */
#include "platform/revision.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/moves.h"
#include "platform/environment.h"
#include "platform/secrets.h"
#include "platform/service.h"

#define REVISION_MOVES(MOVE) \
    MOVE(REVISION_LOADED, REVISION_READY) \
    MOVE(REVISION_LOADED, REVISION_PROVING) \
    MOVE(REVISION_PROVING, REVISION_READY) \
    MOVE(REVISION_PROVING, REVISION_FAILED)

void revision_set_state(struct revision *revision, enum revision_state state, const char *fault)
{
    static const bool legal[REVISION_STATES][REVISION_STATES] = {REVISION_MOVES(MOVE_LEGAL)};
    assert(legal[revision->state][state]);
    revision->state = (uint8_t)state;
    free(revision->fault);
    revision->fault = fault != NULL ? mem_text(span_str(fault)) : NULL;
}

const char *revision_state_name(const struct revision *revision)
{
    static const char *const names[REVISION_STATES] = {"loaded", "deploying", "ready", "failed"};
    return names[revision->state];
}

struct revision *revision_create(struct service *service, struct service_spec *spec, struct programs *programs,
                                 const struct up_options *options)
{
    struct revision *revision = mem_zero(1, sizeof *revision);
    revision->service = service;
    revision->created_ms = loop_wall_ms(programs->loop);
    revision->spec = *spec;
    *spec = (struct service_spec){0};
    list_init(&revision->of_service);
    fleet_init(&revision->fleet, programs, &revision->spec, &revision->command, &revision->environment);
    revision->fleet.text_log = options->text_log;
    revision->fleet.bill = &service->bill;
    revision->fleet.book = &service->book;
    if (options->time_scale != 0)
        revision->fleet.time_scale = options->time_scale;
    if (options->kpa)
        revision->spec.scaling.is_kpa = true;
    if (options->idle_ms != 0)
        revision->fleet.idle_ms = options->idle_ms;
    if (options->startup_ms != 0)
        revision->fleet.startup_ms_max = options->startup_ms;
    return revision;
}

void revision_destroy(struct revision *revision)
{
    fleet_finish(&revision->fleet);
    command_finish(&revision->command);
    words_finish(&revision->environment);
    service_spec_finish(&revision->spec);
    free(revision->fault);
    free(revision);
}

/* A version that is called `latest` is the one that is the latest now. */
static bool secrets_read(struct revision *revision, const struct up_options *options, struct err *err)
{
    const struct words *secrets = &revision->spec.secrets;
    char *directory = secrets_directory(options->secrets);
    bool ok = true;
    for (size_t i = 0; ok && i + 2 < secrets->count; i += 3) {
        struct buf text = {0};
        buf_printf(&text, "%s=", secrets->list[i]);
        ok = secret_read(directory, secrets->list[i + 1], secrets->list[i + 2], &text, err) ||
             err_prefix(err, "%s: the variable %s: ", revision->spec.path, secrets->list[i]);
        if (ok)
            environment_set(&revision->environment, mem_text(buf_span(&text)));
        buf_finish(&text);
    }
    free(directory);
    return ok;
}

bool revision_prepare(struct revision *revision, const struct up_options *options, struct err *err)
{
    const struct words *own = &revision->spec.env;
    environment_add_system(&revision->environment);
    for (size_t i = 0; i < own->count; i++)
        environment_set(&revision->environment, mem_text(span_str(own->list[i])));
    return secrets_read(revision, options, err) &&
           environment_pass(&revision->environment, options->pass, options->pass_count, err) &&
           command_find(&revision->command, &revision->spec, revision->spec.path, options->run, err);
}
