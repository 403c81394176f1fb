/* SPDX-License-Identifier: Apache-2.0 */
#include "history/ticks_pack.h"
#include "history/coder.h"

/* The expected interval follows the last ones: a tick that came late says nothing of the next. */
#define FOLLOWING 4

/* What both sides know: of the ticks before. */
struct expectation {
	struct number_model late, off;
	int64_t boot_ns, interval_ns, offset_ns;
};

static void expect_nothing(struct expectation *x)
{
	*x = (struct expectation){0};
	models_begin(x->late.length, NUMBER_MODELS);
	models_begin(x->off.length, NUMBER_MODELS);
}

static void expect_after(struct expectation *x, uint32_t number, struct tick tick)
{
	int64_t interval_ns = wrapped_difference(tick.boot_ns, x->boot_ns);

	if (number == 1)
		x->interval_ns = interval_ns;
	else if (number > 1)
		x->interval_ns = wrapped_sum(x->interval_ns,
			wrapped_difference(interval_ns, x->interval_ns) / FOLLOWING);
	x->boot_ns = tick.boot_ns;
	x->offset_ns = wrapped_difference(tick.wall_ns, tick.boot_ns);
}

void ticks_pack(const struct tick_chunk *chunk, struct bytes *to)
{
	uint8_t room[TICKS_PACKED_MAX], bits_room[TICKS_PACKED_MAX];
	struct bytes coded = {.at = room, .capacity = sizeof(room)};
	struct bytes bits = {.at = bits_room, .capacity = sizeof(bits_room)};
	struct encoder e = encoder_to(&coded, &bits);
	struct expectation x;

	expect_nothing(&x);
	for (uint32_t i = 0; i < chunk->count; i++) {
		struct tick tick = chunk->at[i];
		int64_t late_ns =
			wrapped_difference(tick.boot_ns, wrapped_sum(x.boot_ns, x.interval_ns));
		int64_t off_ns = wrapped_difference(
			wrapped_difference(tick.wall_ns, tick.boot_ns), x.offset_ns);

		encode_number(&e, &x.late, zigzag(late_ns));
		encode_number(&e, &x.off, zigzag(off_ns));
		expect_after(&x, i, tick);
	}
	encoder_end(&e);
	put_varint(to, chunk->count);
	put_varint(to, coded.length);
	put_blob(to, coded.at, coded.length);
	put_blob(to, bits.at, bits.length);
}

bool ticks_unpack(struct reader packed, struct tick_chunk *ret)
{
	uint32_t count = (uint32_t)get_limited(&packed, CHUNK_TICKS);
	struct reader coded = get_piece(&packed, get_varint(&packed));
	struct decoder d = decoder_of(coded, packed.at, reader_left(&packed));
	struct expectation x;

	expect_nothing(&x);
	for (ret->count = 0; ret->count < count; ret->count++) {
		struct tick tick;

		tick.boot_ns = wrapped_sum(wrapped_sum(x.boot_ns, x.interval_ns),
			unzigzag(decode_number(&d, &x.late)));
		tick.wall_ns = wrapped_sum(wrapped_sum(tick.boot_ns, x.offset_ns),
			unzigzag(decode_number(&d, &x.off)));
		ret->at[ret->count] = tick;
		expect_after(&x, ret->count, tick);
	}
	return count > 0 && !packed.bad && !decoder_is_bad(&d) && decoder_is_used_up(&d);
}
