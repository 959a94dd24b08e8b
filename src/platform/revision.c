/* revision: makes what a fleet needs of a spec. */
#include "platform/revision.h"

#include <stdlib.h>

#include "base/mem.h"
#include "platform/environment.h"

struct revision *revision_create(struct service *service, struct service_spec *spec, struct programs *programs,
                                 const struct up_options *options)
{
    struct revision *revision = mem_zero(1, sizeof *revision);
    revision->service = service;
    revision->spec = *spec;
    *spec = (struct service_spec){0};
    list_init(&revision->of_service);
    fleet_init(&revision->fleet, programs, &revision->spec, &revision->command, &revision->environment);
    revision->fleet.text_log = options->text_log;
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
    free(revision);
}

bool revision_prepare(struct revision *revision, const struct up_options *options, struct err *err)
{
    const struct words *own = &revision->spec.env;
    environment_add_system(&revision->environment);
    for (size_t i = 0; i < own->count; i++)
        environment_set(&revision->environment, mem_text(span_str(own->list[i])));
    return environment_pass(&revision->environment, options->pass, options->pass_count, err) &&
           command_find(&revision->command, &revision->spec, revision->spec.path, options->run, err);
}
