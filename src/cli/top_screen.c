/* SPDX-License-Identifier: Apache-2.0 */
/*
 *     tally top   observer /run/tally/tally.sock             LIVE 2026-11-24 14:05:23
 *     12 tasks, 40 pids   CPU 1.95 of 2 cores, 0.30 in no task   memory 1.2G   read 3M/s   …
 *     13:05:00 ─────────────────────────────●── 14:05:23          (while it is in the past)
 *     TASK                    CPU  last minute    WAIT    MEM …
 *     ▸ shop                 0.95  ▁▁▂▇▇▇▇▇▇▇▇▇  0.01   812M …
 *     ? help  q quit  / filter  …
 */
#include "cli/top_screen.h"

#include <curses.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/attr.h"
#include "base/clock.h"
#include "cli/sparkline.h"
#include "cli/stored.h"
#include "cli/top_text.h"

/* A name narrower than this is of no use: other columns give way. */
#define NAME_LEAST 14

/* Lower screens have no hints, no sums, no bar of time. */
#define ROWS_HINTS 8
#define ROWS_SUMS  6
#define ROWS_BAR   10

/* Cores that fill a sparkline, at least: a task that hardly does anything must not look busy. */
#define COURSE_TOP 0.2

/* Bytes of a field on the screen, the widest. */
#define FIELD_SIZE 2048

void top_screen_begin(struct top_screen *screen, struct top_model *model, bool ascii)
{
	const char *no_colour = getenv("NO_COLOR");

	*screen = (struct top_screen){.model = model, .ascii = ascii};
	screen->colours = !(no_colour && *no_colour) && has_colors();
	if (!screen->colours)
		return;
	start_color();
	use_default_colors();
	init_pair(TOP_GOOD, COLOR_GREEN, -1);
	init_pair(TOP_WARN, COLOR_YELLOW, -1);
	init_pair(TOP_BAD, COLOR_RED, -1);
	init_pair(TOP_ACCENT, COLOR_CYAN, -1);
	init_pair(TOP_TITLE, COLOR_BLACK, COLOR_CYAN);
	init_pair(TOP_PAST, COLOR_BLACK, COLOR_YELLOW);
}

unsigned top_attributes(const struct top_screen *screen, enum top_colour colour)
{
	static const unsigned plain[] = {
		[TOP_PLAIN] = A_NORMAL,
		[TOP_GOOD] = A_NORMAL,
		[TOP_WARN] = A_BOLD,
		[TOP_BAD] = A_BOLD,
		[TOP_ACCENT] = A_BOLD,
		[TOP_TITLE] = A_REVERSE,
		[TOP_PAST] = A_REVERSE | A_BOLD,
	};

	if (!screen->colours)
		return plain[colour];
	return (unsigned)COLOR_PAIR(colour) | (colour == TOP_BAD ? A_BOLD : 0);
}

int top_put(const struct top_screen *screen, int row, int column, int columns, int fill,
	unsigned attributes, const char *text)
{
	char field[FIELD_SIZE];
	int room = COLS - column;

	if (row < 0 || row >= LINES || room <= 0)
		return column;
	int filled = top_text_fit(field, sizeof(field), text, columns < room ? columns : room,
		(enum top_fill)fill, screen->ascii);
	attrset((int)attributes);
	mvaddstr(row, column, field);
	attrset(A_NORMAL);
	return column + filled;
}

/* ---- the title ---- */

static const char *duration_text(char out[FORMAT_SIZE], int64_t ns)
{
	int64_t seconds = ns / NS_PER_S;

	if (seconds < 60)
		snprintf(out, FORMAT_SIZE, "%llds", (long long)seconds);
	else if (seconds < 3600)
		snprintf(out, FORMAT_SIZE, "%lldm%02llds", (long long)(seconds / 60),
			(long long)(seconds % 60));
	else if (seconds < 86400)
		snprintf(out, FORMAT_SIZE, "%lldh%02lldm", (long long)(seconds / 3600),
			(long long)(seconds / 60 % 60));
	else
		snprintf(out, FORMAT_SIZE, "%lldd%02lldh", (long long)(seconds / 86400),
			(long long)(seconds / 3600 % 24));
	return out;
}

/* The one word that must not be overlooked: whether this is now. */
static enum top_colour when_text(const struct top_model *model, char *out, size_t size)
{
	char time[32] = "no sample yet", ago[FORMAT_SIZE];
	int64_t at_ns = top_model_time(model), age_ns = clock_wall_ns() - at_ns;

