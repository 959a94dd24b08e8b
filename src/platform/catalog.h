/* catalog: the services of one `sennit up`, and what changes them while they run: the operator's file (at the start and
 * by SIGHUP) and the commands of the control socket (platform/control.h). `up` owns it.
 *
 *     file, folder, text --> specs --> plan of each service --> all of them are carried out, or none
 *                                                                    |
 *     state folder <--- written after each change ------------------+--> service --> revision --> fleet
 *
 * The state folder has the services, their revisions and the traffic, so that they survive `kill -9`. A service whose
 * document in the file is the one that was taken last stays as it was; another document is deployed. */
#ifndef SENNIT_PLATFORM_CATALOG_H
#define SENNIT_PLATFORM_CATALOG_H

#include "loop/file.h"
#include "platform/logfile.h"
#include "platform/route.h"
#include "platform/spec_file.h"

struct catalog {
    struct programs *programs;
    const struct up_options *options;
    struct route route; /* lists the services, which the catalog owns */
    struct specs specs; /* of the file, until the services are made */
    char *directory;    /* the state folder; NULL: nothing is kept */
    struct file_lock lock;
    struct logbooks books; /* of all services */
    struct ledger ledger;  /* of all services, in the state folder */
    struct logfile logs;   /* likewise: what `books` get */
    uint32_t running;      /* services that are not stopped yet */
    bool stopping;
    struct timer late;                        /* then the state, which could not be written, is tried again */
    void (*stopped)(struct catalog *catalog); /* all are; set by the owner */
    void (*changed)(struct catalog *catalog); /* a revision, its state, or traffic; likewise, or NULL */
};

/* `programs` and `options` outlive it. */
void catalog_init(struct catalog *catalog, struct programs *programs, const struct up_options *options);
/* Closes what the services listen on: before net_finish. */
void catalog_close(struct catalog *catalog);
/* Everything is stopped, or was never started; and it is closed. */
void catalog_finish(struct catalog *catalog);
/* Reads the files and folders of the options. False with `err` set. */
bool catalog_read(struct catalog *catalog, struct err *err);
/* Their paths, as a text for people and for the state: another text is another set of files. The caller finishes it. */
struct buf catalog_paths(const struct catalog *catalog);
/* The most instances that the services may have: those of the file until they are made, later those of all revisions
 * that get requests or still have instances. */
uint64_t catalog_instances_max(const struct catalog *catalog);
/* Makes the services: those of the state folder, and what the file says of them. The user is the one that it stays, and
 * the file was read. False with `err` set. */
bool catalog_open(struct catalog *catalog, struct err *err);
bool catalog_start(struct catalog *catalog, struct err *err);
/* Ends all services; `stopped` follows. */
void catalog_stop(struct catalog *catalog);
/* Sends SIGKILL to all that runs. */
void catalog_kill(struct catalog *catalog);

/* Deploys what `text` says, documents of a file at `path`. New requests go to a new revision once it is ready. False
 * with `err` set: something is wrong with one of them, and none is changed. */
bool catalog_apply(struct catalog *catalog, const char *path, struct span text, struct err *err);
/* The same with the files of the options, read again. */
bool catalog_reload(struct catalog *catalog, struct err *err);

/* catalog_state.c: appends the state as JSON; makes services of it, in the route. A service or a revision that cannot
 * be restored is left out, and the log says why. False: it is no state at all. */
void catalog_state_encode(struct buf *to, const struct catalog *catalog);
bool catalog_state_restore(struct catalog *catalog, struct span json);
/* catalog.c, for catalog_state.c: a new service, not in the route yet. */
struct service *catalog_service(struct catalog *catalog);

/* The folder of the control socket and the state: DIR/control, by default $XDG_STATE_HOME/sennit/control. The caller
 * frees it. */
char *catalog_directory(const char *state_dir);
/* How the services' addresses begin: "http" or "https". */
const char *catalog_scheme(const struct catalog *catalog);

#endif
