/* firestore_process: Google's emulator of Firestore, on a free port of the loopback. It is a program in Java that takes
 * some seconds to start; a test that finds one in FIRESTORE_EMULATOR_HOST takes that one and leaves it alone. */
#ifndef SENNIT_TEST_FIRESTORE_PROCESS_H
#define SENNIT_TEST_FIRESTORE_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "broker/broker.h"
#include "net/net.h"

struct firestore_process {
    pid_t pid; /* 0: not ours, or not running */
    uint16_t port;
    bool is_modelled; /* it is firestore_model, which each test has anew */
};

/* False when this build has no Firestore, or this machine neither the emulator nor Java. */
bool firestore_process_is_installed(void);
/* Starts it, or fails the test. It ends with the program at the latest. */
void firestore_process_start(struct firestore_process *firestore);
/* Accepts zeroed. */
void firestore_process_finish(struct firestore_process *firestore);
/* A broker on it, or on what else listens at `host` (HOST:PORT). */
struct broker *firestore_process_broker(struct net *net, const char *host, const char *prefix, const char *instance,
                                        const struct broker_bounds *bounds, struct err *err);

#endif
