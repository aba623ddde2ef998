/* media/tiff: TIFF and BigTIFF through libtiff, in memory, by its RGBA reader, which knows every photometric kind and
 * compression that libtiff was built with. The first page is read; its own orientation tag is obeyed, as Pillow does.
 *
 * libtiff would multiply colour by an unassociated alpha: the tag is changed in memory so that it does not. An
 * associated alpha is divided out, so that dropping the channel gives the colours. 16-bit samples are rounded to 8 by
 * libtiff. */
#include <tiffio.h>

#include "base/error.h"
#include "media/image_codec.h"

#include <inttypes.h>
#include <stdio.h>

typedef struct tiff_job {
  const image_source *source;
  uint64_t pos;
  char message[256];
  bool memory_limit, damaged;
} tiff_job;

static tmsize_t tiff_on_read(thandle_t handle, void *to, tmsize_t n) {
  tiff_job *job = (tiff_job *)handle;
  if (n <= 0 || job->pos >= job->source->size) return 0;
  uint64_t left = job->source->size - job->pos;
  tmsize_t take = (uint64_t)n < left ? n : (tmsize_t)left;
  memcpy(to, job->source->data + job->pos, (size_t)take);
  job->pos += (uint64_t)take;
  return take;
}
static tmsize_t tiff_on_write(thandle_t handle, void *from, tmsize_t n) { return 0; }
static toff_t tiff_on_seek(thandle_t handle, toff_t offset, int whence) {
  tiff_job *job = (tiff_job *)handle;
  if (whence == SEEK_SET) job->pos = offset;
  if (whence == SEEK_CUR) job->pos += offset;
  if (whence == SEEK_END) job->pos = job->source->size + offset;
  return job->pos;
}
static int tiff_on_close(thandle_t handle) { return 0; }
static toff_t tiff_on_size(thandle_t handle) { return ((tiff_job *)handle)->source->size; }
static int tiff_on_map(thandle_t handle, void **base, toff_t *size) {
  tiff_job *job = (tiff_job *)handle;
  *base = (void *)(uintptr_t)job->source->data; /* libtiff only reads it: mode "r" */
  *size = job->source->size;
  return 1;
}
static void tiff_on_unmap(thandle_t handle, void *base, toff_t size) {}

static int tiff_on_error(TIFF *tif, void *user, const char *module, const char *format, va_list args) {
  tiff_job *job = user;
  if (job->message[0] == 0) { /* the first fault is the cause of the rest */
    vsnprintf(job->message, sizeof job->message, format, args);
    job->memory_limit = strstr(job->message, "exceeding limit") != NULL;
  }
  return 1;
}
/* Warnings pass, but for a tag that lies beyond the file's end: libtiff goes on without it, and would show a palette's
 * indices as grey. */
static int tiff_on_warning(TIFF *tif, void *user, const char *module, const char *format, va_list args) {
  tiff_job *job = user;
  if (strncmp(format, "IO error", 8) != 0) return 1;
  job->damaged = true;
  return tiff_on_error(tif, user, module, format, args);
}

static ledge_status tiff_fault(const tiff_job *job, const char *fallback, ledge_error *error) {
  return error_set(error, job->memory_limit ? LEDGE_ERROR_LIMIT : LEDGE_ERROR_FORMAT, "TIFF: %s",
                   job->message[0] ? job->message : fallback);
}

static bool tiff_has_alpha(TIFF *tif, uint16_t *kind) {
  uint16_t n = 0, *kinds = NULL;
  if (!TIFFGetFieldDefaulted(tif, TIFFTAG_EXTRASAMPLES, &n, &kinds) || n == 0 || !kinds) return false;
  *kind = kinds[0];
  return *kind == EXTRASAMPLE_ASSOCALPHA || *kind == EXTRASAMPLE_UNASSALPHA;
}

