/* SPDX-License-Identifier: Apache-2.0 */
#include "source/pidfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/fail.h"
#include "base/file.h"
#include "base/parse.h"
#include "source/anchor.h"
#include "source/daemons.h"
#include "source/folder.h"
#include "source/registry.h"

#define POLL_NS (5 * NS_PER_S)
#define SUFFIX	".pid"

/* A directory, or one file in it. */
struct place {
	struct anchor anchor;
	struct folder folder; /* The anchor itself. */
	char *only;	      /* Name of the one file, or NULL. */
};

struct source_pidfiles {
	struct source source;
	const struct log *log;
	struct daemons *daemons;
	struct watch *watch; /* NULL: nothing can be heard. */
	struct place **places;
	size_t place_count;
	int64_t poll_ns, next_poll_ns;
};

static struct source_pidfiles *pidfiles_of(struct source *source)
{
	return (struct source_pidfiles *)source;
}

int pidfile_parse(const char *text, size_t length, pid_t *ret)
{
	struct cursor c = cursor_of(text, length), line;
	uint64_t pid;

	if (!cursor_line(&c, &line) || !cursor_u64(&line, &pid) || pid == 0 || pid > INT32_MAX)
		return -EINVAL;
	cursor_skip_blank(&line);
	if (line.at < line.end && *line.at != '\r')
		return -EINVAL;
	*ret = (pid_t)pid;
	return 0;
}

static void place_free(struct source_pidfiles *s, struct place *place)
{
	folder_done(&place->folder, s->watch);
	anchor_done(&place->anchor);
	free(place->only);
	free(place);
}

static void close_source(struct source *source)
{
	struct source_pidfiles *s = pidfiles_of(source);

	for (size_t i = 0; i < s->place_count; i++)
		place_free(s, s->places[i]);
	free(s->places);
	watch_close(s->watch);
	daemons_free(s->daemons);
	free(s);
}

/* A path that ends in ".pid", or is a file, means that file; its directory is watched. */
static bool names_file(const char *path)
{
	struct stat st;
	size_t length = strlen(path);

	if (stat(path, &st) == 0)
		return !S_ISDIR(st.st_mode);
	return length > strlen(SUFFIX) && strcmp(path + length - strlen(SUFFIX), SUFFIX) == 0;
}

static int place_init(struct place *place, const char *path, struct tally_error *err)
{
	CLEANUP_FREE char *copy = strdup(path);
	const char *folder = path;

	if (copy && names_file(path)) {
		char *slash = strrchr(copy, '/');

		place->only = strdup(slash ? slash + 1 : path);
		if (slash)
			slash[slash == copy] = 0;
		folder = slash ? copy : ".";
	}
	folder_init(&place->folder, strdup("."));
	if (!copy || !place->folder.path || (folder != path && !place->only))
		return tally_fail(err, -ENOMEM, "cannot watch %s", path);
	return anchor_init(&place->anchor, folder, err);
}

static int add_place(struct source *source, const char *path, struct tally_error *err)
{
	struct source_pidfiles *s = pidfiles_of(source);
	struct place **grown = reallocarray(s->places, s->place_count + 1, sizeof(struct place *));
	struct place *place = calloc(1, sizeof(*place));

	if (grown)
		s->places = grown;
	if (!grown || !place) {
		free(place);
		return tally_fail(err, -ENOMEM, "cannot watch %s", path);
	}
	place->anchor.fd = -1;
	int r = place_init(place, path, err);
	if (r < 0) {
		place_free(s, place);
		return r;
	}
	s->places[s->place_count++] = place;
	s->next_poll_ns = 0;
	return 0;
}

int pidfile_open(const char *path, const struct daemon_options *options, struct source **ret,
	struct tally_error *err)
{
	struct source_pidfiles *s = calloc(1, sizeof(*s));
	struct tally_error deaf;

