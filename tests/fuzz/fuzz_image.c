/* tests/fuzz/fuzz_image: a picture from any bytes, then made into a model's input. The last byte gives the colour and
 * whether EXIF is obeyed. Pictures are held to a quarter of a million pixels, so that time goes into the readers. */
#include "fuzz.h"
#include "media/preprocess.h"

/* What is written comes back. */
static void check_written(const tensor *image, image_color color) {
  typedef ledge_status (*encoder)(const tensor *, image_color, uint8_t **, size_t *, ledge_error *);
  static const encoder encoders[] = {image_encode_pnm, image_encode_png};
  for (int i = image_format_built(IMAGE_FORMAT_PNG) && image->dims[1] <= IMAGE_SIDE_MAX; i >= 0; i--) {
    if (i == 0 && color == IMAGE_COLOR_RGBA) continue; /* PNM has no alpha */
    uint8_t *file = NULL;
    size_t size;
    tensor back = {0};
    image_options options = {.color = color};
    FUZZ_CHECK(encoders[i](image, color, &file, &size, NULL) == LEDGE_OK);
    FUZZ_CHECK(image_decode(file, size, &options, &back, NULL) == LEDGE_OK);
    FUZZ_CHECK(tensor_same_shape(&back, image) && memcmp(back.data, image->data, tensor_bytes(image)) == 0);
    mem_free(file);
    tensor_deinit(&back);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (!size) return 0;
  image_options options = {
      .color = (image_color)(data[size - 1] & 3), .apply_exif = !(data[size - 1] & 4), .pixels_max = 1 << 18};
  tensor image = {0}, input = {0};
  ledge_error e = {0};
  ledge_status status = image_decode(data, size, &options, &image, &e);
  FUZZ_CHECK(status == LEDGE_OK || (e.code == status && e.message[0] && !image.data));
  if (status == LEDGE_OK) {
    FUZZ_CHECK(image.dtype == LEDGE_U8 && image.rank == 3 && image.dims[2] == image_color_channels(options.color));
    uint8_t sum = 0;
    for (size_t i = 0, n = tensor_bytes(&image); i < n; i++) sum ^= ((const uint8_t *)image.data)[i];
    volatile uint8_t sink = sum;
    (void)sink;
    if (tensor_bytes(&image) < 4096) {
      check_written(&image, options.color);
      image_color to = (image_color)(data[size - 1] >> 3 & 3);
      FUZZ_CHECK(image_convert(&image, options.color, to, &input, NULL) == LEDGE_OK);
      FUZZ_CHECK(input.dims[2] == image_color_channels(to));
    }
    preprocess p;
    FUZZ_CHECK(preprocess_parse("letterbox=40,crop=33x35,mean=1:2:3", &p, NULL) == LEDGE_OK);
    FUZZ_CHECK(preprocess_run(&p, &image, &input, NULL) == LEDGE_OK);
    FUZZ_CHECK(tensor_elements(&input) == 3 * 33 * 35);
  }
  tensor_deinit(&image);
  tensor_deinit(&input);
  return 0;
}
