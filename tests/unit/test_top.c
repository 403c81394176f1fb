/* SPDX-License-Identifier: Apache-2.0 */
/* `tally top` without a screen: order, filter, what is unfolded, time, text, and what is read. */
#include <locale.h>
#include <math.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/text.h"
#include "check.h"
#include "cli/sparkline.h"
#include "cli/top_model.h"
#include "cli/top_once.h"
#include "cli/top_scan.h"
#include "cli/top_text.h"

#define S	 NS_PER_S
#define BEGIN_NS (1700000000 * S)
#define END_NS	 (BEGIN_NS + 1000 * S)

/* ---- a feed whose figures are functions of the instant ---- */

/* The web uses a core, the database half of one and later two; the idle task has an unknown CPU. */
static const struct fake {
	const char *task, *process;
	int64_t cores_percent, mem;
	int64_t from_ns; /* It is not there before. */
} fakes[] = {
	{"shop", NULL, 150, 300, 0},
	{"shop", "web", 100, 100, 0},
	{"shop", "db", 50, 200, 0},
	{"batch", NULL, 20, 900, BEGIN_NS + 500 * S},
	{"batch", "loop", 20, 900, BEGIN_NS + 500 * S},
	{"idle", NULL, -1, 5, 0},
	{"idle", "sleeper", -1, 5, 0},
};

struct fake_feed {
	struct top_feed feed;
	int64_t now_ns;
	int reads, courses, fails;
};

static void fake_sample(const struct fake *fake, int64_t at_ns, struct tally_sample *ret)
{
	tally_sample_clear(ret, TALLY_REASON_PERMISSION);
	ret->wall_ns = ret->boot_ns = at_ns;
	tally_sample_set(ret, TALLY_RSS, fake->mem);
	if (fake->cores_percent < 0)
		return;
	tally_sample_set(ret, TALLY_CPU_USER, (at_ns - BEGIN_NS) / 100 * fake->cores_percent);
	tally_sample_set(ret, TALLY_CPU_SYSTEM, 0);
	tally_sample_set(ret, TALLY_IO_READ, (at_ns - BEGIN_NS) / S * 10);
}

static int fake_read(struct top_feed *feed, int64_t at_ns, top_wants_fn *wants, void *context,
	struct top_snapshot *ret, struct tally_error *err)
{
	struct fake_feed *fake = (struct fake_feed *)feed;
	bool now = at_ns == 0;

	fake->reads++;
	if (fake->fails) {
		snprintf(err->message, sizeof(err->message), "the feed is gone");
		return -ECONNREFUSED;
	}
	ret->wall_ns = at_ns = now ? fake->now_ns : at_ns;
	ret->machine_cpu_ns = (at_ns - BEGIN_NS) * 3;
	ret->other_cpu_ns = at_ns - BEGIN_NS;
	for (size_t i = 0; i < ARRAY_SIZE(fakes); i++) {
		struct top_row *row;

		if (at_ns < fakes[i].from_ns ||
			(fakes[i].process && wants && !wants(context, fakes[i].task)))
			continue;
		row = top_snapshot_add(ret, fakes[i].task, fakes[i].process);
		assert_non_null(row);
		fake_sample(&fakes[i], at_ns, &row->reading.sample);
		if (!now)
			fake_sample(&fakes[i], at_ns - S, &row->before);
	}
	return 0;
}

static void fake_course(
	struct top_feed *feed, const char *task, const char *process, struct top_course *course)
{
	((struct fake_feed *)feed)->courses++;
	top_course_note(course, top_course_last_ns(course) - 1, top_course_last_ns(course), 0.5);
}

static bool fake_reach(struct top_feed *feed, int64_t *ret_first_ns, int64_t *ret_last_ns)
{
	*ret_first_ns = BEGIN_NS;
	*ret_last_ns = END_NS;
	return true;
}

static const struct top_feed_ops live_ops = {.name = "fake",
	.live = true,
	.read = fake_read,
	.course = fake_course,
	.reach = fake_reach};
