/* SPDX-License-Identifier: Apache-2.0 */
/**
 * An adaptive range coder: yes-or-no decisions, each coded by a model that learns how often it was
 * yes, at the fraction of a bit that it was worth. Numbers are a count of bits, which is learnt, and
 * those bits, which are not: they lie beside it, as they are (bits.h).
 *
 * Writing and reading must make the same decisions with the same models in the same order.
 */
#ifndef HISTORY_CODER_H
#define HISTORY_CODER_H

#include "history/bits.h"

/** What is known of a decision. */
struct model {
	uint16_t yes; /**< How likely, in 1/65536. */
	uint16_t
		seen; /**< How often it was made, MODEL_SEEN_MAX at most: what is new weighs less. */
};

#define MODEL_UNKNOWN  ((struct model){1u << 15, 0})
#define MODEL_SEEN_MAX 60
/** No decision is taken for certain: of 2,048, one is a surprise. */
#define MODEL_LEAST 32u

/** Share of the error by which a model moves, in 1/65536: 1 / (seen + 1.6). */
static const uint16_t model_steps[MODEL_SEEN_MAX + 1] = {40960, 25206, 18204, 14247, 11703, 9930,
	8623, 7620, 6827, 6183, 5650, 5201, 4819, 4489, 4201, 3948, 3724, 3523, 3344, 3181, 3034,
	2900, 2777, 2664, 2560, 2464, 2374, 2291, 2214, 2142, 2074, 2010, 1950, 1894, 1841, 1791,
	1743, 1698, 1655, 1614, 1575, 1538, 1503, 1469, 1437, 1406, 1377, 1348, 1321, 1295, 1270,
	1246, 1223, 1200, 1179, 1158, 1138, 1118, 1100, 1081, 1064};

static inline void model_learn(struct model *model, bool yes)
{
	/* Towards MODEL_LEAST or what is as far from certainty: there it ends. */
	int64_t error = (yes ? 65536 - (int64_t)MODEL_LEAST : MODEL_LEAST) - model->yes;

	model->yes = (uint16_t)(model->yes + error * model_steps[model->seen] / 65536);
	model->seen += model->seen < MODEL_SEEN_MAX;
}

/** Nothing is known of these. */
static inline void models_begin(struct model *models, size_t count)
{
	for (size_t i = 0; i < count; i++)
		models[i] = MODEL_UNKNOWN;
}

/** The most bytes that a decision and the bits of a number take. */
#define CODER_ROOM 24

/* ---- writing ---- */

struct encoder {
	struct bytes *to; /**< Has room for what is written, and 8 bytes more. */
	size_t first;	  /**< Where it begins there. */
	uint64_t low, range;
	struct bit_writer bits;
};

static inline struct encoder encoder_to(struct bytes *to, struct bytes *bits)
{
	return (struct encoder){
		.to = to, .first = to->length, .range = UINT64_MAX, .bits = {.to = bits}};
}

/* The sum overflowed: what was written already is one more. */
static inline void encoder_carry(struct encoder *e)
{
	size_t at = e->to->length;

	while (at > e->first && ++e->to->at[--at] == 0)
		;
}

static inline void encode(struct encoder *e, struct model model, bool yes)
{
	uint64_t part = (e->range >> 16) * model.yes;

	if (yes) {
		e->range = part;
	} else {
		e->low += part;
		if (e->low < part)
			encoder_carry(e);
		e->range -= part;
	}
	if (e->range >> 32)
		return;
	for (unsigned shift = 64; shift > 32; shift -= 8)
		put_byte(e->to, (uint8_t)(e->low >> (shift - 8)));
	e->low <<= 32;
	e->range <<= 32;
}

/** Write what is needed to tell the last decision: what is not there reads as 0. */
static inline void encoder_end(struct encoder *e)
{
	uint64_t last = e->low + (e->range - 1);

	bits_end(&e->bits);
	if (last < e->low) {
		encoder_carry(e);
		return;
	}
	/* Of all numbers from low to last, the one with most zeros at its end. */
	for (unsigned zeros = 64;; zeros -= 8) {
		uint64_t number = zeros == 64 ? 0 : last >> zeros << zeros;

		if (number < e->low)
			continue;
		for (unsigned shift = 64; shift > zeros; shift -= 8)
			put_byte(e->to, (uint8_t)(number >> (shift - 8)));
		return;
	}
}

