/* media/fft_body: the transforms of one real type; fft.c includes this file once for float and once for double.
 *
 *   REAL     the type           FFT_NAME(x)     x with the type's suffix
 *
 * One Stockham pass of radix p, with m = (length left) / p and s = product of the radices done, reads
 * x[k + s (q + m j)], transforms over j, and writes y[k + s (p q + r)] = b[r] exp(-2 pi i r q / (p m)): the output of
 * the last pass is in order. `sign` is +1 forward and -1 inverse and a constant at each call, as is the radix. */

#define COMPLEX FFT_NAME(complex)
typedef struct COMPLEX {
  REAL re, im;
} COMPLEX;

static inline COMPLEX FFT_NAME(multiply)(COMPLEX a, COMPLEX w, REAL sign) {
  REAL im = sign * w.im;
  return (COMPLEX){a.re * w.re - a.im * im, a.re * im + a.im * w.re};
}
/* a * -i forward, a * i inverse. */
static inline COMPLEX FFT_NAME(turn)(COMPLEX a, REAL sign) { return (COMPLEX){sign * a.im, -sign * a.re}; }
static inline COMPLEX FFT_NAME(add)(COMPLEX a, COMPLEX b) { return (COMPLEX){a.re + b.re, a.im + b.im}; }
static inline COMPLEX FFT_NAME(sub)(COMPLEX a, COMPLEX b) { return (COMPLEX){a.re - b.re, a.im - b.im}; }
static inline COMPLEX FFT_NAME(scale)(COMPLEX a, REAL c) { return (COMPLEX){a.re * c, a.im * c}; }

/* p points in place. `roots` (p of them, exp(-2 pi i k / p)) only for the general radix. */
static inline __attribute__((always_inline)) void FFT_NAME(butterfly)(COMPLEX *a, int p, REAL sign,
                                                                      const COMPLEX *roots) {
  if (p == 2) {
    COMPLEX t = a[1];
    a[1] = FFT_NAME(sub)(a[0], t);
    a[0] = FFT_NAME(add)(a[0], t);
  } else if (p == 3) {
    const REAL sin60 = (REAL)0.86602540378443864676;
    COMPLEX t = FFT_NAME(add)(a[1], a[2]), d = FFT_NAME(turn)(FFT_NAME(scale)(FFT_NAME(sub)(a[1], a[2]), sin60), sign);
    COMPLEX m = FFT_NAME(sub)(a[0], FFT_NAME(scale)(t, (REAL)0.5));
    a[0] = FFT_NAME(add)(a[0], t);
    a[1] = FFT_NAME(add)(m, d);
    a[2] = FFT_NAME(sub)(m, d);
  } else if (p == 4) {
    COMPLEX even = FFT_NAME(add)(a[0], a[2]), odd = FFT_NAME(add)(a[1], a[3]);
    COMPLEX down = FFT_NAME(sub)(a[0], a[2]), up = FFT_NAME(turn)(FFT_NAME(sub)(a[1], a[3]), sign);
    a[0] = FFT_NAME(add)(even, odd);
    a[1] = FFT_NAME(add)(down, up);
    a[2] = FFT_NAME(sub)(even, odd);
    a[3] = FFT_NAME(sub)(down, up);
  } else if (p == 5) {
    const REAL c1 = (REAL)0.30901699437494742410, c2 = (REAL)-0.80901699437494742410;
    const REAL s1 = (REAL)0.95105651629515357212, s2 = (REAL)0.58778525229247312917;
    COMPLEX t1 = FFT_NAME(add)(a[1], a[4]), t2 = FFT_NAME(add)(a[2], a[3]);
    COMPLEX d1 = FFT_NAME(turn)(FFT_NAME(sub)(a[1], a[4]), sign), d2 = FFT_NAME(turn)(FFT_NAME(sub)(a[2], a[3]), sign);
    COMPLEX m1 = {a[0].re + c1 * t1.re + c2 * t2.re, a[0].im + c1 * t1.im + c2 * t2.im};
    COMPLEX m2 = {a[0].re + c2 * t1.re + c1 * t2.re, a[0].im + c2 * t1.im + c1 * t2.im};
    COMPLEX n1 = {s1 * d1.re + s2 * d2.re, s1 * d1.im + s2 * d2.im};
    COMPLEX n2 = {s2 * d1.re - s1 * d2.re, s2 * d1.im - s1 * d2.im};
    a[0] = FFT_NAME(add)(a[0], FFT_NAME(add)(t1, t2));
    a[1] = FFT_NAME(add)(m1, n1);
    a[4] = FFT_NAME(sub)(m1, n1);
    a[2] = FFT_NAME(add)(m2, n2);
    a[3] = FFT_NAME(sub)(m2, n2);
  } else {
    COMPLEX b[FFT_RADIX_MAX];
    for (int r = 0; r < p; r++) {
      b[r] = a[0];
      for (int j = 1; j < p; j++) b[r] = FFT_NAME(add)(b[r], FFT_NAME(multiply)(a[j], roots[j * r % p], sign));
    }
    for (int r = 0; r < p; r++) a[r] = b[r];
  }
}

