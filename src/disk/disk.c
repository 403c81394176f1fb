/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/disk.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fail.h"
#include "disk/worker.h"

enum {
	CLOSE_POLL_MS = 100,
	STUCK_MOST = 8, /* Workers left behind; with more, sandboxes wait until one comes back. */
};

#define CLOSE_STALL_NS (2 * NS_PER_S)

static const struct disk_options defaults = {
	.interval_ns = 60 * NS_PER_S,
	.share = 0.02,
	.stall_ns = 30 * NS_PER_S,
	.check_ns = 3600 * NS_PER_S,
	.memory_bytes = 64 << 20,
};

/* -- open ------------------------------------------------------------------------------------- */

static int find_method(const char *name, size_t length, unsigned *ret, struct tally_error *err)
{
	for (size_t i = 0; disk_methods[i]; i++) {
		const char *known = disk_methods[i]->name;

		if (strlen(known) == length && memcmp(known, name, length) == 0) {
			*ret |= 1u << i;
			return 0;
		}
	}
	return tally_refuse(err, -EINVAL, "there is no method '%.*s' to measure disk usage",
		(int)(length < 40 ? length : 40), name);
}

static int parse_methods(const char *names, unsigned *ret, struct tally_error *err)
{
	*ret = names ? 0 : ~0u;
	while (names && *names) {
		size_t length = strcspn(names, ",");
		int r = find_method(names, length, ret, err);

		if (r < 0)
			return r;
		names += length + (names[length] == ',');
	}
	return 0;
}

static void set_options(struct disk *disk, const struct disk_options *options)
{
	struct disk_options *o = &disk->options;

	*o = options ? *options : defaults;
	o->interval_ns = o->interval_ns ? o->interval_ns : defaults.interval_ns;
	o->share = o->share > 0 ? o->share : defaults.share;
	o->stall_ns = o->stall_ns ? o->stall_ns : defaults.stall_ns;
	o->check_ns = o->check_ns ? o->check_ns : defaults.check_ns;
	o->memory_bytes = o->memory_bytes ? o->memory_bytes : defaults.memory_bytes;
	o->methods = NULL;
	disk->limits.check_ns = o->check_ns;
	disk->limits.all_bytes = o->memory_bytes;
	disk->limits.each_bytes = o->memory_bytes / 2;
	disk->schedule.interval_ns = o->interval_ns;
	disk->schedule.share = o->share;
	disk->schedule.random = (uint64_t)clock_boot_ns() | 1;
	budget_init(&disk->budget, o->share, clock_boot_ns());
}

int disk_open(const struct disk_options *options, struct disk **ret, struct tally_error *err)
{
	struct disk *disk = calloc(1, sizeof(*disk));

	if (!disk)
		return tally_fail(err, -ENOMEM, "cannot measure disk usage");
	atomic_init(&disk->references, 1);
	pthread_mutex_init(&disk->callers, NULL);
	set_options(disk, options);
	disk->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	disk->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int r = disk->wake_fd < 0 || disk->ended_fd < 0
			? tally_fail(err, -errno, "cannot measure disk usage: eventfd")
			: parse_methods(options ? options->methods : NULL, &disk->methods, err);
	if (r == 0) {
		r = worker_start(disk, NULL, &disk->worker);
		if (r < 0)
			tally_fail(err, r, "cannot start the thread that measures disk usage");
		else
			worker_await(disk->worker);
	}
	if (r < 0) {
		disk_release(disk);
		return r;
	}
	*ret = disk;
	return 0;
}

/* -- close ------------------------------------------------------------------------------------ */

static void release_incoming(struct disk *disk)
{
	struct sandbox *sandbox = atomic_load(&disk->incoming);

	while (sandbox) {
		struct sandbox *next = sandbox->next_in;

		/* One that a left worker returned is in the schedule too. */
		if (!sandbox->stuck)
			sandbox_release(sandbox);
		sandbox = next;
	}
}