/** Decide by a model, which learns. */
static inline void encode_bit(struct encoder *e, struct model *model, bool yes)
{
	encode(e, *model, yes);
	model_learn(model, yes);
}

/** One of 1 << levels; as many models. */
static inline void encode_choice(
	struct encoder *e, struct model *models, unsigned levels, unsigned choice)
{
	for (unsigned node = 1, level = levels; level-- > 0;) {
		bool yes = choice >> level & 1;

		encode_bit(e, &models[node], yes);
		node = node * 2 + yes;
	}
}

/* ---- reading ---- */

struct decoder {
	const uint8_t *at, *end;
	uint64_t code, range; /**< The code less what was decided already. */
	unsigned missing;     /**< Bytes read past the end. */
	struct bit_reader bits;
};

static inline void decoder_fetch(struct decoder *d)
{
	for (unsigned i = 0; i < 4; i++) {
		bool there = d->at < d->end;

		d->code = d->code << 8 | (there ? *d->at : 0);
		d->at += there;
		d->missing += !there;
	}
}

static inline struct decoder decoder_of(struct reader coded, const uint8_t *bits, size_t bit_bytes)
{
	struct decoder d = {
		.at = coded.at,
		.end = coded.end,
		.range = UINT64_MAX,
		.bits = bits_of(bits, bit_bytes),
	};

	decoder_fetch(&d);
	decoder_fetch(&d);
	return d;
}

/** More was read than there is: what was decided is worth nothing. */
static inline bool decoder_is_bad(const struct decoder *d)
{
	return d->missing > 8 || d->bits.bad;
}

/** Nothing is left that was not looked at. */
static inline bool decoder_is_used_up(const struct decoder *d)
{
	return d->at == d->end && d->bits.bits - d->bits.next < 8;
}

static inline bool decode(struct decoder *d, struct model model)
{
	uint64_t part = (d->range >> 16) * model.yes;
	bool yes = d->code < part;

	/* Without a branch: which way it goes cannot be foreseen. */
	d->range = yes ? part : d->range - part;
	d->code -= yes ? 0 : part;
	if (!(d->range >> 32)) {
		d->range <<= 32;
		decoder_fetch(d);
	}
	return yes;
}

static inline bool decode_bit(struct decoder *d, struct model *model)
{
	bool yes = decode(d, *model);

	model_learn(model, yes);
	return yes;
}

static inline unsigned decode_choice(struct decoder *d, struct model *models, unsigned levels)
{
	unsigned node = 1;

	for (unsigned level = 0; level < levels; level++)
		node = node * 2 + decode_bit(d, &models[node]);
	return node - (1u << levels);
}

/* ---- numbers ---- */

#define NUMBER_MODELS 128u /* of lengths up to 64 */

/** How many bits numbers of a kind have. */
struct number_model {
	struct model length[NUMBER_MODELS];
};

static inline unsigned bit_length(uint64_t value)
{
	return value ? 64 - (unsigned)__builtin_clzll(value) : 0;
}

/** The bits of a number below its leading one. */
static inline void encode_rest(struct encoder *e, uint64_t value, unsigned length)
{
	if (length > 1)
		put_bits(&e->bits, value ^ UINT64_C(1) << (length - 1), length - 1);
}

static inline uint64_t decode_rest(struct decoder *d, unsigned length)
{
	if (length < 2)
		return length;
	return UINT64_C(1) << (length - 1) | get_bits(&d->bits, length - 1);
}

static inline void encode_number(struct encoder *e, struct number_model *model, uint64_t value)
{
	unsigned length = bit_length(value);

	encode_choice(e, model->length, 7, length);
	encode_rest(e, value, length);
}

/** A number; what cannot be one marks the decoder as bad. */
static inline uint64_t decode_number(struct decoder *d, struct number_model *model)
{
	unsigned length = decode_choice(d, model->length, 7);

	if (length > 64) {
		d->bits.bad = true;
		return 0;
	}
	return decode_rest(d, length);
}

#endif
