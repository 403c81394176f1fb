/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Writes TBinaryProtocol by hand, right and wrong. The streams of the real library are those of
 * tests/e2e; this one can say what that one never would.
 */
#ifndef TESTS_THERMOS_WIRE_H
#define TESTS_THERMOS_WIRE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
	T_BYTE_ = 3,
	T_DOUBLE_ = 4,
	T_I16_ = 6,
	T_I32_ = 8,
	T_I64_ = 10,
	T_STRING_ = 11,
	T_STRUCT_ = 12,
	T_MAP_ = 13,
	T_SET_ = 14,
	T_LIST_ = 15
};

/** Bytes that grow. */
struct wire {
	uint8_t *bytes;
	size_t length, room;
};

static inline void wire_bytes(struct wire *wire, const void *bytes, size_t length)
{
	if (wire->length + length > wire->room) {
		wire->room = (wire->length + length) * 2;
		wire->bytes = realloc(wire->bytes, wire->room);
		if (!wire->bytes)
			abort();
	}
	if (length)
		memcpy(wire->bytes + wire->length, bytes, length);
	wire->length += length;
}

static inline void wire_number(struct wire *wire, uint64_t value, int size)
{
	for (int i = size - 1; i >= 0; i--)
		wire_bytes(wire, &(uint8_t){(uint8_t)(value >> (8 * i))}, 1);
}

static inline void wire_field(struct wire *wire, int type, int id)
{
	wire_number(wire, (uint64_t)type, 1);
	wire_number(wire, (uint16_t)id, 2);
}

static inline void wire_stop(struct wire *wire)
{
	wire_number(wire, 0, 1);
}

static inline void wire_string(struct wire *wire, const char *text)
{
	wire_number(wire, strlen(text), 4);
	wire_bytes(wire, text, strlen(text));
}

static inline void wire_text_field(struct wire *wire, int id, const char *text)
{
	wire_field(wire, T_STRING_, id);
	wire_string(wire, text);
}

static inline void wire_i32_field(struct wire *wire, int id, int32_t value)
{
	wire_field(wire, T_I32_, id);
	wire_number(wire, (uint32_t)value, 4);
}

static inline void wire_i64_field(struct wire *wire, int id, int64_t value)
{
	wire_field(wire, T_I64_, id);
	wire_number(wire, (uint64_t)value, 8);
}

static inline void wire_double_field(struct wire *wire, int id, double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	wire_field(wire, T_DOUBLE_, id);
	wire_number(wire, bits, 8);
}

/** Begin a record; end it with wire_end(). @return where it began. */
static inline size_t wire_begin(struct wire *wire, int branch)
{
	size_t at = wire->length;

	wire_number(wire, 0, 4);
	wire_field(wire, T_STRUCT_, branch);
	return at;
}

/** Write the length of what was written since. */
static inline void wire_frame(struct wire *wire, size_t at)
{
	size_t length = wire->length - at - 4;

	for (int i = 0; i < 4; i++)
		wire->bytes[at + (size_t)i] = (uint8_t)(length >> (8 * (3 - i)));
}

static inline void wire_end(struct wire *wire, size_t at)
{
	wire_stop(wire);
	wire_stop(wire);
	wire_frame(wire, at);
}

static inline void wire_header(struct wire *wire, const char *id, const char *sandbox, int uid)
{
	size_t at = wire_begin(wire, 1);

	wire_text_field(wire, 1, id);
	wire_i64_field(wire, 2, INT64_C(1764000000000));
	if (sandbox)
		wire_text_field(wire, 3, sandbox);
	wire_text_field(wire, 4, "a-host");
	wire_text_field(wire, 5, "a-user");
	wire_i32_field(wire, 8, uid);
	wire_end(wire, at);
}

static inline void wire_task(struct wire *wire, int state, int64_t ms, int runner)
{
	size_t at = wire_begin(wire, 3);

	wire_i32_field(wire, 1, state);
	wire_i64_field(wire, 2, ms);
	wire_i32_field(wire, 3, runner);
	wire_i32_field(wire, 4, 0);
	wire_end(wire, at);
}

/** A transition; `seq` counts itself. Fields as a real writer has them for that state. */
static inline void wire_process(
	struct wire *wire, const char *name, int64_t seq, int state, int pid, double time)
{
	size_t at = wire_begin(wire, 2);

	wire_i64_field(wire, 1, seq);
	wire_text_field(wire, 3, name);
	wire_i32_field(wire, 5, state);
	if (state == 1) {
		wire_i32_field(wire, 10, pid);
		wire_double_field(wire, 11, time);
	} else if (state == 2) {
		wire_double_field(wire, 6, time);
		wire_i32_field(wire, 7, pid);
	} else if (state >= 3) {
		wire_double_field(wire, 8, time);
		wire_i32_field(wire, 9, pid); /* The return code. */
	}
	wire_end(wire, at);
}

/** WAITING, FORKED, RUNNING. */
static inline void wire_running(
	struct wire *wire, const char *name, int64_t seq, int coordinator, int pid, double start)
{
	wire_process(wire, name, seq, 0, 0, 0);
	wire_process(wire, name, seq + 1, 1, coordinator, start);
	wire_process(wire, name, seq + 2, 2, pid, start);
}

static inline void wire_done(struct wire *wire)
{
	free(wire->bytes);
	*wire = (struct wire){0};
}

#endif