void disk_release(struct disk *disk)
{
	if (atomic_fetch_sub(&disk->references, 1) > 1)
		return;
	release_incoming(disk);
	schedule_done(&disk->schedule);
	if (disk->wake_fd >= 0)
		close(disk->wake_fd);
	if (disk->ended_fd >= 0)
		close(disk->ended_fd);
	pthread_mutex_destroy(&disk->callers);
	free(disk->table);
	free(disk);
}

/* The worker ends within a step, unless its file system does not answer: then it is left. */
static void end_worker(struct worker *worker)
{
	struct pollfd ended = {.fd = worker->disk->ended_fd, .events = POLLIN};
	struct sched_param none = {0};

	/* At idle priority, on a machine that is busy, it would come to its end late. */
	pthread_setschedparam(worker->thread, SCHED_OTHER, &none);
	while (poll(&ended, 1, CLOSE_POLL_MS) <= 0)
		if (worker_leave(worker, CLOSE_STALL_NS, clock_boot_ns()))
			return;
	pthread_join(worker->thread, NULL);
	sem_destroy(&worker->ready);
	free(worker);
}

/* It is waited for from now on: on a busy machine, idle priority would make that seconds. */
static void hasten(const struct worker *worker)
{
	struct sched_param none = {0};

	pthread_setschedparam(worker->thread, SCHED_OTHER, &none);
}

struct disk *disk_close(struct disk *disk)
{
	if (!disk)
		return NULL;
	atomic_store(&disk->closing, true);
	if (disk->worker)
		hasten(disk->worker);
	worker_wake(disk);
	if (disk->worker)
		end_worker(disk->worker);
	/* One that was left may still ask the kernel, which does not take long. */
	while (atomic_load(&disk->asking))
		poll(NULL, 0, 1);
	for (uint32_t i = 0; i < disk->table_length; i++)
		sandbox_release(disk->table[i]);
	disk_release(disk);
	return NULL;
}

/* -- callers ---------------------------------------------------------------------------------- */

/* Whoever calls looks after the worker: there is no thread more for it. Callers' lock held. */
static void supervise(struct disk *disk)
{
	struct sandbox *left = NULL;

	if (disk->worker && atomic_load(&disk->stuck) < STUCK_MOST)
		left = worker_leave(disk->worker, disk->options.stall_ns, clock_boot_ns());
	if (left)
		disk->worker = NULL;
	/* When there is no thread to be had, the next call tries again. */
	if (!disk->worker && worker_start(disk, left, &disk->worker) < 0)
		disk->worker = NULL;
}

static int find_number(struct disk *disk, uint32_t *ret)
{
	for (uint32_t i = 0; i < disk->table_length; i++)
		if (!disk->table[i]) {
			*ret = i;
			return 0;
		}

	uint32_t length = disk->table_length ? disk->table_length * 2 : 16;
	struct sandbox **table = reallocarray(disk->table, length, sizeof(struct sandbox *));
	if (!table)
		return -ENOMEM;
	memset(table + disk->table_length, 0,
		(length - disk->table_length) * sizeof(struct sandbox *));
	*ret = disk->table_length;
	disk->table = table;
	disk->table_length = length;
	return 0;
}

static int check_path(const char *path, struct tally_error *err)
{
	if (path[0] != '/')
		return tally_refuse(err, -EINVAL, "sandbox '%s' is not an absolute path", path);
	if (path[strspn(path, "/")] == '\0')
		return tally_refuse(err, -EINVAL,
			"sandbox '%s' is the root of the file system; name a directory", path);
	return 0;
}

int disk_watch(struct disk *disk, const char *path, uint32_t *ret, struct tally_error *err)
{
	int r = check_path(path, err);

	if (r < 0)
		return r;

	struct disk_site site = {.path = path, .log = disk->options.log, .limits = &disk->limits};
	struct sandbox *sandbox = sandbox_new(disk->methods, &site);
	pthread_mutex_lock(&disk->callers);
	r = sandbox ? find_number(disk, ret) : -ENOMEM;
	if (r == 0) {
		disk->table[*ret] = sandbox;
		sandbox_hold(sandbox);
		worker_hand_in(disk, sandbox);
	}
	supervise(disk);
	pthread_mutex_unlock(&disk->callers);
	if (r < 0) {
		sandbox_release(sandbox);
		return tally_fail(err, r, "cannot watch sandbox %s", path);
	}
	return 0;
}

