/* deploy: the steps of `sennit deploy`, in their order. cmd_deploy.c reads the flags; each step has a file. */
#ifndef SENNIT_CLI_DEPLOY_H
#define SENNIT_CLI_DEPLOY_H

#include "platform/deployment.h"

/* All texts are borrowed, but those of `deployment`. */
struct deploy {
    const char *state;  /* as --state says; NULL: the default */
    const char *listen; /* port of a `sennit up` that has to be started */
    const char *source, *tag, *suffix;
    const char *image; /* instead of a source; NULL: the source */
    bool no_traffic, text;
    char *home;               /* the state folder */
    char *file;               /* the service.yaml that is written */
    bool runs;                /* a `sennit up` answers already */
    struct buf services;      /* its answer */
    struct deployment wanted; /* what is deployed */
};

/* deploy_host.c: asks the running `sennit up` for its services, and sets `runs`. */
void deploy_look(struct deploy *deploy);
/* deploy_plan.c: names the revision, and says where requests go. False with `err` set. */
bool deploy_plan(struct deploy *deploy, struct err *err);
/* deploy_build.c: copies the source into a folder of the revision's own, builds it there, and sets the command, or the
 * image. An image that podman or docker has is saved there; one on the disk needs no folder. False with `err` set, and
 * nothing is left. */
bool deploy_build(struct deploy *deploy, struct err *err);
/* Removes the build: no revision has come of it. */
void deploy_undo(const struct deploy *deploy);
/* Removes builds whose revision is gone. */
void deploy_sweep(const struct deploy *deploy);
/* deploy_host.c: deploys it on the running `sennit up`, or on one that it starts and keeps until Ctrl-C. Returns the
 * exit status; -1 with `err` set. */
int deploy_host(struct deploy *deploy, struct err *err);

#endif
