/* SPDX-License-Identifier: Apache-2.0 */
/** The columns of `tally top`: one table for the screen, for --once and for the help. */
#ifndef CLI_TOP_COLUMN_H
#define CLI_TOP_COLUMN_H

#include "cli/format.h"
#include "cli/top_feed.h"

/** What a column shows, and how. */
enum top_kind {
	TOP_NAME,	/**< Task and process. */
	TOP_COURSE,	/**< Sparkline of the CPU. */
	TOP_LIFE,	/**< Word. */
	TOP_PID,	/**< Root pid of a process. */
	TOP_CORES,	/**< User and system time, per second. */
	TOP_CPU_TIME,	/**< User and system time. */
	TOP_RATE_TIME,	/**< Seconds per second, of a metric in nanoseconds. */
	TOP_BYTES,	/**< Bytes. */
	TOP_RATE_BYTES, /**< Bytes per second. */
	TOP_COUNT,	/**< A number. */
	TOP_RATE_COUNT, /**< Times per second. */
};

struct top_column {
	const char *id;	   /**< For --columns and --sort; in capitals the title of --once. */
	const char *title; /**< On the screen. */
	enum top_kind kind;
	enum tally_metric metric; /**< Of those kinds that show one. */
	int width;		  /**< Columns on the screen; 0: what is left over. */
	bool usual;		  /**< Shown unless others are chosen. */
	char key;		  /**< That sorts by it; 0: none. */
	int rank;		  /**< Narrow screens leave out the highest ones first. */
	const char *help;
};

/** In the order in which they are shown. The first is the name. */
extern const struct top_column top_columns[];
extern const size_t top_column_count;

/** A bit per column. */
#define TOP_BIT(index) (UINT32_C(1) << (index))

/** Bits of those shown unless others are chosen. */
uint32_t top_columns_usual(void);

/** Find one by its id. @return its index, or -1. */
int top_column_find(const char *id);

/**
 * Read a list of ids, with commas between them; the name is always shown.
 *
 * @return  0, or -EINVAL with a message that names those there are.
 */
int top_columns_parse(const char *list, uint32_t *ret, struct tally_error *err);

/** Whether it can be sorted by, and falls when it is. */
bool top_column_sorts(const struct top_column *column);
bool top_column_falls(const struct top_column *column);

/** Figure of a row in a column. False: it is absent. */
bool top_column_value(const struct top_column *column, const struct top_row *row, double *ret);

/** Why it is absent, in a sentence. Static. */
const char *top_column_reason(const struct top_column *column, const struct top_row *row);

/** Text of a cell as people read it, "-" where it is absent; not of the name and the course. */
const char *top_column_text(
	const struct top_column *column, const struct top_row *row, char out[FORMAT_SIZE]);

/** Text of a cell as programs read it: bytes and seconds without units, never a blank. */
const char *top_column_plain(
	const struct top_column *column, const struct top_row *row, char out[FORMAT_SIZE]);

/** "812M", "1.23G", "0". @return out */
const char *top_short_bytes(char out[FORMAT_SIZE], double bytes);

#endif
