/* up: runs a service.yaml on this machine, as Cloud Run would. `cli` calls it. */
#ifndef SENNIT_PLATFORM_UP_H
#define SENNIT_PLATFORM_UP_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { UP_PASS_MAX = 1000, UP_PATHS_MAX = 100 };

/* All texts are borrowed until up_run returns. */
struct up_options {
    const char *const *paths; /* of files and folders; at least one, at most UP_PATHS_MAX */
    size_t path_count;
    const char *bare;               /* the service that answers the address without a name; NULL: see route.h */
    const char *run;                /* the command to run instead of the image; NULL: as the file says */
    const char *user;               /* root switches to this user when the port is open; NULL: no switch */
    const char *state_dir;          /* of the managed servers; NULL: under $XDG_STATE_HOME or ~/.local/state */
    const char *tls_cert, *tls_key; /* PEM files: the ingress speaks TLS; NULL: see `tls` */
    bool tls;                       /* with certificates of its own making; the authority is kept in the state folder */
    const char *proxies;            /* see proxies_read; NULL: none */
    bool close_frame;               /* see ingress_options */
    bool propagate_disconnect;      /* see ingress_options */
    uint32_t trusted_hops;          /* see ingress_options */
    const char *secrets;            /* the folder of secrets; NULL: see secrets_directory */
    const char *identity_keys, *identity_issuer; /* see identities_open; NULL: none */
    bool closed;                      /* services that say nothing take requests with an identity token alone */
    const char *project, *region;     /* what the metadata server says; NULL: see metadata.h */
    const char *bind;                 /* see ingress_options */
    uint16_t port;                    /* of the ingress; 0 picks a free one */
    uint32_t connections;             /* of clients at once; 0: from the descriptor limit */
    uint32_t connections_per_address; /* of clients of one address; 0: half */
    int32_t status_port;              /* below 0: none; 0 picks a free one */
    uint64_t idle_ms, startup_ms;     /* 0: the defaults */
    uint32_t time_scale;              /* the platform's clock runs so many times faster; 0: as it does */
    bool may_be_empty;                /* a folder without a service will do: commands add them */
    bool kpa;                         /* Knative's autoscaler, whatever the file says */
    bool text_log;
    uint8_t request_log;     /* enum request_log_choice */
    uint8_t network;         /* enum network_choice */
    const char *const *pass; /* names of the operator's variables to pass to instances */
    size_t pass_count;       /* at most UP_PASS_MAX */
};

/* Reads the file, and logs which of its fields have no effect here. False with `err` set: it cannot be run. */
bool up_check(const struct up_options *options, struct err *err);
/* Runs until SIGINT or SIGTERM. False with `err` set if it cannot start. */
bool up_run(const struct up_options *options, struct err *err);

#endif