static const struct top_feed_ops store_ops = {
	.name = "fake", .read = fake_read, .course = fake_course, .reach = fake_reach};

struct world {
	struct fake_feed fake;
	struct top_model model;
};

static void begin(struct world *world, const struct top_feed_ops *ops)
{
	*world = (struct world){.fake = {.feed = {.ops = ops}, .now_ns = END_NS}};
	top_model_begin(&world->model, &world->fake.feed);
	assert_int_equal(top_model_read(&world->model), 0);
}

/* A second later. */
static void tick(struct world *world)
{
	world->fake.now_ns += S;
	assert_int_equal(top_model_read(&world->model), 0);
}

/* "shop batch idle", or with processes "shop .web .db". */
static const char *shown(const struct top_model *model)
{
	static char text[512];

	text[0] = '\0';
	for (size_t i = 0; i < model->line_count; i++) {
		const struct top_line *line = &model->lines[i];
		const struct top_row *row = top_model_row(model, line);

		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s%s", i ? " " : "",
			line->below ? "." : "", row->process ? row->process : row->task);
	}
	return text;
}

static size_t column(const char *id)
{
	assert_true(top_column_find(id) >= 0);
	return (size_t)top_column_find(id);
}

static double value(const struct top_model *model, size_t line, const char *id)
{
	double found;
	bool known = top_column_value(
		&top_columns[column(id)], top_model_row(model, &model->lines[line]), &found);

	return known ? found : NAN;
}

/* ---- order ---- */

static void tasks_come_by_cpu_and_the_unknown_last(void **state)
{
	struct world w;

	begin(&w, &live_ops);
	tick(&w);
	assert_string_equal(shown(&w.model), "shop batch idle");
	assert_int_equal((int)(value(&w.model, 0, "cpu") * 100 + 0.5), 150);
	assert_true(isnan(value(&w.model, 2, "cpu")));
	w.model.reverse = true;
	top_model_arrange(&w.model);
	assert_string_equal(shown(&w.model), "batch shop idle");
	top_model_done(&w.model);
}

static void any_column_sorts_and_twice_the_same_turns_round(void **state)
{
	struct world w;

	begin(&w, &live_ops);
	top_model_sort(&w.model, column("mem"));
	assert_string_equal(shown(&w.model), "batch shop idle");
	top_model_sort(&w.model, column("mem"));
	assert_string_equal(shown(&w.model), "idle shop batch");
	top_model_sort(&w.model, column("name"));
	assert_string_equal(shown(&w.model), "batch idle shop");
	top_model_sort(&w.model, column("name"));
	assert_string_equal(shown(&w.model), "shop idle batch");
	top_model_sort_next(&w.model, 1);
	assert_int_equal(w.model.sort, column("cpu"));
	top_model_sort_next(&w.model, 1); /* The course between them is not sorted by. */
	assert_int_equal(w.model.sort, column("wait"));
	top_model_sort_next(&w.model, -1);
	top_model_sort_next(&w.model, -1);
	top_model_sort_next(&w.model, -1);
	assert_int_equal(w.model.sort, column("pids"));
	top_model_done(&w.model);
}

static void unfolding_shows_the_processes_below_their_task_in_order(void **state)
{
	struct world w;

	begin(&w, &live_ops);
	top_model_unfold(&w.model, "shop", true);
	tick(&w);
	assert_string_equal(shown(&w.model), "shop .web .db batch idle");
	assert_true(w.model.lines[2].last);
	top_model_sort(&w.model, column("mem"));
	assert_string_equal(shown(&w.model), "batch shop .db .web idle");
	top_model_unfold_all(&w.model, true);
	assert_string_equal(shown(&w.model), "batch .loop shop .db .web idle .sleeper");
	top_model_unfold(&w.model, "shop", false);
	assert_string_equal(shown(&w.model), "batch .loop shop idle .sleeper");
	top_model_unfold_all(&w.model, false);
	assert_string_equal(shown(&w.model), "batch shop idle");
	top_model_flat(&w.model, true);
	assert_string_equal(shown(&w.model), "loop db web sleeper");
	top_model_done(&w.model);
}

