/* SPDX-License-Identifier: Apache-2.0 */
/** What the store was given is there afterwards, and only that. */
#include <errno.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "history/checksum.h"
#include "store_world.h"

static char folder[64], path[128];

static int set_up(void **state)
{
	make_folder(folder);
	snprintf(path, sizeof(path), "%s/private/history.db", folder);
	return 0;
}

static int tear_down(void **state)
{
	remove_folder(folder);
	return 0;
}

/* Ticks of some tasks; boot_ns is the time since the machine started, as the store compares it. */
static void write_ticks(
	struct history *h, int tasks, int64_t first, int64_t last, int64_t boot_base)
{
	for (int64_t tick = first; tick <= last; tick++) {
		for (int t = 0; t < tasks; t++) {
			struct history_task *task = NULL;
			char id[32];

			snprintf(id, sizeof(id), "task-%d", t);
			assert_int_equal(history_task(h, id, &task, NULL), 0);
			assert_int_equal(append_tick(h, task, t, tick, WALL_NS + tick * S,
						 boot_base + tick * S, NULL),
				0);
		}
		history_commit(h);
	}
}

/* All samples of a task are right, and of the total none is missing. */
static void check_task(struct history *h, int t, int64_t first, int64_t last)
{
	char id[32];
	struct checking c = {.task = t, .process = -1, .base_wall_ns = WALL_NS};

	snprintf(id, sizeof(id), "task-%d", t);
	struct history_task *task = history_find(h, id);
	assert_non_null(task);
	assert_int_equal(history_range(h, task, NULL, INT64_MIN, INT64_MAX, check_sample, &c), 0);
	assert_int_equal(c.first, first);
	assert_int_equal(c.last, last);
	assert_false(c.gap);
	for (int p = 0; p < PROCESSES; p++) {
		struct checking part = {.task = t, .process = p, .base_wall_ns = WALL_NS};
		int64_t count = 0;

		for (int64_t tick = first; tick <= last; tick++)
			count += process_here(t, p, tick);
		int r = history_range(
			h, task, process_names[p], INT64_MIN, INT64_MAX, check_sample, &part);
		assert_int_equal(r, count ? 0 : -ENOENT);
		assert_int_equal(part.count, count);
	}
}

/* A boot time for which these ticks are in the past of this machine. */
static int64_t past_boot(void)
{
	return 1;
}

static void it_is_there_after_it_was_closed(void **state)
{
	struct history *h = open_store(path, false, 0, NULL, NULL);

	assert_non_null(h);
	write_ticks(h, 3, 1, 700, past_boot());
	check_task(h, 1, 1, 700);
	history_close(h);

	h = open_store(path, true, 0, NULL, NULL);
	assert_non_null(h);
	for (int t = 0; t < 3; t++)
		check_task(h, t, 1, 700);
	assert_null(history_find(h, "task-9"));
	history_close(h);
}

static void it_goes_on_after_a_restart(void **state)
{
	for (int run = 0; run < 4; run++) {
		struct history *h = open_store(path, false, 0, NULL, NULL);

		write_ticks(h, 2, 1 + run * 150, 150 + run * 150, past_boot());
		for (int t = 0; t < 2; t++)
			check_task(h, t, 1, 150 + run * 150);
		history_close(h);
	}
}

static void it_can_be_read_while_it_is_written(void **state)
{
	struct history *h = open_store(path, false, 0, NULL, NULL);

	for (int i = 0; i < 10; i++) {
		write_ticks(h, 2, 1 + i * 37, 37 + i * 37, past_boot());
		assert_int_equal(history_flush(h), 0);

		struct history *reader = open_store(path, true, 0, NULL, NULL);
		check_task(reader, 0, 1, 37 + i * 37);
		check_task(reader, 1, 1, 37 + i * 37);
		history_close(reader);
	}
	history_close(h);
}

