/* SPDX-License-Identifier: Apache-2.0 */
/** What the writer and the reader of block.h share: what is decided, and what it is learnt from. */
#ifndef HISTORY_BLOCK_COLUMN_H
#define HISTORY_BLOCK_COLUMN_H

#include "history/block.h"
#include "history/coder.h"

/** How the first value of a column is coded. */
enum block_start {
	START_ZERO,
	START_PLAIN,
	START_PAGES, /* divided by PAGE */
	START_TICKS, /* divided by TICK_NS */
	START_UNKNOWN,
};

/** How its changes are. */
enum block_changes {
	CHANGES_NONE,
	CHANGES_SPARSE,	     /* those that are not 0, and where */
	CHANGES_DENSE,	     /* one for each row */
	CHANGES_DENSE_TWICE, /* what each differs from the one before */
	CHANGES_DENSE_LEVEL, /* what each differs from one that is told */
	CHANGES_KINDS,
	CHANGES_UNKNOWN = CHANGES_KINDS,
};

/** The unit of processor time in /proc/PID/stat. */
#define TICK_NS INT64_C(10000000)
#define PAGE	INT64_C(4096)

/** What a start of each kind was divided by. */
static const int64_t block_units[START_UNKNOWN] = {
	[START_ZERO] = 1, [START_PLAIN] = 1, [START_PAGES] = PAGE, [START_TICKS] = TICK_NS};

#define SCALE_OTHER   7u
#define SCALE_UNKNOWN 8u

/** Divisors with a number of their own. */
static const uint64_t block_scales[SCALE_OTHER] = {
	1, 512, 4096, 10000000, 1000, 1000000, 1000000000};

/** Numbers that are alike. */
enum block_number {
	NUMBER_TICKS_BETWEEN,
	NUMBER_CODE,
	NUMBER_PRESENCES,
	NUMBER_FIRST_ROW,
	NUMBER_RUN,
	NUMBER_PRESENCE_ROW,
	NUMBER_START,
	NUMBER_SCALE = NUMBER_START + START_UNKNOWN,
	NUMBER_CHANGES,
	NUMBER_CHANGE_ROW,
	NUMBER_LEVEL,
	NUMBER_CENTER,
	NUMBER_CENTER_MOVED,
	NUMBER_KINDS,
};

/** Beyond that far from the commonest length all steps are alike. */
#define LENGTH_STEPS 12u

/** How long changes are, from the commonest length of their column. */
struct length_models {
	struct model same, longer, on[2][LENGTH_STEPS];
};

/** Of what the columns before have learnt, a column takes so much for granted. */
#define LENGTH_TRUST 4

/** How the last column of a metric was. */
struct block_form {
	uint8_t start, changes, scale, is_signed, center, present, reason;
};

#define FORM_UNKNOWN 2u /* is_signed, present */

struct block_models {
	struct number_model numbers[NUMBER_KINDS];
	struct model successive, in_all_rows, present[3], same_reason, reason[256];
	struct model start[START_UNKNOWN + 1][4], changes[CHANGES_UNKNOWN + 1][8];
	struct model scale[SCALE_UNKNOWN + 1][8], is_signed[3];
	struct length_models lengths[2]; /* of sparse and of dense changes */
	struct block_form last[TALLY_METRIC_CAPACITY];
};

struct block_scratch {
	struct block_models models;
	struct bytes coded, bits, block;
};

/** Nothing is known yet. */
void block_models_begin(struct block_models *models);

#define LENGTH_MODELS (sizeof(struct length_models) / sizeof(struct model))

/** What a column begins with. */
static inline struct length_models length_models_of(const struct length_models *shared)
{
	struct length_models own = *shared;
	struct model *models = (struct model *)&own;

	for (size_t i = 0; i < LENGTH_MODELS; i++)
		if (models[i].seen > LENGTH_TRUST)
			models[i].seen = LENGTH_TRUST;
	return own;
}

/** What a column has learnt, the next ones know: by how often it had to decide. */
static inline void length_models_learn(
	struct length_models *shared, const struct length_models *own)
{
	const struct model *from = (const struct model *)own;
	struct model *to = (struct model *)shared;

	for (size_t i = 0; i < LENGTH_MODELS; i++) {
		int32_t known = to[i].seen, trusted = known < LENGTH_TRUST ? known : LENGTH_TRUST;
		int32_t news = from[i].seen - trusted, seen = known + news;

		if (news == 0)
			continue;
		to[i].yes =
			(uint16_t)(to[i].yes + ((int32_t)from[i].yes - to[i].yes) * news / seen);
		to[i].seen = (uint16_t)(seen < MODEL_SEEN_MAX ? seen : MODEL_SEEN_MAX);
	}
}

#endif
