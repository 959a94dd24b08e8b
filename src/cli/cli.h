/* cli: one file per command. A command parses its arguments with argp, runs, prints what went wrong once, on standard
 * error, and returns the exit status: 0 done, 1 it failed, 2 the command line is wrong. */
#ifndef SENNIT_CLI_CLI_H
#define SENNIT_CLI_CLI_H

#include "base/err.h"

int cmd_serve(int argc, char **argv);
int cmd_up(int argc, char **argv);
int cmd_load(int argc, char **argv); /* 3, too: it could not connect, or was interrupted */

/* Sets the log up: "text", "json", or NULL for text on a terminal and JSON elsewhere; level "debug" to "error", or NULL
 * for info. */
bool cli_log(const char *format, const char *level, struct err *err);
/* Prints `sennit COMMAND: <text>` and returns 1. */
int cli_fail(const char *command, const struct err *err);

#endif
