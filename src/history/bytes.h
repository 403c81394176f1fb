/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Byte buffers that grow, and the numbers in them: varints of 7 bits a byte, low ones first; signed
 * numbers folded so that small ones of either sign are short.
 *
 * Writing needs bytes_room() first; reading never passes the end: what is not there reads as 0 and
 * marks the reader as bad.
 */
#ifndef HISTORY_BYTES_H
#define HISTORY_BYTES_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/** A varint is never longer. */
#define VARINT_MAX 10

/** A buffer; a zeroed one is empty. Free `at`. */
struct bytes {
	uint8_t *at;
	size_t length, capacity;
};

/** Make room for more bytes. @return false without memory: the buffer is as it was. */
static inline bool bytes_room(struct bytes *bytes, size_t more)
{
	if (bytes->capacity - bytes->length >= more)
		return true;

	size_t capacity = bytes->capacity + bytes->capacity / 2;
	if (capacity < bytes->length + more)
		capacity = bytes->length + more;
	uint8_t *at = realloc(bytes->at, capacity);
	if (!at)
		return false;
	bytes->at = at;
	bytes->capacity = capacity;
	return true;
}

static inline void bytes_free(struct bytes *bytes)
{
	free(bytes->at);
	*bytes = (struct bytes){0};
}

static inline void put_byte(struct bytes *bytes, uint8_t byte)
{
	assert(bytes->length < bytes->capacity);
	bytes->at[bytes->length++] = byte;
}

static inline void put_varint(struct bytes *bytes, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		put_byte(bytes, (uint8_t)(value | 0x80));
	put_byte(bytes, (uint8_t)value);
}

static inline void put_blob(struct bytes *bytes, const void *from, size_t length)
{
	assert(bytes->capacity - bytes->length >= length);
	if (length > 0)
		memcpy(bytes->at + bytes->length, from, length);
	bytes->length += length;
}

/** 0, -1, 1, -2, … become 0, 1, 2, 3, … */
static inline uint64_t zigzag(int64_t value)
{
	return ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
}

static inline int64_t unzigzag(uint64_t value)
{
	return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

/** Arithmetic modulo 2^64: no two numbers are too far apart. */
static inline int64_t wrapped_sum(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a + (uint64_t)b);
}

static inline int64_t wrapped_difference(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a - (uint64_t)b);
}

/** A place in bytes that were written so, or claim to be. */
struct reader {
	const uint8_t *at, *end;
	bool bad; /**< Something was read that was not there. */
};

static inline struct reader reader_of(const void *at, size_t length)
{
	return (struct reader){at, (const uint8_t *)at + length, false};
}

static inline size_t reader_left(const struct reader *reader)
{
	return (size_t)(reader->end - reader->at);
}

static inline uint64_t reader_fail(struct reader *reader)
{
	reader->at = reader->end;
	reader->bad = true;
	return 0;
}

static inline uint8_t get_byte(struct reader *reader)
{
	if (reader->at == reader->end)
		return (uint8_t)reader_fail(reader);
	return *reader->at++;
}

static inline uint64_t get_varint(struct reader *reader)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t byte = get_byte(reader);

		value |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			return value;
	}
	return reader_fail(reader);
}

/** A varint that must not be larger than a limit. */
static inline uint64_t get_limited(struct reader *reader, uint64_t most)
{
	uint64_t value = get_varint(reader);

	return value <= most ? value : reader_fail(reader);
}

/** Take a piece; empty and bad when there is less. */
static inline struct reader get_piece(struct reader *reader, size_t length)
{
	if (reader_left(reader) < length) {
		reader_fail(reader);
		return (struct reader){reader->end, reader->end, true};
	}
	reader->at += length;
	return (struct reader){reader->at - length, reader->at, false};
}

#endif
