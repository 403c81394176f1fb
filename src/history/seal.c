/* SPDX-License-Identifier: Apache-2.0 */
/** Open rows become blocks; old blocks make room. */
#include "history/internal.h"
#include "history/keeper.h"

#include <errno.h>

size_t history_bytes(const struct history *history)
{
	size_t bytes = history->open_bytes + history->task_bytes;

	for (unsigned i = 0; i < history->tier_count; i++)
		bytes += history->tiers[i].arena.bytes + history->tiers[i].ticks.bytes;
	return bytes;
}

static void free_sealed(struct sealed *sealed)
{
	arena_free(&sealed->tier->arena, sealed->chunk);
}

void sealed_unpin(struct sealed *sealed)
{
	if (--sealed->pins == 0 && !sealed->lane)
		free_sealed(sealed);
}

void sealed_drop(struct history *history, struct sealed *sealed)
{
	struct lane *lane = sealed->lane;
	struct tier *tier = sealed->tier;

	*(sealed->older ? &sealed->older->newer : &tier->oldest) = sealed->newer;
	*(sealed->newer ? &sealed->newer->older : &tier->newest) = sealed->older;
	*(sealed->older_of_lane ? &sealed->older_of_lane->newer_of_lane : &lane->oldest) =
		sealed->newer_of_lane;
	*(sealed->newer_of_lane ? &sealed->newer_of_lane->older_of_lane : &lane->newest) =
		sealed->older_of_lane;
	if (lane->tier == 0)
		history->samples -= sealed->span.rows;
	if (lane->tier == 0 && history->keeper && !sealed->stored)
		history->unstored += sealed->span.rows;
	sealed->lane = NULL;
	if (sealed->pins == 0)
		free_sealed(sealed);
}

/* The oldest block of all resolutions. */
static struct sealed *oldest_of_all(struct history *history)
{
	struct sealed *oldest = NULL;

	for (unsigned i = 0; i < history->tier_count; i++) {
		struct sealed *sealed = history->tiers[i].oldest;

		if (sealed && (!oldest || moment_before(sealed->span.last, oldest->span.last)))
			oldest = sealed;
	}
	return oldest;
}

static void trim(struct history *history)
{
	for (unsigned i = 0; i < history->tier_count; i++)
		arena_trim(&history->tiers[i].arena);
}

bool history_make_room(struct history *history, size_t more)
{
	if (history_bytes(history) + more > history->bytes_limit)
		trim(history);
	while (history_bytes(history) + more > history->bytes_limit) {
		struct sealed *sealed = oldest_of_all(history);

		if (!sealed)
			return false;
		if (sealed->lane->tier == 0)
			history->dropped += sealed->span.rows;
		sealed_drop(history, sealed);
		trim(history);
	}
	return true;
}

/* Memory that adding a block takes: blocks that make room can leave a chunk to put it in. */
static bool room_for_block(struct history *history, struct tier *tier, size_t size)
{
	for (;;) {
		size_t growth = arena_growth(&tier->arena, size);

		if (growth == 0 || history_bytes(history) + growth <= history->bytes_limit)
			return true;
		struct sealed *sealed = oldest_of_all(history);
		if (!sealed)
			return history_make_room(history, growth);
		if (sealed->lane->tier == 0)
			history->dropped += sealed->span.rows;
		sealed_drop(history, sealed);
		if (sealed->tier != tier)
			arena_trim(&sealed->tier->arena);
	}
}

static void link_sealed(struct lane *lane, struct tier *tier, struct sealed *sealed)
{
	sealed->older = tier->newest;
	*(tier->newest ? &tier->newest->newer : &tier->oldest) = sealed;
	tier->newest = sealed;
	sealed->older_of_lane = lane->newest;
	*(lane->newest ? &lane->newest->newer_of_lane : &lane->oldest) = sealed;
	lane->newest = sealed;
}

bool lane_keep(
	struct history *history, struct lane *lane, const struct span *span, struct reader block)
{
	struct tier *tier = &history->tiers[lane->tier];
	size_t length = reader_left(&block);
	struct arena_chunk *chunk;

	if (!room_for_block(history, tier, sizeof(struct sealed) + length))
		return false;

	struct sealed *sealed = arena_alloc(&tier->arena, sizeof(*sealed) + length, &chunk);
	if (!sealed)
		return false;
	*sealed = (struct sealed){
		.lane = lane,
		.tier = tier,
		.tier_number = lane->tier,
		.chunk = chunk,
		.span = *span,
		.length = (uint32_t)length,
	};
	memcpy(sealed->bytes, block.at, length);
	link_sealed(lane, tier, sealed);
	return true;
}

void lane_clear(struct history *history, struct lane *lane)
{
	rows_clear(&lane->open);
	lane->open_span.number++;
	lane->seal_share = 256;
}

