/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A collector that says what it was told to: the double for tests of whoever uses collectors, and
 * the template of a new one.
 *
 * A group begins as the contract has it after its first pass with nobody in it: counters and
 * gauges 0, info absent. fake_set() scripts what later passes say.
 */
#ifndef COLLECT_FAKE_H
#define COLLECT_FAKE_H

#include "collect/collector.h"

/** Most groups, and most members of one. */
#define FAKE_GROUPS  64
#define FAKE_MEMBERS 16

/** What a group was asked for, and what it will say. */
struct fake_group {
	struct tally_sample next;     /**< What the next pass says. */
	struct collect_root roots[8]; /**< Roots that were added; the last eight. */
	size_t root_count;
	struct collect_member members[FAKE_MEMBERS]; /**< Strings stay the script's. */
	size_t member_count;
	pid_t reaped;	     /**< The last pid that was said to be reaped, or 0. */
	struct rusage usage; /**< And what was said of it. */
};

/** The script and the record. */
struct fake {
	struct collector collector;
	struct fake_group groups[FAKE_GROUPS];
	int root_error;	 /**< Negative errno that root_add() returns; 0: none. */
	int pass_error;	 /**< And pass(): samples then stay as they are. */
	int64_t pass_ns; /**< How long a pass takes (it sleeps). */
	unsigned passes; /**< Taken so far. */
	struct collect_status status;
};

/** Open one. Close it with collector_close(). @return 0 or -ENOMEM. */
int fake_open(struct collector **ret, struct tally_error *err);

/** The script of a collector that fake_open() made. */
struct fake *fake_of(struct collector *collector);

/** Have the next passes say a value of a group. */
void fake_set(struct collector *collector, uint32_t group, enum tally_metric metric, int64_t value);

/** Have the next passes say that a value of a group is absent. */
void fake_unset(struct collector *collector, uint32_t group, enum tally_metric metric,
	enum tally_reason reason);

#endif