/* One pass; `twiddles` holds, for each q, the p - 1 factors of r = 1 .. p - 1; behind them, for the general radix, p
 * roots. */
static inline __attribute__((always_inline)) void FFT_NAME(pass_body)(const COMPLEX *restrict x, COMPLEX *restrict y,
                                                                      int64_t m, int64_t s, const COMPLEX *twiddles,
                                                                      int p, REAL sign) {
  const COMPLEX *roots = twiddles + m * (p - 1);
  for (int64_t q = 0; q < m; q++) {
    const COMPLEX *w = twiddles + q * (p - 1);
    for (int64_t k = 0; k < s; k++) {
      COMPLEX a[FFT_RADIX_MAX];
      a[0] = x[k + s * q]; /* p is 2 at least */
      for (int j = 1; j < p; j++) a[j] = x[k + s * (q + m * j)];
      FFT_NAME(butterfly)(a, p, sign, roots);
      y[k + s * p * q] = a[0];
      for (int r = 1; r < p; r++) y[k + s * (p * q + r)] = FFT_NAME(multiply)(a[r], w[r - 1], sign);
    }
  }
}

static inline __attribute__((always_inline)) void FFT_NAME(pass_sign)(const COMPLEX *x, COMPLEX *y, int64_t m,
                                                                      int64_t s, const COMPLEX *w, int p, REAL sign) {
  switch (p) {
    case 2: FFT_NAME(pass_body)(x, y, m, s, w, 2, sign); break;
    case 3: FFT_NAME(pass_body)(x, y, m, s, w, 3, sign); break;
    case 4: FFT_NAME(pass_body)(x, y, m, s, w, 4, sign); break;
    case 5: FFT_NAME(pass_body)(x, y, m, s, w, 5, sign); break;
    default: FFT_NAME(pass_body)(x, y, m, s, w, p, sign); break;
  }
}

static void FFT_NAME(pass)(bool inverse, const COMPLEX *x, COMPLEX *y, int64_t m, int64_t s, const COMPLEX *w, int p) {
  if (inverse)
    FFT_NAME(pass_sign)(x, y, m, s, w, p, (REAL)-1);
  else
    FFT_NAME(pass_sign)(x, y, m, s, w, p, (REAL)1);
}

