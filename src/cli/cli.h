/* cli: one file per command. A command parses its arguments with argp, runs, prints what went wrong once, on standard
 * error, and returns the exit status: 0 done, 1 it failed, 2 the command line is wrong. */
#ifndef SENNIT_CLI_CLI_H
#define SENNIT_CLI_CLI_H

#include <argp.h>

#include "base/err.h"

int cmd_serve(int argc, char **argv);
int cmd_up(int argc, char **argv);
int cmd_load(int argc, char **argv); /* 3, too: it could not connect, or was interrupted */

/* Descriptors asked for, where a shell allows 1024: one for each client, and at an ingress one more to the instance. */
enum { CLI_FILES_WANTED = 100000 };

/* --log-format and --log-level, for commands whose children in argp are cli_log_child; the command gives it a struct
 * cli_log at ARGP_KEY_INIT, as state->child_inputs[0]. NULL: as by default. */
struct cli_log {
    const char *format, *level;
};
extern const struct argp_child cli_log_child[];
/* Sets the log up, and says whether it is text, unless `text` is NULL. */
bool cli_log_begin(const struct cli_log *log, bool *text, struct err *err);

enum { CLI_USAGE = 2 }; /* the exit status when the command line is wrong */

/* argp_parse with CLI_USAGE for what is wrong. Neither it nor getopt repeats the value of an option that is not known,
 * and nothing harmful reaches the terminal. */
void cli_parse(const struct argp *argp, int argc, char **argv, void *input);
/* Takes an argument that may hold a secret: returns a copy, to be freed, and blanks the original, which everybody on
 * this machine can read (ps). */
char *cli_take(char *argument);
/* Prints `sennit COMMAND: <text>`, in harmless characters, and returns 1. */
int cli_fail(const char *command, const struct err *err);

#endif
