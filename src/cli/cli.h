/* cli: one file per command. A command parses its arguments with argp, runs, prints an error once, on standard error,
 * and returns the exit status: 0 for success, 1 for a failure, 2 for a wrong command line. */
#ifndef SENNIT_CLI_CLI_H
#define SENNIT_CLI_CLI_H

#include <argp.h>

#include "base/err.h"

int cmd_serve(int argc, char **argv);
int cmd_up(int argc, char **argv);
/* cmd_control.c: they ask a running `sennit up`. apply also returns 1 when a revision does not become ready. */
int cmd_apply(int argc, char **argv);
int cmd_services(int argc, char **argv);
int cmd_revisions(int argc, char **argv);
int cmd_traffic(int argc, char **argv);
int cmd_rollback(int argc, char **argv);
int cmd_load(int argc, char **argv); /* also 3: it could not connect, or was interrupted */

/* How many descriptors the commands ask for. A shell allows 1024; each client needs one, and at an ingress a second
 * one, to the instance. */
enum { CLI_FILES_WANTED = 100000 };

/* --log-format and --log-level, for commands whose children in argp are cli_log_child; the command gives it a struct
 * cli_log at ARGP_KEY_INIT, as state->child_inputs[0]. NULL: as by default. */
struct cli_log {
    const char *format, *level;
};
extern const struct argp_child cli_log_child[];
/* Sets up the log. Unless `text` is NULL, sets `*text` to whether lines are text. */
bool cli_log_begin(const struct cli_log *log, bool *text, struct err *err);

enum { CLI_USAGE = 2 }; /* the exit status when the command line is wrong */

/* argp_parse, which ends the process with CLI_USAGE when the command line is wrong. No message repeats the value of an
 * unknown option, and nothing harmful reaches the terminal. */
void cli_parse(const struct argp *argp, int argc, char **argv, void *input);
/* Takes an argument that may hold a secret: returns a copy, to be freed, and blanks the original, which everybody on
 * this machine can read (ps). */
char *cli_take(char *argument);
/* Prints `sennit COMMAND: <text>`, in harmless characters, and returns 1. */
int cli_fail(const char *command, const struct err *err);

#endif
