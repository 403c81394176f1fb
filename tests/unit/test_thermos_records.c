/* SPDX-License-Identifier: Apache-2.0 */
/* Records of a checkpoint stream: right ones, torn ones, and whatever a hostile writer makes up. */
#include "check.h"
#include "source/thermos_record.h"
#include "thermos_wire.h"

/* What came out. */
struct taken {
	size_t count, headers, processes, tasks, others;
	struct thermos_record last;
	char task_id[64], process[64];
	size_t ports;
	int64_t port_sum;
};

static int take(void *context, const struct thermos_record *record, struct tally_error *err)
{
	struct taken *taken = context;

	taken->count++;
	taken->last = *record;
	taken->headers += record->kind == THERMOS_HEADER;
	taken->processes += record->kind == THERMOS_PROCESS;
	taken->tasks += record->kind == THERMOS_TASK;
	taken->others += record->kind == THERMOS_OTHER;
	if (record->kind == THERMOS_HEADER) {
		taken->ports = record->header.port_count;
		for (size_t i = 0; i < record->header.port_count; i++)
			taken->port_sum += record->header.ports[i].port;
		if (record->header.task_id)
			snprintf(taken->task_id, sizeof(taken->task_id), "%s",
				record->header.task_id);
	}
	if (record->kind == THERMOS_PROCESS && record->process.name)
		snprintf(taken->process, sizeof(taken->process), "%s", record->process.name);
	return 0;
}

static struct tally_error err;

static int read_all(const struct wire *wire, struct taken *taken, size_t *used)
{
	err = (struct tally_error){0};
	*taken = (struct taken){0};

	/* Exactly as large as it is, so that a sanitizer sees a read beyond its end. */
	uint8_t *exact = malloc(wire->length + !wire->length);
	memcpy(exact, wire->bytes, wire->length);
	int r = thermos_stream_read(exact, wire->length, take, taken, used, &err);
	free(exact);
	return r;
}

/* The one record in `wire` is refused, and for the reason that has these words in it. */
static void assert_refused(struct wire *wire, const char *why)
{
	struct taken taken;
	size_t used;

	assert_int_equal(read_all(wire, &taken, &used), -EBADMSG);
	assert_int_equal(taken.count, 0);
	assert_int_equal(used, 0);
	if (!strstr(err.message, why))
		fail_msg("'%s' does not say '%s'", err.message, why);
	wire_done(wire);
}

static void a_stream_gives_its_records_in_order(void **state)
{
	struct wire wire = {0};
	struct taken taken;
	size_t used;

	wire_header(&wire, "task-1", "/sandbox", 1000);
	wire_task(&wire, 0, 1764000000123, 77);
	wire_running(&wire, "web", 0, 80, 81, 1764000001.5);
	assert_int_equal(read_all(&wire, &taken, &used), 0);
	assert_int_equal(used, wire.length);
	assert_int_equal(taken.headers, 1);
	assert_int_equal(taken.tasks, 1);
	assert_int_equal(taken.processes, 3);
	assert_string_equal(taken.task_id, "task-1");
	assert_string_equal(taken.process, "web");
	assert_int_equal(taken.last.process.seq, 2);
	assert_int_equal(taken.last.process.state, THERMOS_RUNNING);
	assert_int_equal(taken.last.process.pid, 81);
	assert_int_equal(taken.last.process.start_ns, 1764000001500000000);
	wire_done(&wire);
}

static void a_stream_torn_at_any_byte_gives_the_whole_records_before_it(void **state)
{
	struct wire wire = {0};
	size_t ends[8], records = 0;

	wire_header(&wire, "task-1", "/sandbox", 1000);
	ends[records++] = wire.length;
	wire_task(&wire, 0, 1764000000123, 77);
	ends[records++] = wire.length;
	for (int i = 0; i < 3; i++) {
		wire_process(&wire, "web", i, i, 81, 1764000001.5);
		ends[records++] = wire.length;
	}

	for (size_t cut = 0; cut <= wire.length; cut++) {
		struct wire part = {wire.bytes, cut, 0};
		struct taken taken;
		size_t used, whole = 0;

		while (whole < records && ends[whole] <= cut)
			whole++;
		assert_int_equal(read_all(&part, &taken, &used), 0);
		assert_int_equal(taken.count, whole);
		assert_int_equal(used, whole ? ends[whole - 1] : 0);
	}
	wire_done(&wire);
}

