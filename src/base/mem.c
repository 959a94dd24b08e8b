/* mem: wrappers of malloc that end the process on failure, and texts made from spans and formats. */
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void mem_gone(void)
{
    fputs("sennit: out of memory\n", stderr);
    abort();
}

static void *must(void *memory)
{
    if (memory == NULL)
        mem_gone();
    return memory;
}

void *mem_alloc(size_t size)
{
    return must(malloc(size != 0 ? size : 1));
}

void *mem_zero(size_t count, size_t size)
{
    return must(calloc(count != 0 ? count : 1, size != 0 ? size : 1));
}

void *mem_resize(void *old, size_t size)
{
    return must(realloc(old, size != 0 ? size : 1));
}

char *mem_text(struct span s)
{
    char *copy = mem_alloc(s.len + 1);
    if (s.len != 0)
        memcpy(copy, s.data, s.len);
    copy[s.len] = '\0';
    return copy;
}

char *mem_printf(const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int len = vasprintf(&text, format, args);
    va_end(args);
    return must(len >= 0 ? text : NULL);
}
