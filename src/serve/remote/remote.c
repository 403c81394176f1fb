/* SPDX-License-Identifier: Apache-2.0 */
/* The thread of remote write: a plain loop that blocks in sender_wait(). */
#include "serve/remote/remote.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fail.h"
#include "base/text.h"
#include "serve/guard.h"
#include "serve/remote/gather.h"
#include "serve/remote/queue.h"
#include "serve/remote/send.h"

#define INTERVAL_NS (15 * NS_PER_S)

/* Between two attempts: doubled from the first to the last, unless the receiver asks for more. */
#define BACKOFF_FIRST_NS (500 * NS_PER_MS)
#define BACKOFF_LAST_NS	 (60 * NS_PER_S)

/* How often it is looked whether the tick that is due has come. */
#define LOOK_LEAST_NS (5 * NS_PER_MS)
#define LOOK_MOST_NS  (250 * NS_PER_MS)

/* What may go on at the end. */
#define LINGER_NS (800 * NS_PER_MS)

/* "job" and "instance" are added to what a user names. */
#define LABELS_OF_USER_MAX 8

struct remote {
	struct remote_options options;
	char *shown;			 /* The URL, for people. */
	char *names[LABELS_OF_USER_MAX]; /* Copies of NAME=VALUE, cut at '='. */
	char host[256];
	struct gatherer gatherer;
	struct queue *queue;
	struct sender *sender;
	int64_t interval_ns;

	/* Of the thread. */
	struct queue_batch batch; /* Under way, or to be sent again; bytes NULL: none. */
	bool sending;
	int64_t due_ns;		    /* CLOCK_BOOTTIME; the first tick after it is gathered. */
	uint64_t tick_at_due, tick; /* Number of the last one seen before it; of that gathered. */
	bool waiting;		    /* It is due. */
	int64_t again_ns, backoff_ns;
	struct tally_error said; /* The last fault that was said. */
	bool said_refused, said_full, said_skipped;

	pthread_t thread;
	bool started;
	atomic_bool stopping;
	pthread_mutex_t lock; /* Guards what follows. */
	struct remote_status status;
	int64_t first_wall_ms; /* Of the oldest that waits. */
	struct secrets fresh;  /* Read again; taken over by the thread. */
	bool reloaded;
};

/* ---- what is told of it ---- */

static void count(struct remote *r, int64_t *counter, int64_t more)
{
	pthread_mutex_lock(&r->lock);
	*counter += more;
	pthread_mutex_unlock(&r->lock);
}

/* Each fault once per cause, until it is over. */
static void say_fault(struct remote *r, const struct tally_error *err)
{
	pthread_mutex_lock(&r->lock);
	r->status.failing = 1;
	pthread_mutex_unlock(&r->lock);
	if (r->said.code && strcmp(r->said.message, err->message) == 0)
		return;
	r->said = *err;
	r->said.code = r->said.code ? r->said.code : -EIO;
	log_say(r->options.log, TALLY_LOG_WARN, "%s", err->message);
}

static void say_well(struct remote *r)
{
	pthread_mutex_lock(&r->lock);
	r->status.failing = 0;
	pthread_mutex_unlock(&r->lock);
	if (!r->said.code)
		return;
	r->said.code = 0;
	log_say(r->options.log, TALLY_LOG_INFO, "remote write to %s goes on", r->shown);
}

static void publish_queue(struct remote *r)
{
	struct queue_status queue;

	queue_status(r->queue, &queue);
	pthread_mutex_lock(&r->lock);
	r->status.queue_samples = (int64_t)queue.samples;
	r->status.queue_bytes = (int64_t)queue.bytes;
	r->status.queue_limit_bytes = (int64_t)queue.bytes_limit;
	r->first_wall_ms = queue.batches ? queue.first_wall_ms : 0;
	pthread_mutex_unlock(&r->lock);
}

void remote_status(struct remote *r, struct remote_status *ret)
{
	*ret = REMOTE_STATUS_NONE;
	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	*ret = r->status;
	int64_t first_wall_ms = r->first_wall_ms;
	pthread_mutex_unlock(&r->lock);

	int64_t lag_ns = clock_wall_ns() - first_wall_ms * NS_PER_MS;
	ret->lag_ns = first_wall_ms && lag_ns > 0 ? lag_ns : 0;
}

/* ---- gathering ---- */

/* What HTTP knows of itself is told over HTTP: those counters belong to its thread. */
static void read_self(struct remote *r, const struct tally_status *monitor, struct self_status *ret)
{
	*ret = (struct self_status){.monitor = *monitor, .now_wall_ns = clock_wall_ns()};
	memset(&ret->http, 0xff, sizeof(ret->http));
	remote_status(r, &ret->remote);
}

