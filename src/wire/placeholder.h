/* placeholder: recognizes `{"_placeholder":true,"num":k}` while valid JSON is walked, one struct for each level of
 * arrays and objects. As in JavaScript, the last of equal keys counts. */
#ifndef SENNIT_WIRE_PLACEHOLDER_H
#define SENNIT_WIRE_PLACEHOLDER_H

#include "base/span.h"

enum placeholder_member { PLACEHOLDER_OTHER, PLACEHOLDER_MARK, PLACEHOLDER_NUM };

struct placeholder {
    bool object;
    bool key_next;                  /* an object's next string is a key; the walker sets it behind a comma */
    bool found;                     /* it has `"_placeholder":true` */
    struct span num;                /* its member `num`; empty: none, or no number */
    enum placeholder_member member; /* the meaning of the latest key; OTHER in an array */
};

/* A level begins. */
static inline struct placeholder placeholder_begin(bool object)
{
    return (struct placeholder){.object = object, .key_next = true};
}
/* A value has begun at this level: `value` is its text when it is a literal or a number, else empty. */
void placeholder_value(struct placeholder *level, struct span value);
/* A string stands at this level, with its quotes. Returns whether it is a key. */
bool placeholder_string(struct placeholder *level, struct span string);
/* Length of the literal or number at the front. */
size_t placeholder_word_len(struct span text);

#endif
