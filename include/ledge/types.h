/* ledge/types.h: the words that every other header uses: status, error, data type.
 *
 * Every fallible function returns a ledge_status and fills an optional ledge_error, which may be NULL. On failure the
 * outputs of a function are untouched. Nothing in the library prints, exits or aborts.
 */
#ifndef LEDGE_TYPES_H
#define LEDGE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define LEDGE_API __attribute__((visibility("default")))
#define LEDGE_MUST_USE __attribute__((warn_unused_result))
#define LEDGE_PRINTF(format_at, first_at) __attribute__((format(printf, format_at, first_at)))
#else
#define LEDGE_API
#define LEDGE_MUST_USE
#define LEDGE_PRINTF(format_at, first_at)
#endif

/* The numbers are part of the ABI and are never reused; src/base/status.def gives each its name and text. */
typedef enum ledge_status {
  LEDGE_OK = 0,
  LEDGE_ERROR_ARGUMENT = 1,    /* the caller passed what the function's contract excludes */
  LEDGE_ERROR_MEMORY = 2,      /* an allocation failed */
  LEDGE_ERROR_IO = 3,          /* the system refused to open, read, write or map */
  LEDGE_ERROR_FORMAT = 4,      /* the bytes are not what the format says */
  LEDGE_ERROR_UNSUPPORTED = 5, /* well-formed, but ledge cannot run it */
  LEDGE_ERROR_LIMIT = 6,       /* a named limit would be passed: memory, depth, rank, size */
  LEDGE_ERROR_SHAPE = 7,       /* shapes or data types do not fit each other */
  LEDGE_ERROR_NAME = 8,        /* no such input, output, option or file entry */
  LEDGE_ERROR_CANCELLED = 9,   /* another thread asked the run to stop */
  LEDGE_ERROR_DATA = 10,       /* a value that an operator reads is out of its range */
  LEDGE_ERROR_CHANGED = 11,    /* a mapped file shrank or changed under a run */
  LEDGE_ERROR_INTERNAL = 12,   /* a fault of ledge itself: please report it */
} ledge_status;

/* Where and why something failed. `message` is a whole sentence that names the file or node and says what to do. */
typedef struct ledge_error {
  ledge_status code;
  uint64_t offset;    /* byte offset in the file, or UINT64_MAX where none applies */
  char node[128];     /* the node's name, or "" where none applies (long names are cut) */
  char message[1024]; /* NUL-terminated UTF-8 */
} ledge_error;

/* The name of a status, such as "LEDGE_ERROR_FORMAT", and a short text for it. Never NULL, static storage, any thread.
 */
LEDGE_API const char *ledge_status_name(ledge_status status);
LEDGE_API const char *ledge_status_text(ledge_status status);

/* Data types. The numbers are those of ONNX's TensorProto.DataType. 4-bit types hold two elements a byte and 2-bit
 * types four, the first element in the lowest bits; a tensor of n elements takes ceil(n * bits / 8) bytes. */
typedef enum ledge_dtype {
  LEDGE_DTYPE_NONE = 0,
  LEDGE_F32 = 1,
  LEDGE_U8 = 2,
  LEDGE_I8 = 3,
  LEDGE_U16 = 4,
  LEDGE_I16 = 5,
  LEDGE_I32 = 6,
  LEDGE_I64 = 7,
  LEDGE_STRING = 8,
  LEDGE_BOOL = 9,
  LEDGE_F16 = 10,
  LEDGE_F64 = 11,
  LEDGE_U32 = 12,
  LEDGE_U64 = 13,
  LEDGE_C64 = 14,
  LEDGE_C128 = 15,
  LEDGE_BF16 = 16,
  LEDGE_F8E4M3FN = 17,
  LEDGE_F8E4M3FNUZ = 18,
  LEDGE_F8E5M2 = 19,
  LEDGE_F8E5M2FNUZ = 20,
  LEDGE_U4 = 21,
  LEDGE_I4 = 22,
  LEDGE_F4E2M1 = 23,
  LEDGE_F8E8M0 = 24,
  LEDGE_U2 = 25,
  LEDGE_I2 = 26,
  LEDGE_DTYPE_COUNT = 27,
} ledge_dtype;

/* The short name of a dtype, such as "f32". Never NULL. */
LEDGE_API const char *ledge_dtype_name(ledge_dtype dtype);
/* Bits of one element: 2, 4, 8, 16, 32, 64 or 128; of a string element, those of a ledge_string. */
LEDGE_API int ledge_dtype_bits(ledge_dtype dtype);

/* What products of matrices and convolutions with constant weights are computed in. */
typedef enum ledge_precision {
  LEDGE_PRECISION_F32 = 0,
  /* Factors are rounded to bfloat16, sums are float32. On any processor; fast where it has instructions for it. */
  LEDGE_PRECISION_BF16 = 1,
  /* Whichever of these is faster, as measured, as long as the outputs stay within a given error of float32's. */
  LEDGE_PRECISION_AUTO = 2,
} ledge_precision;

/* One element of a string tensor: `size` bytes at `data`, UTF-8 by convention, not NUL-terminated. */
typedef struct ledge_string {
  const char *data;
  size_t size;
} ledge_string;

/* The largest rank of a tensor. */
#define LEDGE_MAX_RANK 16

#ifdef __cplusplus
}
#endif
#endif
