/* err: the message for the operator when a start, a configuration or a command line is wrong.
 *
 * The text names the file, the line and the field, and says what to do. The function that finds the error writes it;
 * cli/ prints it, once. Functions that can fail in this way are `bool f(..., struct err *err)`. */
#ifndef SENNIT_BASE_ERR_H
#define SENNIT_BASE_ERR_H

#include <stdarg.h>
#include <stdbool.h>

struct err {
    char text[1024];
};

/* Writes the text (one that is too long loses its middle) and returns false, so that `return err_set(err, ...)` fails
 * in one line. */
bool err_set(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

bool err_vset(struct err *err, const char *format, va_list args);

/* Puts a formatted text, the caller's context, in front of the text. Returns false. */
bool err_prefix(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