	if (at_ns)
		stored_time(time, at_ns, false);
	if (model->error.code) {
		snprintf(out, size, "NO ANSWER  %s", time);
		return TOP_PAST;
	}
	if (model->snapshot.stale && top_model_moves(model)) {
		snprintf(out, size, "STALE for %s  %s", duration_text(ago, age_ns), time);
		return TOP_PAST;
	}
	if (top_model_moves(model)) {
		snprintf(out, size, "LIVE  %s", time);
		return TOP_TITLE;
	}
	snprintf(out, size, "%s  %s, %s ago",
		model->paused  ? "PAUSED"
		: model->at_ns ? "PAST"
			       : "END OF STORE",
		time, duration_text(ago, age_ns));
	return TOP_PAST;
}

static void draw_title(const struct top_screen *screen)
{
	const struct top_model *model = screen->model;
	char when[96], left[320];
	unsigned attributes = top_attributes(screen, when_text(model, when, sizeof(when)));
	int width = (int)strlen(when), room = COLS - width - 2;

	snprintf(left, sizeof(left), " tally top  %s", model->feed->title);
	top_put(screen, 0, 0, COLS, TOP_LEFT, attributes, "");
	if (room > 12)
		top_put(screen, 0, 0, room - 1, TOP_LEFT, attributes, left);
	top_put(screen, 0, room > 0 ? room : 0, COLS, TOP_CUT, attributes | A_BOLD, when);
}

/* ---- the sums ---- */

static void add(char *out, size_t size, const char *format, ...) PRINTF_LIKE(3, 4);

static void add(char *out, size_t size, const char *format, ...)
{
	size_t used = strlen(out);
	va_list args;

	va_start(args, format);
	vsnprintf(out + used, size - used, format, args);
	va_end(args);
}

/* @shortly  For a narrow screen. */
static void sums_text(const struct top_model *model, bool shortly, char *out, size_t size)
{
	const struct top_sums *sums = &model->sums;
	char a[FORMAT_SIZE], b[FORMAT_SIZE], c[FORMAT_SIZE];

	out[0] = '\0';
	add(out, size, " %zu task%s, %lld pids  cpu %.2f", sums->tasks, sums->tasks == 1 ? "" : "s",
		(long long)sums->pids, sums->cores);
	if (sums->has_machine && top_model_moves(model))
		add(out, size, " of %ld, others %.2f", sysconf(_SC_NPROCESSORS_ONLN),
			sums->other_cores > 0 ? sums->other_cores : 0.0);
	add(out, size, "  mem %s  %s %s/s  %s %s/s", top_short_bytes(a, sums->mem),
		shortly ? "r" : "read", top_short_bytes(b, sums->read), shortly ? "w" : "write",
		top_short_bytes(c, sums->write));
}

static void draw_sums(const struct top_screen *screen, int row)
{
	const struct top_model *model = screen->model;
	char text[320], filter[160];
	int at = 0;

	if (model->filter[0]) { /* Whoever forgot it wonders where the tasks are. */
		snprintf(filter, sizeof(filter), " filter \"%s\" ", model->filter);
		at = top_put(screen, row, 0, COLS / 2, TOP_CUT, top_attributes(screen, TOP_PAST),
			filter);
	}
	sums_text(model, false, text, sizeof(text));
	if (strlen(text) + (size_t)at > (size_t)COLS)
		sums_text(model, true, text, sizeof(text));
	top_put(screen, row, at, COLS, TOP_CUT, A_NORMAL, text);
}

/* ---- the bar of time ---- */

/* Within one day the time alone, else the day, too. */
static void bar_ends(int64_t first_ns, int64_t last_ns, char first[32], char last[32])
{
	const size_t day = strlen("2026-11-24");

	stored_time(first, first_ns, false);
	stored_time(last, last_ns, false);
	if (strncmp(first, last, day) == 0 && first[day] == ' ') {
		memmove(first, first + day + 1, strlen(first + day));
		memmove(last, last + day + 1, strlen(last + day));
	}
}

