/* tensor/mapped: a mapped file as the storage of tensors, so that constants point straight into it. */
#ifndef TENSOR_MAPPED_H
#define TENSOR_MAPPED_H

#include "base/map.h"
#include "tensor/tensor.h"

/* A storage over all bytes of m, which it holds a reference of; refs = 1. NULL when out of memory. Its bytes are read
 * only. */
storage *storage_from_map(file_map *m);
/* The map behind a storage; NULL where it is memory of another kind. Borrowed. */
file_map *storage_map(const storage *s);
/* LEDGE_ERROR_CHANGED where the file behind a storage shrank or changed since it was mapped; memory never does. */
ledge_status storage_check(const storage *s, ledge_error *error);

#endif
