/* spec_file: the services of a file with several YAML documents, or of a folder of such files. */
#ifndef SENNIT_PLATFORM_SPEC_FILE_H
#define SENNIT_PLATFORM_SPEC_FILE_H

#include "platform/spec.h"

enum { SPECS_MAX = 100 };

/* Zeroed memory: none. */
struct specs {
    struct service_spec *list;
    size_t count;
};

/* Appends the services of `text`; documents are divided by lines that begin with "---". `path` is for messages and
 * relative paths. False with `err` set: one is wrong, there is none, or two have one name. Call specs_finish in either
 * case. */
bool specs_parse(struct specs *specs, const char *path, struct span text, struct err *err);
/* The same of the file, or of all *.yaml and *.yml of a folder, by name; what it had stays. `may_be_empty`: a folder
 * may have none. */
bool specs_read(struct specs *specs, const char *path, bool may_be_empty, struct err *err);
void specs_finish(struct specs *specs); /* accepts zeroed memory */

#endif
