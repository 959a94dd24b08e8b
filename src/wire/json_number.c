/* json_number: JSON's numbers read and written with a point, whatever the locale of the program around the library is:
 * with a German one, printf would write 0.25 as 0,25, which in a JSON array is two numbers. */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire/json.h"

/* The C library keeps this one itself: it takes no memory, and is not to be freed. */
static locale_t locale_c(void)
{
    return newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

double json_number_read(const char *text, char **end)
{
    return strtod_l(text, end, locale_c());
}

void json_number_write(char text[JSON_NUMBER_BYTES], double number, int digits)
{
    locale_t before = uselocale(locale_c()); /* of this thread alone */
    snprintf(text, JSON_NUMBER_BYTES, "%.*g", digits, number);
    uselocale(before);
}