/* scratch: n complex. Passes alternate between scratch and out so that the last one lands in out. */
static void FFT_NAME(stockham)(const fft_line *line, bool inverse, const COMPLEX *in, COMPLEX *out, COMPLEX *scratch) {
  int64_t left = line->n, done = 1;
  const COMPLEX *w = line->twiddles, *x = in;
  if (line->n_factors == 0) {
    out[0] = in[0];
    return;
  }
  if (line->n_factors % 2 == 1 && in == out) { /* the first pass would write what it reads */
    memcpy(scratch, in, (size_t)line->n * sizeof *in);
    x = scratch;
  }
  for (int i = 0; i < line->n_factors; i++) {
    int p = line->factors[i];
    int64_t m = left / p;
    COMPLEX *y = (line->n_factors - i) % 2 == 1 ? out : scratch;
    FFT_NAME(pass)(inverse, x, y, m, done, w, p);
    w += m * (p - 1) + (p > 5 ? p : 0);
    x = y;
    left = m;
    done *= p;
  }
}

/* The transform as a convolution with a chirp: scratch is 2 m complex, m the length of the inner transform. */
static void FFT_NAME(bluestein)(const fft_line *line, bool inverse, const COMPLEX *in, COMPLEX *out, COMPLEX *scratch) {
  int64_t n = line->n, m = line->inner->n;
  const COMPLEX *chirp = line->twiddles, *spectrum = chirp + n;
  COMPLEX *a = scratch, *rest = scratch + m;
  REAL sign = inverse ? (REAL)-1 : (REAL)1;
  for (int64_t j = 0; j < n; j++) a[j] = FFT_NAME(multiply)((COMPLEX){in[j].re, sign * in[j].im}, chirp[j], 1);
  memset(a + n, 0, (size_t)(m - n) * sizeof *a);
  FFT_NAME(stockham)(line->inner, false, a, a, rest);
  for (int64_t j = 0; j < m; j++) a[j] = FFT_NAME(multiply)(a[j], spectrum[j], 1);
  FFT_NAME(stockham)(line->inner, true, a, a, rest);
  for (int64_t k = 0; k < n; k++) {
    COMPLEX v = FFT_NAME(multiply)(a[k], chirp[k], 1);
    out[k] = (COMPLEX){v.re, sign * v.im};
  }
}

static void FFT_NAME(line)(const fft_line *line, bool inverse, const COMPLEX *in, COMPLEX *out, void *scratch) {
  if (line->inner)
    FFT_NAME(bluestein)(line, inverse, in, out, scratch);
  else
    FFT_NAME(stockham)(line, inverse, in, out, scratch);
}

static void FFT_NAME(fill_roots)(COMPLEX *w, int64_t step, int64_t n, int64_t count) {
  for (int64_t i = 0; i < count; i++) {
    double re, im;
    root_of_unity(i * step % n, n, &re, &im);
    w[i] = (COMPLEX){(REAL)re, (REAL)im};
  }
}

static void FFT_NAME(fill_stockham)(fft_line *line) {
  COMPLEX *w = line->twiddles;
  int64_t left = line->n;
  for (int i = 0; i < line->n_factors; i++) {
    int p = line->factors[i];
    int64_t m = left / p;
    for (int64_t q = 0; q < m; q++) {
      for (int r = 1; r < p; r++) {
        double re, im;
        root_of_unity(r * q, left, &re, &im);
        *w++ = (COMPLEX){(REAL)re, (REAL)im};
      }
    }
    if (p > 5) {
      FFT_NAME(fill_roots)(w, 1, p, p);
      w += p;
    }
    left = m;
  }
}

/* chirp[j] = exp(-pi i j^2 / n), then the spectrum of its conjugate, wrapped to length m and divided by m. scratch: m
 * complex. */
static void FFT_NAME(fill_bluestein)(fft_line *line, COMPLEX *scratch) {
  int64_t n = line->n, m = line->inner->n;
  COMPLEX *chirp = line->twiddles, *b = chirp + n;
  memset(b, 0, (size_t)m * sizeof *b);
  for (int64_t j = 0; j < n; j++) {
    double re, im;
    root_of_unity((int64_t)((uint64_t)j * (uint64_t)j % (uint64_t)(2 * n)), 2 * n, &re, &im);
    chirp[j] = (COMPLEX){(REAL)re, (REAL)im};
    COMPLEX v = {(REAL)(re / (double)m), (REAL)(-im / (double)m)};
    b[j] = v;
    if (j > 0) b[m - j] = v;
  }
  FFT_NAME(stockham)(line->inner, false, b, b, scratch);
}