static void unknown_fields_and_kinds_are_ignored(void **state)
{
	struct wire wire = {0};
	struct taken taken;
	size_t used, at = wire_begin(&wire, 2);

	wire_i64_field(&wire, 1, 0);
	wire_field(&wire, T_LIST_, 20); /* A list of maps of strings to structs. */
	wire_number(&wire, T_MAP_, 1);
	wire_number(&wire, 1, 4);
	wire_number(&wire, T_STRING_, 1);
	wire_number(&wire, T_STRUCT_, 1);
	wire_number(&wire, 1, 4);
	wire_string(&wire, "key");
	wire_i32_field(&wire, 1, 5);
	wire_stop(&wire);
	wire_text_field(&wire, 3, "web");
	wire_field(&wire, T_STRING_, 21); /* Binary. */
	wire_number(&wire, 3, 4);
	wire_bytes(&wire, "\0\1\2", 3);
	wire_field(&wire, T_STRING_, -7);
	wire_string(&wire, "a negative number");
	wire_i32_field(&wire, 5, 0);
	wire_end(&wire, at);
	at = wire_begin(&wire, 9);
	wire_i32_field(&wire, 1, 5);
	wire_end(&wire, at);

	assert_int_equal(read_all(&wire, &taken, &used), 0);
	assert_int_equal(taken.processes, 1);
	assert_int_equal(taken.others, 1);
	assert_string_equal(taken.process, "web");
	wire_done(&wire);
}

static void a_known_field_of_another_type_counts_as_not_written(void **state)
{
	struct wire wire = {0};
	struct taken taken;
	size_t used, at = wire_begin(&wire, 2);

	wire_text_field(&wire, 1, "no number");
	wire_i32_field(&wire, 3, 4);
	wire_text_field(&wire, 5, "RUNNING");
	wire_end(&wire, at);
	assert_int_equal(read_all(&wire, &taken, &used), 0);
	assert_false(taken.last.process.has_seq);
	assert_null(taken.last.process.name);
	assert_int_equal(taken.last.process.state, -1);
	wire_done(&wire);
}

static void write_ports(struct wire *wire, int key, int value, uint32_t count, uint32_t claimed)
{
	size_t at = wire_begin(wire, 1);
	char name[32];

	wire_text_field(wire, 1, "task-1");
	wire_field(wire, T_MAP_, 6);
	wire_number(wire, (uint64_t)key, 1);
	wire_number(wire, (uint64_t)value, 1);
	wire_number(wire, claimed, 4);
	for (uint32_t i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "port-%u", i);
		if (key == T_STRING_)
			wire_string(wire, name);
		else
			wire_number(wire, i, 4);
		wire_number(wire, i, 8);
	}
	wire_end(wire, at);
}

static void thousands_of_ports_are_read(void **state)
{
	struct wire wire = {0};
	struct taken taken;
	size_t used;

	write_ports(&wire, T_STRING_, T_I64_, 65536, 65536);
	assert_int_equal(read_all(&wire, &taken, &used), 0);
	assert_int_equal(taken.ports, 65536);
	assert_int_equal(taken.port_sum, INT64_C(65536) * 65535 / 2);
	wire_done(&wire);
}

static void an_empty_map_of_any_types_is_no_ports(void **state)
{
	struct wire wire = {0};
	struct taken taken;
	size_t used;

	write_ports(&wire, 0, 0, 0, 0);
	assert_int_equal(read_all(&wire, &taken, &used), 0);
	assert_int_equal(taken.ports, 0);
	wire_done(&wire);
}

