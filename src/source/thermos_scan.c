/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The structure of a record, checked before the Thrift library sees it. TBinaryProtocol has:
 *
 *     struct    { type:1 id:2 value }* 0:1
 *     string    length:4 bytes
 *     map       key_type:1 value_type:1 count:4 { key value }*
 *     list, set type:1 count:4 value*
 *
 * all big-endian, and numbers of fixed sizes.
 */
#include <errno.h>
#include <string.h>
#include "base/fail.h"
#include "source/thermos_record.h"

#define DEPTH_MAX  16
#define VALUES_MAX (1 << 18)
#define PORTS_MAX  (1 << 16)

/* Numbers of types on the wire. */
enum wire_type {
	WIRE_STOP = 0,
	WIRE_BOOL = 2,
	WIRE_BYTE = 3,
	WIRE_DOUBLE = 4,
	WIRE_I16 = 6,
	WIRE_I32 = 8,
	WIRE_I64 = 10,
	WIRE_STRING = 11,
	WIRE_STRUCT = 12,
	WIRE_MAP = 13,
	WIRE_SET = 14,
	WIRE_LIST = 15,
	WIRE_TYPES
};

/* Sizes of what has a fixed one. */
static const uint8_t fixed_size[WIRE_TYPES] = {
	[WIRE_BOOL] = 1,
	[WIRE_BYTE] = 1,
	[WIRE_DOUBLE] = 8,
	[WIRE_I16] = 2,
	[WIRE_I32] = 4,
	[WIRE_I64] = 8,
};

/* Branches of RunnerCkpt and the fields of theirs that want a closer look. */
enum {
	BRANCH_HEADER = 1,
	BRANCH_PROCESS = 2,
	FIELD_PORTS = 6,
	FIELD_PROCESS_NAME = 3,
	KNOWN_FIELDS = 32, /* Beyond the highest number in thermos.thrift. */
};

struct scan {
	const uint8_t *at, *end;
	unsigned depth;
	unsigned values;   /* Seen so far. */
	int branch, field; /* Where we are in RunnerCkpt; -1: deeper than its fields. */
	struct tally_error *err;
};

static int refuse_cut(const struct scan *scan)
{
	return tally_refuse(scan->err, -EBADMSG, "a value reaches beyond the end of its record");
}

static size_t left(const struct scan *scan)
{
	return (size_t)(scan->end - scan->at);
}

static int take_byte(struct scan *scan, uint8_t *ret)
{
	if (left(scan) < 1)
		return refuse_cut(scan);
	*ret = *scan->at++;
	return 0;
}

static int take_i16(struct scan *scan, int *ret)
{
	if (left(scan) < 2)
		return refuse_cut(scan);
	*ret = (int16_t)(uint16_t)(scan->at[0] << 8 | scan->at[1]);
	scan->at += 2;
	return 0;
}

/* A length or a count; the negative ones of a hostile writer are too large for any record. */
static int take_count(struct scan *scan, uint32_t *ret)
{
	if (left(scan) < 4)
		return refuse_cut(scan);
	*ret = (uint32_t)scan->at[0] << 24 | (uint32_t)scan->at[1] << 16 |
	       (uint32_t)scan->at[2] << 8 | (uint32_t)scan->at[3];
	scan->at += 4;
	return *ret > left(scan) ? refuse_cut(scan) : 0;
}

/* Count values that are about to be read, so that no record costs more than its worth. */
static int count_values(struct scan *scan, uint32_t count)
{
	scan->values += count;
	if (count > VALUES_MAX || scan->values > VALUES_MAX)
		return tally_refuse(
			scan->err, -EBADMSG, "a record holds more than %d values", VALUES_MAX);
	return 0;
}

/* Names, paths and users: everything that the generated code keeps as a string. */
static bool known_text(const struct scan *scan)
{
	if (scan->branch == BRANCH_PROCESS)
		return scan->field == FIELD_PROCESS_NAME;
	return scan->branch == BRANCH_HEADER && scan->field >= 1 && scan->field <= 7;
}

static int scan_string(struct scan *scan)
{
	uint32_t length = 0;
	int r = take_count(scan, &length);

	if (r < 0)
		return r;
	if (known_text(scan) && memchr(scan->at, 0, length))
		return tally_refuse(scan->err, -EBADMSG, "a text holds a NUL");
	scan->at += length;
	return 0;
}

static int scan_value(struct scan *scan, uint8_t type);

