/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/prefix.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/fail.h"
#include "base/text.h"
#include "cli/terminal.h"

/* One end of a pipe, and the line that is not complete yet. */
struct stream {
	size_t process;
	int read_fd, write_fd; /* -1: closed. */
	int to;		       /* Where its lines go. */
	size_t used;
	char *line;
};

struct prefix {
	const char *const *names;
	size_t count, width; /* Of the widest name. */
	size_t stream_count;
	struct stream *streams; /* One or two per process. */
	size_t per_process;
	struct pollfd *polled;
	int stop[2]; /* A pipe: its end is the thread's. */
	bool started;
	pthread_t thread;
	atomic_bool broken;
	pthread_mutex_t writing; /* Held for a line. */
};

static const char *const colours[] = {
	"\x1b[36m", "\x1b[33m", "\x1b[32m", "\x1b[35m", "\x1b[34m", "\x1b[31m"};

static bool is_same_file(int a, int b)
{
	struct stat first, second;

	return fstat(a, &first) == 0 && fstat(b, &second) == 0 && first.st_dev == second.st_dev &&
	       first.st_ino == second.st_ino && first.st_rdev == second.st_rdev;
}

static int stream_init(struct stream *stream, size_t process, int to)
{
	int ends[2];

	*stream = (struct stream){.process = process, .read_fd = -1, .write_fd = -1, .to = to};
	stream->line = malloc(PREFIX_LINE_MAX);
	if (!stream->line)
		return -ENOMEM;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	stream->read_fd = ends[0];
	stream->write_fd = ends[1];
	/* Ours alone: what a process gets must block as it expects. */
	return fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static void release(struct prefix *prefix)
{
	for (size_t i = 0; i < prefix->stream_count; i++) {
		cleanup_close(&prefix->streams[i].read_fd);
		cleanup_close(&prefix->streams[i].write_fd);
		free(prefix->streams[i].line);
	}
	pthread_mutex_destroy(&prefix->writing);
	cleanup_close(&prefix->stop[0]);
	cleanup_close(&prefix->stop[1]);
	free(prefix->streams);
	free(prefix->polled);
	free(prefix);
}

static int make_streams(struct prefix *prefix)
{
	size_t count = prefix->count * prefix->per_process;
	int r = 0;

	prefix->streams = calloc(count, sizeof(*prefix->streams));
	prefix->polled = calloc(count + 1, sizeof(*prefix->polled));
	if (!prefix->streams || !prefix->polled)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < count; i++) {
		bool errors = i % prefix->per_process == 1;

		r = stream_init(&prefix->streams[i], i / prefix->per_process,
			errors ? STDERR_FILENO : STDOUT_FILENO);
		prefix->stream_count++;
	}
	return r == 0 && pipe2(prefix->stop, O_CLOEXEC) < 0 ? -errno : r;
}

int prefix_new(const char *const *names, size_t count, struct prefix **ret, struct tally_error *err)
{
	struct prefix *prefix = calloc(1, sizeof(*prefix));

	if (!prefix)
		return tally_fail(err, -ENOMEM, "cannot take in the output of processes");
	prefix->names = names;
	prefix->count = count;
	pthread_mutex_init(&prefix->writing, NULL);
	prefix->stop[0] = prefix->stop[1] = -1;
	prefix->per_process = is_same_file(STDOUT_FILENO, STDERR_FILENO) ? 1 : 2;
	prefix->width = strlen("tally");
	for (size_t i = 0; i < count; i++)
		if (strlen(names[i]) > prefix->width)
			prefix->width = strlen(names[i]);
	int r = make_streams(prefix);
	if (r < 0) {
		release(prefix);
		return tally_fail(err, r, "cannot take in the output of processes");
	}
	*ret = prefix;
	return 0;
}

int prefix_output(const struct prefix *prefix, size_t i)
{
	return prefix->streams[i * prefix->per_process].write_fd;
}

int prefix_errors(const struct prefix *prefix, size_t i)
{
	return prefix->streams[i * prefix->per_process + prefix->per_process - 1].write_fd;
}

/* "web    | ", coloured where the terminal likes it. */
static size_t put_name(const struct prefix *prefix, size_t process, int to, char *out, size_t size)
{
	const struct style *style = terminal_style(to);
	bool coloured = *style->off != '\0', ours = process == SIZE_MAX;

	int n = snprintf(out, size, "%s%-*s |%s ",
		!coloured ? ""
		: ours	  ? style->bold
			  : colours[process % ARRAY_SIZE(colours)],
		(int)prefix->width, ours ? "tally" : prefix->names[process], style->off);
	return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}

/* All of it, unless nobody reads it. */
static bool write_all(int fd, struct iovec *parts, int count)
{
	while (count > 0) {
		ssize_t wrote = writev(fd, parts, count);

		if (wrote < 0 && errno == EAGAIN) {
			poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
			continue;
		}
		if (wrote < 0 && errno != EINTR)
			return false;
		size_t left = wrote > 0 ? (size_t)wrote : 0;
		while (count > 0 && left >= parts->iov_len) {
			left -= parts->iov_len;
			parts++;
			count--;
		}
		if (count > 0) {
			parts->iov_base = (char *)parts->iov_base + left;
			parts->iov_len -= left;
		}
	}
	return true;
}

