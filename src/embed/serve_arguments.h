/* serve_arguments: the flags of an instance, which `sennit serve` and programs with sennit.h have in common. */
#ifndef SENNIT_EMBED_SERVE_ARGUMENTS_H
#define SENNIT_EMBED_SERVE_ARGUMENTS_H

#include "embed/command_line.h"
#include "serve/config.h"

struct serve_arguments {
    struct serve_options serve;
    struct cli_log log;
    char *redis_url, *broker; /* owned by whoever parses */
};
/* For argp: its input is a struct serve_arguments. */
extern const struct argp_child serve_arguments_child[];
/* Parses the command line of a program that has these flags alone. Ends the process if it is wrong. */
void serve_arguments_parse(struct serve_arguments *arguments, int argc, char **argv);

#endif
