/* simd/upto: loads and stores of a vector or of what is left of an array, so that a loop over n elements is one loop:
 *
 *   for (int64_t i = 0; i < n; i += VF_LANES) vf_store_upto(y + i, f(vf_load_upto(x + i, n - i)), n - i);
 *
 * To be included after one of the vocabularies. */
#ifndef KERNELS_SIMD_UPTO_H
#define KERNELS_SIMD_UPTO_H

VF_WORD vf vf_load_upto(const float *p, int64_t count) { return count >= VF_LANES ? vf_load(p) : vf_loadn(p, count); }
VF_WORD void vf_store_upto(float *p, vf v, int64_t count) {
  if (count >= VF_LANES)
    vf_store(p, v);
  else
    vf_storen(p, v, count);
}

#endif