	if (!s)
		return tally_fail(err, -ENOMEM, "cannot watch %s", path);
	s->source.ops = &source_pidfile;
	s->log = options->log;
	s->poll_ns = options->poll_ns ? options->poll_ns : POLL_NS;
	int r = daemons_new(
		"pidfile", options->procfs ? options->procfs : "/proc", s->log, &s->daemons, err);
	if (r == 0)
		r = add_place(&s->source, path, err);
	if (r < 0) {
		close_source(&s->source);
		return r;
	}
	if (watch_open(s->log, &s->watch, &deaf) < 0)
		log_say(s->log, TALLY_LOG_WARN, "pidfile: %s; changes are seen after 5 s",
			deaf.message);
	*ret = &s->source;
	return 0;
}

static bool read_pid(int dir, const char *name, struct daemon_claim *claim)
{
	char text[64];
	struct stat st;
	CLEANUP_CLOSE int fd = open_beneath(dir, name, O_RDONLY | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	ssize_t length = file_pread(fd, text, sizeof(text));
	if (length < 0 || pidfile_parse(text, (size_t)length, &claim->pid) < 0)
		return false;
	claim->written_wall_ns = st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec;
	claim->writer = st.st_uid;
	return true;
}

/* A file that holds no pid (not yet, or it never will) is no daemon. */
static void claim_file(struct source_pidfiles *s, int dir, const char *name)
{
	char id[NAME_MAX + 1];
	size_t length = strnlen(name, NAME_MAX), suffix = strlen(SUFFIX);
	struct daemon_claim claim = {.id = id};

	if (!read_pid(dir, name, &claim))
		return;
	memcpy(id, name, length);
	if (length > suffix && memcmp(name + length - suffix, SUFFIX, suffix) == 0)
		length -= suffix;
	id[length] = 0;
	daemons_claim(s->daemons, &claim);
}

static int take_entry(void *context, int dir, const char *name, unsigned char type)
{
	size_t length = strlen(name), suffix = strlen(SUFFIX);

	if (name[0] != '.' && length > suffix && strcmp(name + length - suffix, SUFFIX) == 0)
		claim_file(context, dir, name);
	return 0;
}

/* @return false: what there is cannot be told now. */
static bool look_at(struct source_pidfiles *s, struct place *place)
{
	int dir, r;

	anchor_look(&place->anchor, "pidfile", s->log);
	place->folder.settled = false; /* Its files may change without it. */
	r = folder_look(&place->folder, place->anchor.fd, s->watch, &dir);
	if (r == -ENOENT)
		return true;
	if (r < 0)
		return false;
	if (!place->only)
		return folder_list(&place->folder, dir, take_entry, s) == 0;
	claim_file(s, dir, place->only);
	close(dir);
	return true;
}

static int refresh(struct source *source, struct tally_error *err)
{
	struct source_pidfiles *s = pidfiles_of(source);
	int64_t now_ns = clock_boot_ns();
	int heard = s->watch ? watch_drain(s->watch) : 0;
	bool all = true;

	if (!heard && now_ns < s->next_poll_ns)
		return 0;
	s->next_poll_ns = now_ns + s->poll_ns;
	daemons_begin(s->daemons);
	for (size_t i = 0; i < s->place_count; i++)
		all = look_at(s, s->places[i]) && all;
	if (!all)
		daemons_claim_again(s->daemons);
	return daemons_end(s->daemons);
}

static void list(struct source *source, source_task_fn *visit, void *context)
{
	daemons_list(pidfiles_of(source)->daemons, visit, context);
}

static int fd_of(struct source *source)
{
	return pidfiles_of(source)->watch ? watch_fd(pidfiles_of(source)->watch) : -1;
}

static int open_pidfile(
	const char *argument, const struct log *log, struct source **ret, struct tally_error *err)
{
	const struct daemon_options options = {.log = log};

	return pidfile_open(*argument ? argument : "/run", &options, ret, err);
}

const struct source_ops source_pidfile = {
	.name = "pidfile",
	.summary = "daemons that write their pid into a file",
	.usage = "pidfile:DIR",
	.open = open_pidfile,
	.add = add_place,
	.close = close_source,
	.refresh = refresh,
	.list = list,
	.fd = fd_of,
};
