/* formats/tflite/operators: the functions that rows.c lists, and what they share. */
#ifndef FORMATS_TFLITE_OPERATORS_H
#define FORMATS_TFLITE_OPERATORS_H

#include "formats/tflite/read.h"

/* ---- op_conv.c ---- */
void tfl_conv_2d(tfl_op *o);
void tfl_depthwise_conv_2d(tfl_op *o);
void tfl_conv_3d(tfl_op *o);
void tfl_transpose_conv(tfl_op *o);
void tfl_conv_3d_transpose(tfl_op *o);
void tfl_transpose_conv_bias(tfl_op *o);
void tfl_fully_connected(tfl_op *o);
void tfl_batch_matmul(tfl_op *o);
void tfl_pool_2d(tfl_op *o);
void tfl_l2_pool_2d(tfl_op *o);
/* Weights as floats, permuted; quantised ones behind a DequantizeLinear. */
value_id tfl_weights_f32(tfl_op *o, int i, const int *perm, int rank);
/* The range that a fused activation leaves in the numbers of a tensor. */
void tfl_act_range(tfl_op *o, const tfl_tensor *t, int act, int64_t *least, int64_t *most);
float tfl_scale(tfl_op *o, const tfl_tensor *t);
int64_t tfl_zero(const tfl_tensor *t);

/* ---- op_math.c ---- */
void tfl_unary(tfl_op *o);      /* row->onnx of input 0 */
void tfl_logical(tfl_op *o);    /* row->onnx of all inputs */
void tfl_arithmetic(tfl_op *o); /* row->onnx of two inputs, with an activation */
void tfl_compare(tfl_op *o);
void tfl_activation(tfl_op *o);
void tfl_leaky_relu(tfl_op *o);
void tfl_prelu(tfl_op *o);
void tfl_gelu(tfl_op *o);
void tfl_rsqrt(tfl_op *o);
void tfl_square(tfl_op *o);
void tfl_squared_difference(tfl_op *o);
void tfl_floor_div(tfl_op *o);
void tfl_floor_mod(tfl_op *o);
void tfl_not_equal(tfl_op *o);
void tfl_softmax(tfl_op *o);
void tfl_log_softmax(tfl_op *o);
void tfl_l2_normalization(tfl_op *o);
void tfl_lrn(tfl_op *o);
void tfl_reduce(tfl_op *o);
void tfl_mean(tfl_op *o);
void tfl_arg(tfl_op *o);
void tfl_cumsum(tfl_op *o);
void tfl_cast_op(tfl_op *o);
void tfl_quantize_op(tfl_op *o);
void tfl_dequantize_op(tfl_op *o);
void tfl_fake_quant(tfl_op *o);
void tfl_add_n(tfl_op *o);
void tfl_maximum(tfl_op *o);
void tfl_own_binary(tfl_op *o); /* row->onnx of domain tflite, without attributes */
void tfl_complex_part(tfl_op *o);

/* ---- op_move.c ---- */
void tfl_concatenation(tfl_op *o);
void tfl_pad(tfl_op *o);
void tfl_mirror_pad(tfl_op *o);
void tfl_pack(tfl_op *o);
void tfl_unpack(tfl_op *o);
void tfl_split(tfl_op *o);
void tfl_split_v(tfl_op *o);
void tfl_slice(tfl_op *o);
void tfl_strided_slice(tfl_op *o);
void tfl_gather(tfl_op *o);
void tfl_gather_nd(tfl_op *o);
void tfl_scatter_nd(tfl_op *o);
void tfl_select(tfl_op *o);
void tfl_tile(tfl_op *o);
void tfl_transpose(tfl_op *o);
void tfl_reverse(tfl_op *o);
void tfl_reverse_sequence(tfl_op *o);
void tfl_space_to_depth(tfl_op *o);
void tfl_space_to_batch(tfl_op *o);
void tfl_batch_to_space(tfl_op *o);
void tfl_resize_bilinear(tfl_op *o);
void tfl_resize_nearest(tfl_op *o);
void tfl_topk(tfl_op *o);
void tfl_one_hot(tfl_op *o);
void tfl_where(tfl_op *o);
void tfl_embedding_lookup(tfl_op *o);
void tfl_dynamic_update_slice(tfl_op *o);

/* ---- op_shape.c ---- */
void tfl_reshape_op(tfl_op *o);
void tfl_squeeze(tfl_op *o);
void tfl_expand_dims(tfl_op *o);
void tfl_shape(tfl_op *o);
void tfl_rank(tfl_op *o);
void tfl_fill(tfl_op *o);
void tfl_zeros_like(tfl_op *o);
void tfl_range(tfl_op *o);
void tfl_broadcast_to(tfl_op *o);
void tfl_broadcast_args(tfl_op *o);
void tfl_densify_op(tfl_op *o);

/* ---- op_control.c, op_state.c ---- */
void tfl_if(tfl_op *o);
void tfl_while(tfl_op *o);
void tfl_call_once(tfl_op *o);
void tfl_var_handle(tfl_op *o);
void tfl_read_variable(tfl_op *o);
void tfl_assign_variable(tfl_op *o);

/* ---- op_recurrent.c ---- */
void tfl_lstm_sequence(tfl_op *o);
void tfl_svdf(tfl_op *o);

/* ---- op_custom.c ---- */
void tfl_max_pool_argmax(tfl_op *o);
void tfl_max_unpool(tfl_op *o);
void tfl_signal(tfl_op *o);

#endif
