/* SPDX-License-Identifier: Apache-2.0 */
/* What lies over the table of `tally top`: the keys, the columns, the details of one row. */
#include <curses.h>
#include <string.h>
#include "base/attr.h"
#include "cli/top_screen.h"
#include "cli/top_text.h"

/* ---- help ---- */

static const char *const keys[][2] = {
	{"", "moving"},
	{"Up Down PgUp PgDn Home End", "select a line; j and k, too"},
	{"Enter Right Left", "show the processes of a task, or hide them"},
	{"a", "show the processes of all tasks, or hide them"},
	{"f", "all processes in one list, or tasks again"},
	{"", "time"},
	{"[ ]", "10 seconds back, or forth"},
	{"{ }", "5 minutes back, or forth"},
	{"t", "go to a time"},
	{"Space", "hold the present; go back to it, from wherever"},
	{"l", "back to the present"},
	{"", "what is shown"},
	{"/", "only names that have this in them; Esc takes it away"},
	{"< >", "sort by the column to the left, or right"},
	{"P M W R O D C N", "sort by CPU, memory, waiting, reading, writing, disk, pids, name"},
	{"r", "sort the other way round"},
	{"c", "choose the columns"},
	{"i", "all figures of a line, and why some are absent"},
	{"", ""},
	{"? h", "this help; any other key goes back"},
	{"q", "quit"},
	{"", "how to read it"},
	{"-", "a figure that is absent; i tells why"},
	{"CPU", "cores in use: 1.00 is one busy core"},
	{"WAIT", "cores that were wanted and not free: above 0.1 the task is slowed down"},
	{"LAST", "CPU of late; its height is the largest value, 0.2 cores at least"},
};

static void draw_help(const struct top_screen *screen, int from, int to)
{
	for (int row = from; row < to; row++) {
		size_t line = screen->over_line + (size_t)(row - from);

		if (line >= ARRAY_SIZE(keys))
			break;
		if (!keys[line][0][0]) {
			top_put(screen, row, 1, COLS, TOP_CUT, A_BOLD, keys[line][1]);
			continue;
		}
		top_put(screen, row, 2, 26, TOP_LEFT, top_attributes(screen, TOP_ACCENT),
			keys[line][0]);
		top_put(screen, row, 29, COLS, TOP_CUT, A_NORMAL, keys[line][1]);
	}
}

/* ---- columns ---- */

static void draw_columns(const struct top_screen *screen, int from, int to)
{
	size_t rows = to > from + 1 ? (size_t)(to - from - 1) : 1;
	size_t first = screen->over_line >= rows ? screen->over_line - rows + 1 : 0;
	char text[160];

	top_put(screen, from, 1, COLS, TOP_CUT, A_BOLD,
		"columns: Space shows or hides one, s sorts by it, c goes back");
	for (int row = from + 1; row < to; row++) {
		size_t index = first + (size_t)(row - from - 1);

		if (index >= top_column_count)
			break;
		snprintf(text, sizeof(text), " [%c] %-9s %s",
			screen->model->columns & TOP_BIT(index) ? 'x' : ' ', top_columns[index].id,
			top_columns[index].help);
		top_put(screen, row, 0, COLS, TOP_LEFT,
			index == screen->over_line ? A_REVERSE : A_NORMAL, text);
	}
}

/* ---- details ---- */

static void draw_figure(const struct top_screen *screen, int row, const struct top_row *of,
	enum tally_metric metric)
{
	const struct tally_sample *sample = &of->reading.sample;
	bool known = tally_sample_has(sample, metric);
	char text[FORMAT_SIZE], rated[FORMAT_SIZE + 16] = "";
	double rate;

	top_put(screen, row, 2, 24, TOP_LEFT, A_NORMAL, tally_metrics[metric].key);
	if (!known) { /* The reason is what counts: it has all the room. */
		top_put(screen, row, 28, COLS, TOP_CUT, top_attributes(screen, TOP_WARN),
			tally_reason_text(sample->reason[metric]));
		return;
	}
	top_put(screen, row, 27, 11, TOP_RIGHT, A_BOLD,
		format_metric(text, metric, sample->value[metric]));
	if (of->before.boot_ns && tally_sample_rate(&of->before, sample, metric, &rate) == 0) {
		if (tally_metrics[metric].unit == TALLY_UNIT_BYTES)
			snprintf(rated, sizeof(rated), "%s/s", top_short_bytes(text, rate));
		else
			snprintf(rated, sizeof(rated), "%.2f/s", rate);
	}
	top_put(screen, row, 38, 11, TOP_RIGHT, A_NORMAL, rated);
	top_put(screen, row, 51, COLS, TOP_CUT, A_DIM, tally_metrics[metric].help);
}

static void draw_details(const struct top_screen *screen, int from, int to)
{
	const struct top_row *of = top_model_selected(screen->model);
	char text[600], pid[FORMAT_SIZE] = "";

	if (!of)
		return;
	if (of->pid)
		snprintf(pid, sizeof(pid), ", root pid %d", (int)of->pid);
	snprintf(text, sizeof(text), "%.250s%s%.250s%s%s%s", of->task, of->process ? "/" : "",
		of->process ? of->process : "", of->has_life ? ", " : "",
		of->has_life ? tally_life_name(of->life) : "", pid);
	top_put(screen, from, 1, COLS, TOP_CUT, A_BOLD, text);
	for (int row = from + 1; row < to; row++) {
		size_t metric = screen->over_line + (size_t)(row - from - 1);

		if (metric < TALLY_METRIC_COUNT)
			draw_figure(screen, row, of, (enum tally_metric)metric);
	}
}

void top_overlay_draw(struct top_screen *screen, int from, int to)
{
	if (screen->over == TOP_HELP)
		draw_help(screen, from, to);
	else if (screen->over == TOP_COLUMNS)
		draw_columns(screen, from, to);
	else if (screen->over == TOP_DETAILS)
		draw_details(screen, from, to);
}

size_t top_overlay_lines(const struct top_screen *screen)
{
	return screen->over == TOP_HELP	     ? ARRAY_SIZE(keys)
	       : screen->over == TOP_COLUMNS ? top_column_count
					     : TALLY_METRIC_COUNT;
}
