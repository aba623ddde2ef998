/* media/fft: the discrete Fourier transform of any length.
 *
 *   forward   X[k] = sum x[j] exp(-2 pi i j k / n)       inverse   x[j] = sum X[k] exp(+2 pi i j k / n), not divided by
 * n
 *
 * Lengths whose prime factors are at most FFT_RADIX_MAX: mixed-radix Stockham (self-sorting) passes, O(n log n). Other
 * lengths: Bluestein's chirp by way of a power of two (L. I. Bluestein, 1970), also O(n log n). Real input of even
 * length runs as a complex transform of half the length. Twiddles are computed in double, whatever the plan's type.
 *
 * A plan is constant after its creation and may serve several threads at once, each with its own scratch. No transform
 * allocates. Complex numbers are interleaved (re, im). Scratch and data are aligned to their element; in and out may be
 * the same pointer, but else must not overlap; scratch overlaps neither. */
#ifndef MEDIA_FFT_H
#define MEDIA_FFT_H

#include "ledge/types.h"

#define FFT_LENGTH_MAX ((int64_t)1 << 26)
#define FFT_RADIX_MAX 13

typedef struct fft_plan fft_plan;

/* A plan for n >= 1 points of `dtype` LEDGE_F32 or LEDGE_F64. Errors: ARGUMENT, LIMIT, MEMORY. */
ledge_status fft_plan_create(int64_t n, ledge_dtype dtype, fft_plan **ret_plan, ledge_error *error);
void fft_plan_destroy(fft_plan *plan); /* NULL passes */
int64_t fft_plan_length(const fft_plan *plan);
/* Bytes of scratch that any transform of this plan needs. */
size_t fft_plan_scratch_bytes(const fft_plan *plan);

/* n complex -> n complex. The plan's dtype must be the function's. */
void fft_complex_f32(const fft_plan *plan, bool inverse, const float *in, float *out, void *scratch);
void fft_complex_f64(const fft_plan *plan, bool inverse, const double *in, double *out, void *scratch);
/* n real -> n/2 + 1 complex (floor). In place is not allowed. */
void fft_real_f32(const fft_plan *plan, const float *in, float *out, void *scratch);
void fft_real_f64(const fft_plan *plan, const double *in, double *out, void *scratch);
/* n/2 + 1 complex -> n real, not divided by n: the imaginary parts of the first and, for even n, the last are taken as
 * zero. In place is not allowed. */
void fft_real_inverse_f32(const fft_plan *plan, const float *in, float *out, void *scratch);
void fft_real_inverse_f64(const fft_plan *plan, const double *in, double *out, void *scratch);

#endif
