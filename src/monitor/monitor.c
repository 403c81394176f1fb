/* SPDX-License-Identifier: Apache-2.0 */
/* Making, starting and ending a monitor. */
#include "monitor/monitor.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fail.h"
#include "monitor/internal.h"
#include "source/pid.h"
#include "source/registry.h"

#define INTERVAL_LEAST_NS      (10 * NS_PER_MS)
#define INTERVAL_MOST_NS       (3600 * NS_PER_S)
#define DISK_INTERVAL_LEAST_NS (100 * NS_PER_MS)
#define DISK_INTERVAL_MOST_NS  (24 * 3600 * NS_PER_S)

static const struct tally_monitor_options defaults = {
	.interval_ns = NS_PER_S,
	.disk_interval_ns = 60 * NS_PER_S,
	.history_ns = 3600 * NS_PER_S,
	.history_bytes = (size_t)256 << 20,
	.collector = "auto",
	.procfs = "/proc",
};

static struct tally_monitor_options with_defaults(const struct tally_monitor_options *given)
{
	struct tally_monitor_options o = given ? *given : defaults;

	o.interval_ns = o.interval_ns ? o.interval_ns : defaults.interval_ns;
	o.disk_interval_ns = o.disk_interval_ns ? o.disk_interval_ns : defaults.disk_interval_ns;
	o.history_ns = o.history_ns ? o.history_ns : defaults.history_ns;
	o.history_bytes = o.history_bytes ? o.history_bytes : defaults.history_bytes;
	o.collector = o.collector ? o.collector : defaults.collector;
	o.procfs = o.procfs ? o.procfs : defaults.procfs;
	return o;
}

static int check_range(const char *what, int64_t value, int64_t least, int64_t most,
	const char *range, struct tally_error *err)
{
	if (value >= least && value <= most)
		return 0;
	return tally_refuse(err, -EINVAL, "the %s of %.3f s is out of range; choose %s", what,
		(double)value / 1e9, range);
}

static int check_options(const struct tally_monitor_options *o, struct tally_error *err)
{
	int r = check_range(
		"interval", o->interval_ns, INTERVAL_LEAST_NS, INTERVAL_MOST_NS, "10ms to 1h", err);

	if (r == 0)
		r = check_range("disk interval", o->disk_interval_ns, DISK_INTERVAL_LEAST_NS,
			DISK_INTERVAL_MOST_NS, "100ms to 24h", err);
	return r;
}

static int init_lock(pthread_mutex_t *lock)
{
	return pthread_mutex_init(lock, NULL);
}

/* A collector may keep three quarters of the descriptors there can be. */
static size_t cgroup_descriptor_limit(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur / 8 : 0;
}

static struct tally_monitor *allocate(void)
{
	struct tally_monitor *monitor = calloc(1, sizeof(*monitor));

	if (!monitor)
		return NULL;
	monitor->wake_fd = -1;
	monitor->cgroup_descriptors.limit = cgroup_descriptor_limit();
	monitor->machine.first_busy_ns = -1;
	monitor->machine.busy_ns = -1;
	if (init_lock(&monitor->tick_lock) || init_lock(&monitor->lock) ||
		init_lock(&monitor->run_lock) || pthread_rwlock_init(&monitor->drop_lock, NULL)) {
		free(monitor);
		return NULL;
	}
	return monitor;
}

static void disk_changed(void *context)
{
	monitor_wake(context);
}

/* Between the two rooms, which do not know each other. */
struct held_visit {
	disk_held_visit_fn *visit;
	void *context;
};

static int pass_held(void *context, const struct collect_held *held)
{
	const struct held_visit *to = context;
	struct disk_held file = {held->pid, held->thread, held->fd, held->device, held->inode,
		held->blocks, held->size};

	return to->visit(to->context, &file);
}

static int list_held(void *context, disk_held_visit_fn *visit, void *visit_context)
{
	struct tally_monitor *monitor = context;
	struct held_visit to = {visit, visit_context};

	return collector_held(monitor->collector, pass_held, &to);
}

static int open_parts(struct tally_monitor *monitor, const struct tally_monitor_options *o,
	struct tally_error *err)
{
	struct history_options history = {
		.retention_ns = o->history_ns,
		.interval_ns = o->interval_ns,
		.bytes = o->history_bytes,
		.tiers = {{o->coarse[0].step_ns, o->coarse[0].history_ns},
			{o->coarse[1].step_ns, o->coarse[1].history_ns}},
		.store = o->store,
		.store_bytes = o->store_bytes,
		.log = &monitor->log,
	};
	struct disk_options disk = {
		.interval_ns = o->disk_interval_ns,
		.changed = disk_changed,
		.context = monitor,
		.log = &monitor->log,
		.held = list_held,
		.held_context = monitor,
	};

