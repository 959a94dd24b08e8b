/* metadata: the metadata server of Cloud Run
 * (https://docs.cloud.google.com/run/docs/container-contract#metadata-server) for instances: where they run, and as
 * whom. Each instance has a port of loopback of its own (in a network of its own: Google's address), which its
 * variables GCE_METADATA_HOST, _IP and _ROOT name, so the port says which instance asks. Only processes of this user
 * get through.
 *
 * Access tokens are no tokens: Google refuses them, and their text says so. Identity tokens are those of identity.h: a
 * service of this `sennit up` takes them. `up` owns the server, an instance its port. */
#ifndef SENNIT_PLATFORM_METADATA_H
#define SENNIT_PLATFORM_METADATA_H

#include "http/http.h"
#include "loop/netspace.h"
#include "net/listener.h"
#include "platform/identity.h"
#include "platform/words.h"

#define METADATA_PROJECT "sennit-local"
#define METADATA_PROJECT_NUMBER "100000000000"
#define METADATA_REGION "us-central1"
/* The service account of a service that names none, as on Cloud Run. */
#define METADATA_ACCOUNT METADATA_PROJECT_NUMBER "-compute@developer.gserviceaccount.com"

enum {
    METADATA_READERS_MAX = 32, /* connections of one instance; more are closed unanswered */
    METADATA_MS_MAX = 5000,    /* for a request, and between two */
};

struct metadata {
    struct net *net;
    struct http_server http;
    struct identities *identities;
    const char *project, *region;
    uint64_t answered, refused; /* requests; connections that were closed, too */
    bool refusal_told, crowd_told, stranger_told;
};

/* Zeroed memory is closed. */
struct metadata_port {
    struct metadata *metadata;
    struct listener listener;
    struct list readers;
    uint32_t reader_count;
    uint16_t number;
    bool is_private;                /* in the instance's own network, where nobody else is */
    const char *instance, *account; /* its id, its service account's address */
};

/* `project` and `region` NULL: those above. All of it outlives the server. */
void metadata_open(struct metadata *metadata, struct net *net, struct identities *identities, const char *project,
                   const char *region);
/* Ends every connection; harmless if it was never opened. */
void metadata_close(struct metadata *metadata);

/* Listens on a free port; in the instance's own network, if it has one, at Google's address. `instance` and `account`
 * (NULL: the default one) outlive the port. False with `err` set. */
bool metadata_port_open(struct metadata_port *port, struct metadata *metadata, const char *instance,
                        const char *account, const struct netspace *netspace, struct err *err);
/* Adds the variables by which client libraries find it, unless the operator has set one of them: then he means another
 * server. */
void metadata_port_name(const struct metadata_port *port, struct words *env);
/* Harmless if it is closed. */
void metadata_port_close(struct metadata_port *port);

/* metadata_answer.c, pure but for the key and the random numbers of a token. */

/* Why a request is refused, with `*status`: a text for the one who asks. NULL: it is not. */
const char *metadata_fault(const struct http1_head *head, int *status);
struct metadata_answer {
    int status;
    struct span type;
    struct buf text;
};
/* Answers a target such as "/computeMetadata/v1/instance/region"; the answer's text is appended to. */
void metadata_answer(struct metadata_answer *answer, const struct metadata_port *port, struct span target);

#endif
