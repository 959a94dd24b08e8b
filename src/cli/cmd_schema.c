/* cmd_schema: `sennit schema postgres`, which prints what the broker on Postgres needs in its database, as SQL. */
#include <stdio.h>
#include <string.h>

#include "broker/postgres_schema.h"
#include "cli/cli.h"

enum { KEY_PREFIX = 512, KEY_ROLE };

static const struct argp_option options[] = {
    {"prefix", KEY_PREFIX, "NAME", 0, "The schema's name, which is `prefix:` of the configuration (default: sennit)",
     0},
    {"role", KEY_ROLE, "NAME", 0, "A role that instances connect as: it may call what they need, and nothing else", 0},
    {0},
};

struct arguments {
    const char *database, *prefix, *role;
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case KEY_PREFIX:
        arguments->prefix = argument;
        break;
    case KEY_ROLE:
        arguments->role = argument;
        break;
    case ARGP_KEY_ARG:
        cli_one_take(&arguments->database, argument, state);
        break;
    case ARGP_KEY_END:
        if (arguments->database == NULL || strcmp(arguments->database, "postgres") != 0)
            argp_error(state, "of which database? postgres is known, like: sennit schema postgres | psql URL");
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

int cmd_schema(int argc, char **argv)
{
    static const char doc[] =
        "Prints the tables and functions that instances with --broker postgres://... need, as SQL for psql. The script "
        "makes a new schema, or brings an older one up to date; running it again changes nothing.\v"
        "Run it as the role that is to own the schema, and let instances connect as another one:\n\n"
        "  sennit schema postgres --role sennit | psql -v ON_ERROR_STOP=1 postgres://owner@host/database\n\n"
        "An instance makes no tables by itself. After an update of sennit, run this before the new instances start; "
        "those of the version before go on.";
    static const struct argp argp = {options, parse, "postgres", doc, NULL, NULL, NULL};
    struct arguments arguments = {.prefix = "sennit"};
    struct buf script = {0};
    struct err err;
    cli_parse(&argp, argc, argv, &arguments);
    if (!postgres_schema_name_check(arguments.prefix, &err))
        return cli_fail("schema", &err);
    postgres_schema_print(&script, arguments.prefix, arguments.role);
    fwrite(script.data + script.off, 1, script.len, stdout);
    buf_finish(&script);
    return 0;
}
