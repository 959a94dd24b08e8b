/* revision: makes what a fleet needs of a spec. */
#include "platform/revision.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/moves.h"
#include "platform/environment.h"
#include "platform/image_program.h"
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
    revision->fleet.secrets = options->secrets;
    revision->fleet.network = options->network;
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
    image_unpack_finish(&revision->unpack);
    command_finish(&revision->command);
    words_finish(&revision->environment);
    service_spec_finish(&revision->spec);
    free(revision->fault);
    free(revision);
}

/* They must be there when it is deployed; each instance reads them again when it starts. */
static bool secrets_check(const struct revision *revision, const struct up_options *options, struct err *err)
{
    struct words values = {0};
    bool ok = secrets_take(&values, &revision->spec.secrets, options->secrets, err) ||
              err_prefix(err, "%s: ", revision->spec.path);
    words_finish(&values);
    return ok && (volumes_check(&revision->spec.volumes, options->secrets, revision->spec.memory_bytes_max,
                                command_wants_image(&revision->spec, options->run), err) ||
                  err_prefix(err, "%s: ", revision->spec.path));
}

/* The fleet's instances run on the image's files, or say why these are not there. */
static void image_give(const struct image_unpack *unpack, struct fleet *fleet)
{
    fleet->image_root = unpack->ok ? unpack->root : NULL;
    fleet->image_fault = unpack->ok ? NULL : unpack->err.text;
}

static void unpacked(struct image_unpack *unpack)
{
    struct revision *revision = container_of(unpack, struct revision, unpack);
    struct fleet *fleet = &revision->fleet;
    image_give(unpack, fleet);
    if (unpack->ok)
        LOGBOOK_EVENT(fleet->book, ((struct log_origin){.revision = revision->spec.revision}), LOG_INFO,
                      "the image is unpacked", LOG_C("image", revision->spec.image), LOG_C("folder", unpack->root));
    fleet_unpacked(fleet);
}

void revision_start(struct revision *revision, bool proves)
{
    const struct image *image = &revision->command.image;
    struct fleet *fleet = &revision->fleet;
    const char *state_dir = revision->service->options->state_dir;
    if (image->digest[0] != '\0') {
        fleet->unpacks = !image_unpack_begin(&revision->unpack, image, state_dir, fleet->loop, unpacked);
        if (fleet->unpacks)
            LOGBOOK_EVENT(fleet->book, ((struct log_origin){.revision = revision->spec.revision}), LOG_INFO,
                          "unpacking the image", LOG_C("image", revision->spec.image));
        else
            image_give(&revision->unpack, fleet);
    }
    if (proves)
        fleet_prove(fleet);
    else
        fleet_start(fleet);
}

void revision_shape_complete(struct service_spec *spec, const struct up_options *options)
{
    struct image image = {0};
    struct err ignored; /* revision_prepare tells it */
    if (command_wants_image(spec, options->run) && image_read(&image, spec->image, spec->path, &ignored))
        buf_printf(&spec->shape, "image %s\n", image.digest);
    image_finish(&image);
}

bool revision_prepare(struct revision *revision, const struct up_options *options, struct err *err)
{
    const struct words *own = &revision->spec.env;
    if (!command_find(&revision->command, &revision->spec, revision->spec.path, options->run, err))
        return false;
    if (revision->command.image.digest[0] != '\0')
        image_environment(&revision->environment, &revision->command.image);
    else
        environment_add_system(&revision->environment);
    for (size_t i = 0; i < own->count; i++)
        environment_set(&revision->environment, mem_text(span_str(own->list[i])));
    for (size_t i = 0; i < revision->spec.secrets.count; i += 3)
        environment_unset(&revision->environment, span_str(revision->spec.secrets.list[i]));
    return secrets_check(revision, options, err) &&
           environment_pass(&revision->environment, options->pass, options->pass_count, err);
}