static void skip_instant(struct remote *r)
{
	count(r, &r->status.skipped, 1);
	if (!r->said_skipped)
		log_say(r->options.log, TALLY_LOG_WARN,
			"the clock was set back: nothing goes to %s until it is past what was sent",
			r->shown);
	r->said_skipped = true;
}

static void say_full(struct remote *r)
{
	if (!r->said_full)
		log_say(r->options.log, TALLY_LOG_ERROR,
			"the queue of remote write to %s is full: the oldest samples are dropped "
			"and counted; raise --remote-write-queue",
			r->shown);
	r->said_full = true;
}

static void gather_tick(struct remote *r, const struct tally_status *monitor)
{
	int64_t wall_ms = monitor->last_tick_wall_ns / NS_PER_MS;
	struct queue_status before, after;
	struct tally_error err;
	struct self_status self;

	r->tick = monitor->ticks;
	queue_status(r->queue, &before);
	if (wall_ms <= before.last_wall_ms) {
		skip_instant(r);
		return;
	}
	r->said_skipped = false;
	read_self(r, monitor, &self);
	if (gather(&r->gatherer, r->options.monitor, &self, wall_ms, r->queue, &err) < 0) {
		count(r, &r->status.overflowed, (int64_t)r->gatherer.exposure.series);
		say_fault(r, &err);
	}
	queue_status(r->queue, &after);
	if (after.overflowed > before.overflowed) {
		count(r, &r->status.overflowed, (int64_t)(after.overflowed - before.overflowed));
		say_full(r);
	}
	publish_queue(r);
}

/* @return when to look again. */
static int64_t gather_if_due(struct remote *r, int64_t now_ns)
{
	struct tally_status monitor;

	if (now_ns < r->due_ns)
		return r->due_ns;
	tally_monitor_status(r->options.monitor, &monitor);
	if (!r->waiting) {
		r->waiting = true;
		r->tick_at_due = r->tick ? monitor.ticks : 0;
	}
	int64_t look_ns = monitor.interval_ns / 20;
	look_ns = look_ns < LOOK_LEAST_NS ? LOOK_LEAST_NS : look_ns;
	look_ns = look_ns > LOOK_MOST_NS ? LOOK_MOST_NS : look_ns;
	if (monitor.ticks == r->tick_at_due)
		return now_ns + look_ns;

	/* Due again half a tick before that of the next instant: whichever comes first then is it. */
	r->due_ns = now_ns + r->interval_ns - monitor.interval_ns / 2;
	r->waiting = false;
	gather_tick(r, &monitor);
	return r->due_ns;
}

/* ---- sending ---- */

static void forget_batch(struct remote *r)
{
	free(r->batch.bytes);
	r->batch = (struct queue_batch){0};
	r->sending = false;
}

static void drop_batch(struct remote *r)
{
	struct tally_error err;

	if (queue_drop(r->queue, &r->batch, &err) < 0)
		say_fault(r, &err);
	forget_batch(r);
	r->backoff_ns = 0;
	publish_queue(r);
}

/* As fast as before for one, twice as slow for the next; not in step with others. */
static void try_later(struct remote *r, int64_t now_ns, const struct send_outcome *outcome)
{
	int64_t wait_ns = r->backoff_ns ? 2 * r->backoff_ns : BACKOFF_FIRST_NS;

	wait_ns = wait_ns > BACKOFF_LAST_NS ? BACKOFF_LAST_NS : wait_ns;
	r->backoff_ns = wait_ns;
	wait_ns += wait_ns / 256 * (now_ns / NS_PER_US % 64);
	if (wait_ns < outcome->retry_after_ns)
		wait_ns = outcome->retry_after_ns;
	r->again_ns = now_ns + wait_ns;
	r->sending = false;
	count(r, &r->status.retries, 1);
}

static void say_refused(struct remote *r, const struct send_outcome *outcome)
{
	if (!r->said_refused)
		log_say(r->options.log, TALLY_LOG_ERROR,
			"remote write to %s refuses samples for good (%s): they are dropped and counted",
			r->shown, outcome->why);
	r->said_refused = true;
}