static void ports_that_are_none_are_refused(void **state)
{
	struct wire wire = {0};

	write_ports(&wire, T_I32_, T_I64_, 3, 3);
	assert_refused(&wire, "not a map of names to numbers");
	write_ports(&wire, T_STRING_, T_I64_, 65537, 65537);
	assert_refused(&wire, "65537 ports");
	write_ports(&wire, T_STRING_, T_I64_, 3, 0x7fffffff);
	assert_refused(&wire, "beyond the end");
	write_ports(&wire, T_STRING_, T_I64_, 3, 4);
	assert_refused(&wire, "beyond the end");
}

static void a_length_that_claims_too_much_is_refused_without_memory(void **state)
{
	static const uint32_t claims[] = {0x7fffffff, 0x80000000, 0xffffffff, 0x04000000, 40};

	for (size_t i = 0; i < sizeof(claims) / sizeof(*claims); i++) {
		struct wire wire = {0};
		size_t at = wire_begin(&wire, 1);

		wire_field(&wire, T_STRING_, 1);
		wire_number(&wire, claims[i], 4);
		wire_bytes(&wire, "short", 5);
		wire_end(&wire, at);
		assert_refused(&wire, "beyond the end");
	}
}

static void a_record_longer_than_the_limit_is_corruption_at_once(void **state)
{
	struct wire wire = {0};

	wire_number(&wire, THERMOS_RECORD_MAX + 1, 4);
	assert_refused(&wire, "more than the 67108864");
	wire_number(&wire, 0xffffffff, 4);
	assert_refused(&wire, "more than the 67108864");
}

static void structs_nested_without_end_are_refused(void **state)
{
	struct wire wire = {0};

	wire_number(&wire, 0, 4);
	for (int i = 0; i < 1000000; i++)
		wire_field(&wire, T_STRUCT_, 9);
	for (int i = 0; i <= 1000000; i++)
		wire_stop(&wire);
	wire_frame(&wire, 0);
	assert_refused(&wire, "nested deeper");
}

static void more_values_than_a_record_may_cost_are_refused(void **state)
{
	struct wire wire = {0};
	size_t at = wire_begin(&wire, 1);

	wire_field(&wire, T_LIST_, 30);
	wire_number(&wire, T_BYTE_, 1);
	wire_number(&wire, 1000000, 4);
	for (int i = 0; i < 1000000; i++)
		wire_number(&wire, 0, 1);
	wire_end(&wire, at);
	assert_refused(&wire, "more than 262144 values");
}

static void types_that_do_not_exist_are_refused(void **state)
{
	static const int types[] = {1, 5, 7, 9, 16, 17, 100, 255};

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		struct wire wire = {0};
		size_t at = wire_begin(&wire, 1);

		wire_field(&wire, types[i], 30);
		wire_number(&wire, 0, 8);
		wire_end(&wire, at);
		assert_refused(&wire, "there is no type");
	}
}

static void a_field_that_comes_twice_is_refused(void **state)
{
	struct wire wire = {0};
	size_t at = wire_begin(&wire, 1);

	wire_text_field(&wire, 1, "one");
	wire_text_field(&wire, 1, "two");
	wire_end(&wire, at);
	assert_refused(&wire, "comes twice");
}

static void a_record_of_two_kinds_is_refused(void **state)
{
	struct wire wire = {0};
	size_t at = wire_begin(&wire, 1);

	wire_text_field(&wire, 1, "one");
	wire_stop(&wire);
	wire_field(&wire, T_STRUCT_, 3);
	wire_i32_field(&wire, 1, 0);
	wire_end(&wire, at);
	assert_refused(&wire, "two kinds");
}

static void texts_with_a_nul_are_refused_where_they_are_kept(void **state)
{
	struct wire wire = {0};
	size_t at = wire_begin(&wire, 2);

	wire_field(&wire, T_STRING_, 3);
	wire_number(&wire, 4, 4);
	wire_bytes(&wire, "we\0b", 4);
	wire_end(&wire, at);
	assert_refused(&wire, "NUL");
}

