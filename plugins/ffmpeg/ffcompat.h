/*
 * FFmpeg 5.1 (Debian 12) and 7.1 (Debian 13) under one name, where they differ.
 */
#ifndef FFMPEG_FFCOMPAT_H
#define FFMPEG_FFCOMPAT_H

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

/* The display matrix of a stream, or NULL. */
static inline const int32_t *ff_display_matrix(const AVStream *stream)
{
#if LIBAVFORMAT_VERSION_INT >= AV_VERSION_INT(60, 15, 100)
    const AVPacketSideData *data = av_packet_side_data_get(
        stream->codecpar->coded_side_data, stream->codecpar->nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX);
    return data != NULL && data->size >= 9 * sizeof(int32_t) ? (const int32_t *)(const void *)data->data : NULL;
#else
    size_t bytes = 0;
    const uint8_t *data = av_stream_get_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, &bytes);
    return data != NULL && bytes >= 9 * sizeof(int32_t) ? (const int32_t *)(const void *)data : NULL;
#endif
}

#endif
