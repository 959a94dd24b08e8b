/* broker_config: which broker an instance uses, by its flags, its environment, and what its namespaces need.
 *
 *     --broker memory | file:DIR | redis | postgres://... | postgres | firestore://...
 *
 * or nothing: Redis with a URL, else the disk if a namespace logs. */
#ifndef SENNIT_SERVE_BROKER_CONFIG_H
#define SENNIT_SERVE_BROKER_CONFIG_H

#include "base/err.h"
#include "broker/file.h"

enum broker_choice {
    BROKER_CHOICE_UNMADE,
    BROKER_CHOICE_MEMORY,
    BROKER_CHOICE_FILE,
    BROKER_CHOICE_REDIS,
    BROKER_CHOICE_POSTGRES,
    BROKER_CHOICE_FIRESTORE
};

/* From the command line; NULL: not given. */
struct broker_options {
    const char *broker, *redis_url;
    const char *sync; /* "second", "batch" or "never" */
};

struct broker_config {
    enum broker_choice choice;
    char *url;       /* of Redis, of Postgres, or of Firestore */
    bool affinity;   /* the balancer sends a polling session's requests to one instance */
    char *directory; /* of the disk */
    enum journal_sync sync;
};

/* Reads flags and environment. The choice may remain to be made. False with `err` set. */
bool broker_config_read(struct broker_config *config, const struct broker_options *options, struct err *err);
/* Makes the choice if it is still open: the disk if a namespace `logs`, in a directory for `config_path` (NULL: none).
 */
void broker_config_settle(struct broker_config *config, bool logs, const char *config_path);
/* Whether the broker can do what the rest of the configuration asks for. False with `err` set, which has the cure. */
bool broker_config_check(const struct broker_config *config, bool polling, uint64_t max_payload, struct err *err);
/* Whether instances share it: those with the same one are one fleet. With any other, each instance is alone. */
bool broker_config_is_common(const struct broker_config *config);
void broker_config_finish(struct broker_config *config); /* accepts zeroed memory */
/* Its name, for people. */
const char *broker_config_name(const struct broker_config *config);

#endif
