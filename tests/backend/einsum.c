/* Einsum as matrix products. */
#include "backend/net_test.h"

static void test_einsum(void) {
  static const net_case cases[] = {
      {"x = in f32[5x6]; z = in f32[6x7]; y = Einsum-12 x z equation='ij,jk->ik'; out y", "gemm", 1e-5},
      {"x = in f32[3x5x6]; z = in f32[3x6x7]; y = Einsum-12 x z equation='bij, bjk -> bik'; out y", "gemm", 1e-5},
      {"x = in f32[2x3x5x6]; z = in f32[2x3x7x6]; y = Einsum-12 x z equation='bhid,bhjd->bhij'; out y", "gemm", 1e-5},
      {"x = in f32[2x5x3x6]; z = in f32[2x7x3x6]; y = Einsum-12 x z equation='bihd,bjhd->bhij'; out y", "gemm", 1e-5},
      {"x = in f32[2x3x5x7]; z = in f32[2x7x3x6]; y = Einsum-12 x z equation='bhij,bjhd->bihd'; out y", "gemm", 1e-5},
      {"x = in f32[2x5x3x6]; z = in f32[3x6x7]; y = Einsum-12 x z equation='bthd,hdo->bto'; out y", "gemm", 1e-5},
      {"x = in f32[2x3x5x6]; z = in f32[3x6x7]; y = Einsum-12 x z equation='bhtd,hdo->bto'; out y", "gemm", 1e-5},
      {"x = in f32[5x6]; z = in f32[6x3x7]; y = Einsum-12 x z equation='ij,jkl->lik'; out y", "gemm", 1e-5},
      {"x = in f32[5]; z = in f32[7]; y = Einsum-12 x z equation='i,j->ij'; out y", "gemm", 1e-5},
      {"x = in f32[5x6]; z = in f32[5x6]; y = Einsum-12 x z equation='ij,ij->'; out y", "gemm", 1e-5},
      {"x = in f32[5x6]; z = in f32[6]; y = Einsum-12 x z equation='ij,j->i'; out y", "gemm", 1e-5},
      {"x = in f32[5x6]; z = in f32[6]; y = Einsum-12 x z equation='ij,j->ij'; out y", "gemm", 1e-5},
      {"x = in f32[1x5x4]; z = in f32[1x4x1]; y = Einsum-12 x z equation='bij,bjk->bki'; out y", "gemm", 1e-5},
      {"x = in f32[2x4x5x6]; z = in f32[4x3]; y = Einsum-12 x z equation='nchw,cd->ndhw'; out y", "gemm", 1e-5},
      {"x = in f32[5x5]; z = in f32[5]; y = Einsum-12 x z equation='ii,i->i'; out y", "~gemm", 1e-5},
      {"x = in f32[5x6]; z = in f32[7]; y = Einsum-12 x z equation='ij,k->ik'; out y", "~gemm", 1e-5},
      {"x = in f32[2x5x6]; z = in f32[2x6x7]; y = Einsum-12 x z equation='...ij,...jk->...ik'; out y", "~gemm", 1e-5},
      {"x = in f32[1x6]; z = in f32[5x6]; y = Einsum-12 x z equation='ij,ij->ij'; out y", "~gemm", 1e-5},
  };
  NET_CASES(cases);
}

TEST_MAIN({"einsum", test_einsum})
