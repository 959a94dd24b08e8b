/* deployment: the settings of a service that `sennit deploy` deploys, and the service.yaml that says so. What no flag
 * says stays as it was in the last one. */
#ifndef SENNIT_PLATFORM_DEPLOYMENT_H
#define SENNIT_PLATFORM_DEPLOYMENT_H

#include "base/buf.h"
#include "base/err.h"
#include "platform/traffic.h"
#include "platform/words.h"
#include "wire/yaml.h"

/* One field that is a text in the file; NULL: the file does not say it. */
#define DEPLOYMENT_TEXTS(X) \
    X(service_min, "run.googleapis.com/minScale") \
    X(service_max, "run.googleapis.com/maxScale") \
    X(scaling, "run.googleapis.com/scalingMode") \
    X(manual, "run.googleapis.com/manualInstanceCount") \
    X(ingress, "run.googleapis.com/ingress") \
    X(allow, "sennit.dev/allow-unauthenticated") \
    X(audiences, "run.googleapis.com/custom-audiences") \
    X(min, "autoscaling.knative.dev/minScale") \
    X(max, "autoscaling.knative.dev/maxScale") \
    X(affinity, "run.googleapis.com/sessionAffinity") \
    X(throttling, "run.googleapis.com/cpu-throttling") \
    X(generation, "run.googleapis.com/execution-environment") \
    X(unchecked, "run.googleapis.com/health-check-disabled") \
    X(redis, "sennit.dev/redis") \
    X(postgres, "sennit.dev/postgres") \
    X(concurrency, "containerConcurrency") \
    X(timeout, "timeoutSeconds") \
    X(account, "serviceAccountName") \
    X(port, "containerPort") \
    X(cpu, "cpu") \
    X(memory, "memory") \
    X(startup, "startupProbe") \
    X(liveness, "livenessProbe") \
    X(readiness, "readinessProbe")

enum deployment_text {
#define X(name, key) DEPLOYMENT_##name,
    DEPLOYMENT_TEXTS(X)
#undef X
        DEPLOYMENT_TEXTS_COUNT
};

/* Zeroed memory is one without settings. */
struct deployment {
    char *service, *revision;
    char *directory; /* of the build; NULL: there is none */
    char *image;     /* that is run, as the file names it; NULL: the command, in the directory */
    char *texts[DEPLOYMENT_TEXTS_COUNT];
    struct words env, command, args;
    struct words secrets; /* VARIABLE=NAME:VERSION, and /a/FILE=NAME:VERSION; a variable is here or in `env` */
    struct traffic traffic;
};

/* Takes over the settings of the file that was written last; nothing if there is none. False with `err` set: it is
 * there, and cannot be read. */
bool deployment_read(struct deployment *deployment, const char *path, struct err *err);
/* Sets a text; `default` takes it away. */
void deployment_set(struct deployment *deployment, enum deployment_text which, const char *text);
/* Adds NAME=VALUE pairs, divided by commas, or by D in `^D^NAME=VALUE`. False with `err` set. */
bool deployment_env_add(struct deployment *deployment, const char *pairs, struct err *err);
/* Sets the variables that a YAML file of NAME: VALUE lines has. False with `err` set. */
bool deployment_env_file_add(struct deployment *deployment, const char *path, struct err *err);
/* Adds VARIABLE=NAME:VERSION and /a/FILE=NAME:VERSION pairs, divided by commas. False with `err` set. */
bool deployment_secrets_add(struct deployment *deployment, const char *pairs, struct err *err);
/* Takes variables away, by their names divided by commas. */
void deployment_env_remove(struct deployment *deployment, const char *names);
/* Takes secrets away, by their variables or paths divided by commas. */
void deployment_secrets_remove(struct deployment *deployment, const char *names);
/* deployment_volumes.c: secrets with a path, each folder of which is a volume. */

/* Takes those of a file over: `inside` is its spec.template.spec, `container` the container. */
void deployment_volumes_take(struct deployment *deployment, const struct yaml_node *inside,
                             const struct yaml_node *container);
/* Appends `volumes`; those of the container, `volumeMounts`. */
void deployment_volumes_encode(struct buf *to, const struct deployment *deployment);
void deployment_mounts_encode(struct buf *to, const struct deployment *deployment);
/* deployment_probes.c: probes, whose texts are gcloud's KEY=VALUE,GROUP.KEY=VALUE. */

bool deployment_is_probe(enum deployment_text which);
/* Sets one; an empty list takes it away. False with `err` set: it is no such list. */
bool deployment_probe_set(struct deployment *deployment, enum deployment_text which, const char *list, struct err *err);
void deployment_probes_take(struct deployment *deployment, const struct yaml_node *container);
void deployment_probes_encode(struct buf *to, const struct deployment *deployment);
/* Appends the file. */
void deployment_encode(struct buf *to, const struct deployment *deployment);
void deployment_finish(struct deployment *deployment);

#endif
