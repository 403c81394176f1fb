/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of `tally top`: tables of what each does, for the table and for what lies over it. */
#include <curses.h>
#include <string.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/parse.h"
#include "cli/top_screen.h"

#define ESCAPE	  27
#define BACKSPACE 127
#define CONTROL_L 12
#define CONTROL_U 21

/* Steps in time. */
#define STEP_NS	     (10 * NS_PER_S)
#define LONG_STEP_NS (300 * NS_PER_S)

/* What went wrong stands in the last line until the next key. */
static void tell(struct top_screen *screen, int r)
{
	if (r < 0)
		snprintf(screen->message, sizeof(screen->message), "%s",
			screen->model->error.message);
	screen->model->error.code = 0;
}

/* ---- moving ---- */

static void move_by(struct top_screen *screen, long by)
{
	struct top_model *model = screen->model;
	long to = (long)model->selected + by, last = (long)model->line_count - 1;

	to = to > last ? last : to;
	top_model_select(model, to < 0 ? 0 : (size_t)to);
}

static void up(struct top_screen *screen)
{
	move_by(screen, -1);
}

static void down(struct top_screen *screen)
{
	move_by(screen, 1);
}

static void page_up(struct top_screen *screen)
{
	move_by(screen, -(long)screen->body_rows);
}

static void page_down(struct top_screen *screen)
{
	move_by(screen, screen->body_rows);
}

static void home(struct top_screen *screen)
{
	top_model_select(screen->model, 0);
}

static void end(struct top_screen *screen)
{
	top_model_select(screen->model, screen->model->line_count);
}

/* ---- unfolding ---- */

static void fold_selected(struct top_screen *screen, int on) /* -1: the other way. */
{
	struct top_model *model = screen->model;
	const struct top_row *row = top_model_selected(model);
	char task[1024];

	if (!row || model->flat)
		return;
	snprintf(task, sizeof(task), "%s", row->task);
	bool is = top_model_is_unfolded(model, task), below = row->process != NULL;
	top_model_unfold(model, task, on < 0 ? !is : on);
	for (size_t i = 0; below && !top_model_is_unfolded(model, task) && i < model->line_count;
		i++)
		if (strcmp(top_model_row(model, &model->lines[i])->task, task) == 0)
			top_model_select(model, i);
}

static void toggle(struct top_screen *screen)
{
	top_model_select(screen->model, screen->model->selected);
	fold_selected(screen, -1);
}

static void unfold(struct top_screen *screen)
{
	fold_selected(screen, 1);
}

static void fold(struct top_screen *screen)
{
	fold_selected(screen, 0);
}

static void unfold_all(struct top_screen *screen)
{
	top_model_unfold_all(screen->model, !screen->model->unfold_all);
}

static void flat(struct top_screen *screen)
{
	top_model_flat(screen->model, !screen->model->flat);
}

/* ---- time ---- */

static void back(struct top_screen *screen)
{
	tell(screen, top_model_step(screen->model, -STEP_NS));
}

static void forth(struct top_screen *screen)
{
	tell(screen, top_model_step(screen->model, STEP_NS));
}

static void far_back(struct top_screen *screen)
{
	tell(screen, top_model_step(screen->model, -LONG_STEP_NS));
}

static void far_forth(struct top_screen *screen)
{
	tell(screen, top_model_step(screen->model, LONG_STEP_NS));
}

static void hold(struct top_screen *screen)
{
	tell(screen, top_model_pause(screen->model));
}

static void present(struct top_screen *screen)
{
	tell(screen, top_model_go(screen->model, 0));
}

static void ask_time(struct top_screen *screen)
{
	screen->prompt = TOP_PROMPT_TIME;
	screen->typed[0] = '\0';
}

/* ---- what is shown ---- */

static void ask_filter(struct top_screen *screen)
{
	screen->prompt = TOP_PROMPT_FILTER;
	snprintf(screen->typed, sizeof(screen->typed), "%s", screen->model->filter);
}

static void clear_filter(struct top_screen *screen)
{
	if (screen->model->filter[0])
		top_model_filter(screen->model, "");
}

static void sort_left(struct top_screen *screen)
{
	top_model_sort_next(screen->model, -1);
}

static void sort_right(struct top_screen *screen)
{
	top_model_sort_next(screen->model, 1);
}

static void reverse(struct top_screen *screen)
{
	screen->model->reverse = !screen->model->reverse;
	top_model_arrange(screen->model);
}

static void open_over(struct top_screen *screen, enum top_over over)
{
	screen->over = over;
	screen->over_line = 0;
}

static void help(struct top_screen *screen)
{
	open_over(screen, TOP_HELP);
}

static void columns(struct top_screen *screen)
{
	open_over(screen, TOP_COLUMNS);
	screen->over_line = 1;
}

static void details(struct top_screen *screen)
{
	if (top_model_selected(screen->model))
		open_over(screen, TOP_DETAILS);
	top_model_select(screen->model, screen->model->selected);
}

static void quit(struct top_screen *screen)
{
	screen->quit = true;
}

static void redraw(struct top_screen *screen)
{
	clearok(curscr, TRUE);
}

/* A key, and what it does. */
struct key {
	int key;
	void (*act)(struct top_screen *screen);
};