/* @return false: there is none, its row is free. */
static bool draw_bar(const struct top_screen *screen, int row)
{
	const struct top_model *model = screen->model;
	int64_t first_ns, last_ns, at_ns = top_model_time(model);
	char first[32], last[32];

	if (!model->feed->ops->reach(model->feed, &first_ns, &last_ns) || last_ns <= first_ns)
		return false;
	bar_ends(first_ns, last_ns, first, last);
	int column = top_put(screen, row, 1, 40, TOP_CUT, A_DIM, first) + 1;
	int width = COLS - 2 * column;
	if (width < 8)
		return true;
	double part = (double)(at_ns - first_ns) / (double)(last_ns - first_ns);
	int mark = (int)(part * (width - 1) + 0.5);
	for (int i = 0; i < width; i++)
		top_put(screen, row, column + i, 1, TOP_CUT,
			i == mark ? top_attributes(screen, TOP_WARN) | A_BOLD : A_DIM,
			i == mark ? (screen->ascii ? "O" : "●") : (screen->ascii ? "-" : "─"));
	top_put(screen, row, column + width + 1, 40, TOP_CUT, A_DIM, last);
	return true;
}

/* ---- the columns ---- */

static int width_of(uint32_t bits)
{
	int width = 0;

	for (size_t i = 0; i < top_column_count; i++)
		if (bits & TOP_BIT(i) && top_columns[i].width)
			width += top_columns[i].width + 1;
	return width;
}

static size_t least_important(uint32_t bits)
{
	size_t found = 0;

	for (size_t i = 1; i < top_column_count; i++)
		if (bits & TOP_BIT(i) && (!found || top_columns[i].rank > top_columns[found].rank))
			found = i;
	return found;
}

uint32_t top_screen_columns(const struct top_model *model, int width, int *ret_name)
{
	uint32_t bits = model->columns;
	size_t least;

	while (width - width_of(bits) < NAME_LEAST && (least = least_important(bits)) > 0)
		bits &= ~TOP_BIT(least);
	*ret_name = width - width_of(bits);
	return bits;
}

static void course_title(const struct top_model *model, int width, char out[FORMAT_SIZE])
{
	char time[FORMAT_SIZE];

	snprintf(out, FORMAT_SIZE, "LAST %s",
		duration_text(time, width * top_model_bucket_ns(model)));
}

static void draw_titles(const struct top_screen *screen, int row, uint32_t bits, int name)
{
	const struct top_model *model = screen->model;
	unsigned attributes = A_BOLD | A_UNDERLINE;
	int at = 0;

	top_put(screen, row, 0, COLS, TOP_LEFT, attributes, "");
	for (size_t i = 0; i < top_column_count; i++) {
		const struct top_column *column = &top_columns[i];
		int width = column->width ? column->width : name;
		bool left = column->kind == TOP_NAME || column->kind == TOP_LIFE ||
			    column->kind == TOP_COURSE;
		char title[FORMAT_SIZE + 8];

		if (!(bits & TOP_BIT(i)))
			continue;
		at += i > 0;
		snprintf(title, sizeof(title), "%s", column->title);
		if (column->kind == TOP_NAME)
			snprintf(title, sizeof(title), "  %s",
				model->flat ? "TASK/PROCESS" : "TASK");
		if (column->kind == TOP_COURSE)
			course_title(model, column->width, title);
		top_put(screen, row, at, width, left ? TOP_LEFT : TOP_RIGHT,
			i == model->sort
				? attributes | top_attributes(screen, TOP_ACCENT) | A_REVERSE
				: attributes,
			title);
		at += width;
	}
}

/* ---- the rows ---- */

static enum top_colour colour_of(const struct top_column *column, double value)
{
	if (column->kind == TOP_LIFE)
		return value == TALLY_LIFE_FAILED || value == TALLY_LIFE_LOST ||
				       value == TALLY_LIFE_KILLED
			       ? TOP_BAD
			       : TOP_PLAIN;
	if (column->kind == TOP_CORES)
		return value >= 0.8 ? TOP_GOOD : TOP_PLAIN;
	switch (column->metric) {
	case TALLY_RUN_QUEUE_WAIT:
		return value >= 0.5 ? TOP_BAD : value >= 0.1 ? TOP_WARN : TOP_PLAIN;
	case TALLY_MAJOR_FAULTS:
		return value >= 100 ? TOP_WARN : TOP_PLAIN;
	case TALLY_SWAP:
		return value > 0 ? TOP_WARN : TOP_PLAIN;
	default:
		return TOP_PLAIN;
	}
}