static void a_filter_finds_tasks_and_processes_whatever_their_case(void **state)
{
	struct world w;

	begin(&w, &live_ops);
	top_model_filter(&w.model, "SHO");
	assert_string_equal(shown(&w.model), "shop");
	top_model_filter(&w.model, "Loop");
	assert_string_equal(shown(&w.model), "batch");
	top_model_filter(&w.model, "web");
	top_model_unfold(&w.model, "shop", true);
	assert_string_equal(shown(&w.model), "shop .web");
	top_model_filter(&w.model, "nothing");
	assert_string_equal(shown(&w.model), "");
	assert_null(top_model_selected(&w.model));
	top_model_filter(&w.model, "");
	assert_int_equal(w.model.line_count, 5);
	top_model_done(&w.model);
}

static void what_is_selected_stays_selected(void **state)
{
	struct world w;

	begin(&w, &live_ops);
	tick(&w);
	top_model_select(&w.model, 2);
	assert_string_equal(top_model_selected(&w.model)->task, "idle");
	top_model_sort(&w.model, column("name"));
	assert_int_equal(w.model.selected, 1);
	assert_string_equal(top_model_selected(&w.model)->task, "idle");
	top_model_select(&w.model, 99);
	assert_int_equal(w.model.selected, 2);
	top_model_done(&w.model);
}

/* ---- rates and courses ---- */

static void rates_come_of_the_last_two_ticks_however_often_one_looks(void **state)
{
	struct world w;

	begin(&w, &live_ops);
	assert_true(isnan(value(&w.model, 0, "read")));
	tick(&w);
	assert_int_equal((int)value(&w.model, 0, "read"), 10);
	assert_int_equal(top_model_read(&w.model), 0); /* No tick in between. */
	assert_int_equal((int)value(&w.model, 0, "read"), 10);
	assert_true(w.model.sums.has_machine);
	assert_int_equal((int)(w.model.sums.machine_cores + 0.5), 3);
	assert_int_equal((int)(w.model.sums.other_cores + 0.5), 1);
	assert_int_equal(w.model.sums.tasks, 3);
	top_model_done(&w.model);
}

static void a_course_is_asked_for_once_and_goes_on_by_itself(void **state)
{
	struct world w;

	begin(&w, &live_ops);
	assert_null(top_model_course(&w.model, 0, false));
	const struct top_course *course = top_model_course(&w.model, 0, true);
	assert_non_null(course);
	assert_int_equal(w.fake.courses, 1);
	for (int i = 0; i < 7; i++)
		tick(&w);
	course = top_model_course(&w.model, 0, true);
	assert_int_equal(w.fake.courses, 1);
	assert_int_equal((int)(course->value[TOP_BUCKETS - 1] * 100 + 0.5), 150);
	assert_int_equal((int)(course->value[TOP_BUCKETS - 2] * 100 + 0.5), 150);
	top_model_go(&w.model, BEGIN_NS + 700 * S);
	assert_null(top_model_course(&w.model, 0, false));
	top_model_done(&w.model);
}

static void a_course_fills_the_buckets_that_a_rate_covers(void **state)
{
	struct top_course course;

	top_course_begin(&course, 5 * S, 1000 * S + 1);
	assert_int_equal(top_course_last_ns(&course), 1005 * S - 1);
	top_course_note(&course, 980 * S, 990 * S, 2.0);
	top_course_note(&course, 981 * S, 982 * S, 1.0);
	top_course_note(&course, 0, 1 * S, 9.0);
	assert_true(isnan(course.value[TOP_BUCKETS - 6]));
	assert_true(course.value[TOP_BUCKETS - 5] == 2.0);
	assert_true(course.value[TOP_BUCKETS - 4] == 2.0);
	assert_true(isnan(course.value[0]) && isnan(course.value[TOP_BUCKETS - 1]));
	top_course_move(&course, 1010 * S);
	assert_true(course.value[TOP_BUCKETS - 7] == 2.0);
	top_course_move(&course, 999999 * S);
	for (size_t i = 0; i < TOP_BUCKETS; i++)
		assert_true(isnan(course.value[i]));
}

