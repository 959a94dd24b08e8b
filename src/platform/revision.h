/* revision: one state of a service that was deployed: its spec, the command and the environment that follow from it,
 * and the fleet of instances that run it. A service owns it; the ingress gets it from the route and asks its fleet. */
#ifndef SENNIT_PLATFORM_REVISION_H
#define SENNIT_PLATFORM_REVISION_H

#include "platform/command.h"
#include "platform/fleet.h"
#include "platform/spec.h"
#include "platform/up.h"

struct service;

struct revision {
    struct service *service;
    struct list of_service;
    struct service_spec spec; /* with the document that it was read from */
    struct command command;
    struct words environment; /* of every instance */
    struct fleet fleet;
    uint32_t percent; /* share of its service's requests */
};

/* Takes over `spec`, which is zeroed. Nothing starts. `options` and `programs` must outlive it. */
struct revision *revision_create(struct service *service, struct service_spec *spec, struct programs *programs,
                                 const struct up_options *options);
/* Its instances are gone. */
void revision_destroy(struct revision *revision);
/* Finds the program and makes the environment; must come before the fleet starts. False with `err` set. */
bool revision_prepare(struct revision *revision, const struct up_options *options, struct err *err);

#endif