/* A zero, or next to nothing, steps back, so that what is there stands out. */
static bool is_nothing(const char *text)
{
	return strspn(text, "0.-s") == strlen(text);
}

static unsigned cell_attributes(const struct top_screen *screen, const struct top_column *column,
	const struct top_row *row, const char *text, bool over)
{
	double value;

	if (over) /* Dead. */
		return A_DIM;
	if (!top_column_value(column, row, &value))
		return A_DIM;
	if (column->kind != TOP_LIFE && is_nothing(text))
		return A_DIM;
	return top_attributes(screen, colour_of(column, value));
}

/* "▸ task", "▾ task", "  ├─ process" */
static void name_text(const struct top_screen *screen, const struct top_line *line,
	const struct top_row *row, char *out, size_t size)
{
	static const char *const marks[][4] = {
		{"▸ ", "▾ ", "  ├─ ", "  └─ "}, {"+ ", "- ", "  |- ", "  `- "}};
	const char *const *mark = marks[screen->ascii];

	if (screen->model->flat)
		snprintf(out, size, "  %s/%s", row->task, row->process);
	else if (line->below)
		snprintf(out, size, "%s%s", mark[2 + line->last], row->process);
	else
		snprintf(out, size, "%s%s", mark[!line->folded], row->task);
}

static void draw_course(struct top_screen *screen, int at_row, int at, const struct top_line *line,
	int width, unsigned attributes)
{
	const struct top_course *course = top_model_course(screen->model, line->row, false);
	const struct sparkline_style style = {.top = COURSE_TOP, .ascii = screen->ascii};
	char drawn[3 * TOP_BUCKETS + 1];

	if (!course) {
		screen->courses_missing = true;
		return;
	}
	size_t count = width < TOP_BUCKETS ? (size_t)width : TOP_BUCKETS;
	sparkline_put(drawn, course->value + TOP_BUCKETS - count, count, &style);
	top_put(screen, at_row, at, width, TOP_LEFT, attributes, drawn);
}

static void draw_row(struct top_screen *screen, int at_row, size_t index, uint32_t bits, int name)
{
	const struct top_model *model = screen->model;
	const struct top_line *line = &model->lines[index];
	const struct top_row *row = top_model_row(model, line);
	bool selected = index == model->selected;
	bool over = row->has_life && row->life != TALLY_LIFE_ACTIVE &&
		    row->life != TALLY_LIFE_CLEANING && row->life != TALLY_LIFE_FINALIZING;
	char text[1024];
	int at = 0;

	if (selected)
		top_put(screen, at_row, 0, COLS, TOP_LEFT, A_REVERSE, "");
	for (size_t i = 0; i < top_column_count; i++) {
		const struct top_column *column = &top_columns[i];
		int width = column->width ? column->width : name;
		unsigned attributes;

		if (!(bits & TOP_BIT(i)))
			continue;
		at += i > 0;
		if (column->kind == TOP_COURSE) {
			draw_course(screen, at_row, at, line, width,
				selected ? A_REVERSE : top_attributes(screen, TOP_ACCENT));
		} else if (column->kind == TOP_NAME) {
			name_text(screen, line, row, text, sizeof(text));
			attributes = over ? A_DIM : line->below || model->flat ? 0 : A_BOLD;
			top_put(screen, at_row, at, width, TOP_LEFT,
				selected ? A_REVERSE | A_BOLD : attributes, text);
		} else {
			top_column_text(column, row, text);
			attributes = cell_attributes(screen, column, row, text, over);
			top_put(screen, at_row, at, width,
				column->kind == TOP_LIFE ? TOP_LEFT : TOP_RIGHT,
				selected ? A_REVERSE : attributes, text);
		}
		at += width;
	}
}

/* The selected line is always on the screen. */
static void keep_in_sight(struct top_screen *screen, size_t rows)
{
	const struct top_model *model = screen->model;

	if (rows == 0)
		return;
	if (model->selected < screen->first)
		screen->first = model->selected;
	if (model->selected >= screen->first + rows)
		screen->first = model->selected - rows + 1;
	if (screen->first + rows > model->line_count)
		screen->first = model->line_count > rows ? model->line_count - rows : 0;
}

