/* SPDX-License-Identifier: Apache-2.0 */
/** Whatever is decided comes back, and what is foreseen is cheap; so do the times of ticks. */
#include "check.h"
#include "history/coder.h"
#include "history/ticks_pack.h"

static uint64_t random_state = 1;

static uint64_t random_bits(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* A number of any length. */
static uint64_t random_number(void)
{
	return random_bits() >> random_bits() % 64 >> random_bits() % 2;
}

enum {
	DECISIONS = 5000,
	ROOM = DECISIONS * CODER_ROOM,
};

static uint8_t coded_room[ROOM], bits_room[ROOM];

/* Decisions that are true so often of 65,536 times; the bytes that they take. */
static size_t decide(unsigned often, unsigned count)
{
	struct bytes coded = {.at = coded_room, .capacity = ROOM};
	struct bytes bits = {.at = bits_room, .capacity = ROOM};
	struct encoder e = encoder_to(&coded, &bits);
	struct model model = MODEL_UNKNOWN;
	uint64_t begun = random_state;

	for (unsigned i = 0; i < count; i++)
		encode_bit(&e, &model, random_bits() % 65536 < often);
	encoder_end(&e);

	struct decoder d = decoder_of(reader_of(coded.at, coded.length), bits.at, bits.length);
	model = MODEL_UNKNOWN;
	random_state = begun;
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(decode_bit(&d, &model), random_bits() % 65536 < often);
	assert_false(decoder_is_bad(&d));
	assert_true(decoder_is_used_up(&d));
	return coded.length;
}

static void decisions_come_back(void **state)
{
	static const unsigned often[] = {0, 1, 100, 10000, 32768, 60000, 65530, 65535, 65536};

	for (unsigned round = 0; round < 200; round++)
		for (unsigned i = 0; i < sizeof(often) / sizeof(*often); i++)
			decide(often[i], (unsigned)(random_bits() % DECISIONS));
}

/* 5,000 decisions of one in ten have 293 bytes of news, and of one in two 625. */
static void what_is_foreseen_is_cheap(void **state)
{
	assert_between(decide(0, DECISIONS), 1, 12);
	assert_between(decide(6554, DECISIONS), 270, 325);
	assert_between(decide(32768, DECISIONS), 620, 660);
}

static void numbers_and_choices_come_back(void **state)
{
	for (unsigned round = 0; round < 300; round++) {
		struct bytes coded = {.at = coded_room, .capacity = ROOM};
		struct bytes bits = {.at = bits_room, .capacity = ROOM};
		struct encoder e = encoder_to(&coded, &bits);
		unsigned count = 1 + (unsigned)(random_bits() % 300);
		uint64_t begun = random_state;
		struct number_model numbers;
		struct model choices[16];

		models_begin(numbers.length, NUMBER_MODELS);
		models_begin(choices, 16);
		for (unsigned i = 0; i < count; i++) {
			encode_number(&e, &numbers, random_number());
			encode_choice(&e, choices, 4, random_bits() % 16);
		}
		encode_number(&e, &numbers, UINT64_MAX);
		encoder_end(&e);

		struct decoder d =
			decoder_of(reader_of(coded.at, coded.length), bits.at, bits.length);
		random_state = begun;
		models_begin(numbers.length, NUMBER_MODELS);
		models_begin(choices, 16);
		for (unsigned i = 0; i < count; i++) {
			assert_true(decode_number(&d, &numbers) == random_number());
			assert_int_equal(decode_choice(&d, choices, 4), random_bits() % 16);
		}
		assert_true(decode_number(&d, &numbers) == UINT64_MAX);
		assert_false(decoder_is_bad(&d));
		assert_true(decoder_is_used_up(&d));
	}
}

static void what_was_cut_off_is_missed(void **state)
{
	struct bytes coded = {.at = coded_room, .capacity = ROOM};
	struct bytes bits = {.at = bits_room, .capacity = ROOM};
	struct encoder e = encoder_to(&coded, &bits);

	for (unsigned i = 0; i < DECISIONS; i++)
		encode(&e, MODEL_UNKNOWN, random_bits() % 2);
	encoder_end(&e);
	for (size_t length = 0; length + 16 < coded.length; length += 7) {
		struct decoder d = decoder_of(reader_of(coded.at, length), bits.at, bits.length);

		for (unsigned i = 0; i < DECISIONS; i++)
			decode(&d, MODEL_UNKNOWN);
		assert_true(decoder_is_bad(&d));
	}
}

/* -- ticks -------------------------------------------------------------------------------------- */

/* Ticks of a clock that is late, stands, is set, or makes no sense. */
static void make_ticks(struct tick_chunk *chunk, unsigned kind)
{
	int64_t boot_ns = (int64_t)(random_bits() >> 20), offset_ns = (int64_t)(random_bits() >> 3);

	*chunk = (struct tick_chunk){.count = 1 + (uint32_t)(random_bits() % CHUNK_TICKS)};
	for (uint32_t i = 0; i < chunk->count; i++) {
		boot_ns += 1000000000 + (int64_t)(random_bits() % (kind ? 10000000 : 1));
		if (kind == 2 && random_bits() % 20 == 0)
			offset_ns += (int64_t)(random_bits() >> 20) - ((int64_t)1 << 43);
		chunk->at[i] = (struct tick){boot_ns + offset_ns, boot_ns};
		if (kind == 3)
			chunk->at[i] =
				(struct tick){(int64_t)random_number(), (int64_t)random_number()};
	}
}

static void times_come_back(void **state)
{
	uint8_t room[TICKS_PACKED_MAX];

	for (unsigned round = 0; round < 2000; round++) {
		struct bytes packed = {.at = room, .capacity = sizeof(room)};
		struct tick_chunk chunk, again = {0};

		make_ticks(&chunk, round % 4);
		ticks_pack(&chunk, &packed);
		assert_true(ticks_unpack(reader_of(packed.at, packed.length), &again));
		assert_int_equal(again.count, chunk.count);
		assert_memory_equal(again.at, chunk.at, chunk.count * sizeof(*chunk.at));
	}
}

static void damaged_times_are_no_crash(void **state)
{
	uint8_t room[TICKS_PACKED_MAX];
	struct bytes packed = {.at = room, .capacity = sizeof(room)};
	struct tick_chunk chunk, again;
	unsigned refused = 0;

	make_ticks(&chunk, 2);
	ticks_pack(&chunk, &packed);
	for (unsigned round = 0; round < 20000; round++) {
		uint8_t *copy = malloc(packed.length);
		size_t length = random_bits() % 2 ? packed.length : random_bits() % packed.length;

		memcpy(copy, packed.at, packed.length);
		copy[random_bits() % packed.length] ^= (uint8_t)(1 + random_bits() % 255);
		copy = realloc(copy, length ? length : 1);
		refused += !ticks_unpack(reader_of(copy, length), &again);
		free(copy);
	}
	assert_true(refused > 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decisions_come_back),
		cmocka_unit_test(what_is_foreseen_is_cheap),
		cmocka_unit_test(numbers_and_choices_come_back),
		cmocka_unit_test(what_was_cut_off_is_missed),
		cmocka_unit_test(times_come_back),
		cmocka_unit_test(damaged_times_are_no_crash),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
