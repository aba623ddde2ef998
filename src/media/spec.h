/* media/spec: reading recipes of the form "key=value,key=value" (preprocess.h, features.h). Numbers are read without
 * the process's locale. Nothing is copied: keys and values point into the text. */
#ifndef MEDIA_SPEC_H
#define MEDIA_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct spec_text {
  const char *data;
  size_t size;
} spec_text;

typedef struct spec_item {
  spec_text key, value;
} spec_item;

/* printf arguments for "%.*s", cut at 60 bytes. */
#define SPEC_ARG(t) (int)((t).size < 60 ? (t).size : 60), (t).data

/* The next item of *at, which moves on: 1; 0 at the end; -1 where an item has no '=' or no key (item->key holds it). */
int spec_next(const char **at, spec_item *item);
bool spec_is(spec_text t, const char *word);
/* The part up to the next `separator` (or all), and t moves behind it. */
spec_text spec_split(spec_text *t, char separator);
/* A decimal number, or two with a slash between: "0.5", "-1e-6", "1/255". Finite. */
bool spec_number(spec_text t, double *ret);
/* An integer in [min, max]. */
bool spec_integer(spec_text t, int64_t min, int64_t max, int64_t *ret);
/* Index of the word in a NULL-terminated list, or -1. */
int spec_choice(spec_text t, const char *const *words);

#endif
