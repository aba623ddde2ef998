/* media/fft: plans of the discrete Fourier transform; fft_body.h holds the arithmetic, included for each real type.
 *
 *   plan   full: a line of n points          half: a line of n / 2 points, for real input of even n
 *   line   factors and twiddles of the Stockham passes; or, where n has a prime factor above FFT_RADIX_MAX, the chirp
 * and its spectrum, and an inner line of a power of two */
#include "media/fft.h"

#include "base/error.h"
#include "base/mem.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define FFT_FACTORS_MAX 32 /* of n < 2^27, all of them 2 or more */

typedef struct fft_line fft_line;
struct fft_line {
  int64_t n;
  int n_factors;
  int factors[FFT_FACTORS_MAX];
  void *twiddles;  /* COMPLEX */
  fft_line *inner; /* Bluestein */
};

struct fft_plan {
  ledge_dtype dtype;
  fft_line full, half; /* half.n = 0 for odd n */
  void *half_roots;    /* exp(-2 pi i k / n), k <= n / 4 */
  size_t scratch_bytes;
};

/* exp(-2 pi i k / n), 0 <= k < n: the angle is brought into an eighth of the circle, where sine and cosine are
 * accurate. */
static void root_of_unity(int64_t k, int64_t n, double *re, double *im) {
  int64_t eighth = 8 * k / n, rest = 8 * k - eighth * n; /* angle = (eighth + rest / n) / 8 of the circle */
  bool mirrored = eighth & 1;
  double angle = M_PI / 4 * (double)(mirrored ? n - rest : rest) / (double)n;
  double c = cos(angle), s = sin(angle);
  if (mirrored) { /* cos(45 deg * (q + 1) - a) for an odd eighth q: within the quarter, sine and cosine change places */
    double t = c;
    c = s, s = t;
  }
  switch (eighth / 2) {
    case 0: *re = c, *im = -s; break;
    case 1: *re = -s, *im = -c; break;
    case 2: *re = -c, *im = s; break;
    default: *re = s, *im = c; break;
  }
}

#define REAL float
#define FFT_NAME(x) x##_f32
#include "media/fft_body.h"
#undef REAL
#undef FFT_NAME
#define REAL double
#define FFT_NAME(x) x##_f64
#include "media/fft_body.h"
#undef REAL
#undef FFT_NAME

static size_t complex_bytes(ledge_dtype dtype) { return dtype == LEDGE_F64 ? 2 * sizeof(double) : 2 * sizeof(float); }

/* Factors of n into 4, 2, 3, 5 and primes up to FFT_RADIX_MAX; what is left of n. */
static int64_t line_factor(fft_line *line) {
  static const int radices[] = {4, 2, 3, 5, 7, 11, 13};
  int64_t left = line->n;
  line->n_factors = 0;
  for (size_t i = 0; i < sizeof radices / sizeof *radices; i++)
    for (; left % radices[i] == 0; left /= radices[i]) line->factors[line->n_factors++] = radices[i];
  return left;
}

static void line_deinit(fft_line *line) {
  if (line->inner) line_deinit(line->inner);
  mem_free(line->inner);
  mem_free(line->twiddles);
}

static size_t line_twiddles(const fft_line *line) {
  if (line->inner) return (size_t)(line->n + line->inner->n);
  size_t count = 1; /* never an empty block */
  int64_t left = line->n;
  for (int i = 0; i < line->n_factors; i++) {
    int p = line->factors[i];
    left /= p;
    count += (size_t)(left * (p - 1) + (p > 5 ? p : 0));
  }
  return count;
}

static ledge_status line_init(fft_line *line, int64_t n, ledge_dtype dtype, ledge_error *error) {
  *line = (fft_line){.n = n};
  if (line_factor(line) != 1) {
    int64_t m = 1;
    while (m < 2 * n - 1) m *= 2;
    line->inner = mem_zalloc(sizeof *line->inner);
    if (!line->inner) return error_memory(error, sizeof *line->inner, "a Fourier transform");
    TRY(line_init(line->inner, m, dtype, error));
  }
  size_t bytes = SIZE_MAX;
  if (mem_mul(line_twiddles(line), 2 * complex_bytes(dtype), &bytes)) bytes /= 2; /* the scratch must fit, too */
  line->twiddles = bytes < SIZE_MAX ? mem_alloc(bytes) : NULL;
  if (!line->twiddles) return error_memory(error, bytes, "a Fourier transform");
  if (!line->inner) {
    if (dtype == LEDGE_F64)
      fill_stockham_f64(line);
    else
      fill_stockham_f32(line);
    return LEDGE_OK;
  }
  size_t scratch_bytes = (size_t)line->inner->n * complex_bytes(dtype);
  void *scratch = mem_alloc(scratch_bytes);
  if (!scratch) return error_memory(error, scratch_bytes, "a Fourier transform");
  if (dtype == LEDGE_F64)
    fill_bluestein_f64(line, scratch);
  else
    fill_bluestein_f32(line, scratch);
  mem_free(scratch);
  return LEDGE_OK;
}

static size_t line_scratch(const fft_line *line) { return (size_t)(line->inner ? 2 * line->inner->n : line->n); }

static ledge_status plan_init(fft_plan *plan, int64_t n, ledge_error *error) {
  TRY(line_init(&plan->full, n, plan->dtype, error));
  size_t scratch = line_scratch(&plan->full);
  if (n % 2 == 0) {
    TRY(line_init(&plan->half, n / 2, plan->dtype, error));
    size_t count = (size_t)n / 4 + 1, bytes = count * complex_bytes(plan->dtype);
    plan->half_roots = mem_alloc(bytes);
    if (!plan->half_roots) return error_memory(error, bytes, "a Fourier transform");
    if (plan->dtype == LEDGE_F64)
      fill_roots_f64(plan->half_roots, 1, n, (int64_t)count);
    else
      fill_roots_f32(plan->half_roots, 1, n, (int64_t)count);
    if (line_scratch(&plan->half) > scratch) scratch = line_scratch(&plan->half);
  } else {
    scratch += (size_t)n; /* the reals as complex numbers */
  }
  plan->scratch_bytes = scratch * complex_bytes(plan->dtype);
  return LEDGE_OK;
}

ledge_status fft_plan_create(int64_t n, ledge_dtype dtype, fft_plan **ret_plan, ledge_error *error) {
  if (n < 1 || (dtype != LEDGE_F32 && dtype != LEDGE_F64))
    return error_set(error, LEDGE_ERROR_ARGUMENT,
                     "a Fourier transform of %" PRId64 " points of %s: needs 1 or more of f32 or f64", n,
                     ledge_dtype_name(dtype));
  if (n > FFT_LENGTH_MAX)
    return error_set(error, LEDGE_ERROR_LIMIT, "a Fourier transform of %" PRId64 " points; the limit is %" PRId64, n,
                     FFT_LENGTH_MAX);
  fft_plan *plan = mem_zalloc(sizeof *plan);
  if (!plan) return error_memory(error, sizeof *plan, "a Fourier transform");
  plan->dtype = dtype;
  ledge_status status = plan_init(plan, n, error);
  if (status)
    fft_plan_destroy(plan);
  else
    *ret_plan = plan;
  return status;
}

void fft_plan_destroy(fft_plan *plan) {
  if (!plan) return;
  line_deinit(&plan->full);
  line_deinit(&plan->half);
  mem_free(plan->half_roots);
  mem_free(plan);
}

int64_t fft_plan_length(const fft_plan *plan) { return plan->full.n; }
size_t fft_plan_scratch_bytes(const fft_plan *plan) { return plan->scratch_bytes; }
