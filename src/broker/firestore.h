/* firestore: the broker on Google's Firestore, for instances that have no server of their own.
 *
 * Nothing there counts: a document takes about one write a second. Instead each instance writes what it calls as
 * documents of its own, and Firestore's commit times order them. Each instance listens to these documents; when the
 * listener says that everything up to a time is known, the instance carries out the calls up to that time, in the order
 * of commit time and name. So all instances do the same in the same order, and each has the whole state: logs with
 * numbers without gaps, leases, presence. See ARCHITECTURE.md ("On Firestore").
 *
 * There are no records (broker/record.h): a polling session stays on its instance. */
#ifndef SENNIT_BROKER_FIRESTORE_H
#define SENNIT_BROKER_FIRESTORE_H

#include "broker/broker.h"
#include "net/net.h"

enum {
    FIRESTORE_ENTRY_BYTES_MAX =
        3 << 20, /* room, audience, body and name of one publish: the emulator takes requests of 4 MiB */
    FIRESTORE_STORE_BYTES = 32 << 20, /* of all logs, unless configured: each instance has them in memory */
};

struct broker_firestore_config {
    const char *url;      /* firestore://PROJECT[/DATABASE] */
    const char *prefix;   /* the collection in which everything is: PREFIX/broker */
    const char *instance; /* this instance's id, unique in the fleet */
    /* From the environment; NULL or empty: not set. */
    const char *emulator_host; /* FIRESTORE_EMULATOR_HOST: host:port, without TLS */
    const char *key_file;      /* GOOGLE_APPLICATION_CREDENTIALS: a service account's key */
    const char *metadata_host; /* GCE_METADATA_HOST; else metadata.google.internal */
    struct broker_bounds bounds;
};

/* NULL with `err` set if the URL or the key file is wrong, or this program was built without nghttp2 and protobuf-c.
 * Connects from the loop, and reconnects without end, with backoff (100 ms doubling to 5 s, jittered). */
struct broker *broker_firestore_create(struct net *net, const struct broker_firestore_config *config, struct err *err);

#endif
