/* base/number: numbers as text, the same in every locale. */
#ifndef BASE_NUMBER_H
#define BASE_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NUMBER_TEXT_MAX = 512 };

/* A decimal number with optional sign, point and exponent, or inf, infinity, nan (in any case), with white space around
 * it allowed; rounded to nearest. False where the text is anything else, or longer than NUMBER_TEXT_MAX. */
bool number_parse_f64(const char *text, size_t size, double *value);
/* A whole number with optional sign, within the type's range; the same space allowed. */
bool number_parse_i64(const char *text, size_t size, int64_t *value);
bool number_parse_u64(const char *text, size_t size, uint64_t *value);

/* The fewest decimal digits that `same` takes for v (it is called with what they read back as), at most 17. As Python
 * and numpy print: 1.0, 0.0001, 1e-05, 1e+16, inf, nan. Returns the length; text has room for 32 bytes. */
size_t number_print_shortest(char *text, double v, bool (*same)(const void *arg, double read), const void *arg);

#endif
