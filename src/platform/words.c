/* words: appends texts and frees them. */
#include "platform/words.h"

#include <stdlib.h>

#include "base/mem.h"

void words_add(struct words *words, char *text)
{
    words->list = mem_resize(words->list, (words->count + 2) * sizeof *words->list);
    words->list[words->count++] = text;
    words->list[words->count] = NULL;
}

void words_add_all(struct words *words, const struct words *from)
{
    for (size_t i = 0; i < from->count; i++)
        words_add(words, mem_text(span_str(from->list[i])));
}

void words_finish(struct words *words)
{
    for (size_t i = 0; i < words->count; i++)
        free(words->list[i]);
    free(words->list);
    *words = (struct words){0};
}
