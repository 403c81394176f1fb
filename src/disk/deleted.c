/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/deleted.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/parse.h"
#include "disk/links.h"
#include "disk/scan.h"

enum {
	INODES_MOST = 1 << 20,
	HELD_MOST = 1 << 20, /* Descriptors of the whole machine. */
	STAT_SIZE = 1024,
};

/* A start time from /proc is exact to a clock tick. */
#define START_TOLERANCE_NS (10 * NS_PER_MS)

struct holders {
	size_t count;
	struct disk_holder items[];
};

struct listed {
	struct disk_deleted file; /* Its name is not used, but: */
	char *name;		  /* Or NULL. */
};

struct deleted_list {
	int64_t left_out;
	size_t count;
	struct listed items[DELETED_LISTED];
};

struct deleted_look {
	dev_t device; /* Of the sandbox. */
	struct deleted_sum sum;
	struct deleted_list *list;
	size_t lightest; /* In a full list. */
	struct links inodes;

	size_t at; /* The holder that is looked at. */
	int proc;  /* Its /proc/PID; -1: none is open. */
	bool sure; /* That this is it, and no other with its pid. */
	struct scan scan;
};

/* -- what there was found --------------------------------------------------------------------- */

static void list_free(struct deleted_list *list)
{
	if (!list)
		return;
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i].name);
	free(list);
}

static size_t find_lightest(const struct deleted_list *list)
{
	size_t lightest = 0;

	for (size_t i = 1; i < list->count; i++)
		if (list->items[i].file.bytes < list->items[lightest].file.bytes)
			lightest = i;
	return lightest;
}

static void list_add(struct deleted_look *look, const struct disk_deleted *file)
{
	struct deleted_list *list = look->list;
	size_t at = list->count;

	if (at == DELETED_LISTED) {
		at = look->lightest;
		list->left_out++;
		if (file->bytes <= list->items[at].file.bytes)
			return;
		free(list->items[at].name);
	} else {
		list->count++;
	}
	list->items[at] =
		(struct listed){.file = *file, .name = file->name ? strdup(file->name) : NULL};
	if (list->count == DELETED_LISTED)
		look->lightest = find_lightest(list);
}

static int by_weight(const void *a, const void *b)
{
	const struct disk_deleted *x = &((const struct listed *)a)->file;
	const struct disk_deleted *y = &((const struct listed *)b)->file;

	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? 1 : -1;
	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return x->pid != y->pid ? (x->pid < y->pid ? -1 : 1) : x->fd - y->fd;
}

static void count_file(struct deleted_look *look, const struct disk_deleted *file)
{
	struct link *link = links_add(&look->inodes, file->ino);

	if (!link) {
		look->sum.code = -E2BIG;
		return;
	}
	if (link->names++ == 0) {
		look->sum.bytes += file->bytes;
		look->sum.files++;
	}
	list_add(look, file);
}

/* -- one descriptor --------------------------------------------------------------------------- */

/*
 * "PID (COMM) S PPID …": COMM may hold anything, so that the last ')' ends it. The start time is
 * the 20th word after it, in clock ticks since boot.
 */
static bool read_stat(int proc, char *ret_state, int64_t *ret_start_ns)
{
	char text[STAT_SIZE];
	ssize_t length = file_read_at(proc, "stat", text, sizeof(text));
	const char *end = length > 0 ? memrchr(text, ')', (size_t)length) : NULL;
	uint64_t ticks;

	if (!end)
		return false;
	struct cursor cursor = cursor_of(end + 1, (size_t)(text + length - end - 1));
	cursor_skip_blank(&cursor);
	*ret_state = cursor.at < cursor.end ? *cursor.at : '?';
	if (!cursor_skip_words(&cursor, 19) || !cursor_u64(&cursor, &ticks))
		return false;
	*ret_start_ns = (int64_t)ticks * (NS_PER_S / sysconf(_SC_CLK_TCK));
	return true;
}

/* The folder that is open is of one process alone, whoever has its number later. */
static bool is_holder(struct deleted_look *look, const struct disk_holder *holder)
{
	int64_t start_ns;
	char state;

	if (!look->sure && holder->start_ns)
		look->sure = read_stat(look->proc, &state, &start_ns) &&
			     llabs(start_ns - holder->start_ns) <= START_TOLERANCE_NS;
	return look->sure || !holder->start_ns;
}

/* Of a link to it; attributes that the kernel has will do: no server is asked. */
static int stat_file(int proc, const char *link, struct disk_deleted *ret, dev_t *ret_device)
{
	unsigned mask = STATX_NLINK | STATX_INO | STATX_BLOCKS | STATX_SIZE;
	struct statx stat;

	if (statx(proc, link, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, mask, &stat) < 0)
		return -errno;
	*ret_device = makedev(stat.stx_dev_major, stat.stx_dev_minor);
	ret->ino = stat.stx_ino;
	ret->bytes = (int64_t)stat.stx_blocks * 512;
	ret->size = (int64_t)stat.stx_size;
	return stat.stx_nlink ? -ENOENT : 0;
}