static void one_writer_is_enough(void **state)
{
	struct history *h = open_store(path, false, 0, NULL, NULL);
	struct tally_error err;

	assert_null(open_store(path, false, 0, NULL, &err));
	assert_int_equal(err.code, -EBUSY);
	char us[32];
	snprintf(us, sizeof(us), "(pid %d)", (int)getpid());
	if (!strstr(err.message, us)) /* Where /proc/locks does not tell. */
		assert_non_null(strstr(err.message, "another Tally"));
	history_close(h);
}

static void nearest_is_found_in_the_store(void **state)
{
	struct history *h = open_store(path, false, 0, NULL, NULL);
	struct tally_sample sample, before, was;

	write_ticks(h, 1, 1, 500, past_boot());
	history_close(h);
	h = open_store(path, false, 0, NULL, NULL);
	struct history_task *task = history_find(h, "task-0");
	for (int64_t tick = 1; tick <= 500; tick += 7) {
		assert_int_equal(history_nearest(h, task, NULL, WALL_NS + tick * S + 400000000,
					 &sample, &before),
			0);
		total_sample(0, tick, &was);
		assert_same_sample(&sample, &was);
		assert_int_equal(before.wall_ns, tick > 1 ? WALL_NS + (tick - 1) * S : 0);
	}
	assert_int_equal(history_nearest(h, task, "nobody", 0, &sample, NULL), -ENOENT);
	history_close(h);
}

static void a_dropped_task_stays_in_the_store(void **state)
{
	struct history *h = open_store(path, false, 0, NULL, NULL);

	write_ticks(h, 2, 1, 50, past_boot());
	history_task_drop(h, history_find(h, "task-0"));
	assert_int_equal(history_flush(h), 0);
	check_task(h, 0, 1, 50);
	history_close(h);
	h = open_store(path, true, 0, NULL, NULL);
	check_task(h, 0, 1, 50);
	check_task(h, 1, 1, 50);
	history_close(h);
}

