/* spec: the service as its YAML file describes it: Knative's `Service`, with the fields and annotations of Cloud Run.
 * https://cloud.google.com/run/docs/reference/yaml/v1 . Unknown fields are refused by name and line. Fields that the
 * platforms know and that have no effect here are listed, with what that means. */
#ifndef SENNIT_PLATFORM_SPEC_H
#define SENNIT_PLATFORM_SPEC_H

#include "base/buf.h"
#include "base/err.h"
#include "platform/kpa.h"
#include "platform/spec_probe.h"
#include "platform/traffic.h"
#include "platform/volumes.h"
#include "platform/words.h"

enum {
    SPEC_CONCURRENCY_DEFAULT = 80,
    SPEC_CONCURRENCY_MAX = 1000,
    SPEC_TIMEOUT_S_DEFAULT = 300,
    SPEC_TIMEOUT_S_MAX = 3600,
    SPEC_INSTANCES_DEFAULT = 100,
    SPEC_PORT_DEFAULT = 8080,
    SPEC_INSTANCES_MAX = 1000,
    SERVICE_NAME_BYTES_MAX = 49, /* Cloud Run's bound */
    SPEC_AUDIENCES_MAX = 100,
    SPEC_AUDIENCES_BYTES_MAX = 32768, /* of their JSON, Cloud Run's bound */
    SPEC_INVOKERS_MAX = 100,
    SPEC_TEXT_BYTES_MAX = 100 * 1024, /* of one text; the kernel accepts no argument or variable of 128 KiB, */
    SPEC_BYTES_MAX = 1 << 20,         /* and no more than about 2 MiB of all of them */
};
enum { SPEC_CPU_MILLI_MAX = 8000 };
#define SPEC_MEMORY_MIN ((uint64_t)128 << 20)
#define SPEC_MEMORY_MAX ((uint64_t)32 << 30)
#define SPEC_MEMORY_4_CPU ((uint64_t)2 << 30)
#define SPEC_MEMORY_6_CPU ((uint64_t)4 << 30)
#define SPEC_TARGET_DEFAULT 0.6                    /* of slots and of CPU */
#define SPEC_REDIS_MEMORY_MIN ((uint64_t)16 << 20) /* for an empty Redis and its scripts */
#define SPEC_REDIS_MEMORY_DEFAULT ((uint64_t)512 << 20)
#define SPEC_REDIS_MEMORY_MAX ((uint64_t)1 << 40)

/* What annotations say about the number of instances, beside minScale and maxScale. */
struct scaling {
    double concurrency_target, cpu_target; /* see autoscaler_policy */
    bool is_manual, is_kpa;
    uint32_t instances_manual;
    struct kpa_policy kpa;
};

/* Who may call a service: sennit.dev/allow-unauthenticated. */
enum spec_access { SPEC_ACCESS_UNSAID, SPEC_ACCESS_OPEN, SPEC_ACCESS_CLOSED };

/* A user's or a group's number, if the file gives it. */
struct spec_id {
    bool is_given;
    uint32_t number;
};

struct service_spec {
    char *path;          /* of the file, as the operator named it */
    struct buf document; /* the file, as it was written */
    char *name, *revision;
    bool revision_given; /* the file names it; else its number may change */
    struct buf shape;    /* all that makes a revision, without the form it was written in: two that are equal are one */
    struct traffic traffic; /* empty: all to the latest revision */
    char *image;
    struct words command, args, env; /* env: NAME=value */
    /* valueFrom.secretKeyRef, three words each: the variable, the secret's name, its version. A variable is here or in
     * `env`. */
    struct words secrets;
    struct volumes volumes;
    char *working_dir;
    char *run;       /* sennit.dev/run */
    char *hint;      /* sennit.dev/hint */
    char *directory; /* of the file */
    uint32_t concurrency, timeout_s, instances_min, instances_max;
    struct scaling scaling;
    uint32_t container_port;
    uint64_t memory_bytes_max;             /* resources.limits.memory; 0: it says nothing */
    uint32_t cpu_milli;                    /* resources.limits.cpu; 0 likewise */
    uint32_t cpu_request_milli;            /* resources.requests.cpu; 0 likewise */
    struct spec_id uid, gid;               /* securityContext.runAsUser, runAsGroup */
    bool not_root;                         /* securityContext.runAsNonRoot */
    bool throttled;                        /* run.googleapis.com/cpu-throttling: no CPU without a request */
    struct probe_spec probes[SPEC_PROBES]; /* PROBE_NONE: none */
    char *questions[SPEC_PROBES];          /* their texts */
    bool affinity;                         /* run.googleapis.com/sessionAffinity */
    bool redis, postgres;                  /* sennit.dev/redis: managed, and likewise */
    uint64_t redis_restart_delay_ms;
    uint64_t redis_memory_bytes_max; /* sennit.dev/redis-memory */
    uint8_t access;                  /* enum spec_access */
    bool iam_disabled;               /* run.googleapis.com/invoker-iam-disabled */
    struct words audiences;          /* run.googleapis.com/custom-audiences */
    struct words invokers; /* sennit.dev/invokers: e-mail addresses of those who may call it; empty: see admission.h */
    char *service_account; /* NULL: the default one */
    struct words lacking;  /* "field: what happens instead", of fields that have no effect here */
    struct buf inert;      /* names, separated by ", ", of those that nobody misses */
    size_t bytes;          /* of all texts */
};

/* Whether a service may have this name: 1 to SERVICE_NAME_BYTES_MAX lower-case letters, digits and hyphens, of which
 * the first is a letter and the last no hyphen. */
bool service_name_is_valid(struct span name);
/* Whether a revision of this service may have this name: the service's, a hyphen, and more such characters. */
bool revision_name_is_valid(struct span name, struct span service);
/* Reads one document. `path` is for messages, and its directory is the start of relative paths. False with `err` set:
 * file, line and field. Call service_spec_finish in either case. Files are read by spec_file.h. */
bool service_spec_parse(struct service_spec *spec, const char *path, struct span text, struct err *err);
void service_spec_finish(struct service_spec *spec); /* accepts zeroed memory */

#endif
