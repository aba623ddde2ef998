/* formats/npy: NumPy's array files (numpy/lib/format.py, versions 1.0 to 3.0) and archives of them.
 *
 *   .npy   "\x93NUMPY" major minor | header length (u16 or u32 le) | {'descr': '<f4', 'fortran_order': False, 'shape':
 * (2, 3), } | data .npz   a zip file of .npy members, stored or deflated
 *
 * Read: bool, integers and floats of 8 to 64 bits, float16, complex64 and complex128, 'S' and 'U' strings, either byte
 * order, C and Fortran order; datetime64 and timedelta64 as i64. Refused, with the reason: objects (they are pickled
 * Python), structures, long double. bfloat16, float8 and float4 have no NumPy type: as ml_dtypes does, they are written
 * as raw void ('<V2', '<V1': one element a byte), to be seen again by `numpy.load(f).view(ml_dtypes.bfloat16)`. 4-bit
 * and 2-bit integers are written as int8 or uint8, an element a byte. When reading, `want` says what raw bytes are;
 * without it '<V2' is bfloat16 and '<V1' is refused. */
#ifndef FORMATS_NPY_NPY_H
#define FORMATS_NPY_NPY_H

#include "ledge/types.h"
#include "tensor/tensor.h"

#define NPY_HEADER_BYTES_MAX 65536
#define NPZ_MEMBERS_MAX 65536
#define NPZ_NAME_BYTES_MAX 1024
#define NPZ_MEMBER_BYTES_MAX ((uint64_t)1 << 34)
#define NPZ_EXPANSION_MAX 1040 /* deflate cannot expand by more; a member that says so is a lie */

typedef struct npy_options {
  ledge_dtype want; /* what raw void elements are; also unpacks int8 into a 4- or 2-bit type. NONE: as above */
} npy_options;

/* True where the bytes begin as a .npy / as a .npz. */
bool npy_sniff(const void *data, size_t size);
bool npz_sniff(const void *data, size_t size);
/* Reads a whole .npy. *ret (zero, or a tensor that is released) becomes an owned one (a copy: nothing points into
 * data); untouched on failure. options may be NULL. */
ledge_status npy_read(const void *data, size_t size, const npy_options *options, tensor *ret, ledge_error *error);
/* The file's bytes before the elements, so that a large tensor can be written without a copy; then, for all types but
 * strings and the packed ones, the tensor's own elements follow. *ret is the caller's to mem_free. */
ledge_status npy_write_header(const tensor *t, uint8_t **ret_data, size_t *ret_size, ledge_error *error);
/* The whole file in memory. Strings become '<U' (or 'S', where one is not UTF-8). */
ledge_status npy_write(const tensor *t, uint8_t **ret_data, size_t *ret_size, ledge_error *error);
/* The whole file at `path`, written beside it and moved into place. */
ledge_status npy_write_file(const char *path, const tensor *t, ledge_error *error);

/* An open archive: keeps a pointer to data, which must outlive it. */
typedef struct npz npz;
ledge_status npz_open(const void *data, size_t size, npz **ret, ledge_error *error);
void npz_close(npz *z); /* NULL passes */
size_t npz_count(const npz *z);
/* Member i's name without ".npy"; borrowed. */
const char *npz_name(const npz *z, size_t i);
/* Index of a name, or -1. */
int64_t npz_find(const npz *z, const char *name);
/* Member i as a tensor, its checksum verified. Deflated members need LEDGE_WITH_ZLIB. */
ledge_status npz_read(const npz *z, size_t i, const npy_options *options, tensor *ret, ledge_error *error);
/* An archive of stored members in memory. *ret_data is the caller's to mem_free. */
ledge_status npz_write(size_t n, const char *const *names, const tensor *const *tensors, uint8_t **ret_data,
                       size_t *ret_size, ledge_error *error);

#endif
