/* SPDX-License-Identifier: Apache-2.0 */
/** CRC-32C (Castagnoli): finds what rots on disk. */
#ifndef HISTORY_CHECKSUM_H
#define HISTORY_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/** Begin with this. */
#define CHECKSUM_START 0u

/** Go on with more bytes. */
uint32_t checksum_bytes(uint32_t sum, const void *at, size_t length);

static inline uint32_t checksum_text(uint32_t sum, const char *text)
{
	return checksum_bytes(sum, text, strlen(text) + 1);
}

/** A number, the same on every machine. */
static inline uint32_t checksum_number(uint32_t sum, uint64_t number)
{
	uint8_t bytes[8];

	for (unsigned i = 0; i < 8; i++)
		bytes[i] = (uint8_t)(number >> (8 * i));
	return checksum_bytes(sum, bytes, sizeof(bytes));
}

#endif
