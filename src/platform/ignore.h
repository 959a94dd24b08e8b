/* ignore: the rules of .gitignore, as gitignore(5) has them, which .gcloudignore shares: negation, folders only,
 * anchors, `*`, `?`, `[a-z]`, and `**`. A source's files that they exclude are not deployed.
 * https://git-scm.com/docs/gitignore and https://cloud.google.com/sdk/gcloud/reference/topic/gcloudignore */
#ifndef SENNIT_PLATFORM_IGNORE_H
#define SENNIT_PLATFORM_IGNORE_H

#include "base/err.h"
#include "base/span.h"
#include "loop/tree.h"

enum { IGNORE_RULES_MAX = 10000, IGNORE_FILE_BYTES_MAX = 1 << 20 };

struct ignore_rule {
    char *pattern; /* without "!", and without "/" in front and behind */
    bool negated, directories_only, anchored;
};

/* Zeroed memory excludes nothing. */
struct ignore {
    struct tree_filter filter; /* wants what is not excluded */
    struct ignore_rule *rules;
    size_t count;
};

/* Adds the rules of a text, behind the others. False with `err` set: too many. */
bool ignore_add(struct ignore *ignore, struct span text, struct err *err);
/* Reads the rules of a source as gcloud does: .gcloudignore (its `#!include:FILE` lines, too), else .gitignore; and
 * leaves out .git, .gcloudignore and .gitignore. */
bool ignore_read(struct ignore *ignore, const char *directory, struct err *err);
/* Whether a path below the top is excluded. Its folders are not: they were asked about before. */
bool ignore_excludes(const struct ignore *ignore, const char *path, bool is_directory);
void ignore_finish(struct ignore *ignore);

#endif
