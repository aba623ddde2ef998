/* media/png: PNG through libpng, in memory. libpng reports a fault by longjmp: all calls that may do so stand in
 * png_read_job and png_write_job, which keep their state in a struct of the caller's, so that no local is lost. */
#include <png.h>

#include "base/error.h"
#include "base/reader.h"
#include "base/writer.h"
#include "media/image_codec.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdio.h>

#define PNG_DEFLATE_RATIO 1040 /* deflate's largest expansion is 1032 */
#define PNG_CHUNK_BYTES_MAX ((png_alloc_size_t)8 << 20)

typedef struct png_job {
  const image_source *source;
  reader in;
  image_pixels *px;
  const tensor *image; /* writing */
  image_color color;
  writer out;
  char message[160];
  ledge_status status;
  ledge_error *error;
} png_job;

static void png_on_error(png_structp png, png_const_charp text) {
  png_job *job = png_get_error_ptr(png);
  snprintf(job->message, sizeof job->message, "%s", text);
  png_longjmp(png, 1);
}
static void png_on_warning(png_structp png, png_const_charp text) {}
static png_voidp png_on_alloc(png_structp png, png_alloc_size_t bytes) { return mem_alloc(bytes); }
static void png_on_free(png_structp png, png_voidp block) { mem_free(block); }

static void png_on_read(png_structp png, png_bytep to, size_t n) {
  png_job *job = png_get_io_ptr(png);
  const uint8_t *p = reader_take(&job->in, n);
  if (!p) png_error(png, "the file is truncated");
  memcpy(to, p, n);
}

/* The header's promise held against what the file's bytes could at most inflate to. */
static ledge_status png_check(png_job *job, png_structp png, png_infop info) {
  int64_t width = png_get_image_width(png, info), height = png_get_image_height(png, info);
  TRY(image_check_size(job->source, "PNG", width, height, job->error));
  uint64_t raw = (uint64_t)height * ((uint64_t)png_get_rowbytes(png, info) + 1);
  if (raw / PNG_DEFLATE_RATIO > job->source->size)
    return error_set(job->error, LEDGE_ERROR_FORMAT,
                     "PNG: the file is truncated: %zu bytes cannot hold %" PRId64 " by %" PRId64 " pixels",
                     job->source->size, width, height);
  return LEDGE_OK;
}

static bool png_read_job(png_job *job, png_structp png, png_infop info) {
  if (setjmp(png_jmpbuf(png))) return false;
  png_set_read_fn(png, job, png_on_read);
  png_set_user_limits(png, IMAGE_SIDE_MAX, IMAGE_SIDE_MAX);
  png_set_chunk_malloc_max(png, PNG_CHUNK_BYTES_MAX);
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, 0);
  png_read_info(png, info);
  job->status = png_check(job, png, info);
  if (job->status) return false;
  png_set_expand(png);
  png_set_strip_16(png);
  int passes = png_set_interlace_handling(png);
  png_read_update_info(png, info);
  int64_t height = png_get_image_height(png, info);
  job->status = image_pixels_alloc(job->px, job->source, "PNG", png_get_image_width(png, info), height,
                                   png_get_channels(png, info), job->error);
  if (job->status) return false;
  size_t row_bytes = png_get_rowbytes(png, info);
  if (passes > 1) memset(image_pixels_data(job->px), 0, row_bytes * (size_t)height);
  for (int pass = 0; pass < passes; pass++)
    for (int64_t y = 0; y < height; y++) png_read_row(png, image_pixels_data(job->px) + (size_t)y * row_bytes, NULL);
  png_bytep exif = NULL;
  png_uint_32 exif_size = 0;
  if (job->source->want_exif && png_get_eXIf_1(png, info, &exif_size, &exif))
    job->px->orientation = image_exif_orientation(exif, exif_size);
  return true;
}

ledge_status image_decode_png(const image_source *source, image_pixels *px, ledge_error *error) {
  png_job job = {.source = source, .in = reader_make(source->data, source->size, 0), .px = px, .error = error};
  png_structp png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &job, png_on_error, png_on_warning, NULL,
                                             png_on_alloc, png_on_free);
  png_infop info = png ? png_create_info_struct(png) : NULL;
  bool ok = info && png_read_job(&job, png, info);
  if (!info) job.status = error_memory(error, sizeof job, "the PNG reader");
  png_destroy_read_struct(&png, &info, NULL);
  if (ok || job.status) return job.status;
  return error_set_at(error, LEDGE_ERROR_FORMAT, reader_offset(&job.in), "PNG: %s", job.message);
}

static void png_on_write(png_structp png, png_bytep from, size_t n) {
  png_job *job = png_get_io_ptr(png);
  if (!writer_bytes(&job->out, from, n)) png_error(png, "out of memory");
}
static void png_on_flush(png_structp png) {}

static bool png_write_job(png_job *job, png_structp png, png_infop info) {
  if (setjmp(png_jmpbuf(png))) return false;
  const tensor *t = job->image;
  static const int types[] = {PNG_COLOR_TYPE_RGB, PNG_COLOR_TYPE_RGB, PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_RGB_ALPHA};
  png_set_write_fn(png, job, png_on_write, png_on_flush);
  png_set_IHDR(png, info, (png_uint_32)t->dims[1], (png_uint_32)t->dims[0], 8, types[job->color], PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, info);
  if (job->color == IMAGE_COLOR_BGR) png_set_bgr(png);
  size_t row_bytes = (size_t)t->dims[1] * (size_t)image_color_channels(job->color);
  for (int64_t y = 0; y < t->dims[0]; y++) png_write_row(png, (png_const_bytep)t->data + (size_t)y * row_bytes);
  png_write_end(png, info);
  return true;
}

ledge_status image_encode_png(const tensor *image, image_color color, uint8_t **ret_data, size_t *ret_size,
                              ledge_error *error) {
  int channels = image_color_channels(color);
  bool flat = image->rank == 2 && channels == 1;
  if (image->dtype != LEDGE_U8 || !(flat || (image->rank == 3 && image->dims[2] == channels)))
    return error_set(error, LEDGE_ERROR_SHAPE, "a picture to write must be u8 [height, width, %d]", channels);
  if (image->dims[0] < 1 || image->dims[1] < 1 || image->dims[0] > INT32_MAX || image->dims[1] > IMAGE_SIDE_MAX * 4)
    return error_set(error, LEDGE_ERROR_SHAPE, "PNG cannot hold %" PRId64 " by %" PRId64 " pixels", image->dims[1],
                     image->dims[0]);
  png_job job = {.image = image, .color = color, .error = error};
  png_structp png = png_create_write_struct_2(PNG_LIBPNG_VER_STRING, &job, png_on_error, png_on_warning, NULL,
                                              png_on_alloc, png_on_free);
  png_infop info = png ? png_create_info_struct(png) : NULL;
  bool ok = info && png_write_job(&job, png, info);
  png_destroy_write_struct(&png, &info);
  if (!ok) {
    writer_deinit(&job.out);
    return error_set(error, LEDGE_ERROR_MEMORY, "writing a PNG: %s", job.message[0] ? job.message : "out of memory");
  }
  *ret_data = writer_take(&job.out, ret_size);
  return LEDGE_OK;
}