/* Neither thread waits for the other when that is stuck because nobody reads us. */
static bool take_turn(struct prefix *prefix)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec++;
	return pthread_mutex_timedlock(&prefix->writing, &until) == 0;
}

static void write_line(
	struct prefix *prefix, size_t process, int to, const char *line, size_t length)
{
	char name[256];
	struct iovec parts[] = {
		{name, put_name(prefix, process, to, name, sizeof(name))},
		{(char *)line, length},
		{(char *)"\n", 1},
	};

	bool ours = take_turn(prefix);

	if (!write_all(to, parts, ARRAY_SIZE(parts)) && to == STDOUT_FILENO)
		atomic_store(&prefix->broken, true);
	if (ours)
		pthread_mutex_unlock(&prefix->writing);
}

static void write_lines(struct prefix *prefix, struct stream *stream)
{
	char *at = stream->line, *end = stream->line + stream->used, *newline;

	while ((newline = memchr(at, '\n', (size_t)(end - at)))) {
		write_line(prefix, stream->process, stream->to, at, (size_t)(newline - at));
		at = newline + 1;
	}
	if (at == stream->line && stream->used == PREFIX_LINE_MAX) {
		write_line(prefix, stream->process, stream->to, at, stream->used);
		at = end;
	}
	stream->used = (size_t)(end - at);
	memmove(stream->line, at, stream->used);
}

static void end_stream(struct prefix *prefix, struct stream *stream)
{
	if (stream->used > 0)
		write_line(prefix, stream->process, stream->to, stream->line, stream->used);
	stream->used = 0;
	close(stream->read_fd);
	stream->read_fd = -1;
}

static void read_stream(struct prefix *prefix, struct stream *stream)
{
	ssize_t got =
		read(stream->read_fd, stream->line + stream->used, PREFIX_LINE_MAX - stream->used);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		end_stream(prefix, stream);
		return;
	}
	stream->used += (size_t)got;
	write_lines(prefix, stream);
}

/* @return how many are still open. */
static size_t poll_streams(struct prefix *prefix)
{
	size_t open = 0;

	for (size_t i = 0; i < prefix->stream_count; i++) {
		prefix->polled[i] =
			(struct pollfd){.fd = prefix->streams[i].read_fd, .events = POLLIN};
		open += prefix->streams[i].read_fd >= 0;
	}
	prefix->polled[prefix->stream_count] =
		(struct pollfd){.fd = prefix->stop[0], .events = POLLIN};
	if (open > 0)
		poll(prefix->polled, prefix->stream_count + 1, -1);
	return open;
}

static void *body(void *context)
{
	struct prefix *prefix = context;

	while (poll_streams(prefix) > 0) {
		bool some = false;

		for (size_t i = 0; i < prefix->stream_count; i++)
			if (prefix->polled[i].fd >= 0 && prefix->polled[i].revents) {
				read_stream(prefix, &prefix->streams[i]);
				some = true;
			}
		if (!some && prefix->polled[prefix->stream_count].revents)
			break; /* All that there was has been read. */
	}
	for (size_t i = 0; i < prefix->stream_count; i++)
		if (prefix->streams[i].read_fd >= 0)
			end_stream(prefix, &prefix->streams[i]);
	return NULL;
}

int prefix_start(struct prefix *prefix, struct tally_error *err)
{
	sigset_t all, before;

	for (size_t i = 0; i < prefix->stream_count; i++) {
		close(prefix->streams[i].write_fd);
		prefix->streams[i].write_fd = -1;
	}
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int r = -pthread_create(&prefix->thread, NULL, body, prefix);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	prefix->started = r == 0;
	return r < 0 ? tally_fail(err, r, "cannot start a thread for the output") : 0;
}

void prefix_say(struct prefix *prefix, size_t i, const char *text)
{
	char shown[512];

	text_show(shown, sizeof(shown), text);
	write_line(prefix, i, STDERR_FILENO, shown, strlen(shown));
}

bool prefix_broken(struct prefix *prefix)
{
	return atomic_load(&prefix->broken);
}

void prefix_free(struct prefix *prefix, int64_t patience_ns)
{
	struct timespec until;

	if (!prefix)
		return;
	if (prefix->started) {
		close(prefix->stop[1]);
		prefix->stop[1] = -1;
		int64_t until_ns = clock_wall_ns() + patience_ns;
		until.tv_sec = until_ns / NS_PER_S;
		until.tv_nsec = until_ns % NS_PER_S;
		if (pthread_timedjoin_np(prefix->thread, NULL, &until) != 0)
			return; /* It is stuck in a write; the end of the program ends it. */
	}
	release(prefix);
}