static void conclude(struct remote *r, int64_t now_ns, const struct send_outcome *outcome)
{
	struct tally_error err;

	count(r, &r->status.requests, 1);
	switch (outcome->result) {
	case SEND_TAKEN:
		count(r, &r->status.sent, (int64_t)r->batch.samples);
		drop_batch(r);
		r->said_refused = r->said_full = false;
		say_well(r);
		break;
	case SEND_REFUSED:
		count(r, &r->status.refused, (int64_t)r->batch.samples);
		drop_batch(r);
		say_refused(r, outcome);
		pthread_mutex_lock(&r->lock);
		r->status.failing = 1;
		pthread_mutex_unlock(&r->lock);
		break;
	default:
		try_later(r, now_ns, outcome);
		tally_refuse(&err, -EIO,
			"remote write to %s fails (%s): samples wait on disk, it is tried again",
			r->shown, outcome->why);
		say_fault(r, &err);
	}
}

static void begin_next(struct remote *r, int64_t now_ns)
{
	struct tally_error err;
	int code = r->batch.bytes ? 0 : queue_peek(r->queue, &r->batch, &err);

	if (code == 0)
		code = sender_begin(r->sender, r->batch.bytes, r->batch.length, &err);
	r->sending = code == 0;
	if (code < 0 && code != -ENOENT) {
		say_fault(r, &err);
		r->again_ns = now_ns + BACKOFF_LAST_NS;
	}
}

/* @return when there is something to do again. */
static int64_t send_on(struct remote *r, int64_t now_ns)
{
	struct send_outcome outcome;

	if (r->sending && sender_go_on(r->sender, &outcome))
		conclude(r, now_ns, &outcome);
	if (!r->sending && now_ns >= r->again_ns) {
		begin_next(r, now_ns);
		if (r->sending && sender_go_on(r->sender, &outcome)) {
			conclude(r, now_ns, &outcome);
			return now_ns;
		}
	}
	return r->sending || now_ns >= r->again_ns ? INT64_MAX : r->again_ns;
}

/* ---- the thread ---- */

static void take_token(struct remote *r)
{
	struct secrets fresh = {0};
	struct tally_error err;

	pthread_mutex_lock(&r->lock);
	if (r->reloaded && !r->sending) {
		fresh = r->fresh;
		r->fresh = (struct secrets){0};
		r->reloaded = false;
	}
	pthread_mutex_unlock(&r->lock);
	if (fresh.count && sender_set_token(r->sender, fresh.lines[0], &err) < 0)
		say_fault(r, &err);
	if (fresh.count)
		r->again_ns = 0;
	secrets_done(&fresh);
}

static bool is_empty(struct remote *r)
{
	struct queue_status status;

	queue_status(r->queue, &status);
	return status.batches == 0;
}

/* What is there is sent while the receiver takes it; what it does not take now is for the next run. */
static void flush(struct remote *r)
{
	int64_t now_ns = clock_boot_ns(), end_ns = now_ns + LINGER_NS;
	struct tally_status monitor;

	tally_monitor_status(r->options.monitor, &monitor);
	if (monitor.ticks > r->tick)
		gather_tick(r, &monitor);
	while (!is_empty(r) && now_ns < end_ns && r->again_ns <= now_ns) {
		int64_t next_ns = send_on(r, now_ns);

		if (r->sending)
			sender_wait(r->sender, (next_ns < end_ns ? next_ns : end_ns) - now_ns);
		now_ns = clock_boot_ns();
	}
}

static void *run(void *argument)
{
	struct remote *r = argument;

	prctl(PR_SET_NAME, "tally-remote");
	while (!atomic_load(&r->stopping)) {
		int64_t now_ns = clock_boot_ns();
		int64_t look_ns = gather_if_due(r, now_ns);

		take_token(r);
		int64_t next_ns = send_on(r, now_ns);
		next_ns = next_ns < look_ns ? next_ns : look_ns;
		if (next_ns > now_ns)
			sender_wait(r->sender, next_ns - now_ns);
	}
	flush(r);
	return NULL;
}

/* ---- beginning and end ---- */

static bool is_label_name(const char *name, size_t length)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";

	return length > 0 && strspn(name, letters) >= length &&
	       !(name[0] >= '0' && name[0] <= '9') && strncmp(name, "__", 2) != 0;
}

static bool is_utf8(const char *text)
{
	const char *end = text + strlen(text);

	while (text < end)
		if (text_code_point(&text, end) < 0)
			return false;
	return true;
}

int remote_check_label(const char *text, struct tally_error *err)
{
	const char *equals = strchr(text, '=');

	if (equals && equals[1] && is_label_name(text, (size_t)(equals - text)) &&
		is_utf8(equals + 1))
		return 0;
	return tally_refuse(err, -EINVAL,
		"'%.60s' is no label; write NAME=VALUE, with letters, digits and _ in the name",
		text);
}

int remote_check_url(const char *url, struct tally_error *err)
{
	return sender_check(url, NULL, err);
}

