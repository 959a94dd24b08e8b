/* volumes: `volumes` and `volumeMounts` of service.yaml: secrets as files, and memory. An instance sees them at their
 * mountPath, and nobody else does (loop/mounts.h). What a secret's file shows is the version that is there when it is
 * opened, a second after a change at the latest.
 * https://cloud.google.com/run/docs/configuring/services/secrets and .../in-memory-volume-mounts */
#ifndef SENNIT_PLATFORM_VOLUMES_H
#define SENNIT_PLATFORM_VOLUMES_H

#include "base/err.h"
#include "loop/file.h"
#include "loop/mounts.h"

enum { VOLUMES_MAX = MOUNTS_VOLUMES_MAX, VOLUME_ITEMS_MAX = MOUNTS_FILES_MAX /* of a service */ };
enum { VOLUME_MODE_DEFAULT = 0444, VOLUME_MODE_MASK = 0555 /* Cloud Run's umask of 0222 */ };

/* VOLUME_NONE: one of a kind that is not here, which is said at the start. */
enum volume_kind { VOLUME_NONE, VOLUME_SECRET, VOLUME_MEMORY };

struct volume_item {
    char *version, *path; /* of the secret; below the mountPath */
    uint32_t mode;
};
struct volume {
    char *name;
    enum volume_kind kind;
    char *secret;
    struct volume_item *items;
    size_t item_count;
    uint64_t bytes_max; /* of memory; 0: the instance's */
};
struct volume_mount {
    size_t volume; /* its index */
    char *path;
    bool read_only;
};
/* Of one service. Zeroed memory is one without volumes. */
struct volumes {
    struct volume *list;
    struct volume_mount *mounts;
    size_t count, mount_count, item_count; /* items of all volumes */
};
void volumes_finish(struct volumes *volumes);
/* Whether an instance gets mounts of its own. */
bool volumes_any(const struct volumes *volumes);

/* Those of one instance while it runs: which version each item shows. Zeroed memory is one without. */
struct volumes_shown {
    int store; /* see mounts_store; -1: none */
    struct volume_shown {
        char *path; /* of the version's file; NULL: the secret is not there */
        struct file_about about;
    } * items; /* in the order of the volumes; NULL: none */
};

/* Where an instance sees them. */
struct volumes_place {
    const char *secrets;             /* the folder; NULL: the default one */
    uint64_t memory_bytes;           /* of the instance; 0: no bound */
    const struct mount_image *image; /* over whose files they lie; NULL: over this machine's */
    const char *hosts;               /* see mounts_wanted */
};

/* Plans the mounts of an instance, with the secrets as they are now. `shown` is zeroed. False with `err` set. Call
 * mounts_finish and volumes_shown_finish in either case. */
bool volumes_plan(struct mounts *mounts, struct volumes_shown *shown, const struct volumes *volumes,
                  const struct volumes_place *place, struct err *err);
/* Tries them, as a deployment does. False with `err` set: a secret is not there, or they cannot be mounted here. With
 * an image, whose files may not be there yet, the secrets alone. */
bool volumes_check(const struct volumes *volumes, const char *secrets, uint64_t memory_bytes, bool has_image,
                   struct err *err);
/* The program has started. */
void volumes_begin(struct volumes_shown *shown, struct mounts *mounts);
/* Looks for secrets that have changed, and writes their files. Returns how many files it could not write; `err` then
 * says why of the last one. A secret that has gone takes its file with it. */
unsigned volumes_refresh(struct volumes_shown *shown, const struct volumes *volumes, const char *secrets,
                         struct err *err);
void volumes_shown_finish(struct volumes_shown *shown, const struct volumes *volumes);

#endif