static int scan_values(struct scan *scan, uint8_t type, uint32_t count)
{
	int r = 0;

	if (type < WIRE_TYPES && fixed_size[type]) {
		if (left(scan) / fixed_size[type] < count)
			return refuse_cut(scan);
		scan->at += (size_t)count * fixed_size[type];
		return 0;
	}
	for (; r == 0 && count > 0; count--)
		r = scan_value(scan, type);
	return r;
}

static int scan_list(struct scan *scan)
{
	uint8_t type = WIRE_STOP;
	uint32_t count = 0;
	int r = take_byte(scan, &type);

	if (r == 0)
		r = take_count(scan, &count);
	if (r == 0)
		r = count_values(scan, count);
	return r < 0 ? r : scan_values(scan, type, count);
}

/* The generated code reads the entries of a map as what they should be, whatever they are. */
static int check_ports(struct scan *scan, uint8_t key, uint8_t value, uint32_t count)
{
	if (count > 0 && (key != WIRE_STRING || value != WIRE_I64))
		return tally_refuse(
			scan->err, -EBADMSG, "its ports are not a map of names to numbers");
	if (count > PORTS_MAX)
		return tally_refuse(
			scan->err, -EBADMSG, "it has %u ports, more than there are", count);
	return 0;
}

static int scan_map(struct scan *scan)
{
	uint8_t key = WIRE_STOP, value = WIRE_STOP;
	uint32_t count = 0;
	int r = take_byte(scan, &key);

	if (r == 0)
		r = take_byte(scan, &value);
	if (r == 0)
		r = take_count(scan, &count);
	if (r == 0 && scan->branch == BRANCH_HEADER && scan->field == FIELD_PORTS)
		r = check_ports(scan, key, value, count);
	if (r == 0)
		r = count_values(scan, count);
	if (r == 0)
		r = count_values(scan, count);
	for (; r == 0 && count > 0; count--) {
		r = scan_value(scan, key);
		if (r == 0)
			r = scan_value(scan, value);
	}
	return r;
}

static int scan_struct(struct scan *scan);

static int scan_nested(struct scan *scan, uint8_t type)
{
	int r;

	if (scan->depth == DEPTH_MAX)
		return tally_refuse(
			scan->err, -EBADMSG, "a record is nested deeper than %d", DEPTH_MAX);
	scan->depth++;
	if (type == WIRE_STRUCT)
		r = scan_struct(scan);
	else
		r = type == WIRE_MAP ? scan_map(scan) : scan_list(scan);
	scan->depth--;
	return r;
}

static int scan_value(struct scan *scan, uint8_t type)
{
	if (type == WIRE_STRING)
		return scan_string(scan);
	if (type == WIRE_STRUCT || type == WIRE_MAP || type == WIRE_SET || type == WIRE_LIST)
		return scan_nested(scan, type);
	if (type >= WIRE_TYPES || !fixed_size[type])
		return tally_refuse(scan->err, -EBADMSG, "there is no type %u", type);
	return scan_values(scan, type, 1);
}

/* Remember where in RunnerCkpt the next value stands: at depth 1 its branch, at depth 2 a field. */
static void enter_field(struct scan *scan, int field)
{
	if (scan->depth == 1)
		scan->branch = field;
	scan->field = scan->depth == 2 ? field : -1;
}

/* A field that came twice would leak in the generated code, and the second would win. */
static int refuse_twice(struct scan *scan, uint32_t *seen, int field)
{
	if (scan->depth > 2 || field < 0 || field >= KNOWN_FIELDS)
		return 0;
	if (*seen & UINT32_C(1) << field)
		return tally_refuse(scan->err, -EBADMSG, "field %d comes twice", field);
	*seen |= UINT32_C(1) << field;
	return 0;
}

static int scan_struct(struct scan *scan)
{
	uint32_t seen = 0;

	for (;;) {
		uint8_t type = WIRE_STOP;
		int field = -1, r = take_byte(scan, &type);

		if (r < 0 || type == WIRE_STOP)
			return r;
		r = take_i16(scan, &field);
		if (r == 0)
			r = count_values(scan, 1);
		if (r == 0)
			r = refuse_twice(scan, &seen, field);
		if (r < 0)
			return r;
		enter_field(scan, field);
		r = scan_value(scan, type);
		if (r < 0)
			return r;
	}
}

int thermos_scan(const uint8_t *bytes, size_t length, struct tally_error *err)
{
	struct scan scan = {
		.at = bytes, .end = bytes + length, .branch = -1, .field = -1, .err = err};
	int r = scan_nested(&scan, WIRE_STRUCT);

	if (r == 0 && left(&scan) > 0)
		return tally_refuse(err, -EBADMSG, "%zu bytes follow the end of a record's struct",
			left(&scan));
	return r;
}
