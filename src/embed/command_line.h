/* command_line: what command lines have in common, those of `sennit` and those of programs with sennit.h: parsing with
 * argp without repeating secrets, the log's options, and how an error is printed. */
#ifndef SENNIT_EMBED_COMMAND_LINE_H
#define SENNIT_EMBED_COMMAND_LINE_H

#include <argp.h>

#include "base/err.h"

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