/* ---- time ---- */

static void time_goes_back_and_forth_and_ends_in_the_present(void **state)
{
	struct world w;

	begin(&w, &live_ops);
	assert_true(top_model_moves(&w.model));
	assert_int_equal(top_model_step(&w.model, -10 * S), 0);
	assert_false(top_model_moves(&w.model));
	assert_int_equal(top_model_time(&w.model), END_NS - 10 * S);
	assert_int_equal((int)value(&w.model, 0, "read"), 10); /* At once: the feed has both. */
	assert_int_equal(top_model_go(&w.model, BEGIN_NS + 100 * S), 0);
	assert_string_equal(shown(&w.model), "shop idle"); /* Before the batch began. */
	assert_int_equal(top_model_go(&w.model, BEGIN_NS - 100 * S), 0);
	assert_int_equal(top_model_time(&w.model), BEGIN_NS);
	assert_int_equal(top_model_step(&w.model, 2000 * S), 0);
	assert_true(top_model_moves(&w.model));
	assert_int_equal(top_model_time(&w.model), END_NS);
	int reads = w.fake.reads;
	assert_int_equal(top_model_step(&w.model, 10 * S), 0); /* There is nothing beyond. */
	assert_int_equal(w.fake.reads, reads);
	top_model_done(&w.model);
}

static void holding_stays_and_letting_go_is_the_present(void **state)
{
	struct world w;

	begin(&w, &live_ops);
	assert_int_equal(top_model_pause(&w.model), 0);
	assert_true(w.model.paused);
	assert_false(top_model_moves(&w.model));
	w.fake.now_ns += 60 * S;
	assert_int_equal(top_model_time(&w.model), END_NS);
	assert_int_equal(top_model_pause(&w.model), 0);
	assert_false(w.model.paused);
	assert_int_equal(top_model_time(&w.model), END_NS + 60 * S);
	top_model_step(&w.model, -120 * S);
	assert_int_equal(top_model_pause(&w.model), 0);
	assert_true(top_model_moves(&w.model));
	top_model_done(&w.model);
}

static void a_store_has_an_end_that_does_not_move(void **state)
{
	struct world w;

	begin(&w, &store_ops);
	assert_false(top_model_moves(&w.model));
	assert_int_equal(top_model_step(&w.model, -600 * S), 0);
	assert_string_equal(shown(&w.model), "shop idle");
	assert_int_equal(top_model_step(&w.model, 600 * S), 0);
	assert_int_equal(w.model.at_ns, 0);
	top_model_done(&w.model);
}

static void a_feed_that_fails_leaves_what_was_there(void **state)
{
	struct world w;

	begin(&w, &live_ops);
	w.fake.fails = 1;
	assert_int_equal(top_model_read(&w.model), -ECONNREFUSED);
	assert_string_equal(w.model.error.message, "the feed is gone");
	assert_int_equal(w.model.line_count, 3);
	assert_int_equal(top_model_step(&w.model, -10 * S), -ECONNREFUSED);
	assert_true(top_model_moves(&w.model));
	w.fake.fails = 0;
	assert_int_equal(top_model_read(&w.model), 0);
	assert_int_equal(w.model.error.code, 0);
	top_model_done(&w.model);
}

/* ---- columns and text ---- */

static void columns_are_chosen_by_name(void **state)
{
	struct tally_error err;
	uint32_t bits;

	assert_int_equal(top_columns_parse("mem,cpu", &bits, &err), 0);
	assert_int_equal(
		bits, TOP_BIT(column("name")) | TOP_BIT(column("mem")) | TOP_BIT(column("cpu")));
	assert_int_equal(top_columns_parse("mem,nonsense", &bits, &err), -EINVAL);
	assert_non_null(strstr(err.message, "'nonsense'"));
	assert_non_null(strstr(err.message, "deleted"));
	for (size_t i = 0; i < top_column_count; i++)
		for (size_t j = 0; j < i; j++) {
			assert_string_not_equal(top_columns[i].id, top_columns[j].id);
			assert_false(
				top_columns[i].key && top_columns[i].key == top_columns[j].key);
			assert_int_not_equal(top_columns[i].rank, top_columns[j].rank);
		}
}

