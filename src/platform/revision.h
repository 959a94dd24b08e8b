/* revision: one state of a service that was deployed: its spec, the command and the environment that follow from it,
 * and the fleet of instances that run it. It never changes; only its share of the requests does. A service owns it; the
 * ingress gets it from the route and asks its fleet.
 *
 *   REVISION_MOVES:
 *     LOADED --its service starts with it--> READY
 *     LOADED --it is deployed--> PROVING --its first instance is ready--> READY
 *     PROVING --that one is not, or a newer revision comes first--> FAILED
 */
#ifndef SENNIT_PLATFORM_REVISION_H
#define SENNIT_PLATFORM_REVISION_H

#include "platform/command.h"
#include "platform/fleet.h"
#include "platform/image_unpack.h"
#include "platform/spec.h"
#include "platform/up.h"

struct service;

/* As texts in the state folder and for users: revision_state_name. */
enum revision_state { REVISION_LOADED, REVISION_PROVING, REVISION_READY, REVISION_FAILED, REVISION_STATES };

struct revision {
    struct service *service;
    struct list of_service;
    struct service_spec spec; /* with the document that it was read from */
    struct command command;
    struct words environment; /* of every instance */
    struct image_unpack unpack;
    struct fleet fleet;
    uint32_t percent; /* share of its service's requests */
    uint8_t state;    /* enum revision_state */
    char *fault;      /* of a FAILED one: why */
    int64_t created_ms;
};

/* Takes over `spec`, which is zeroed. Nothing starts. `options` and `programs` must outlive it. */
struct revision *revision_create(struct service *service, struct service_spec *spec, struct programs *programs,
                                 const struct up_options *options);
/* The only function that changes its state. `fault` is for FAILED, and copied. */
void revision_set_state(struct revision *revision, enum revision_state state, const char *fault);
const char *revision_state_name(const struct revision *revision);
/* Lets its fleet start, and its image be unpacked before the first instance does. `proves`: see fleet_prove. */
void revision_start(struct revision *revision, bool proves);
/* Completes spec.shape by what the image on the disk is now: another image of the same name makes another revision. */
void revision_shape_complete(struct service_spec *spec, const struct up_options *options);
/* Its instances are gone. */
void revision_destroy(struct revision *revision);
/* Finds the program and makes the environment; must come before the fleet starts. False with `err` set. */
bool revision_prepare(struct revision *revision, const struct up_options *options, struct err *err);

#endif