static const struct key table_keys[] = {
	{KEY_UP, up},
	{'k', up},
	{KEY_DOWN, down},
	{'j', down},
	{KEY_PPAGE, page_up},
	{KEY_NPAGE, page_down},
	{KEY_HOME, home},
	{'g', home},
	{KEY_END, end},
	{'G', end},
	{'\r', toggle},
	{'\n', toggle},
	{KEY_ENTER, toggle},
	{KEY_RIGHT, unfold},
	{KEY_LEFT, fold},
	{'a', unfold_all},
	{'f', flat},
	{'[', back},
	{']', forth},
	{'{', far_back},
	{'}', far_forth},
	{' ', hold},
	{'l', present},
	{'t', ask_time},
	{'/', ask_filter},
	{ESCAPE, clear_filter},
	{'<', sort_left},
	{',', sort_left},
	{'>', sort_right},
	{'.', sort_right},
	{'r', reverse},
	{'c', columns},
	{'i', details},
	{'?', help},
	{'h', help},
	{KEY_F(1), help},
	{'q', quit},
	{KEY_F(10), quit},
	{CONTROL_L, redraw},
};

static void sort_by_key(struct top_screen *screen, int key)
{
	for (size_t i = 0; i < top_column_count; i++)
		if (top_columns[i].key && top_columns[i].key == key)
			top_model_sort(screen->model, i);
}

static void table_key(struct top_screen *screen, int key)
{
	for (size_t i = 0; i < ARRAY_SIZE(table_keys); i++)
		if (table_keys[i].key == key) {
			table_keys[i].act(screen);
			return;
		}
	sort_by_key(screen, key);
}

/* ---- over the table ---- */

static void column_key(struct top_screen *screen, int key)
{
	struct top_model *model = screen->model;

	if (key == ' ' || key == '\r' || key == KEY_ENTER)
		model->columns ^= screen->over_line ? TOP_BIT(screen->over_line) : 0;
	else if (key == 's' && top_column_sorts(&top_columns[screen->over_line]))
		top_model_sort(model, screen->over_line);
	else
		open_over(screen, TOP_TABLE);
}

/* Keys that move through it; all others go back. */
static void over_key(struct top_screen *screen, int key)
{
	size_t lines = top_overlay_lines(screen), page = (size_t)(LINES > 4 ? LINES - 4 : 1);

	if ((key == KEY_DOWN || key == 'j') && screen->over_line + 1 < lines)
		screen->over_line++;
	else if ((key == KEY_UP || key == 'k') && screen->over_line > 0)
		screen->over_line--;
	else if (key == KEY_NPAGE)
		screen->over_line =
			screen->over_line + page < lines ? screen->over_line + page : lines - 1;
	else if (key == KEY_PPAGE)
		screen->over_line = screen->over_line > page ? screen->over_line - page : 0;
	else if (key == KEY_UP || key == KEY_DOWN || key == 'j' || key == 'k')
		return;
	else if (screen->over == TOP_COLUMNS)
		column_key(screen, key);
	else
		open_over(screen, TOP_TABLE);
}

/* ---- typing ---- */

static void go_to_typed(struct top_screen *screen)
{
	struct tally_error err;
	int64_t at_ns = 0;

	if (screen->typed[0] && parse_time(screen->typed, clock_wall_ns(), &at_ns, &err) < 0)
		snprintf(screen->message, sizeof(screen->message), "%s", err.message);
	else if (at_ns > clock_wall_ns())
		snprintf(screen->message, sizeof(screen->message), "%s lies in the future",
			screen->typed);
	else
		tell(screen, top_model_go(screen->model, at_ns));
}

static void end_prompt(struct top_screen *screen, bool taken)
{
	enum top_prompt prompt = screen->prompt;

	screen->prompt = TOP_NO_PROMPT;
	if (prompt == TOP_PROMPT_TIME && taken)
		go_to_typed(screen);
	else if (prompt == TOP_PROMPT_FILTER && !taken)
		top_model_filter(screen->model, "");
}

/* One character back, which may be several bytes. */
static void rub_out(char *text)
{
	size_t length = strlen(text);

	while (length > 0 && ((unsigned char)text[--length] & 0xc0) == 0x80)
		;
	text[length] = '\0';
}

static void type(struct top_screen *screen, int key)
{
	size_t length = strlen(screen->typed);

	if (key == KEY_BACKSPACE || key == BACKSPACE || key == '\b')
		rub_out(screen->typed);
	else if (key == CONTROL_U)
		screen->typed[0] = '\0';
	else if (key >= ' ' && key < 256 && length + 1 < sizeof(screen->typed)) {
		screen->typed[length] = (char)key;
		screen->typed[length + 1] = '\0';
	}
	if (screen->prompt == TOP_PROMPT_FILTER)
		top_model_filter(screen->model, screen->typed);
}

static void prompt_key(struct top_screen *screen, int key)
{
	if (key == ESCAPE)
		end_prompt(screen, false);
	else if (key == '\r' || key == '\n' || key == KEY_ENTER)
		end_prompt(screen, true);
	else
		type(screen, key);
}

void top_screen_take_keys(struct top_screen *screen)
{
	int key;

	while (!screen->quit && (key = getch()) != ERR) {
		if (key == KEY_RESIZE) /* Drawing finds the new size. */
			continue;
		screen->message[0] = '\0';
		if (screen->prompt)
			prompt_key(screen, key);
		else if (screen->over)
			over_key(screen, key);
		else
			table_key(screen, key);
	}
}
