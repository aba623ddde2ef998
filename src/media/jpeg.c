/* media/jpeg: JPEG through libjpeg-turbo, in memory: the accurate integer transform and the smooth ("fancy") chroma
 * upsampling that ONNX's ImageDecoder describes, both the library's defaults.
 *
 * libjpeg reports a fault by a call that must not return: it jumps back into jpeg_read_job, whose state is in a struct
 * of the caller's. The end of the data inside the picture is a fault too (the library alone would go on with grey). */
#include <stdio.h>

#include <jpeglib.h>

#include "base/error.h"
#include "media/image_codec.h"

#include <inttypes.h>
#include <setjmp.h>

#define JPEG_SCANS_MAX 128        /* of a progressive file: 10 are usual; each goes over the whole picture */
#define JPEG_PIXELS_PER_BYTE 1024 /* a block of 64 pixels takes a bit at least; twice that for safety */

typedef struct jpeg_job {
  struct jpeg_decompress_struct info;
  struct jpeg_error_mgr handler;
  struct jpeg_source_mgr in;
  struct jpeg_progress_mgr progress;
  jmp_buf jump;
  const image_source *source;
  image_pixels *px;
  char message[JMSG_LENGTH_MAX];
  ledge_status status;
  ledge_error *error;
} jpeg_job;

static void jpeg_on_error(j_common_ptr info) {
  jpeg_job *job = info->client_data;
  info->err->format_message(info, job->message);
  longjmp(job->jump, 1);
}
static void jpeg_on_message(j_common_ptr info, int level) {}
static void jpeg_on_output(j_common_ptr info) {}

_Noreturn static void jpeg_fail(jpeg_job *job, const char *text) {
  snprintf(job->message, sizeof job->message, "%s", text);
  longjmp(job->jump, 1);
}

static void jpeg_on_init(j_decompress_ptr info) {}
static boolean jpeg_on_fill(j_decompress_ptr info) { jpeg_fail(info->client_data, "the file is truncated"); }
static void jpeg_on_skip(j_decompress_ptr info, long n) {
  if (n <= 0) return;
  if ((unsigned long)n > info->src->bytes_in_buffer) jpeg_fail(info->client_data, "the file is truncated");
  info->src->next_input_byte += n;
  info->src->bytes_in_buffer -= (size_t)n;
}
static void jpeg_on_progress(j_common_ptr common) {
  j_decompress_ptr info = (j_decompress_ptr)common;
  if (info->input_scan_number > JPEG_SCANS_MAX) jpeg_fail(info->client_data, "the file has too many scans");
}

/* In place: 4 bytes of ink a pixel -> 3 of light, without a profile. Adobe's files hold the complement of the ink. */
static void jpeg_cmyk_to_rgb(const uint8_t *in, uint8_t *out, int64_t n, bool complement) {
  for (int64_t i = 0; i < n; i++, in += 4, out += 3) {
    unsigned flip = complement ? 255 : 0, light = 255 - (in[3] ^ flip);
    for (int k = 0; k < 3; k++) {
      unsigned product = (in[k] ^ flip) * light + 128; /* rounded division by 255 */
      out[k] = (uint8_t)(light - ((product + (product >> 8)) >> 8));
    }
  }
}

static int jpeg_orientation(j_decompress_ptr info) {
  for (jpeg_saved_marker_ptr m = info->marker_list; m; m = m->next)
    if (m->marker == JPEG_APP0 + 1 && m->data_length > 6 && memcmp(m->data, "Exif\0", 5) == 0)
      return image_exif_orientation(m->data, m->data_length);
  return 0;
}

static ledge_status jpeg_check(jpeg_job *job, j_decompress_ptr info) {
  int64_t width = info->image_width, height = info->image_height;
  TRY(image_check_size(job->source, "JPEG", width, height, job->error));
  if (!info->arith_code && (uint64_t)(width * height) / JPEG_PIXELS_PER_BYTE > job->source->size)
    return error_set(job->error, LEDGE_ERROR_FORMAT,
                     "JPEG: the file is truncated: %zu bytes cannot hold %" PRId64 " by %" PRId64 " pixels",
                     job->source->size, width, height);
  return LEDGE_OK;
}

static bool jpeg_read_job(jpeg_job *job) {
  j_decompress_ptr info = &job->info;
  if (setjmp(job->jump)) return false;
  jpeg_create_decompress(info);
  info->src = &job->in;
  info->progress = &job->progress;
  if (job->source->want_exif) jpeg_save_markers(info, JPEG_APP0 + 1, 0xffff);
  jpeg_read_header(info, TRUE);
  job->status = jpeg_check(job, info);
  if (job->status) return false;
  bool cmyk = info->num_components == 4;
  info->out_color_space = cmyk ? JCS_CMYK : info->num_components == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_start_decompress(info);
  int channels = info->output_components;
  job->status =
      image_pixels_alloc(job->px, job->source, "JPEG", info->output_width, info->output_height, channels, job->error);
  if (job->status) return false;
  size_t row_bytes = (size_t)info->output_width * (size_t)channels;
  while (info->output_scanline < info->output_height) {
    JSAMPROW row = image_pixels_data(job->px) + info->output_scanline * row_bytes;
    jpeg_read_scanlines(info, &row, 1);
  }
  if (cmyk) {
    uint8_t *p = image_pixels_data(job->px);
    jpeg_cmyk_to_rgb(p, p, job->px->width * job->px->height, info->saw_Adobe_marker);
    job->px->channels = 3;
  }
  job->px->orientation = jpeg_orientation(info);
  return true;
}

ledge_status image_decode_jpeg(const image_source *source, image_pixels *px, ledge_error *error) {
  jpeg_job job = {.source = source, .px = px, .error = error};
  job.info.err = jpeg_std_error(&job.handler);
  job.info.client_data = &job;
  job.handler.error_exit = jpeg_on_error;
  job.handler.emit_message = jpeg_on_message;
  job.handler.output_message = jpeg_on_output;
  job.progress.progress_monitor = jpeg_on_progress;
  job.in = (struct jpeg_source_mgr){.next_input_byte = source->data,
                                    .bytes_in_buffer = source->size,
                                    .init_source = jpeg_on_init,
                                    .fill_input_buffer = jpeg_on_fill,
                                    .skip_input_data = jpeg_on_skip,
                                    .resync_to_restart = jpeg_resync_to_restart,
                                    .term_source = jpeg_on_init};
  bool ok = jpeg_read_job(&job);
  jpeg_destroy_decompress(&job.info);
  if (ok || job.status) return job.status;
  uint64_t at = source->size - job.in.bytes_in_buffer;
  return error_set_at(error, LEDGE_ERROR_FORMAT, at, "JPEG: %s", job.message);
}
