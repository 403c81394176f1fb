/* SPDX-License-Identifier: Apache-2.0 */
#include "source/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/fail.h"
#include "base/hash.h"

#define CHANGES                                                                                    \
	(IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_MODIFY | IN_DELETE_SELF |        \
		IN_MOVE_SELF | IN_ONLYDIR)

/* A queue has at most 16,384 events; who writes faster than we read is heard the next time. */
#define DRAIN_READS 64

/* A directory, and whose flags it sets. */
struct watched {
	int number; /* inotify's own; never used twice. */
	bool **flags;
	size_t count;
	UT_hash_handle hh;
};

struct watch {
	const struct log *log;
	int inotify, timer, epoll;
	bool muted; /* inotify is not polled until the timer fires. */
	bool said_full;
	int64_t due_ns; /* CLOCK_BOOTTIME at which the timer fires; 0: it does not run. */
	struct watched *watched;
};

static int open_all(struct watch *watch)
{
	struct epoll_event event = {.events = EPOLLIN};

	watch->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (watch->inotify < 0)
		return -errno;
	watch->timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	watch->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (watch->timer < 0 || watch->epoll < 0 ||
		epoll_ctl(watch->epoll, EPOLL_CTL_ADD, watch->inotify, &event) < 0 ||
		epoll_ctl(watch->epoll, EPOLL_CTL_ADD, watch->timer, &event) < 0)
		return -errno;
	return 0;
}

int watch_open(const struct log *log, struct watch **ret, struct tally_error *err)
{
	struct watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return tally_fail(err, -ENOMEM, "cannot watch for changes");
	*watch = (struct watch){.log = log, .inotify = -1, .timer = -1, .epoll = -1};

	int r = open_all(watch);
	if (r < 0) {
		watch_close(watch);
		return tally_fail(err, r, "cannot watch for changes");
	}
	*ret = watch;
	return 0;
}

static void forget(struct watch *watch, struct watched *watched)
{
	HASH_DEL(watch->watched, watched);
	free(watched->flags);
	free(watched);
}

struct watch *watch_close(struct watch *watch)
{
	struct watched *watched, *next;

	if (!watch)
		return NULL;
	HASH_ITER (hh, watch->watched, watched, next)
		forget(watch, watched);
	cleanup_close(&watch->inotify);
	cleanup_close(&watch->timer);
	cleanup_close(&watch->epoll);
	free(watch);
	return NULL;
}

int watch_fd(const struct watch *watch)
{
	return watch->epoll;
}

static void say_full(struct watch *watch)
{
	if (watch->said_full)
		return;
	watch->said_full = true;
	log_say(watch->log, TALLY_LOG_WARN,
		"no more directories can be watched for changes: they are seen some seconds later; "
		"raise fs.inotify.max_user_watches");
}

static struct watched *find_or_add(struct watch *watch, int number)
{
	struct watched *watched;

	HASH_FIND_INT(watch->watched, &number, watched);
	if (watched)
		return watched;
	watched = calloc(1, sizeof(*watched));
	if (!watched)
		return NULL;
	watched->number = number;
	HASH_ADD_INT(watch->watched, number, watched);
	if (!watched->hh.tbl) {
		free(watched);
		return NULL;
	}
	return watched;
}

static int add_flag(struct watched *watched, bool *flag)
{
	bool **grown = reallocarray(watched->flags, watched->count + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	watched->flags = grown;
	watched->flags[watched->count++] = flag;
	return 0;
}

/* By its descriptor, so that no symbolic link can come between. */
int watch_add(struct watch *watch, int dir, bool *flag)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", dir);
	int number = inotify_add_watch(watch->inotify, path, CHANGES);
	if (number < 0) {
		int r = -errno;

		if (r == -ENOSPC)
			say_full(watch);
		return r;
	}

	struct watched *watched = find_or_add(watch, number);
	if (watched && add_flag(watched, flag) == 0)
		return number;
	if (!watched || !watched->count)
		inotify_rm_watch(watch->inotify, number);
	if (watched && !watched->count)
		forget(watch, watched);
	return -ENOMEM;
}

bool watch_lives(const struct watch *watch, int number)
{
	struct watched *watched;

	HASH_FIND_INT(watch->watched, &number, watched);
	return watched;
}

void watch_remove(struct watch *watch, int number, bool *flag)
{
	struct watched *watched;

	HASH_FIND_INT(watch->watched, &number, watched);
	if (!watched)
		return;
	for (size_t i = 0; i < watched->count; i++)
		if (watched->flags[i] == flag) {
			watched->flags[i] = watched->flags[--watched->count];
			break;
		}
	if (watched->count)
		return;
	forget(watch, watched);
	inotify_rm_watch(watch->inotify, number);
}

static void set_flags(struct watched *watched)
{
	for (size_t i = 0; i < watched->count; i++)
		*watched->flags[i] = true;
}

static void set_all(struct watch *watch)
{
	struct watched *watched, *next;

	HASH_ITER (hh, watch->watched, watched, next)
		set_flags(watched);
}

/* A watch that the kernel ended (IN_IGNORED: its directory is gone) is forgotten. */
static int take_event(struct watch *watch, const struct inotify_event *event)
{
	struct watched *watched;

	if (event->mask & IN_Q_OVERFLOW) {
		set_all(watch);
		return 2;
	}
	HASH_FIND_INT(watch->watched, &event->wd, watched);
	if (!watched)
		return 0;
	set_flags(watched);
	if (event->mask & IN_IGNORED)
		forget(watch, watched);
	return 1;
}

static void poll_inotify(struct watch *watch, bool yes)
{
	struct epoll_event event = {.events = yes ? EPOLLIN : 0};

	if (epoll_ctl(watch->epoll, EPOLL_CTL_MOD, watch->inotify, &event) == 0)
		watch->muted = !yes;
}

void watch_call_again(struct watch *watch, int64_t after_ns)
{
	int64_t due_ns = clock_boot_ns() + (after_ns > 0 ? after_ns : 1);
	struct itimerspec when = {.it_value = {due_ns / NS_PER_S, due_ns % NS_PER_S}};

	if (watch->due_ns && watch->due_ns <= due_ns)
		return;
	if (timerfd_settime(watch->timer, TFD_TIMER_ABSTIME, &when, NULL) == 0)
		watch->due_ns = due_ns;
}

static void take_timer(struct watch *watch)
{
	uint64_t expired;

	if (read(watch->timer, &expired, sizeof(expired)) != sizeof(expired))
		return;
	watch->due_ns = 0;
	if (watch->muted)
		poll_inotify(watch, true);
}

int watch_drain(struct watch *watch)
{
	_Alignas(struct inotify_event) char buffer[16384];
	int result = 0;

	take_timer(watch);
	for (int i = 0; i < DRAIN_READS; i++) {
		ssize_t got = read(watch->inotify, buffer, sizeof(buffer));

		if (got <= 0)
			break;
		for (char *at = buffer; at < buffer + got;) {
			const struct inotify_event *event = (const struct inotify_event *)at;
			int r = take_event(watch, event);

			result = r > result ? r : result;
			at += sizeof(*event) + event->len;
		}
	}
	if (result && !watch->muted) {
		poll_inotify(watch, false);
		watch_call_again(watch, WATCH_QUIET_NS);
	}
	return result;
}
