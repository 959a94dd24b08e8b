/* spec_with: a service.yaml with some lines in their places is read, and accepted or refused. */
#ifndef SENNIT_TEST_SPEC_WITH_H
#define SENNIT_TEST_SPEC_WITH_H

#include <string.h>

#include "platform/spec.h"

static struct service_spec spec;
static struct err err;

/* A file with these lines in their places; each may be "". */
static inline bool read_with(const char *annotations, const char *template, const char *container)
{
    struct buf text = {0};
    buf_printf(&text,
               "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata:\n  name: plain\nspec:\n  template:\n"
               "    metadata:\n      annotations:\n        a: b\n%s    spec:\n%s      containers:\n"
               "        - image: x\n%s",
               annotations, template, container);
    service_spec_finish(&spec);
    bool ok = service_spec_parse(&spec, "dir/service.yaml", buf_span(&text), &err);
    buf_finish(&text);
    return ok;
}

static inline void accept_with(const char *annotations, const char *template, const char *container)
{
    if (!read_with(annotations, template, container))
        fail_msg("refused: %s", err.text);
}

static inline void refuse_with(const char *annotations, const char *template, const char *container, const char *why)
{
    if (read_with(annotations, template, container))
        fail_msg("accepted, but expected: %s", why);
    if (strstr(err.text, why) == NULL)
        fail_msg("expected: %s\nbut: %s", why, err.text);
    assert_int_equal(strncmp(err.text, "dir/service.yaml:", 17), 0);
}

#endif