static void bytes_after_the_struct_are_refused(void **state)
{
	struct wire wire = {0};

	wire_header(&wire, "task-1", NULL, 0);
	wire_bytes(&wire, "xyz", 3);
	wire_frame(&wire, 0);
	assert_refused(&wire, "3 bytes follow");
}

static void an_empty_record_is_refused(void **state)
{
	struct wire wire = {0};

	wire_number(&wire, 0, 4);
	assert_refused(&wire, "beyond the end");
}

static void times_that_are_none_are_unknown(void **state)
{
	const double times[] = {-1, 0, 1e300, -1e300, __builtin_nan(""), __builtin_inf()};

	for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++) {
		struct wire wire = {0};
		struct taken taken;
		size_t used;

		wire_process(&wire, "web", 2, 2, 5, times[i]);
		assert_int_equal(read_all(&wire, &taken, &used), 0);
		assert_int_equal(taken.last.process.start_ns, 0);
		wire_done(&wire);
	}
}

static int refuse_second(void *context, const struct thermos_record *record, struct tally_error *e)
{
	return ++*(int *)context == 2 ? -EDOM : 0;
}

static void reading_stops_at_the_record_that_was_not_taken(void **state)
{
	struct wire wire = {0};
	int count = 0;
	size_t used;

	wire_header(&wire, "task-1", NULL, 0);
	size_t first = wire.length;
	wire_task(&wire, 0, 1, 1);
	wire_task(&wire, 0, 1, 1);
	assert_int_equal(
		thermos_stream_read(wire.bytes, wire.length, refuse_second, &count, &used, &err),
		-EDOM);
	assert_int_equal(used, first);
	wire_done(&wire);
}

static void a_record_says_how_much_of_it_is_needed(void **state)
{
	struct wire wire = {0};

	wire_header(&wire, "task-1", NULL, 0);
	assert_int_equal(thermos_stream_need(wire.bytes, 0), 4);
	assert_int_equal(thermos_stream_need(wire.bytes, 3), 4);
	assert_int_equal(thermos_stream_need(wire.bytes, 4), wire.length);
	assert_int_equal(thermos_stream_need((const uint8_t *)"\xff\xff\xff\xff", 4), 4);
	wire_done(&wire);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stream_gives_its_records_in_order),
		cmocka_unit_test(a_stream_torn_at_any_byte_gives_the_whole_records_before_it),
		cmocka_unit_test(unknown_fields_and_kinds_are_ignored),
		cmocka_unit_test(a_known_field_of_another_type_counts_as_not_written),
		cmocka_unit_test(thousands_of_ports_are_read),
		cmocka_unit_test(an_empty_map_of_any_types_is_no_ports),
		cmocka_unit_test(ports_that_are_none_are_refused),
		cmocka_unit_test(a_length_that_claims_too_much_is_refused_without_memory),
		cmocka_unit_test(a_record_longer_than_the_limit_is_corruption_at_once),
		cmocka_unit_test(structs_nested_without_end_are_refused),
		cmocka_unit_test(more_values_than_a_record_may_cost_are_refused),
		cmocka_unit_test(types_that_do_not_exist_are_refused),
		cmocka_unit_test(a_field_that_comes_twice_is_refused),
		cmocka_unit_test(a_record_of_two_kinds_is_refused),
		cmocka_unit_test(texts_with_a_nul_are_refused_where_they_are_kept),
		cmocka_unit_test(bytes_after_the_struct_are_refused),
		cmocka_unit_test(an_empty_record_is_refused),
		cmocka_unit_test(times_that_are_none_are_unknown),
		cmocka_unit_test(reading_stops_at_the_record_that_was_not_taken),
		cmocka_unit_test(a_record_says_how_much_of_it_is_needed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