	monitor->procfs = strdup(o->procfs);
	if (!monitor->procfs)
		return tally_fail(err, -ENOMEM, "cannot make a monitor");
	monitor->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (monitor->wake_fd < 0)
		return tally_fail(err, -errno, "cannot make an eventfd");

	disk.procfs = monitor->procfs;
	int r = history_open(&history, &monitor->history, err);
	return r < 0 ? r : disk_open(&disk, &monitor->disk, err);
}

int monitor_new_with(const struct tally_monitor_options *options, struct collector *collector,
	const char *reason, struct tally_monitor **ret, struct tally_error *err)
{
	struct tally_monitor_options o = with_defaults(options);
	struct tally_monitor *monitor = allocate();
	int r = -ENOMEM;

	if (!monitor) {
		collector_close(collector);
		return tally_fail(err, r, "cannot make a monitor");
	}
	monitor->collector = collector;
	monitor->interval_ns = o.interval_ns;
	monitor->disk_interval_ns = o.disk_interval_ns;
	monitor->history_ns = o.history_ns;
	monitor->log = (struct log){o.log, o.log_context};
	strncpy(monitor->collector_reason, reason, sizeof(monitor->collector_reason) - 1);

	r = check_options(&o, err);
	if (r == 0)
		r = open_parts(monitor, &o, err);
	if (r < 0) {
		tally_monitor_free(monitor);
		return r;
	}
	*ret = monitor;
	return 0;
}

TALLY_API
int tally_monitor_new(const struct tally_monitor_options *options, struct tally_monitor **ret,
	struct tally_error *err)
{
	struct tally_monitor_options o = with_defaults(options);
	struct log log = {o.log, o.log_context};
	struct collect_options collect = {.procfs = o.procfs, .pss = o.pss, .log = &log};
	struct collector *collector = NULL;
	char reason[256];
	int r = check_options(&o, err);

	if (r == 0)
		r = collector_open(o.collector, &collect, &collector, reason, err);
	return r < 0 ? r : monitor_new_with(&o, collector, reason, ret, err);
}

static void free_tasks(struct tally_monitor *monitor)
{
	struct task *task, *next;

	HASH_ITER (hh, monitor->tasks, task, next) {
		HASH_DEL(monitor->tasks, task);
		task_free(task);
	}
}

TALLY_API
struct tally_monitor *tally_monitor_free(struct tally_monitor *monitor)
{
	if (!monitor)
		return NULL;
	tally_monitor_stop(monitor);
	disk_close(monitor->disk);
	collector_close(monitor->collector);
	for (size_t i = 0; i < monitor->source_count; i++)
		source_close(monitor->sources[i].source);
	free_tasks(monitor);
	history_close(monitor->history);
	if (monitor->wake_fd >= 0)
		close(monitor->wake_fd);
	pthread_rwlock_destroy(&monitor->drop_lock);
	pthread_mutex_destroy(&monitor->run_lock);
	pthread_mutex_destroy(&monitor->lock);
	pthread_mutex_destroy(&monitor->tick_lock);
	free(monitor->sources);
	free(monitor->record);
	free(monitor->holders);
	free(monitor->procfs);
	free(monitor);
	return NULL;
}

void monitor_wake(struct tally_monitor *monitor)
{
	uint64_t one = 1;

	if (write(monitor->wake_fd, &one, sizeof(one)) < 0)
		return; /* It is full of calls already. */
}

int monitor_refresh_disk(struct tally_monitor *monitor, const char *id)
{
	struct task *task;
	int r = -ENOENT;

	pthread_mutex_lock(&monitor->tick_lock); /* Else it could be unwatched meanwhile. */
	HASH_FIND_STR(monitor->tasks, id, task);
	if (task)
		r = task->has_disk ? 0 : -ENODATA;
	if (r == 0)
		disk_refresh(monitor->disk, task->disk);
	pthread_mutex_unlock(&monitor->tick_lock);
	return r;
}