static bool seal(struct history *history, struct lane *lane)
{
	struct rows *open = &lane->open;
	struct reader block;

	return rows_table(reader_of(open->log.at, open->log.length), TALLY_METRIC_COUNT,
		       open->first_tick, open->repeats, &history->table) == 0 &&
	       block_write(history->scratch, &history->table, &block) == 0 &&
	       lane_keep(history, lane, &lane->open_span, block);
}

void lane_seal(struct history *history, struct lane *lane)
{
	if (lane->open.rows == 0)
		return;

	bool kept = seal(history, lane);
	if (!kept && lane->tier == 0) {
		history->dropped += lane->open.rows;
		history->samples -= lane->open.rows;
	}
	lane_clear(history, lane);
	if (lane->tier == 0)
		history_roll(history, lane->task);
}

static bool expired(const struct history *history, const struct tier *tier, struct moment moment)
{
	return moment.era == history->era &&
	       history->now.boot_ns - moment.boot_ns >= tier->retention_ns;
}

static void expire(struct history *history)
{
	for (unsigned i = 0; i < history->tier_count; i++) {
		struct tier *tier = &history->tiers[i];

		while (tier->oldest && expired(history, tier, tier->oldest->span.last))
			sealed_drop(history, tier->oldest);
	}
}

static void rest(struct history *history, struct lane *lane)
{
	history->open_bytes -= rows_bytes(&lane->open);
	rows_done(&lane->open);
}

/* Whether no sample bears a name any more, nor the record that is being appended. */
static bool unused(
	const struct history *history, const struct tier *longest, const struct name *name)
{
	if (name->serial == history->serial)
		return false;
	return name->last.era == 0 || expired(history, longest, name->last);
}

static void sweep_names(struct history *history, struct history_task *task)
{
	const struct tier *longest = &history->tiers[0];
	struct name *name, *next;

	for (unsigned i = 1; i < history->tier_count; i++)
		if (history->tiers[i].retention_ns > longest->retention_ns)
			longest = &history->tiers[i];
	HASH_ITER (hh, task->names, name, next)
		if (unused(history, longest, name)) {
			task->order_count = 0;
			history->task_bytes -= sizeof(*name) + strlen(name->text) + 1;
			HASH_DEL(task->names, name);
			free(name);
		}
}

/* Rows that nothing was added to for long are sealed, and their memory is given back. */
static void sweep_task(struct history *history, struct history_task *task)
{
	if (!keeper_busy(history))
		sweep_names(history, task);
	for (unsigned i = 0; i < history->tier_count; i++) {
		struct lane *lane = &task->lanes[i];
		uint64_t behind = history->tiers[i].ticks.next - lane->open.last_tick;

		if (lane->open.rows > 0 && behind > 2 * TABLE_ROWS)
			lane_seal(history, lane);
		if (lane->open.rows == 0 && behind > 2 * TABLE_ROWS && lane->open.log.capacity > 0)
			rest(history, lane);
	}
}

/* The first tick that any block or open row of a lane bears, or that it has yet to make. */
static uint64_t first_needed(const struct lane *lane, uint64_t next)
{
	uint64_t first = next;

	if (lane->open.rows > 0)
		first = lane->open.first_tick;
	if (lane->oldest)
		first = lane->oldest->span.first_tick;
	return lane->tier > 0 && lane->rolled < first ? lane->rolled : first;
}

static void drop_ticks(struct history *history, unsigned tier)
{
	struct ticks *ticks = &history->tiers[tier].ticks;
	uint64_t first = ticks->next;

	for (size_t i = 0; i < history->task_count; i++) {
		uint64_t needed = first_needed(&history->order[i]->lanes[tier], ticks->next);

		if (needed < first)
			first = needed;
	}
	ticks_drop(ticks, first);
}

/* Whether the store has all of a task. */
static bool all_stored(const struct history *history, const struct history_task *task)
{
	for (unsigned i = 0; i < history->tier_count; i++) {
		const struct lane *lane = &task->lanes[i];

		if (lane->open.rows > 0 || (lane->newest && !lane->newest->stored))
			return false;
	}
	return !task->new_roots;
}

void history_sweep(struct history *history)
{
	size_t turn = history->task_count / 64 + 1;

	expire(history);
	for (; turn > 0 && history->task_count > 0; turn--) {
		history->swept = (history->swept + 1) % history->task_count;

		struct history_task *task = history->order[history->swept];
		sweep_task(history, task);
		if (task->gone && !keeper_busy(history) && all_stored(history, task))
			history_forget(history, task);
	}
	for (unsigned i = 0; i < history->tier_count; i++)
		if (history->tiers[i].ticks.next % CHUNK_TICKS == 0)
			drop_ticks(history, i);
}
