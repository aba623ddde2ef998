/* media/audio_codec: what audio.c asks of the codecs. */
#ifndef MEDIA_AUDIO_CODEC_H
#define MEDIA_AUDIO_CODEC_H

#include "media/audio.h"

/* Whatever libsndfile knows; only built with LEDGE_WITH_SNDFILE. */
ledge_status audio_decode_sndfile(const void *data, size_t size, audio_clip *ret, ledge_error *error);

#endif