static void draw_nothing(const struct top_screen *screen, int row)
{
	const struct top_model *model = screen->model;
	const char *text = "  no task was sampled about this time; [ and ] step on";
	char line[256];

	if (model->filter[0])
		text = "  no name has what the filter asks for; Esc takes it away";
	else if (top_model_moves(model))
		text = model->feed->nothing ? model->feed->nothing
					    : "  there are no tasks: name some with --source";
	for (; *text; text += strspn(text, "\n"), row++) {
		size_t length = strcspn(text, "\n");

		snprintf(line, sizeof(line), "%.*s", (int)length, text);
		top_put(screen, row, 0, COLS, TOP_CUT, A_DIM, line);
		text += length;
	}
}

static void draw_body(struct top_screen *screen, int from, int to)
{
	const struct top_model *model = screen->model;
	int name;
	uint32_t bits = top_screen_columns(model, COLS, &name);

	screen->body_rows = to - from - 1;
	keep_in_sight(screen, screen->body_rows > 0 ? (size_t)screen->body_rows : 0);
	if (to > from)
		draw_titles(screen, from, bits, name);
	if (model->line_count == 0)
		draw_nothing(screen, from + 1);
	for (int row = from + 1; row < to; row++) {
		size_t index = screen->first + (size_t)(row - from - 1);

		if (index < model->line_count)
			draw_row(screen, row, index, bits, name);
	}
}

/* ---- the last line ---- */

static void draw_hints(const struct top_screen *screen, int row)
{
	static const char *const hints[][2] = {{"?", "help"}, {"q", "quit"}, {"/", "filter"},
		{"Enter", "unfold"}, {"[ ]", "back, forth"}, {"t", "go to time"},
		{"Space", "pause"}, {"<>", "sort"}, {"c", "columns"}, {"i", "details"}};
	int at = 1;

	for (size_t i = 0; i < ARRAY_SIZE(hints); i++) {
		int width = (int)(strlen(hints[i][0]) + strlen(hints[i][1])) + 1;

		if (at + width > COLS)
			break;
		at = top_put(screen, row, at, 10, TOP_CUT, top_attributes(screen, TOP_ACCENT),
			hints[i][0]);
		at = top_put(screen, row, at + 1, 20, TOP_CUT, A_DIM, hints[i][1]) + 2;
	}
}

static void draw_last(const struct top_screen *screen, int row)
{
	const struct top_model *model = screen->model;
	static const char *const prompts[] = {[TOP_PROMPT_FILTER] = " filter: ",
		[TOP_PROMPT_TIME] = " go to (14:05, -5m, 2026-11-24 03:25; empty: now): "};
	char text[TALLY_ERROR_SIZE + 64];

	if (screen->prompt) {
		snprintf(text, sizeof(text), "%s%s_", prompts[screen->prompt], screen->typed);
		top_put(screen, row, 0, COLS, TOP_LEFT, A_REVERSE, text);
	} else if (screen->message[0]) {
		top_put(screen, row, 1, COLS, TOP_CUT, top_attributes(screen, TOP_BAD),
			screen->message);
	} else if (model->error.code) {
		snprintf(text, sizeof(text), "trying again: %s", model->error.message);
		top_put(screen, row, 1, COLS, TOP_CUT, top_attributes(screen, TOP_BAD), text);
	} else if (LINES >= ROWS_HINTS) {
		draw_hints(screen, row);
	}
}

void top_screen_draw(struct top_screen *screen)
{
	bool last = LINES >= ROWS_HINTS || screen->prompt || screen->message[0] ||
		    screen->model->error.code;
	int from = 1, to = LINES - last;

	erase();
	screen->courses_missing = false;
	draw_title(screen);
	if (LINES >= ROWS_SUMS)
		draw_sums(screen, from++);
	if (LINES >= ROWS_BAR && !top_model_moves(screen->model))
		from += draw_bar(screen, from);
	if (screen->over == TOP_TABLE)
		draw_body(screen, from, to);
	else
		top_overlay_draw(screen, from, to);
	if (last && LINES > 1)
		draw_last(screen, LINES - 1);
	refresh();
}

void top_screen_load_courses(struct top_screen *screen)
{
	struct top_model *model = screen->model;
	int left = 16; /* Keys must not wait for long. */

	for (int i = 0; i < screen->body_rows && left > 0; i++) {
		size_t index = screen->first + (size_t)i;

		if (index >= model->line_count)
			break;
		if (!top_model_course(model, model->lines[index].row, false)) {
			top_model_course(model, model->lines[index].row, true);
			left--;
		}
	}
}
