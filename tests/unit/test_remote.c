/* SPDX-License-Identifier: Apache-2.0 */
/* Remote write: what a batch says, and the queue that batches wait in. */
#include "check.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/attr.h"
#include "remote.pb-c.h"
#include "serve/remote/encode.h"
#include "serve/remote/load.h"
#include "serve/remote/queue.h"
#include "serve/remote/remote.h"
#include "serve/remote/send.h"

/* ---- batches ---- */

static Remote__WriteRequest *unpack(const struct buffer *body)
{
	static __typeof__(snappy_uncompress) *uncompress;
	char plain[65536];
	size_t length = sizeof(plain);

	if (!uncompress) {
		void *address = dlsym(dlopen("libsnappy.so.1", RTLD_NOW), "snappy_uncompress");

		memcpy(&uncompress, &address, sizeof(address));
	}
	assert_non_null(uncompress);
	assert_int_equal(uncompress(body->at, body->used, plain, &length), SNAPPY_OK);
	Remote__WriteRequest *request =
		remote__write_request__unpack(NULL, length, (const uint8_t *)plain);
	assert_non_null(request);
	return request;
}

static void labels_are_in_order_and_the_first_of_a_name_counts(void **state)
{
	const struct remote_label labels[] = {{"task", "shop"}, {"__name__", "x_total"},
		{"mode", "user"}, {"task", "other"}, {"job", "tally"}};
	static const char *const expected[][2] = {
		{"__name__", "x_total"}, {"job", "tally"}, {"mode", "user"}, {"task", "shop"}};
	CLEANUP_BUFFER struct buffer body = {0};
	struct encoder encoder = {0};

	assert_int_equal(remote_load(NULL), 0);
	encoder_add(&encoder, labels, ARRAY_SIZE(labels), 1.5, 1700000000123);
	encoder_add(&encoder, labels, 2, remote_stale(), 1700000000123);
	assert_int_equal(encoder.samples, 2);
	assert_int_equal(encoder_finish(&encoder, &body, NULL), 0);
	assert_int_equal(encoder.samples, 0);

	Remote__WriteRequest *request = unpack(&body);
	assert_int_equal(request->n_timeseries, 2);
	Remote__TimeSeries *series = request->timeseries[0];
	assert_int_equal(series->n_labels, ARRAY_SIZE(expected));
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		assert_string_equal(series->labels[i]->name, expected[i][0]);
		assert_string_equal(series->labels[i]->value, expected[i][1]);
	}
	assert_int_equal(series->n_samples, 1);
	assert_true(series->samples[0]->value == 1.5);
	assert_int_equal(series->samples[0]->timestamp, 1700000000123);
	assert_true(isnan(request->timeseries[1]->samples[0]->value));
	remote__write_request__free_unpacked(request, NULL);
	encoder_done(&encoder);
}