void FFT_NAME(fft_complex)(const fft_plan *plan, bool inverse, const REAL *in, REAL *out, void *scratch) {
  FFT_NAME(line)(&plan->full, inverse, (const COMPLEX *)in, (COMPLEX *)out, scratch);
}

/* Even n: the reals are taken as n / 2 complex points z with Z[k] = E[k] + i O[k], E and O the spectra of the even and
 * the odd samples; X[k] = E[k] + w^k O[k] and X[h - k] = conj(E[k] - w^k O[k]). */
void FFT_NAME(fft_real)(const fft_plan *plan, const REAL *in, REAL *out, void *scratch) {
  COMPLEX *X = (COMPLEX *)out;
  int64_t n = plan->full.n, h = n / 2;
  if (n % 2 == 1) {
    COMPLEX *z = scratch;
    for (int64_t i = 0; i < n; i++) z[i] = (COMPLEX){in[i], 0};
    FFT_NAME(line)(&plan->full, false, z, z, z + n);
    memcpy(X, z, (size_t)(h + 1) * sizeof *X);
    return;
  }
  const COMPLEX *w = plan->half_roots;
  FFT_NAME(line)(&plan->half, false, (const COMPLEX *)in, X, scratch);
  COMPLEX first = X[0];
  X[0] = (COMPLEX){first.re + first.im, 0};
  X[h] = (COMPLEX){first.re - first.im, 0};
  for (int64_t k = 1; k <= h / 2; k++) {
    COMPLEX a = X[k], b = {X[h - k].re, -X[h - k].im};
    COMPLEX even = FFT_NAME(scale)(FFT_NAME(add)(a, b), (REAL)0.5);
    COMPLEX odd = FFT_NAME(turn)(FFT_NAME(scale)(FFT_NAME(sub)(a, b), (REAL)0.5), 1);
    COMPLEX t = FFT_NAME(multiply)(odd, w[k], 1);
    COMPLEX high = FFT_NAME(sub)(even, t);
    X[k] = FFT_NAME(add)(even, t);
    if (k < h - k) X[h - k] = (COMPLEX){high.re, -high.im};
  }
}

void FFT_NAME(fft_real_inverse)(const fft_plan *plan, const REAL *in, REAL *out, void *scratch) {
  const COMPLEX *X = (const COMPLEX *)in;
  int64_t n = plan->full.n, h = n / 2;
  if (n % 2 == 1) {
    COMPLEX *z = scratch;
    z[0] = (COMPLEX){X[0].re, 0};
    for (int64_t k = 1; k <= h; k++) {
      z[k] = X[k];
      z[n - k] = (COMPLEX){X[k].re, -X[k].im};
    }
    FFT_NAME(line)(&plan->full, true, z, z, z + n);
    for (int64_t i = 0; i < n; i++) out[i] = z[i].re;
    return;
  }
  const COMPLEX *w = plan->half_roots;
  COMPLEX *z = (COMPLEX *)out;
  z[0] = (COMPLEX){X[0].re + X[h].re, X[0].re - X[h].re};
  for (int64_t k = 1; k <= h / 2; k++) {
    COMPLEX a = X[k], b = {X[h - k].re, -X[h - k].im};
    COMPLEX even = FFT_NAME(add)(a, b), odd = FFT_NAME(multiply)(FFT_NAME(sub)(a, b), w[k], -1);
    COMPLEX t = FFT_NAME(turn)(odd, -1); /* i times */
    COMPLEX high = FFT_NAME(sub)(even, t);
    z[k] = FFT_NAME(add)(even, t);
    if (k < h - k) z[h - k] = (COMPLEX){high.re, -high.im};
  }
  FFT_NAME(line)(&plan->half, true, z, z, scratch);
}

#undef COMPLEX
