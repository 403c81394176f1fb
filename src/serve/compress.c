/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/compress.h"

#include <limits.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#define ZSTD_LEVEL 1

/* Window of 15 bits, and 16 more to ask for the format of gzip. */
#define GZIP_WINDOW (15 + 16)
#define GZIP_MEMORY 9

static size_t gzip(const char *body, size_t length, char *out, size_t room)
{
	z_stream stream = {
		.next_in = (Bytef *)body,
		.avail_in = (uInt)length,
		.next_out = (Bytef *)out,
		.avail_out = (uInt)room,
	};

	if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, GZIP_WINDOW, GZIP_MEMORY,
		    Z_DEFAULT_STRATEGY) != Z_OK)
		return 0;
	size_t used = deflate(&stream, Z_FINISH) == Z_STREAM_END ? stream.total_out : 0;
	deflateEnd(&stream);
	return used;
}

static size_t zstd(const char *body, size_t length, char *out, size_t room)
{
	size_t used = ZSTD_compress(out, room, body, length, ZSTD_LEVEL);

	return ZSTD_isError(used) ? 0 : used;
}

char *compress_body(enum encoding encoding, const char *body, size_t length, size_t *ret_length)
{
	size_t used;

	if (encoding == ENCODING_IDENTITY || length < COMPRESS_LEAST || length > UINT_MAX)
		return NULL;

	char *out = malloc(length);
	if (!out)
		return NULL;
	used = encoding == ENCODING_GZIP ? gzip(body, length, out, length)
					 : zstd(body, length, out, length);
	if (used == 0) {
		free(out);
		return NULL;
	}
	char *shrunk = realloc(out, used);
	*ret_length = used;
	return shrunk ? shrunk : out;
}
