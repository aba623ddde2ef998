/* Temporary: weak stand-ins for kernels that are still landing; goes when they are there. */
#include <stdlib.h>
void convtranspose_f32_ref(void);
__attribute__((weak)) void convtranspose_f32_ref(void) { abort(); }
void convtranspose_f32_plan_init(void);
__attribute__((weak)) void convtranspose_f32_plan_init(void) { abort(); }
void convtranspose_f32_run(void);
__attribute__((weak)) void convtranspose_f32_run(void) { abort(); }
void convtranspose_f32_pack(void);
__attribute__((weak)) void convtranspose_f32_pack(void) { abort(); }
void norm_channel_affine_f32(void);
__attribute__((weak)) void norm_channel_affine_f32(void) { abort(); }
void gather_check(void);
__attribute__((weak)) void gather_check(void) { abort(); }
void gather_rows(void);
__attribute__((weak)) void gather_rows(void) { abort(); }
void reduce_f32(void);
__attribute__((weak)) void reduce_f32(void) { abort(); }
void softmax_f32_inner(void);
__attribute__((weak)) void softmax_f32_inner(void) { abort(); }
void softmax_f32(void);
__attribute__((weak)) void softmax_f32(void) { abort(); }
void norm_group_f32(void);
__attribute__((weak)) void norm_group_f32(void) { abort(); }
void norm_rows_f32(void);
__attribute__((weak)) void norm_rows_f32(void) { abort(); }
void reduce_global_average_nchw_f32(void);
__attribute__((weak)) void reduce_global_average_nchw_f32(void) { abort(); }
void reduce_global_average_nhwc_f32(void);
__attribute__((weak)) void reduce_global_average_nhwc_f32(void) { abort(); }