char *remote_queue_path(const char *store)
{
	char *path = NULL;

	return asprintf(&path, "%s-remote", store) < 0 ? NULL : path;
}

/* What a user named comes first: of two of one name the first counts. */
static int set_labels(struct remote *r, struct tally_error *err)
{
	struct gatherer *gatherer = &r->gatherer;

	if (r->options.label_count > LABELS_OF_USER_MAX)
		return tally_refuse(
			err, -EINVAL, "remote write takes at most %d labels", LABELS_OF_USER_MAX);
	for (size_t i = 0; i < r->options.label_count; i++) {
		int code = remote_check_label(r->options.labels[i], err);

		if (code < 0)
			return code;
		r->names[i] = strdup(r->options.labels[i]);
		if (!r->names[i])
			return tally_fail(err, -ENOMEM, "cannot keep the labels of remote write");
		char *equals = strchr(r->names[i], '=');
		*equals = '\0';
		gatherer->extra[gatherer->extra_count++] =
			(struct remote_label){r->names[i], equals + 1};
	}
	if (gethostname(r->host, sizeof(r->host) - 1) < 0 || !is_utf8(r->host))
		strcpy(r->host, "localhost");
	gatherer->extra[gatherer->extra_count++] = (struct remote_label){"instance", r->host};
	gatherer->extra[gatherer->extra_count++] = (struct remote_label){"job", "tally"};
	return 0;
}

static int read_token(const struct remote *r, struct secrets *ret, struct tally_error *err)
{
	return r->options.token_path ? secrets_read(r->options.token_path, ret, err) : 0;
}

static void set_interval(struct remote *r)
{
	struct tally_status monitor;

	tally_monitor_status(r->options.monitor, &monitor);
	r->interval_ns = r->options.interval_ns ? r->options.interval_ns : INTERVAL_NS;
	if (r->interval_ns < monitor.interval_ns)
		r->interval_ns = monitor.interval_ns;
}

static int open_all(struct remote *r, struct tally_error *err)
{
	CLEANUP(secrets_done) struct secrets secrets = {0};
	int code = sender_check(r->options.url, &r->shown, err);

	if (code == 0)
		code = set_labels(r, err);
	if (code == 0)
		code = read_token(r, &secrets, err);
	if (code == 0)
		code = sender_open(r->options.url, r->options.ca_path, &r->sender, err);
	if (code == 0 && secrets.count)
		code = sender_set_token(r->sender, secrets.lines[0], err);
	if (code == 0)
		code = queue_open(r->options.queue_path, r->options.queue_bytes, r->options.log,
			&r->queue, err);
	set_interval(r);
	return code;
}

/* Signals are for the main thread. */
static int start_thread(struct remote *r, struct tally_error *err)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int code = -pthread_create(&r->thread, NULL, run, r);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	r->started = code == 0;
	return code < 0 ? tally_fail(err, code, "cannot start the thread of remote write") : 0;
}

int remote_start(const struct remote_options *options, struct remote **ret, struct tally_error *err)
{
	struct remote *r = calloc(1, sizeof(*r));

	if (!r)
		return tally_fail(err, -ENOMEM, "cannot start remote write");
	r->options = *options;
	r->gatherer.exposure.limit = options->series_limit;
	pthread_mutex_init(&r->lock, NULL);
	int code = open_all(r, err);
	if (code == 0) {
		publish_queue(r);
		code = start_thread(r, err);
	}
	if (code < 0) {
		remote_stop(r);
		return code;
	}
	*ret = r;
	return 0;
}

int remote_reload(struct remote *r, struct tally_error *err)
{
	struct secrets fresh = {0};
	int code = read_token(r, &fresh, err);

	if (code < 0)
		return code;
	pthread_mutex_lock(&r->lock);
	secrets_done(&r->fresh);
	r->fresh = fresh;
	r->reloaded = true;
	pthread_mutex_unlock(&r->lock);
	sender_wake(r->sender);
	return 0;
}

struct remote *remote_stop(struct remote *r)
{
	if (!r)
		return NULL;
	if (r->started) {
		atomic_store(&r->stopping, true);
		sender_wake(r->sender);
		pthread_join(r->thread, NULL);
	}
	forget_batch(r);
	sender_close(r->sender);
	queue_close(r->queue);
	gatherer_done(&r->gatherer);
	secrets_done(&r->fresh);
	for (size_t i = 0; i < LABELS_OF_USER_MAX; i++)
		free(r->names[i]);
	free(r->shown);
	pthread_mutex_destroy(&r->lock);
	free(r);
	return NULL;
}