static void figures_fit_their_columns(void **state)
{
	static const struct {
		double bytes;
		const char *text;
	} cases[] = {{0, "0"}, {999, "999"}, {1000, "0.98K"}, {1536, "1.50K"},
		{812.0 * 1048576, "812M"}, {999.4 * 1073741824, "999G"}, {-5, "0"}};
	char text[FORMAT_SIZE];
	struct top_row row = {.task = (char *)"t"};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(top_short_bytes(text, cases[i].bytes), cases[i].text);
	for (size_t i = 0; i < top_column_count; i++) {
		const struct top_column *c = &top_columns[i];

		if (c->kind == TOP_NAME || c->kind == TOP_COURSE)
			continue;
		assert_string_equal(top_column_text(c, &row, text), "-");
		assert_true(strlen(top_column_reason(c, &row)) > 10);
		assert_true(strlen(c->title) <= (size_t)c->width);
		for (int64_t figure = 1; figure > 0 && figure < INT64_MAX / 10; figure *= 9) {
			tally_sample_set(&row.reading.sample, c->metric, figure);
			if (c->kind == TOP_BYTES)
				assert_true(
					strlen(top_column_text(c, &row, text)) <= (size_t)c->width);
		}
		memset(&row.reading, 0, sizeof(row.reading));
	}
}

static const char *fit(const char *text, int columns, enum top_fill fill, bool ascii)
{
	static char out[256];

	top_text_fit(out, sizeof(out), text, columns, fill, ascii);
	return out;
}

static void hostile_names_are_harmless_in_their_field(void **state)
{
	assert_string_equal(fit("web", 5, TOP_LEFT, false), "web  ");
	assert_string_equal(fit("web", 5, TOP_RIGHT, false), "  web");
	assert_string_equal(fit("worker", 4, TOP_LEFT, false), "wor…");
	assert_string_equal(fit("worker", 4, TOP_LEFT, true), "wor~");
	assert_string_equal(fit("a\x1b[31mb\n", 9, TOP_LEFT, false), "a?[31mb? ");
	assert_string_equal(fit("\xff\xfe", 4, TOP_CUT, false), "??");
	assert_string_equal(fit("日本語", 6, TOP_LEFT, false), "日本語");
	assert_string_equal(fit("日本語", 5, TOP_LEFT, false), "日本…");
	assert_string_equal(fit("日本語", 4, TOP_LEFT, false), "日… ");
	assert_string_equal(fit("日本語", 4, TOP_LEFT, true), "??? ");
	assert_string_equal(fit("a\u202eb", 4, TOP_LEFT, false), "a?b ");
	assert_string_equal(fit("e\u0301x", 3, TOP_LEFT, false), "e\u0301x ");
	assert_string_equal(fit("anything", 0, TOP_LEFT, false), "");
	assert_string_equal(fit("anything", -3, TOP_RIGHT, false), "");
	assert_string_equal(fit("anything", 1, TOP_LEFT, false), "…");
}

static void a_field_never_overruns_its_room(void **state)
{
	char out[8];

	for (int columns = 0; columns < 40; columns++) {
		memset(out, 'x', sizeof(out));
		top_text_fit(out, 5, "日本語日本語", columns, TOP_LEFT, false);
		assert_true(strlen(out) < 5);
		assert_int_equal(out[5], 'x');
	}
}

static void sparklines_have_a_floor_and_an_ascii_form(void **state)
{
	const double values[] = {0, 0.1, 0.2, NAN, 0.05};
	char out[3 * 5 + 1];

	sparkline_put(out, values, 5, &(struct sparkline_style){.top = 0.2});
	assert_string_equal(out, "▁▅█ ▃");
	sparkline_put(out, values, 5, &(struct sparkline_style){.top = 2});
	assert_string_equal(out, "▁▁▂ ▁");
	sparkline_put(out, values, 5, &(struct sparkline_style){.top = 0.2, .ascii = true});
	assert_string_equal(out, "_-# .");
}