/* Under tick_lock. */
static int add_source(struct tally_monitor *monitor, struct source *source, struct tally_error *err)
{
	struct watched_source *grown = reallocarray(
		monitor->sources, monitor->source_count + 1, sizeof(*monitor->sources));

	if (!grown) {
		source_close(source);
		return tally_fail(err, -ENOMEM, "cannot add a source");
	}
	monitor->sources = grown;
	monitor->sources[monitor->source_count++] = (struct watched_source){.source = source};
	return 0;
}

int monitor_add_source(
	struct tally_monitor *monitor, struct source *source, struct tally_error *err)
{
	pthread_mutex_lock(&monitor->tick_lock);
	int r = add_source(monitor, source, err);
	pthread_mutex_unlock(&monitor->tick_lock);
	return r;
}

static struct source *find_source(struct tally_monitor *monitor, const struct source_ops *ops)
{
	for (size_t i = 0; i < monitor->source_count; i++)
		if (monitor->sources[i].source->ops == ops)
			return monitor->sources[i].source;
	return NULL;
}

static int open_source(struct tally_monitor *monitor, const struct source_ops *ops,
	const char *argument, struct tally_error *err)
{
	struct source *source = ops->add ? find_source(monitor, ops) : NULL;
	int r;

	if (source)
		return ops->add(source, argument, err);
	r = ops->probe ? ops->probe(err) : 0;
	if (r == 0)
		r = ops->open(argument, &monitor->log, &source, err);
	return r < 0 ? r : add_source(monitor, source, err);
}

TALLY_API
int tally_monitor_add_source(
	struct tally_monitor *monitor, const char *spec, struct tally_error *err)
{
	const struct source_ops *ops;
	const char *argument;
	int r = source_find(spec, &ops, &argument, err);

	if (r < 0)
		return r;
	pthread_mutex_lock(&monitor->tick_lock);
	r = open_source(monitor, ops, argument, err);
	pthread_mutex_unlock(&monitor->tick_lock);
	return r < 0 ? tally_prefix(err, r, "source %s", spec) : 0;
}

static int add_pid(struct tally_monitor *monitor, const char *task, const char *process, pid_t pid,
	struct tally_error *err)
{
	struct source *source = find_source(monitor, &source_pid);
	int r = 0;

	if (!source) {
		r = source_pid_open(&source);
		if (r < 0)
			return tally_fail(err, r, "cannot follow pid %d", (int)pid);
		r = add_source(monitor, source, err);
	}
	return r < 0 ? r : source_pid_add(source, task, process, pid, err);
}

TALLY_API
int tally_monitor_add_pid(struct tally_monitor *monitor, const char *task, const char *process,
	pid_t pid, struct tally_error *err)
{
	pthread_mutex_lock(&monitor->tick_lock);
	int r = add_pid(monitor, task, process, pid, err);
	pthread_mutex_unlock(&monitor->tick_lock);
	return r;
}

/* The thread must never take a signal that the program wants. */
static int start_thread(struct tally_monitor *monitor)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int r = pthread_create(&monitor->thread, NULL, monitor_loop, monitor);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -r;
}

TALLY_API
int tally_monitor_start(struct tally_monitor *monitor, struct tally_error *err)
{
	int r = 0;

	pthread_mutex_lock(&monitor->run_lock);
	if (atomic_load(&monitor->running)) {
		r = tally_refuse(err, -EALREADY, "the monitor is running already");
	} else {
		atomic_store(&monitor->stopping, false);
		r = start_thread(monitor);
		if (r < 0)
			tally_fail(err, r, "cannot start the tick thread");
		else
			atomic_store(&monitor->running, true);
	}
	pthread_mutex_unlock(&monitor->run_lock);
	return r;
}

TALLY_API
void tally_monitor_stop(struct tally_monitor *monitor)
{
	pthread_mutex_lock(&monitor->run_lock);
	if (atomic_load(&monitor->running)) {
		atomic_store(&monitor->stopping, true);
		monitor_wake(monitor);
		pthread_join(monitor->thread, NULL);
		atomic_store(&monitor->running, false);
	}
	pthread_mutex_unlock(&monitor->run_lock);
}

TALLY_API
int tally_monitor_tick(struct tally_monitor *monitor, struct tally_error *err)
{
	pthread_mutex_lock(&monitor->tick_lock);
	int r = monitor_tick(monitor, err);
	pthread_mutex_unlock(&monitor->tick_lock);
	return r;
}

TALLY_API
const char *tally_version(void)
{
	return TALLY_VERSION;
}
