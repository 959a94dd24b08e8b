/* command: chooses among the four sources, splits words, and resolves the program's path and directory. */
#include "platform/command.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/shown.h"
#include "loop/file.h"
#include "platform/image_program.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n';
}

/* Takes one word from the front of `rest`. */
static bool take_word(struct span *rest, struct buf *word, struct err *err)
{
    char quote = '\0';
    while (rest->len > 0 && (quote != '\0' || !is_blank(rest->data[0]))) {
        char c = rest->data[0];
        *rest = span_from(*rest, 1);
        if (c == quote) {
            quote = '\0';
        } else if (quote == '\0' && (c == '\'' || c == '"')) {
            quote = c;
        } else if (c == '\\' && quote != '\'' && rest->len > 0) {
            buf_append_char(word, rest->data[0]);
            *rest = span_from(*rest, 1);
        } else {
            buf_append_char(word, c);
        }
    }
    return quote == '\0' || err_set(err, "the command has an opening %c without a closing one", quote);
}

bool command_split(struct span text, struct words *words, struct err *err)
{
    struct buf word = {0};
    bool ok = true;
    for (;;) {
        while (text.len > 0 && is_blank(text.data[0]))
            text = span_from(text, 1);
        if (text.len == 0)
            break;
        if (words->count == WORDS_MAX) {
            buf_finish(&word);
            return err_set(err, "the command has more than %d words", WORDS_MAX);
        }
        buf_clear(&word);
        if (!(ok = take_word(&text, &word, err)))
            break;
        words_add(words, mem_text(buf_span(&word)));
    }
    buf_finish(&word);
    if (ok && words->count == 0)
        return err_set(err, "the command is empty");
    return ok;
}

/* Replaces "sennit" by the path of the program that is running, wherever that is. */
static void find_self(struct words *argv)
{
    struct buf self = {0};
    if (strcmp(argv->list[0], "sennit") == 0 && file_self(&self)) {
        free(argv->list[0]);
        argv->list[0] = mem_text(buf_span(&self));
    }
    buf_finish(&self);
}

static bool program_exists(const struct command *command)
{
    const char *name = command->argv.list[0];
    if (strchr(name, '/') != NULL) {
        if (name[0] == '/')
            return file_exists(name);
        char *path = mem_printf("%s/%s", command->directory, name);
        bool exists = file_exists(path);
        free(path);
        return exists;
    }
    return file_in_path(name);
}

static bool argv_find(struct command *command, const struct service_spec *spec, const char *path, const char *run,
                      struct err *err)
{
    if (run != NULL || spec->run != NULL) {
        if (!command_split(span_str(run != NULL ? run : spec->run), &command->argv, err))
            return err_prefix(err, run != NULL ? "--run: " : "sennit.dev/run: ");
    } else if (spec->command.count > 0) {
        words_add_all(&command->argv, &spec->command);
    } else if (span_starts_with(span_str(spec->image), SPAN_LIT("file://"))) {
        words_add(&command->argv, mem_text(span_from(span_str(spec->image), 7)));
    } else {
        return err_set(
            err,
            "%s: the image %s is in a registry, and nothing is fetched from there. Say which program stands for it, "
            "with --run 'COMMAND' or a line that Cloud Run ignores:\n\n"
            "  spec:\n    template:\n      metadata:\n        annotations:\n"
            "          sennit.dev/run: node server.js\n\n"
            "or save the image to a file (podman save --format oci-archive -o image.tar %s) and name that: image: "
            "oci-archive:image.tar\n",
            path, spec->image, spec->image);
    }
    words_add_all(&command->argv, &spec->args);
    return true;
}

/* Finds the working directory. A command that runs instead of the image ignores workingDir, which is a directory of the
 * image. */
static bool directory_find(struct command *command, const struct service_spec *spec, const char *path, const char *run,
                           struct err *err)
{
    const char *wanted = run == NULL && spec->run == NULL ? spec->working_dir : NULL;
    if (wanted == NULL)
        command->directory = mem_text(span_str(spec->directory));
    else if (wanted[0] == '/')
        command->directory = mem_text(span_str(wanted));
    else
        command->directory = mem_printf("%s/%s", spec->directory, wanted);
    return file_is_directory(command->directory) ||
           err_set(
               err,
               "%.300s: workingDir: there is no directory %.300s on this machine; a relative one begins at the file",
               path, command->directory);
}

bool command_wants_image(const struct service_spec *spec, const char *run)
{
    return run == NULL && spec->run == NULL && image_is_local(spec->image);
}

bool command_find(struct command *command, const struct service_spec *spec, const char *path, const char *run,
                  struct err *err)
{
    *command = (struct command){0};
    if (command_wants_image(spec, run))
        return (image_read(&command->image, spec->image, path, err) &&
                image_program_check(&command->image, spec, err)) ||
               err_prefix(err, "%.300s: ", path);
    if (!directory_find(command, spec, path, run, err) || !argv_find(command, spec, path, run, err))
        return false;
    find_self(&command->argv);
    const char *name = command->argv.list[0];
    if (program_exists(command))
        return true;
    if (name[0] == '/')
        return err_set(err, "%.300s: the program %s is not there", path, SHOWN_FOUND(span_str(name)));
    return err_set(err, "%.300s: the program %s is not there (looked for %s %.300s)", path, SHOWN_FOUND(span_str(name)),
                   strchr(name, '/') != NULL ? "relative to" : "in PATH, beginning in", command->directory);
}

void command_finish(struct command *command)
{
    words_finish(&command->argv);
    image_finish(&command->image);
    free(command->directory);
    command->directory = NULL;
}
