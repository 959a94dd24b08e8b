/* words: a list of texts, as a program's arguments and its environment are. Whoever embeds it owns the texts. */
#ifndef SENNIT_PLATFORM_WORDS_H
#define SENNIT_PLATFORM_WORDS_H

#include <stddef.h>

enum { WORDS_MAX = 1000 }; /* of a command line; also the number of variables */

/* Zeroed memory is an empty list. */
struct words {
    char **list; /* NULL behind the last one; NULL itself while there is none */
    size_t count;
};

/* Appends the text and takes ownership of it. */
void words_add(struct words *words, char *text);
/* Appends a copy of each text. */
void words_add_all(struct words *words, const struct words *from);
/* Accepts zeroed memory. */
void words_finish(struct words *words);

#endif