static void labels_and_urls_are_checked(void **state)
{
	static const char *const wrong[] = {
		"a", "=b", "a=", "1a=b", "__name__=b", "a-b=c", "a b=c", "a=\xff", ""};
	static const char *const no_urls[] = {"", "nonsense", "ftp://host/", "file:///etc/passwd",
		"http://", "http://host:99999/"};
	char *shown = NULL;

	assert_int_equal(remote_check_label("rack=7", NULL), 0);
	assert_int_equal(remote_check_label("a_B2=x=y z", NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(remote_check_label(wrong[i], NULL), -EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(no_urls); i++)
		assert_int_equal(remote_check_url(no_urls[i], NULL), -EINVAL);
	assert_int_equal(
		sender_check("https://ann:hush@host:9090/api/v1/write?key=hush", &shown, NULL), 0);
	assert_string_equal(shown, "https://host:9090/api/v1/write");
	free(shown);
}

/* ---- the queue ---- */

struct place {
	char folder[64], path[96];
};

static int set_up(void **state)
{
	struct place *place = calloc(1, sizeof(*place));

	strcpy(place->folder, "/tmp/tally-remote-XXXXXX");
	if (!mkdtemp(place->folder))
		return -1;
	snprintf(place->path, sizeof(place->path), "%s/queue", place->folder);
	*state = place;
	return 0;
}

static int tear_down(void **state)
{
	struct place *place = *state;
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", place->folder);
	int r = system(command);
	free(place);
	return r;
}

static struct queue *open_queue(const struct place *place, uint64_t limit)
{
	struct tally_error err = {0};
	struct queue *queue = NULL;

	if (queue_open(place->path, limit, NULL, &queue, &err) < 0)
		fail_msg("%s", err.message);
	return queue;
}

static void put(struct queue *queue, int64_t wall_ms, size_t samples, size_t length)
{
	struct tally_error err = {0};
	CLEANUP_FREE char *bytes = calloc(1, length + 1);

	bytes[0] = (char)wall_ms;
	assert_int_equal(queue_begin(queue, &err), 0);
	if (queue_put(queue, wall_ms, samples, bytes, length, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(queue_commit(queue, &err), 0);
}

/* Take the next, which has to be of this time. */
static void take(struct queue *queue, int64_t wall_ms)
{
	struct queue_batch batch;

	assert_int_equal(queue_peek(queue, &batch, NULL), 0);
	assert_int_equal(batch.wall_ms, wall_ms);
	assert_int_equal(((char *)batch.bytes)[0], (char)wall_ms);
	assert_int_equal(queue_drop(queue, &batch, NULL), 0);
	free(batch.bytes);
}

static void assert_holds(struct queue *queue, size_t batches, size_t samples, int64_t first_ms)
{
	struct queue_status status;

	queue_status(queue, &status);
	assert_int_equal(status.batches, batches);
	assert_int_equal(status.samples, samples);
	assert_int_equal(status.first_wall_ms, first_ms);
}

static void first_in_is_first_out_also_after_another_opens_it(void **state)
{
	struct queue *queue = open_queue(*state, 0);
	struct queue_batch batch;
	struct queue_status status;

	for (int i = 1; i <= 5; i++)
		put(queue, i, 10, 100);
	take(queue, 1);
	assert_holds(queue, 4, 40, 2);
	queue_close(queue);

	queue = open_queue(*state, 0);
	assert_holds(queue, 4, 40, 2);
	put(queue, 6, 1, 1);
	for (int i = 2; i <= 6; i++)
		take(queue, i);
	assert_holds(queue, 0, 0, 0);
	assert_int_equal(queue_peek(queue, &batch, NULL), -ENOENT);
	queue_close(queue);

	/* An empty queue still knows what came last. */
	queue = open_queue(*state, 0);
	queue_status(queue, &status);
	assert_int_equal(status.last_wall_ms, 6);
	assert_int_equal(status.bytes, 0);
	queue_close(queue);
}

static void what_is_not_committed_is_not_there(void **state)
{
	struct queue *queue = open_queue(*state, 0);
	struct queue_status status;

	put(queue, 1, 10, 100);
	assert_int_equal(queue_begin(queue, NULL), 0);
	assert_int_equal(queue_put(queue, 2, 10, "\2", 1, NULL), 0);
	queue_roll_back(queue);
	assert_holds(queue, 1, 10, 1);
	queue_status(queue, &status);
	assert_int_equal(status.last_wall_ms, 1);
	take(queue, 1);
	assert_holds(queue, 0, 0, 0);
	queue_close(queue);
}

static void the_oldest_make_room_and_are_counted(void **state)
{
	struct queue *queue = open_queue(*state, 1000);
	struct queue_batch first;
	struct queue_status status;

	put(queue, 1, 10, 400);
	put(queue, 2, 20, 400);
	assert_int_equal(queue_peek(queue, &first, NULL), 0);
	put(queue, 3, 30, 400);
	queue_status(queue, &status);
	assert_int_equal(status.overflowed, 10);
	assert_holds(queue, 2, 50, 2);

	/* The one that was under way is gone already; nothing else goes for it. */
	assert_int_equal(queue_drop(queue, &first, NULL), 0);
	free(first.bytes);
	assert_holds(queue, 2, 50, 2);

	assert_int_equal(queue_put(queue, 4, 1, "", 1001, NULL), -EFBIG);
	take(queue, 2);
	take(queue, 3);
	queue_close(queue);
}

static void a_file_does_not_grow_beyond_its_limit_for_long(void **state)
{
	const struct place *place = *state;
	struct queue *queue = open_queue(place, 1 << 20);
	struct stat st;

	for (int i = 1; i <= 300; i++)
		put(queue, i, 1, 16384);
	queue_close(queue);
	assert_int_equal(stat(place->path, &st), 0);
	assert_in_range(st.st_size, 1 << 20, 2 << 20);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void what_is_damaged_is_set_aside(void **state)
{
	const struct place *place = *state;
	struct queue *queue = open_queue(place, 0);

	put(queue, 1, 10, 100000);
	queue_close(queue);
	CLEANUP_CLOSE int fd = open(place->path, O_WRONLY);
	char noise[8192];
	memset(noise, 0x5a, sizeof(noise));
	assert_int_equal(pwrite(fd, noise, sizeof(noise), 0), sizeof(noise));

	queue = open_queue(place, 0);
	assert_holds(queue, 0, 0, 0);
	put(queue, 2, 10, 100);
	take(queue, 2);
	queue_close(queue);
}

static void a_database_of_another_program_is_left_alone(void **state)
{
	const struct place *place = *state;
	struct tally_error err = {0};
	struct queue *queue = NULL;
	sqlite3 *db;

	assert_int_equal(sqlite3_open(place->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "CREATE TABLE t (x)", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(queue_open(place->path, 0, NULL, &queue, &err), -EINVAL);
	assert_non_null(strstr(err.message, "another program"));
	assert_null(queue);
}

static void a_queue_may_be_in_memory(void **state)
{
	struct queue *queue = NULL;

	assert_int_equal(queue_open(NULL, 0, NULL, &queue, NULL), 0);
	put(queue, 1, 10, 100);
	put(queue, 2, 10, 100);
	take(queue, 1);
	take(queue, 2);
	queue_close(queue);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(labels_are_in_order_and_the_first_of_a_name_counts),
		cmocka_unit_test(labels_and_urls_are_checked),
		cmocka_unit_test_setup_teardown(
			first_in_is_first_out_also_after_another_opens_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_is_not_committed_is_not_there, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			the_oldest_make_room_and_are_counted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_file_does_not_grow_beyond_its_limit_for_long, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_damaged_is_set_aside, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_database_of_another_program_is_left_alone, set_up, tear_down),
		cmocka_unit_test(a_queue_may_be_in_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
