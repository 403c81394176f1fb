/* SPDX-License-Identifier: Apache-2.0 */
/** Bits packed into bytes, low ones first. */
#ifndef HISTORY_BITS_H
#define HISTORY_BITS_H

#include "history/bytes.h"

struct bit_writer {
	struct bytes *to; /**< Has room for all bits and 8 bytes more. */
	uint64_t held;
	unsigned count;
};

/** Append the low bits of a value; the others must be 0. At most 63. */
static inline void put_bits(struct bit_writer *writer, uint64_t value, unsigned count)
{
	writer->held |= value << writer->count;
	if (writer->count + count >= 64) {
		for (unsigned i = 0; i < 8; i++)
			put_byte(writer->to, (uint8_t)(writer->held >> (8 * i)));
		unsigned used = 64 - writer->count;
		writer->held = used < 64 ? value >> used : 0;
		writer->count = writer->count + count - 64;
	} else {
		writer->count += count;
	}
}

/** Write out what is held. */
static inline void bits_end(struct bit_writer *writer)
{
	for (unsigned i = 0; i < writer->count; i += 8)
		put_byte(writer->to, (uint8_t)(writer->held >> i));
	writer->count = 0;
	writer->held = 0;
}

struct bit_reader {
	const uint8_t *at;
	size_t bits, next; /**< How many there are; number of the next one. */
	bool bad;	   /**< More were asked for than there are. */
};

static inline struct bit_reader bits_of(const uint8_t *at, size_t bytes)
{
	return (struct bit_reader){at, bytes * 8, 0, false};
}

/** Pass over bits without reading them. */
static inline void skip_bits(struct bit_reader *reader, size_t count)
{
	if (reader->bits - reader->next < count) {
		reader->bad = true;
		reader->next = reader->bits;
	} else {
		reader->next += count;
	}
}

/** Take bits, at most 63; 0 and bad when there are fewer. */
static inline uint64_t get_bits(struct bit_reader *reader, unsigned count)
{
	size_t first = reader->next, byte = first / 8, length = reader->bits / 8;
	uint64_t low = 0, high = 0;

	if (count == 0)
		return 0;
	skip_bits(reader, count);
	if (reader->bad)
		return 0;
	if (length - byte >= 9) {
		memcpy(&low, reader->at + byte, 8);
		high = reader->at[byte + 8];
	} else {
		memcpy(&low, reader->at + byte, length - byte < 8 ? length - byte : 8);
	}
	uint64_t value = low >> (first % 8);
	if (first % 8)
		value |= high << (64 - first % 8);
	return value & ((UINT64_C(1) << count) - 1);
}

#endif