static const char deleted_mark[] = " (deleted)";

/* "/var/log/x (deleted)" without that. False: it has a name yet. */
static bool cut_mark(char *text, size_t length)
{
	size_t mark = sizeof(deleted_mark) - 1;

	if (length < mark || memcmp(text + length - mark, deleted_mark, mark) != 0)
		return false;
	text[length - mark] = '\0';
	return true;
}

/* -- as the kernel lists them ----------------------------------------------------------------- */

void held_files_done(struct held_files *files)
{
	free(files->items);
	files->items = NULL;
	files->count = files->room = 0;
}

static int take_held(void *context, const struct disk_held *held)
{
	struct held_files *files = context;

	if (files->count == HELD_MOST)
		return -E2BIG;
	if (files->count == files->room) {
		size_t room = files->room ? files->room * 2 : 64;
		struct disk_held *items = reallocarray(files->items, room, sizeof(*items));

		if (!items)
			return -ENOMEM;
		files->items = items;
		files->room = room;
	}
	files->items[files->count++] = *held;
	return 0;
}

static int by_pid(const void *a, const void *b)
{
	const struct disk_held *x = a, *y = b;

	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

/* Is there a list young enough? Where the kernel cannot, it is not asked again. */
static bool ask_kernel(struct held_files *files)
{
	int64_t now_ns = clock_boot_ns();

	if (!files->ask)
		return false;
	if (files->asked_ns && now_ns - files->asked_ns < files->fresh_ns)
		return true;
	files->count = 0;
	if (files->ask(files->context, take_held, files) < 0) {
		files->ask = NULL;
		held_files_done(files);
		return false;
	}
	files->asked_ns = now_ns;
	if (files->count)
		qsort(files->items, files->count, sizeof(*files->items), by_pid);
	return true;
}

static size_t first_of(const struct held_files *files, pid_t pid)
{
	size_t low = 0, high = files->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (files->items[middle].pid < pid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void look_at_held(
	struct deleted_look *look, const struct disk_holder *holder, const struct disk_held *held)
{
	struct disk_deleted file = {.holder = holder->tag, .pid = held->pid, .fd = held->fd};
	char link[64], name[PATH_MAX + sizeof(deleted_mark)];
	dev_t device;

	/* A thread may have descriptors of its own. */
	if (held->thread == held->pid)
		snprintf(link, sizeof(link), "fd/%d", held->fd);
	else
		snprintf(link, sizeof(link), "task/%d/fd/%d", held->thread, held->fd);
	int r = stat_file(look->proc, link, &file, &device);
	if (r == -EACCES || r == -EPERM) {
		device = held->device;
		file.ino = held->ino;
		file.bytes = held->blocks * 512;
		file.size = held->size;
		r = 0;
	}
	if (r < 0 || device != look->device || !is_holder(look, holder))
		return;
	ssize_t length = readlinkat(look->proc, link, name, sizeof(name));
	if (length > 0 && cut_mark(name, (size_t)length))
		file.name = name;
	count_file(look, &file);
}

static void look_at_listed(
	struct deleted_look *look, const struct disk_holder *holder, const struct held_files *files)
{
	size_t from = first_of(files, holder->pid);

	for (size_t i = from; i < files->count && files->items[i].pid == holder->pid; i++)
		look_at_held(look, holder, &files->items[i]);
}

/* -- as /proc lists them ---------------------------------------------------------------------- */

struct descriptor_visit {
	struct deleted_look *look;
	const struct disk_holder *holder;
};

static int look_at_descriptor(void *context, const char *descriptor, uint64_t ino)
{
	struct descriptor_visit *visit = context;
	struct deleted_look *look = visit->look;
	struct disk_deleted file = {
		.holder = visit->holder->tag, .pid = visit->holder->pid, .fd = atoi(descriptor)};
	char name[PATH_MAX + sizeof(deleted_mark)];
	dev_t device;

	ssize_t length = readlinkat(look->scan.dir, descriptor, name, sizeof(name));
	if (length <= 0 || !cut_mark(name, (size_t)length))
		return 0;
	file.name = name;
	if (stat_file(look->scan.dir, descriptor, &file, &device) == 0 && device == look->device &&
		is_holder(look, visit->holder))
		count_file(look, &file);
	return 0;
}

/* What has no descriptors any more need not be allowed to be read. */
static bool is_dead(int proc)
{
	int64_t start_ns;
	char state;

	return !read_stat(proc, &state, &start_ns) || state == 'Z' || state == 'X';
}

/* 1: there are descriptors to be read; 0: there are none. */
static int open_descriptors(struct deleted_look *look)
{
	int fd = openat(look->proc, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0) {
		if ((errno == EACCES || errno == EPERM) && !is_dead(look->proc))
			look->sum.code = -EACCES;
		return 0;
	}
	scan_begin(&look->scan, fd);
	return 1;
}

/* 1: this one is not done; 0: it is. */
static int look_at_proc(struct deleted_look *look, const struct disk_holder *holder)
{
	struct descriptor_visit visit = {look, holder};

	if (look->scan.dir < 0 && open_descriptors(look) == 0)
		return 0;
	return scan_names_step(&look->scan, look_at_descriptor, &visit) > 0;
}

/* -- a look ----------------------------------------------------------------------------------- */

static void close_holder(struct deleted_look *look)
{
	if (look->scan.dir >= 0)
		close(look->scan.dir);
	if (look->proc >= 0)
		close(look->proc);
	look->scan.dir = look->proc = -1;
	look->sure = false;
}

static void open_holder(
	struct deleted_look *look, const struct disk_holder *holder, const char *procfs)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%d", procfs ? procfs : "/proc", (int)holder->pid);
	look->proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

void deleted_stop(struct deleted *deleted)
{
	struct deleted_look *look = TAKE(deleted->look);

	if (!look)
		return;
	close_holder(look);
	scan_done(&look->scan);
	links_done(&look->inodes);
	list_free(look->list);
	free(look);
}

static int finish(struct deleted *deleted, struct deleted_sum *ret)
{
	struct deleted_look *look = deleted->look;
	struct deleted_list *list = TAKE(look->list);

	*ret = look->sum;
	qsort(list->items, list->count, sizeof(*list->items), by_weight);
	list_free(atomic_exchange(&deleted->list, list));
	deleted_stop(deleted);
	return 0;
}

int deleted_begin(struct deleted *deleted, const char *sandbox, struct deleted_sum *ret)
{
	struct holders *told = atomic_exchange(&deleted->told, NULL);
	struct statx stat;

	if (told) {
		free(deleted->holders);
		deleted->holders = told;
	}
	*ret = (struct deleted_sum){.code = -EINPROGRESS};
	if (!deleted->holders)
		return 0;
	if (statx(AT_FDCWD, sandbox, SCAN_STAT_FLAGS, STATX_INO, &stat) < 0) {
		ret->code = -errno;
		return 0;
	}
	struct deleted_look *look = calloc(1, sizeof(*look));
	if (look)
		look->list = calloc(1, sizeof(*look->list));
	if (!look || !look->list) {
		free(look);
		ret->code = -ENOMEM;
		return 0;
	}
	look->device = makedev(stat.stx_dev_major, stat.stx_dev_minor);
	look->inodes.limit = INODES_MOST;
	look->proc = look->scan.dir = -1;
	deleted->look = look;
	return 1;
}

int deleted_step(struct deleted *deleted, struct held_files *files, struct deleted_sum *ret)
{
	struct deleted_look *look = deleted->look;

	if (look->at == deleted->holders->count)
		return finish(deleted, ret);

	const struct disk_holder *holder = &deleted->holders->items[look->at];
	bool listed = look->scan.dir < 0 && ask_kernel(files);
	if (look->proc < 0)
		open_holder(look, holder, files->procfs);
	/* One that is gone holds nothing. */
	if (look->proc >= 0 && listed)
		look_at_listed(look, holder, files);
	else if (look->proc >= 0 && look_at_proc(look, holder) > 0)
		return 1;
	close_holder(look);
	look->at++;
	return 1;
}

/* -- callers ---------------------------------------------------------------------------------- */

int deleted_tell(struct deleted *deleted, const struct disk_holder *holders, size_t count)
{
	struct holders *told = malloc(sizeof(*told) + count * sizeof(*holders));

	if (!told)
		return -ENOMEM;
	told->count = count;
	if (count)
		memcpy(told->items, holders, count * sizeof(*holders));
	free(atomic_exchange(&deleted->told, told));
	return 0;
}

/* The list is taken for as long, so that the worker cannot free it; a newer one may come. */
void deleted_visit(
	struct deleted *deleted, disk_deleted_fn *visit, void *context, int64_t *ret_left_out)
{
	struct deleted_list *list = atomic_exchange(&deleted->list, NULL), *none = NULL;

	*ret_left_out = list ? list->left_out : 0;
	for (size_t i = 0; list && i < list->count; i++) {
		struct disk_deleted file = list->items[i].file;

		file.name = list->items[i].name;
		visit(context, &file);
	}
	if (list && !atomic_compare_exchange_strong(&deleted->list, &none, list))
		list_free(list);
}

void deleted_done(struct deleted *deleted)
{
	deleted_stop(deleted);
	free(atomic_exchange(&deleted->told, NULL));
	free(TAKE(deleted->holders));
	list_free(atomic_exchange(&deleted->list, NULL));
}
