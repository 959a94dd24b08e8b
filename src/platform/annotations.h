/* annotations: what Cloud Run and Knative know beside the fields of a service: names, and the values they take. Pure.
 *
 * https://cloud.google.com/run/docs/reference/rest/v1/ObjectMeta and https://knative.dev/docs/serving/autoscaling/ .
 * spec.c reads the ones that have an effect here; for the others, the table says what their absence means. */
#ifndef SENNIT_PLATFORM_ANNOTATIONS_H
#define SENNIT_PLATFORM_ANNOTATIONS_H

#include "wire/yaml.h"

/* A known annotation whose value is valid. */
struct annotation {
    const char *name; /* in its first spelling */
    /* What happens here instead of what it asks for; "": nothing that a program or its clients could notice. NULL: it
     * asks for what happens anyhow, or spec.c has read it. */
    const char *consequence;
    struct span text; /* as it stands; borrowed */
    uint64_t number;  /* COUNT: itself; DECIMAL: thousandths; DURATION: milliseconds; 0 for a word */
    bool is_word;     /* it is a word where a number may stand */
};

/* Checks an annotation. False with `err` set: the name is not known although its prefix is the platforms', or the
 * value is wrong. Names with other prefixes are anybody's: `found->name` is NULL then. */
bool annotation_check(const struct yaml_pair *pair, struct annotation *found, struct err *err);

#endif
