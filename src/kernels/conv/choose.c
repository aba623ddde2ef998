/* kernels/conv/choose: which algorithm, by a model of the time in cycles of a core with two multiply-add ports. The
 * rates were measured (bench/kernels_conv) on an AVX-512 core of 3 GHz; only their proportions matter for the choice:
 *
 *   - a tile of r rows spends r cycles a row of k on arithmetic, but no fewer than 5, in which L2 delivers the panel;
 *   - weights come from memory once a run at 4 bytes a cycle, since a network's weights together exceed the caches,
 * and, where they exceed L2, again for each block of tiles at 10 bytes a cycle;
 *   - a vector of channels takes about 100 cycles in each of F(4x4)'s two transforms of a tile, and 40 in F(2x2)'s.
 *
 * Winograd must win by a tenth: it needs more memory for its weights (4 times, 1.8 times). */
#include "kernels/conv/conv_impl.h"

enum { L2_BYTES = 1 << 20 };

static double at_least(double a, double b) { return a > b ? a : b; }

/* Cycles to multiply `tiles` tiles of `rows` rows by all columns. */
static double product_cycles(double tiles, double rows, double k, double panels) {
  return tiles * at_least(rows, 5) * k * panels / 0.93;
}

static double weight_cycles(double bytes, double passes) {
  return bytes / 4 + (bytes > L2_BYTES ? (passes - 1) * bytes / 10 : 0);
}

static double strip_cycles(const conv_geometry *g, const gemm_f32_variant *v) {
  bool pairs = g->y_dense && 2 * g->out[2] <= v->mr && g->out[1] >= 2 && g->dilation[1] == 1 && g->kernel[0] == 1;
  gemm_rows rows = gemm_rows_split(g->out[2], v->mr);
  double planes = (double)(g->batch * g->out[0]), width = (double)g->out[2];
  double tiles = pairs ? (double)((g->out[1] + 1) / 2) : (double)(g->out[1] * rows.n);
  if (pairs && g->stride[2] > 1) tiles *= 1.2; /* measured: the two rows of a window share too few lines */
  return product_cycles(planes * tiles, pairs ? 2 * width : width / (double)rows.n, (double)g->k,
                        (double)(g->panels * g->groups));
}

static double gather_cycles(const conv_geometry *g, const gemm_f32_variant *v) {
  double pixels = (double)(g->batch * g->out[0] * g->out[1] * g->out[2]), tiles = pixels / v->mr;
  double blocks = (double)((g->ng - 1) / gemm_block_columns(g->ng, g->k, v->nr, 1, 1) + 1);
  double copies = pixels * (double)(g->k * g->groups) * blocks / 3;
  return product_cycles(tiles < 1 ? 1 : tiles, v->mr, (double)g->k, (double)(g->panels * g->groups)) + copies;
}

static double winograd_cycles(const conv_geometry *g, const gemm_f32_variant *v, int m) {
  double n = m + 2, lanes = v->nr / 2, transform = m == 4 ? 100 : 40, c = (double)g->cg;
  double tiles = (double)(g->batch * ((g->out[1] + m - 1) / m) * ((g->out[2] + m - 1) / m));
  double block = (768 << 10) / 4 / (n * n * c), bytes = n * n * c * (double)(g->panels * v->nr) * 4;
  double blocks = tiles / at_least(block, v->mr), row_tiles = tiles / v->mr;
  if (blocks < 1) blocks = 1;
  if (row_tiles < 1) row_tiles = 1;
  double vectors = (double)(g->cg + g->ng) / lanes + 1;
  return product_cycles(row_tiles * n * n, at_least(tiles < v->mr ? tiles : v->mr, 1), c, (double)g->panels) +
         tiles * vectors * transform + weight_cycles(bytes, blocks);
}

/* Puts a candidate where it belongs: the cheapest first, the earlier of equal ones. */
static int insert(conv_candidate *c, int n, conv_algo algo, double cycles) {
  int i = n;
  for (; i > 0 && c[i - 1].cycles > cycles; i--) c[i] = c[i - 1];
  c[i] = (conv_candidate){algo, cycles};
  return n + 1;
}

int conv_f32_candidates(const conv_f32_params *params, uint32_t isa_mask, conv_candidate ret[CONV_ALGO_COUNT]) {
  conv_f32_params p = *params;
  if (!p.x_pixel_stride) p.x_pixel_stride = p.channels_in;
  if (!p.y_pixel_stride) p.y_pixel_stride = p.channels_out;
  if (!p.residual_pixel_stride) p.residual_pixel_stride = p.channels_out;
  const gemm_f32_variant *v = gemm_f32_best(isa_mask);
  conv_geometry g = conv_geometry_of(&p, v);
  double bytes = (double)(g.k * g.panels * g.groups * v->nr) * 4;
  if (conv_pointwise_fits(&p)) { /* the others do the same, and copy or look for edges besides */
    double pixels = (double)(g.batch * g.out[0] * g.out[1] * g.out[2]);
    double cycles = product_cycles(pixels / v->mr, v->mr, (double)g.k, (double)(g.panels * g.groups));
    return insert(ret, 0, CONV_POINTWISE, cycles + weight_cycles(bytes, 1));
  }
  if (conv_depthwise_fits(&p)) { /* the others multiply by as many zeros as a vector has lanes */
    double vectors = (double)(g.batch * g.out[0] * g.out[1] * g.out[2] * p.channels_out) / (v->nr / 2);
    return insert(ret, 0, CONV_DEPTHWISE, vectors * (double)g.taps);
  }
  int n = insert(ret, 0, CONV_STRIP, strip_cycles(&g, v) + weight_cycles(bytes, 1));
  n = insert(ret, n, CONV_GATHER, gather_cycles(&g, v) + weight_cycles(bytes, 1));
  if (!conv_winograd_fits(&p)) return n;
  n = insert(ret, n, CONV_WINOGRAD2, 1.1 * winograd_cycles(&g, v, 2));
  return insert(ret, n, CONV_WINOGRAD4, 1.1 * winograd_cycles(&g, v, 4));
}

conv_algo conv_f32_choose(const conv_f32_params *params, uint32_t isa_mask) {
  conv_candidate c[CONV_ALGO_COUNT];
  conv_f32_candidates(params, isa_mask, c);
  return c[0].algo;
}
