/* probe_bf16 with the tile unit: four sums of 16 x 16, each one chain of products of 32 k. */
#include <immintrin.h>
#include <stdint.h>

enum { TILE_MACS = 16 * 16 * 32, CHAINS = 4 };

double probe_bf16__amx(int64_t rounds);
double probe_bf16__amx(int64_t rounds) {
  static const struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
  } shapes __attribute__((aligned(64))) = {
      .palette = 1, .row_bytes = {64, 64, 64, 64, 64, 64}, .rows = {16, 16, 16, 16, 16, 16}};
  int64_t n = rounds / 16 + 1; /* a product is 16 cycles of the unit */
  _tile_loadconfig(&shapes);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  for (int64_t i = 0; i < n; i++) {
    _tile_dpbf16ps(0, 4, 5);
    _tile_dpbf16ps(1, 4, 5);
    _tile_dpbf16ps(2, 4, 5);
    _tile_dpbf16ps(3, 4, 5);
  }
  _tile_release();
  return (double)n * CHAINS * TILE_MACS;
}