static void a_plain_table_has_no_blanks_but_between_cells(void **state)
{
	struct world w;
	char *text = NULL;
	size_t size;

	begin(&w, &live_ops);
	top_model_unfold_all(&w.model, true);
	tick(&w);
	w.model.columns = TOP_BIT(column("cpu")) | TOP_BIT(column("mem"));
	FILE *out = open_memstream(&text, &size);
	top_once_write(&w.model, out);
	fclose(out);
	assert_non_null(strstr(text, "         CPU           MEM  NAME\n"));
	assert_non_null(strstr(text, "       1.000           100  shop/web\n"));
	assert_non_null(strstr(text, "           -             5  idle\n"));
	free(text);
	top_model_done(&w.model);
}

/* ---- what an observer answers ---- */

static const char answer[] =
	"{\"time\":1700000000.25,\"tasks\":[{\"task\":\"a\\u001b\\\"\\u65e5\",\"source\":\"pid\","
	"\"state\":\"failed\",\"time\":1700000000.123456789,\"stale\":true,\"cpu_rate\":0.5,"
	"\"cpu_seconds\":3,\"cpu_user_seconds\":1.000000001,\"cpu_system_seconds\":null,"
	"\"rss_bytes\":4096,\"later_figure\":{\"x\":[1,{\"y\":\"]}\"}]},"
	"\"processes\":[{\"process\":\"p\",\"pid\":12,\"life\":\"active\",\"cpu_rate\":null,"
	"\"state\":\"sleeping\",\"nice\":-5,\"missing\":{}},"
	"{\"process\":\"q\",\"pid\":null,\"life\":\"unheard of\",\"missing\":{}}],"
	"\"missing\":{\"cpu_system_seconds\":\"this kernel does not give it; `tally doctor` says "
	"what is missing\",\"unknown\":\"x\"}}]}";

static void an_answer_becomes_rows(void **state)
{
	struct top_snapshot snapshot = {0};

	assert_int_equal(top_observer_parse(answer, strlen(answer), NULL, NULL, &snapshot), 0);
	assert_int_equal(snapshot.count, 3);
	assert_int_equal(snapshot.processes, 2);
	assert_int_equal(snapshot.wall_ns, 1700000000 * S + 250 * NS_PER_MS);
	const struct top_row *task = &snapshot.rows[0], *process = &snapshot.rows[1];
	assert_string_equal(task->task, "a\x1b\"日");
	assert_int_equal(task->life, TALLY_LIFE_FAILED);
	assert_true(task->reading.stale && task->reading.has_cpu_rate);
	assert_false(snapshot.stale); /* What has ended does not tick. */
	assert_int_equal(task->reading.sample.wall_ns, 1700000000 * S + 123456789);
	assert_int_equal(task->reading.sample.value[TALLY_CPU_USER], S + 1);
	assert_false(tally_sample_has(&task->reading.sample, TALLY_CPU_SYSTEM));
	assert_int_equal(task->reading.sample.reason[TALLY_CPU_SYSTEM], TALLY_REASON_KERNEL);
	assert_false(tally_sample_has(&task->reading.sample, TALLY_STATE));
	assert_string_equal(process->process, "p");
	assert_int_equal(process->pid, 12);
	assert_int_equal(process->reading.sample.value[TALLY_STATE], 'S');
	assert_int_equal(process->reading.sample.value[TALLY_NICE], -5);
	assert_int_equal(process->reading.sample.wall_ns, task->reading.sample.wall_ns);
	assert_false(process->reading.has_cpu_rate);
	assert_false(snapshot.rows[2].has_life);
	top_snapshot_done(&snapshot);
}

