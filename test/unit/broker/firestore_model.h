/* firestore_model: what Firestore does, as far as the broker uses it, in memory and on the tests' loop: commits with
 * preconditions, reads, and listeners to a collection, by the API's rules
 * (https://cloud.google.com/firestore/docs/reference/rpc/google.firestore.v1). So the broker's contract is tested where
 * Google's emulator is not installed, and faults come that the emulator never makes. Where the emulator is, the same
 * contract runs on it. */
#ifndef SENNIT_TEST_FIRESTORE_MODEL_H
#define SENNIT_TEST_FIRESTORE_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "net/net.h"

struct firestore_model;

enum model_deed {
    MODEL_STATUS, /* answers with the status */
    MODEL_RESET,  /* resets the stream */
    MODEL_CUT,    /* cuts the connection */
    MODEL_LEAVE,  /* says GOAWAY */
    MODEL_SILENT, /* answers nothing */
};

/* What happens to the next `count` calls of a method instead of an answer. */
struct model_fault {
    const char *method; /* "Commit", "Listen", "BatchGetDocuments"; NULL: none */
    enum model_deed deed;
    int status;
    const char *text;
    unsigned count;
    bool carried_out; /* but what is asked is done all the same */
};

/* Process-wide, since the tests have one at a time. */
void firestore_model_start(struct net *of);
void firestore_model_finish(void);
uint16_t firestore_model_port(void);

void firestore_model_fail(const struct model_fault *fault);
/* Only calls with this token are let in; NULL: all. The text is borrowed. */
void firestore_model_bearer(const char *token);
/* How many calls of this method there were. */
unsigned firestore_model_calls(const char *method);
size_t firestore_model_documents(const char *collection);
size_t firestore_model_listeners(void);
/* Deletes all documents whose name holds this text. */
void firestore_model_delete(const char *text);

/* Listeners are told nothing; what is behind them comes when it ends. */
void firestore_model_mute(bool muted);
/* Listeners that begin are told the documents, and neither CURRENT nor a snapshot. */
void firestore_model_hold_current(bool held);
/* Says something to all listeners by hand. */
enum model_word {
    MODEL_TOLD_SNAPSHOT,        /* NO_CHANGE of the whole stream, as of now */
    MODEL_TOLD_TARGET_SNAPSHOT, /* NO_CHANGE of the target alone */
    MODEL_TOLD_EARLIER,         /* NO_CHANGE of the whole stream, as of ten seconds ago */
    MODEL_TOLD_CURRENT,
    MODEL_TOLD_RESET,     /* and then nothing: the documents are told by MODEL_TOLD_DOCUMENTS */
    MODEL_TOLD_DOCUMENTS, /* all of them */
    MODEL_TOLD_COUNT,     /* a filter with the right number */
    MODEL_TOLD_MISCOUNT,  /* a filter with one more */
    MODEL_TOLD_REMOVED,   /* the target is over: RESOURCE_EXHAUSTED */
    MODEL_TOLD_NONSENSE,
    MODEL_TOLD_END, /* ends the call with UNAVAILABLE, and no more */
    MODEL_TOLD_RESET_STREAM,
};
void firestore_model_tell(enum model_word word);
void firestore_model_leave(void);
void firestore_model_cut(void);
/* Nothing passes any more on the connections that there are, and nobody says so. */
void firestore_model_freeze(void);

#endif
