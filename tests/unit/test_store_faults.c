/* SPDX-License-Identifier: Apache-2.0 */
/** Kills, full disks, damage, stepping clocks: nothing committed is lost, nothing wrong is shown. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include "history/survey.h"
#include "store_world.h"

#define TASKS 4

static char folder[64], path[128];

/* Rounds of a test: all with TALLY_THOROUGH=1 (make test-thorough), a fifth of them otherwise. */
static uint64_t rounds(uint64_t all)
{
	const char *thorough = getenv("TALLY_THOROUGH");

	return thorough && *thorough ? all : all / 5;
}

static int set_up(void **state)
{
	make_folder(folder);
	snprintf(path, sizeof(path), "%s/history.db", folder);
	return 0;
}

static int tear_down(void **state)
{
	umount2(folder, MNT_DETACH);
	remove_folder(folder);
	return 0;
}

static void tick_all(struct history *h, int64_t tick, int64_t wall_ns)
{
	for (int t = 0; t < TASKS; t++) {
		struct history_task *task = NULL;
		char id[32];

		snprintf(id, sizeof(id), "task-%d", t);
		assert_int_equal(history_task(h, id, &task, NULL), 0);
		assert_int_equal(append_tick(h, task, t, tick, wall_ns, 1 + tick * S, NULL), 0);
	}
	history_commit(h);
}

/* Checks all samples of a task; the tick of the last one, 0 when there is none. */
static int64_t check_all(struct history *h, int t, bool gaps_are_fine)
{
	char id[32];
	struct checking c = {.task = t, .process = -1, .base_wall_ns = WALL_NS};

	snprintf(id, sizeof(id), "task-%d", t);
	struct history_task *task = history_find(h, id);
	if (!task)
		return 0;
	history_range(h, task, NULL, INT64_MIN, INT64_MAX, check_sample, &c);
	assert_true(gaps_are_fine || !c.gap);
	for (int p = 0; p < PROCESSES; p++) {
		struct checking part = {.task = t, .process = p, .base_wall_ns = WALL_NS};

		history_range(h, task, process_names[p], INT64_MIN, INT64_MAX, check_sample, &part);
	}
	return c.last;
}

static void print_damage(void *context, const char *line)
{
	print_message("%s\n", line);
}