/* Cut anywhere, or with any byte another: never read beyond, never without an end. */
static void a_broken_answer_is_refused_or_read_safely(void **state)
{
	for (size_t length = 0; length < strlen(answer); length++) {
		struct top_snapshot snapshot = {0};
		char *exact = malloc(length + 1);

		memcpy(exact, answer, length);
		exact = realloc(exact, length ? length : 1);
		assert_int_equal(
			top_observer_parse(exact, length, NULL, NULL, &snapshot), -EBADMSG);
		top_snapshot_done(&snapshot);
		free(exact);
	}
	for (size_t at = 0; at < strlen(answer); at++)
		for (const char *byte = "\"{}[],:\\u0-x\x80"; *byte; byte++) {
			struct top_snapshot snapshot = {0};
			char *copy = strdup(answer);

			copy[at] = *byte;
			top_observer_parse(copy, strlen(answer), NULL, NULL, &snapshot);
			top_snapshot_done(&snapshot);
			free(copy);
		}
}

static void deep_nesting_is_no_answer(void **state)
{
	char deep[4096];
	struct scan scan;

	memset(deep, '[', sizeof(deep));
	scan = scan_of(deep, sizeof(deep));
	scan_skip(&scan);
	assert_true(scan.bad);
}

static void escapes_never_grow(void **state)
{
	static const char hostile[] = "\"\\u\\u\\uD83D\\uDE00\\uD83Dx\\u12\\q\\n\\u0000\"";
	struct scan scan = scan_of(hostile, strlen(hostile));
	char *text = scan_string(&scan);

	assert_non_null(text);
	assert_true(strlen(text) < sizeof(hostile));
	assert_non_null(strstr(text, "😀"));
	assert_null(strchr(text, '\\'));
	free(text);
}

/* ---- matching ---- */

static void rows_are_found_again_whatever_their_order(void **state)
{
	static const char *const order[] = {"c", "a", "b", "d"}, *const older[] = {"a", "b", "c"};
	struct top_snapshot now = {0}, old = {0};

	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		top_snapshot_add(&now, order[i], NULL);
		top_snapshot_add(&now, order[i], "p");
	}
	for (size_t i = 0; i < ARRAY_SIZE(older); i++)
		top_snapshot_add(&old, older[i], NULL);
	size_t *match = top_snapshot_match(&now, &old);
	const size_t wanted[] = {2, TOP_NONE, 0, TOP_NONE, 1, TOP_NONE, TOP_NONE, TOP_NONE};
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		assert_int_equal(match[i], wanted[i]);
	free(match);
	top_snapshot_done(&now);
	top_snapshot_done(&old);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tasks_come_by_cpu_and_the_unknown_last),
		cmocka_unit_test(any_column_sorts_and_twice_the_same_turns_round),
		cmocka_unit_test(unfolding_shows_the_processes_below_their_task_in_order),
		cmocka_unit_test(a_filter_finds_tasks_and_processes_whatever_their_case),
		cmocka_unit_test(what_is_selected_stays_selected),
		cmocka_unit_test(rates_come_of_the_last_two_ticks_however_often_one_looks),
		cmocka_unit_test(a_course_is_asked_for_once_and_goes_on_by_itself),
		cmocka_unit_test(a_course_fills_the_buckets_that_a_rate_covers),
		cmocka_unit_test(time_goes_back_and_forth_and_ends_in_the_present),
		cmocka_unit_test(holding_stays_and_letting_go_is_the_present),
		cmocka_unit_test(a_store_has_an_end_that_does_not_move),
		cmocka_unit_test(a_feed_that_fails_leaves_what_was_there),
		cmocka_unit_test(columns_are_chosen_by_name),
		cmocka_unit_test(figures_fit_their_columns),
		cmocka_unit_test(hostile_names_are_harmless_in_their_field),
		cmocka_unit_test(a_field_never_overruns_its_room),
		cmocka_unit_test(sparklines_have_a_floor_and_an_ascii_form),
		cmocka_unit_test(a_plain_table_has_no_blanks_but_between_cells),
		cmocka_unit_test(an_answer_becomes_rows),
		cmocka_unit_test(a_broken_answer_is_refused_or_read_safely),
		cmocka_unit_test(deep_nesting_is_no_answer),
		cmocka_unit_test(escapes_never_grow),
		cmocka_unit_test(rows_are_found_again_whatever_their_order),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