/* libtiff's words, R | G << 8 | B << 16 | A << 24, -> RGBA bytes in place; associated alpha divided out. */
static void tiff_unpack(uint8_t *pixels, int64_t n, bool associated, bool opaque) {
  for (int64_t i = 0; i < n; i++, pixels += 4) {
    uint32_t word;
    memcpy(&word, pixels, 4);
    unsigned a = opaque ? 255 : TIFFGetA(word);
    unsigned v[3] = {TIFFGetR(word), TIFFGetG(word), TIFFGetB(word)};
    for (int k = 0; k < 3; k++) {
      if (associated && a > 0 && a < 255) v[k] = 255 * v[k] / a;
      pixels[k] = (uint8_t)(v[k] > 255 ? 255 : v[k]);
    }
    pixels[3] = (uint8_t)a;
  }
}

static ledge_status tiff_read(tiff_job *job, TIFF *tif, image_pixels *px, ledge_error *error) {
  uint32_t width = 0, height = 0;
  TIFFGetField(tif, TIFFTAG_IMAGEWIDTH, &width);
  TIFFGetField(tif, TIFFTAG_IMAGELENGTH, &height);
  TRY(image_check_size(job->source, "TIFF", width, height, error));
  uint16_t kind = EXTRASAMPLE_UNSPECIFIED, orientation = ORIENTATION_TOPLEFT, raw = EXTRASAMPLE_ASSOCALPHA;
  bool alpha = tiff_has_alpha(tif, &kind);
  if (alpha && kind == EXTRASAMPLE_UNASSALPHA) TIFFSetField(tif, TIFFTAG_EXTRASAMPLES, 1, &raw);
  char message[1024] = "";
  TIFFRGBAImage image;
  if (!TIFFRGBAImageOK(tif, message) || !TIFFRGBAImageBegin(&image, tif, 1, message))
    return error_set(error, LEDGE_ERROR_UNSUPPORTED, "TIFF: %.200s",
                     message[0] ? message : "a kind that libtiff cannot read");
  TIFFGetFieldDefaulted(tif, TIFFTAG_ORIENTATION, &orientation);
  image.orientation = image.req_orientation = ORIENTATION_TOPLEFT; /* rows as they stand; image.c turns the picture */
  ledge_status status = image_pixels_alloc(px, job->source, "TIFF", width, height, 4, error);
  if (status == LEDGE_OK) {
    uint32_t *raster = (uint32_t *)(void *)image_pixels_data(px); /* 64-byte aligned storage */
    if (!TIFFRGBAImageGet(&image, raster, width, height)) status = tiff_fault(job, "the picture is damaged", error);
  }
  TIFFRGBAImageEnd(&image);
  if (status) return status;
  tiff_unpack(image_pixels_data(px), px->width * px->height, alpha && kind == EXTRASAMPLE_ASSOCALPHA, !alpha);
  px->orientation = orientation;
  return LEDGE_OK;
}

ledge_status image_decode_tiff(const image_source *source, image_pixels *px, ledge_error *error) {
  tiff_job job = {.source = source};
  TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
  if (!options) return error_memory(error, sizeof job, "the TIFF reader");
  int64_t plausible =
      IMAGE_PIXELS_FREE + (int64_t)(source->size < (1 << 16) ? source->size : 1 << 16) * IMAGE_PIXELS_PER_BYTE;
  if (plausible > source->pixels_max) plausible = source->pixels_max;
  if (plausible > PTRDIFF_MAX / 16) plausible = PTRDIFF_MAX / 16; /* 32 bits */
  TIFFOpenOptionsSetMaxSingleMemAlloc(options, (tmsize_t)plausible * 8 + (1 << 20));
  TIFFOpenOptionsSetErrorHandlerExtR(options, tiff_on_error, &job);
  TIFFOpenOptionsSetWarningHandlerExtR(options, tiff_on_warning, &job);
  TIFF *tif = TIFFClientOpenExt("picture", "r", (thandle_t)&job, tiff_on_read, tiff_on_write, tiff_on_seek,
                                tiff_on_close, tiff_on_size, tiff_on_map, tiff_on_unmap, options);
  TIFFOpenOptionsFree(options);
  if (!tif) return tiff_fault(&job, "the file is damaged", error);
  ledge_status status =
      job.damaged ? tiff_fault(&job, "the file is truncated", error) : tiff_read(&job, tif, px, error);
  TIFFClose(tif);
  return status;
}