void disk_unwatch(struct disk *disk, uint32_t number)
{
	pthread_mutex_lock(&disk->callers);
	struct sandbox *sandbox = TAKE(disk->table[number]);
	pthread_mutex_unlock(&disk->callers);
	atomic_store(&sandbox->gone, true);
	worker_wake(disk);
	sandbox_release(sandbox);
}

void disk_read(struct disk *disk, uint32_t number, struct disk_reading *ret)
{
	pthread_mutex_lock(&disk->callers);
	shelf_take(&disk->table[number]->shelf, ret);
	supervise(disk);
	pthread_mutex_unlock(&disk->callers);
}

void disk_refresh(struct disk *disk, uint32_t number)
{
	pthread_mutex_lock(&disk->callers);
	atomic_store(&disk->table[number]->wanted, true);
	supervise(disk);
	pthread_mutex_unlock(&disk->callers);
	worker_wake(disk);
}

int disk_hold(struct disk *disk, uint32_t number, const struct disk_holder *holders, size_t count)
{
	struct disk_reading reading;

	pthread_mutex_lock(&disk->callers);
	struct sandbox *sandbox = disk->table[number];
	int r = deleted_tell(&sandbox->deleted, holders, count);
	/* The first look came before its processes were known: another, rather than an interval. */
	shelf_take(&sandbox->shelf, &reading);
	bool hasten = r == 0 && reading.code == 0 && reading.deleted_code == -EINPROGRESS;
	if (hasten)
		atomic_store(&sandbox->wanted, true);
	pthread_mutex_unlock(&disk->callers);
	if (hasten)
		worker_wake(disk);
	return r;
}

void disk_deleted(struct disk *disk, uint32_t number, disk_deleted_fn *visit, void *context,
	int64_t *ret_left_out)
{
	pthread_mutex_lock(&disk->callers);
	deleted_visit(&disk->table[number]->deleted, visit, context, ret_left_out);
	pthread_mutex_unlock(&disk->callers);
}

/* Taken for as long as it is copied, as deleted_visit() does. Callers' lock held. */
static int copy_outline(struct sandbox *sandbox, int64_t looks, struct outline *ret)
{
	struct outline *outline = atomic_exchange(&sandbox->outline, NULL), *none = NULL;
	int r = outline && outline->looks == looks ? outline_copy(outline, ret) : -EAGAIN;

	if (outline && !atomic_compare_exchange_strong(&sandbox->outline, &none, outline)) {
		outline_done(outline);
		free(outline);
	}
	return r;
}

int disk_outline(struct disk *disk, uint32_t number, struct outline *ret)
{
	struct disk_reading reading;

	*ret = (struct outline){0};
	pthread_mutex_lock(&disk->callers);
	struct sandbox *sandbox = disk->table[number];
	shelf_take(&sandbox->shelf, &reading);
	int r = reading.code		     ? reading.code
		: !reading.knows_directories ? -EOPNOTSUPP
					     : copy_outline(sandbox, reading.looks, ret);
	if (r == -EAGAIN)
		atomic_store(&sandbox->outline_wanted, true);
	supervise(disk);
	pthread_mutex_unlock(&disk->callers);
	if (r == -EAGAIN)
		worker_wake(disk);
	return r;
}

void disk_status(struct disk *disk, struct disk_status *ret)
{
	pthread_mutex_lock(&disk->callers);
	supervise(disk);
	*ret = (struct disk_status){
		.stuck = (size_t)atomic_load(&disk->stuck),
		.looks = atomic_load(&disk->looks),
		.cpu_ns = atomic_load(&disk->cpu_ns),
	};
	for (uint32_t i = 0; i < disk->table_length; i++)
		ret->sandboxes += disk->table[i] != NULL;
	pthread_mutex_unlock(&disk->callers);
}