/* As `tally store check` looks at it. */
static void assert_sound(void)
{
	struct survey survey;
	struct tally_error err;

	if (survey_store(path, true, print_damage, NULL, &survey, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(survey.damaged, 0);
}

static void sleep_us(long us)
{
	nanosleep(&(struct timespec){us / 1000000, us % 1000000 * 1000}, NULL);
}

/* Ticks on until it is killed, and says which tick was surely stored. */
static void live_until_killed(int64_t first, _Atomic int64_t *stored)
{
	struct history *h = open_store(path, false, 0, NULL, NULL);

	if (!h)
		_exit(1);
	for (int64_t tick = first;; tick++) {
		tick_all(h, tick, WALL_NS + tick * S);
		if (tick % 3 == 0 && history_flush(h) == 0)
			*stored = tick;
		sleep_us(1000);
	}
}

/* One life, ended at a random instant: of its start, or (in three of four) of its work. */
static void live_and_die(uint64_t round, int64_t first, _Atomic int64_t *stored, long most_us)
{
	int64_t before = *stored;
	pid_t pid = fork();

	if (pid == 0)
		live_until_killed(first, stored);
	while (round % 4 && *stored == before && waitpid(pid, NULL, WNOHANG) == 0)
		sleep_us(200);
	sleep_us((long)(mix(round) % (uint64_t)most_us));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* What a kill left: all that was committed, nothing wrong. @return the tick after the last. */
static int64_t check_after_kill(int64_t next, int64_t stored)
{
	struct history *h = open_store(path, true, 0, NULL, NULL);

	if (!h) /* killed before it had made any table */
		assert_int_equal(stored, 0);
	else
		assert_sound();
	for (int t = 0; h && t < TASKS; t++) {
		int64_t last = check_all(h, t, true);

		assert_true(last >= stored);
		if (last >= next)
			next = last + 1;
	}
	history_close(h);
	return next;
}

static _Atomic int64_t *share_number(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

static void nothing_committed_is_lost_by_a_kill(void **state)
{
	_Atomic int64_t *stored = share_number();
	int64_t next = 1;

	for (uint64_t round = 0; round < rounds(200); round++) {
		live_and_die(round, next, stored, 20000);
		next = check_after_kill(next, *stored);
	}
	assert_true(next > (int64_t)rounds(200) / 2);

	/* Ticks that a kill took are not made up for: but between those there are no gaps. */
	struct history *h = open_store(path, true, 0, NULL, NULL);
	for (int t = 0; t < TASKS; t++)
		assert_int_equal(check_all(h, t, false), next - 1);
	history_close(h);
	munmap((void *)stored, 4096);
}

/* A small file system of its own; skipped where it cannot be had. */
static void mount_small(const char *options)
{
	if (mount("tally", folder, "tmpfs", 0, options) < 0) {
		print_message("skipped: cannot mount a tmpfs: %s\n", strerror(errno));
		skip();
	}
}

static int fill_disk(char name[128])
{
	static const char zeros[4096];
	int fd;

	snprintf(name, 128, "%s/filler", folder);
	fd = open(name, O_WRONLY | O_CREAT, 0600);
	while (write(fd, zeros, sizeof(zeros)) > 0)
		;
	return close(fd);
}

static void a_full_disk_stops_no_tick(void **state)
{
	struct said said = {0};
	struct history_status status;
	char filler[128];

	mount_small("size=4m");
	struct history *h = open_store(path, false, 0, &said, NULL);
	assert_non_null(h);
	for (int64_t tick = 1; tick <= 50; tick++)
		tick_all(h, tick, WALL_NS + tick * S);
	assert_int_equal(history_flush(h), 0);
	fill_disk(filler);
	for (int64_t tick = 51; tick <= 600; tick++)
		tick_all(h, tick, WALL_NS + tick * S);
	assert_int_equal(history_flush(h), -EAGAIN);
	history_status(h, &status);
	assert_true(status.store_failing);
	assert_true(status.store_failures > 0);
	assert_int_equal(said.count, 1);
	assert_non_null(strstr(said.last, "full"));
	assert_int_equal(check_all(h, 0, false), 600);

	unlink(filler);
	for (int i = 0; i < 300 && said.count < 2; i++)
		sleep_us(50000);
	assert_int_equal(said.count, 2);
	assert_non_null(strstr(said.last, "storing goes on; 0 samples"));
	tick_all(h, 601, WALL_NS + 601 * S);
	assert_int_equal(history_flush(h), 0);
	history_close(h);
	assert_sound();
	h = open_store(path, true, 0, NULL, NULL);
	for (int t = 0; t < TASKS; t++)
		assert_int_equal(check_all(h, t, false), 601);
	history_close(h);
}

/* The disk is full in every other life, and sometimes fills up or empties during one. */
static void kills_on_a_full_disk_lose_nothing_committed(void **state)
{
	_Atomic int64_t *stored = share_number();
	int64_t next = 1;
	char filler[128];

	mount_small("size=3m");
	live_and_die(1, next, stored, 20000);
	next = check_after_kill(next, *stored);
	for (uint64_t round = 0; round < rounds(100); round++) {
		if (round % 2)
			fill_disk(filler);
		/* Where the disk is full from the start nothing is stored: do not wait for it. */
		live_and_die(round % 2 ? round * 4 : round, next, stored, 30000);
		next = check_after_kill(next, *stored);
		if (round % 2)
			unlink(filler);
	}
	assert_true(next > (int64_t)rounds(100) / 4);
	munmap((void *)stored, 4096);
}

static void what_could_not_be_stored_is_counted(void **state)
{
	struct said said = {.log = {note_line, &said}};
	struct history_options options = {.retention_ns = 200 * S, .store = path, .log = &said.log};
	struct history *h = NULL;
	struct history_status status;
	char filler[128];

	mount_small("size=4m");
	assert_int_equal(history_open(&options, &h, NULL), 0);
	fill_disk(filler);
	for (int64_t tick = 1; tick <= 1000; tick++)
		tick_all(h, tick, WALL_NS + tick * S);
	history_status(h, &status);
	assert_in_range(status.store_lost, TASKS * 400, TASKS * 800);
	unlink(filler);
	for (int i = 0; i < 300 && said.count < 2; i++)
		sleep_us(50000);
	assert_non_null(strstr(said.last, "samples of tasks could not be stored"));
	history_close(h);
}

static void a_folder_that_cannot_be_written_is_an_error(void **state)
{
	struct tally_error err;

	mount_small("size=4m");
	assert_int_equal(mount(NULL, folder, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
	assert_null(open_store(path, false, 0, NULL, &err));
	assert_int_equal(err.code, -EROFS);
	assert_non_null(strstr(err.message, path));
}

static void a_store_on_a_read_only_disk_can_be_read(void **state)
{
	struct said said = {0};

	mount_small("size=4m");
	struct history *h = open_store(path, false, 0, &said, NULL);
	tick_all(h, 1, WALL_NS + S);
	assert_int_equal(history_flush(h), 0);
	history_close(h);
	/* Nothing is open for writing now: the file system can be made read-only. */
	assert_int_equal(mount(NULL, folder, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
	h = open_store(path, true, 0, NULL, NULL);
	assert_non_null(h);
	assert_int_equal(check_all(h, 0, false), 1);
	history_close(h);
}

/* Bytes of a file. */
static size_t load(const char *name, uint8_t **ret)
{
	struct stat st;
	int fd = open(name, O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	*ret = malloc((size_t)st.st_size);
	assert_int_equal(read(fd, *ret, (size_t)st.st_size), st.st_size);
	close(fd);
	return (size_t)st.st_size;
}

static void save_as(const char *name, const uint8_t *bytes, size_t length)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(write(fd, bytes, length), length);
	close(fd);
}

static void save(const uint8_t *bytes, size_t length)
{
	save_as(path, bytes, length);
}

/* Open a damaged store both ways: what it shows is right. */
static void survive(bool write)
{
	char name[160];
	struct history *h = open_store(path, true, 0, NULL, NULL);

	if (h)
		for (int t = 0; t < TASKS; t++)
			check_all(h, t, true);
	history_close(h);
	if (!write)
		return;
	h = open_world(path, false, 0, true, NULL, NULL);
	if (h) {
		for (int64_t tick = 1000; tick < 1010; tick++)
			tick_all(h, tick, WALL_NS + tick * S);
		history_flush(h);
		for (int t = 0; t < TASKS; t++)
			check_all(h, t, true);
		history_close(h);
	}
	snprintf(name, sizeof(name), "rm -f %s*", path);
	assert_int_equal(system(name), 0);
}

static void damage_is_found_and_left_out(void **state)
{
	struct history *h = open_world(path, false, 0, true, NULL, NULL);
	uint8_t *sound, *bytes;

	for (int64_t tick = 1; tick <= 400; tick++)
		tick_all(h, tick, WALL_NS + tick * S);
	history_close(h);
	size_t length = load(path, &sound);
	bytes = malloc(length);
	/* Every fourth otherwise: round 76 gave a stretch the number of another. */
	for (uint64_t round = 0; round < 300; round += rounds(300) == 300 ? 1 : 4) {
		unsigned flips = 1 + mix(round) % 20;

		memcpy(bytes, sound, length);
		for (unsigned i = 0; i < flips; i++)
			bytes[mix(round * 100 + i) % length] ^= (uint8_t)(1 << mix(i + round) % 8);
		save(bytes, length);
		survive(mix(round) % 4 == 0);
	}
	for (uint64_t round = 0; round < rounds(100); round++) {
		save(sound, mix(round) % length);
		survive(round % 2);
	}
	free(sound);
	free(bytes);
}

/* Sixty ticks of a writer that was killed: they are in the log of SQLite. */
static void write_and_die(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		struct history *h = open_world(path, false, 0, true, NULL, NULL);

		for (int64_t tick = 1; tick <= 60; tick++)
			tick_all(h, tick, WALL_NS + tick * S);
		_exit(history_flush(h) < 0);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* The journal of a writer that was killed, damaged anywhere. */
static void damage_of_a_journal_is_found(void **state)
{
	uint8_t *bytes;

	write_and_die();
	sqlite3 *db; /* moves the log into the file */
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(
		sqlite3_exec(db, "SELECT count(*) FROM journal", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	size_t length = load(path, &bytes);
	for (uint64_t round = 0; round < rounds(300); round++) {
		size_t place = mix(round) % length;

		bytes[place] ^= (uint8_t)(1 + mix(round + 7) % 255);
		save(bytes, length);
		survive(false);
		bytes[place] ^= (uint8_t)(1 + mix(round + 7) % 255);
	}
	free(bytes);
}

/* The log itself, flipped and torn: what lies behind the damage is lost, nothing is wrong. */
static void damage_of_the_log_is_found(void **state)
{
	char log[160], shm[160];
	uint8_t *bytes, *main_bytes;

	write_and_die();
	snprintf(log, sizeof(log), "%s-wal", path);
	snprintf(shm, sizeof(shm), "%s-shm", path);
	size_t main_length = load(path, &main_bytes), length = load(log, &bytes);
	uint8_t *damaged = malloc(length);
	assert_true(length > 4096);
	for (uint64_t round = 0; round < rounds(200); round++) {
		size_t kept = round % 3 ? length : mix(round) % length;

		memcpy(damaged, bytes, length);
		for (unsigned i = 0; round % 3 && i < 1 + mix(round) % 5; i++)
			damaged[mix(round * 50 + i) % length] ^= (uint8_t)(1 + mix(i) % 255);
		unlink(shm);
		save_as(path, main_bytes, main_length);
		save_as(log, damaged, kept);
		survive(round % 4 == 0);
	}
	free(damaged);
	free(main_bytes);
	free(bytes);
}

static bool in_order(void *context, const struct tally_sample *sample)
{
	int64_t *tick = context, was = (sample->boot_ns - 1) / S;
	struct tally_sample expected;

	assert_int_equal(was, *tick + 1);
	total_sample(0, was, &expected);
	assert_same_sample(sample, &expected);
	*tick = was;
	return true;
}

static int64_t stepped_wall(int64_t tick)
{
	int64_t step = tick >= 200 && tick < 400 ? -3600 : tick >= 600 ? 3600 : 0;

	return WALL_NS + (tick + step) * S;
}

static void a_stepping_clock_keeps_the_order(void **state)
{
	struct history *h = open_store(path, false, 0, NULL, NULL);

	for (int64_t tick = 1; tick <= 800; tick++)
		tick_all(h, tick, stepped_wall(tick));
	for (int closed = 0; closed < 2; closed++) {
		struct history_task *task = history_find(h, "task-0");
		struct tally_sample sample;
		int64_t last = 0;

		history_range(h, task, NULL, INT64_MIN, INT64_MAX, in_order, &last);
		assert_int_equal(last, 800);
		for (int64_t tick = 1; tick <= 800; tick += 13) {
			history_nearest(h, task, NULL, stepped_wall(tick), &sample, NULL);
			assert_int_equal(sample.wall_ns, stepped_wall(tick));
		}
		history_close(h);
		h = closed ? NULL : open_store(path, true, 0, NULL, NULL);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(nothing_committed_is_lost_by_a_kill),
		TEST(kills_on_a_full_disk_lose_nothing_committed),
		TEST(a_full_disk_stops_no_tick),
		TEST(what_could_not_be_stored_is_counted),
		TEST(a_folder_that_cannot_be_written_is_an_error),
		TEST(a_store_on_a_read_only_disk_can_be_read),
		TEST(damage_is_found_and_left_out),
		TEST(damage_of_a_journal_is_found),
		TEST(damage_of_the_log_is_found),
		TEST(a_stepping_clock_keeps_the_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