static void only_its_owner_can_read_it(void **state)
{
	struct history *h = open_store(path, false, 0, NULL, NULL);
	char name[256];
	struct stat st;

	write_ticks(h, 1, 1, 3, past_boot());
	assert_int_equal(history_flush(h), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	snprintf(name, sizeof(name), "%s-wal", path);
	assert_int_equal(stat(name, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	snprintf(name, sizeof(name), "%s/private", folder);
	assert_int_equal(stat(name, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	history_close(h);
}

static void links_are_refused(void **state)
{
	char other[256], wal[256];
	struct tally_error err;

	snprintf(other, sizeof(other), "%s/other.db", folder);
	snprintf(path, sizeof(path), "%s/link.db", folder);
	assert_int_equal(symlink(other, path), 0);
	assert_null(open_store(path, false, 0, NULL, &err));
	assert_int_equal(err.code, -ELOOP);
	assert_int_equal(access(other, F_OK), -1);

	snprintf(path, sizeof(path), "%s/plain.db", folder);
	snprintf(wal, sizeof(wal), "%s-wal", path);
	assert_int_equal(symlink(other, wal), 0);
	assert_null(open_store(path, false, 0, NULL, &err));
	assert_int_equal(err.code, -ELOOP);
}

static void a_limit_that_is_too_low_is_refused(void **state)
{
	struct tally_error err;

	assert_null(open_store(path, false, 1000, NULL, &err));
	assert_int_equal(err.code, -EINVAL);
	assert_non_null(strstr(err.message, "1000 bytes"));
}

static void sql(const char *text)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void a_later_format_is_refused(void **state)
{
	struct tally_error err;

	history_close(open_store(path, false, 0, NULL, NULL));
	sql("PRAGMA user_version = 9");
	assert_null(open_store(path, false, 0, NULL, &err));
	assert_int_equal(err.code, -ENOTSUP);
	assert_non_null(strstr(err.message, "format is 9"));
	assert_null(open_store(path, true, 0, NULL, &err));
	assert_int_equal(err.code, -ENOTSUP);
}

static void another_programs_database_is_left_alone(void **state)
{
	struct tally_error err;

	snprintf(path, sizeof(path), "%s/other.db", folder);
	sql("CREATE TABLE t (a); INSERT INTO t VALUES (1)");
	assert_null(open_store(path, false, 0, NULL, &err));
	assert_int_equal(err.code, -EINVAL);
	assert_non_null(strstr(err.message, "another program"));
}

/* Where the file went, by what was said; it can be written again. */
static void check_set_aside(struct history *h, struct said *said, char name[128])
{
	assert_non_null(h);
	assert_int_equal(said->count, 1);
	char *at = strstr(said->last, "set aside as ");
	assert_non_null(at);
	at += strlen("set aside as ");
	snprintf(name, 128, "%.*s", (int)strcspn(at, ","), at);
	assert_int_equal(access(name, F_OK), 0);
	write_ticks(h, 1, 1, 10, past_boot());
	check_task(h, 0, 1, 10);
}

static void a_damaged_file_is_set_aside(void **state)
{
	struct said said = {0};
	char command[512], name[128];

	history_close(open_store(path, false, 0, NULL, NULL));
	snprintf(command, sizeof(command),
		"dd if=/dev/urandom of=%s bs=4096 count=1 conv=notrunc 2>/dev/null", path);
	assert_int_equal(system(command), 0);
	struct history *h = open_store(path, false, 0, &said, NULL);
	check_set_aside(h, &said, name);
	assert_non_null(strstr(name, ".damaged-"));
	history_close(h);
}

static void a_file_in_a_format_of_before_is_set_aside(void **state)
{
	struct said said = {0};
	struct history_status status;
	struct tally_error err;
	char name[128];

	history_close(open_store(path, false, 0, NULL, NULL));
	sql("PRAGMA user_version = 1");
	assert_null(open_store(path, true, 0, NULL, &err));
	assert_int_equal(err.code, -ESTALE);
	assert_non_null(strstr(err.message, "a format of before: 1"));

	struct history *h = open_store(path, false, 0, &said, NULL);
	check_set_aside(h, &said, name);
	assert_non_null(strstr(name, ".earlier-"));
	history_status(h, &status);
	assert_int_equal(status.store_damaged, 0);
	history_close(h);
	assert_null(open_store(name, true, 0, NULL, &err)); /* As it was. */
	assert_int_equal(err.code, -ESTALE);
}

static void it_is_replaced_when_it_is_damaged_in_use(void **state)
{
	struct said said = {0};
	struct history *h = open_store(path, false, 0, &said, NULL);

	write_ticks(h, 2, 1, 300, past_boot());
	assert_int_equal(history_flush(h), 0);
	sql("DROP TABLE blocks");
	write_ticks(h, 2, 301, 500, past_boot());
	assert_int_equal(history_flush(h), 0);
	assert_non_null(strstr(said.last, "set aside"));
	history_close(h);
	h = open_store(path, true, 0, NULL, NULL);
	check_task(h, 0, 1, 500); /* all of it was in memory still */
	history_close(h);
}

/* The files together, as often as there is a chance to look. */
static uint64_t size_on_disk(void)
{
	static const char *const suffixes[] = {"", "-wal", "-shm"};
	uint64_t bytes = 0;

	for (int i = 0; i < 3; i++) {
		char name[256];
		struct stat st;

		snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
		bytes += stat(name, &st) == 0 ? (uint64_t)st.st_size : 0;
	}
	return bytes;
}

static void the_limit_of_its_size_holds(void **state)
{
	struct history *h = open_store(path, false, 1 << 20, NULL, NULL);
	struct checking c = {.task = 0, .process = -1, .base_wall_ns = WALL_NS};

	for (int64_t tick = 1; tick <= 6000; tick++) {
		write_ticks(h, 8, tick, tick, past_boot());
		assert_true(size_on_disk() <= 1 << 20);
		if (tick % 50 == 0)
			assert_int_equal(history_flush(h), 0);
	}
	history_close(h);
	assert_true(size_on_disk() <= 1 << 20);
	h = open_store(path, true, 0, NULL, NULL);
	history_range(h, history_find(h, "task-0"), NULL, WALL_NS + 5900 * S, INT64_MAX,
		check_sample, &c);
	assert_int_equal(c.last, 6000);
	history_close(h);
}

static void it_holds_while_somebody_reads_all_the_time(void **state)
{
	struct history *h = open_store(path, false, 1 << 20, NULL, NULL);
	sqlite3 *reader;

	write_ticks(h, 8, 1, 10, past_boot());
	assert_int_equal(history_flush(h), 0);
	assert_int_equal(sqlite3_open(path, &reader), SQLITE_OK);
	assert_int_equal(
		sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM blocks", NULL, NULL, NULL),
		SQLITE_OK);
	for (int64_t tick = 11; tick <= 2000; tick++) {
		write_ticks(h, 8, tick, tick, past_boot());
		if (tick % 100 == 0)
			history_flush(h);
		assert_true(size_on_disk() <= 1 << 20);
	}
	sqlite3_close(reader);
	history_close(h);
	h = open_store(path, true, 0, NULL, NULL);
	check_task(h, 3, 1, 2000);
	history_close(h);
}

struct seen_roots {
	int count;
	struct tally_sample total, web;
	pid_t web_pid;
};

static void see_root(
	void *context, const struct history_root *root, const struct tally_sample *last)
{
	struct seen_roots *seen = context;

	seen->count++;
	if (!root)
		seen->total = *last;
	else if (strcmp(root->process, "web") == 0) {
		seen->web = *last;
		seen->web_pid = root->pid;
		assert_int_equal(root->start_ns, 12345);
	}
}

static void counters_can_go_on_after_a_restart(void **state)
{
	struct history *h = open_store(path, false, 0, NULL, NULL);
	struct history_root roots[] = {{"web", 77, 12345}, {"db", 78, 12346}};
	struct seen_roots seen = {0};
	struct tally_sample was;
	int64_t last = 150;

	while (!process_here(0, 0, last))
		last++;
	write_ticks(h, 2, 1, 20, past_boot());
	assert_int_equal(history_resume_put(h, history_find(h, "task-0"), roots, 2), 0);
	write_ticks(h, 2, 21, last, past_boot());
	history_close(h);

	h = open_store(path, false, 0, NULL, NULL);
	assert_int_equal(history_resume_get(h, "task-1", see_root, &seen), -ENOENT);
	assert_int_equal(history_resume_get(h, "task-0", see_root, &seen), 0);
	assert_int_equal(seen.count, 3);
	assert_int_equal(seen.web_pid, 77);
	total_sample(0, last, &was);
	assert_same_sample(&seen.total, &was);
	process_sample(0, 0, last, &was);
	assert_same_sample(&seen.web, &was);
	assert_int_equal(seen.web.boot_ns, past_boot() + last * S);
	assert_int_equal(history_resume_get(h, "task-0", see_root, &seen), -ENOENT);
	history_close(h);
}

/* As if the machine had booted since. */
static void change_boot(void)
{
	char text[512] = "", statement[1024];
	sqlite3 *db;
	sqlite3_stmt *s;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	sqlite3_prepare_v2(db, "SELECT value FROM meta WHERE key = 'run'", -1, &s, NULL);
	assert_int_equal(sqlite3_step(s), SQLITE_ROW);
	snprintf(text, sizeof(text), "%.*s", sqlite3_column_bytes(s, 0),
		(const char *)sqlite3_column_blob(s, 0));
	sqlite3_finalize(s);
	sqlite3_close(db);
	*strchr(text, '-') = 'x';
	snprintf(statement, sizeof(statement),
		"UPDATE meta SET value = CAST('%s' AS BLOB), sum = %u WHERE key = 'run'", text,
		checksum_bytes(checksum_text(CHECKSUM_START, "run"), text, strlen(text)));
	sql(statement);
}

static void another_boot_is_another_era(void **state)
{
	struct history *h = open_store(path, false, 0, NULL, NULL);
	struct history_root root = {"web", 77, 12345};
	struct seen_roots seen = {0};
	struct tally_sample sample, before;

	write_ticks(h, 1, 1, 200, past_boot());
	history_resume_put(h, history_find(h, "task-0"), &root, 1);
	history_close(h);
	/* what the last run wrote of the machine's boot is another one's */
	change_boot();
	h = open_store(path, false, 0, NULL, NULL);
	assert_int_equal(history_resume_get(h, "task-0", see_root, &seen), -ENOENT);
	write_ticks(h, 1, 201, 300, past_boot() - 150 * S); /* boot time began anew */
	check_task(h, 0, 1, 300);
	history_nearest(h, history_find(h, "task-0"), NULL, WALL_NS + 201 * S, &sample, &before);
	assert_int_equal(sample.wall_ns, WALL_NS + 201 * S);
	assert_int_equal(before.boot_ns, 0); /* a rate across boots would be nonsense */
	history_close(h);
}

/* Change the list of metrics a store says it has, as another Tally would have written it. */
static void set_metrics(const char *text)
{
	char statement[8192];
	uint32_t sum = checksum_bytes(checksum_text(CHECKSUM_START, "metrics"), text, strlen(text));

	snprintf(statement, sizeof(statement),
		"UPDATE meta SET value = CAST('%s' AS BLOB), sum = %u WHERE key = 'metrics'", text,
		sum);
	sql(statement);
}

static void list_metrics(unsigned count, char text[4096])
{
	*text = '\0';
	for (unsigned m = 0; m < count; m++)
		sprintf(text + strlen(text), "%s %d %d %d\n", tally_metrics[m].key,
			tally_metrics[m].unit, tally_metrics[m].kind, tally_metrics[m].aggregate);
}

static void a_metric_of_a_later_tally_is_refused_by_name(void **state)
{
	struct tally_error err;
	char text[4096];

	history_close(open_store(path, false, 0, NULL, NULL));
	list_metrics(TALLY_METRIC_COUNT, text);
	strcat(text, "gpu_bytes 1 1 0\n");
	set_metrics(text);
	for (int read_only = 0; read_only < 2; read_only++) {
		assert_null(open_store(path, read_only, 0, NULL, &err));
		assert_int_equal(err.code, -ENOTSUP);
		assert_non_null(strstr(err.message, "'gpu_bytes'"));
	}
}

static void a_store_of_an_older_tally_is_read_and_continued(void **state)
{
	struct history *h = open_store(path, false, 0, NULL, NULL);
	char text[4096];

	write_ticks(h, 1, 1, 100, past_boot());
	history_close(h);
	list_metrics(TALLY_METRIC_COUNT - 2, text);
	set_metrics(text);
	h = open_store(path, true, 0, NULL, NULL);
	check_task(h, 0, 1, 100);
	history_close(h);
	h = open_store(path, false, 0, NULL, NULL);
	write_ticks(h, 1, 101, 200, past_boot());
	check_task(h, 0, 1, 200);
	history_close(h);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(it_is_there_after_it_was_closed),
		TEST(it_goes_on_after_a_restart),
		TEST(it_can_be_read_while_it_is_written),
		TEST(one_writer_is_enough),
		TEST(nearest_is_found_in_the_store),
		TEST(a_dropped_task_stays_in_the_store),
		TEST(only_its_owner_can_read_it),
		TEST(links_are_refused),
		TEST(a_limit_that_is_too_low_is_refused),
		TEST(a_later_format_is_refused),
		TEST(another_programs_database_is_left_alone),
		TEST(a_damaged_file_is_set_aside),
		TEST(a_file_in_a_format_of_before_is_set_aside),
		TEST(it_is_replaced_when_it_is_damaged_in_use),
		TEST(the_limit_of_its_size_holds),
		TEST(it_holds_while_somebody_reads_all_the_time),
		TEST(counters_can_go_on_after_a_restart),
		TEST(another_boot_is_another_era),
		TEST(a_metric_of_a_later_tally_is_refused_by_name),
		TEST(a_store_of_an_older_tally_is_read_and_continued),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
