/* SPDX-License-Identifier: Apache-2.0 */
/** A /proc of plain files in a temporary directory, for tests. */
#ifndef TESTS_PROC_TREE_H
#define TESTS_PROC_TREE_H

#include <ftw.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct proc_tree {
	char path[64];
};

/** What /proc/PID/stat of a fixture says; times in ticks, zero fields have sensible defaults. */
struct fixture {
	int pid, parent, session;
	const char *comm; /**< "test" */
	char state;	  /**< 'S' */
	int64_t start;	  /**< Ticks after boot; 100. */
	int64_t user, system, children_user, children_system;
	int64_t minor, children_minor, major, children_major;
	int64_t threads; /**< 1 */
	int64_t nice, rss_pages, virtual_bytes;
};

static inline void tree_open(struct proc_tree *tree)
{
	strcpy(tree->path, "/tmp/tally-proc-XXXXXX");
	if (!mkdtemp(tree->path))
		abort();
}

static inline int tree_remove_one(
	const char *path, const struct stat *st, int type, struct FTW *place)
{
	return remove(path);
}

/** Remove a file or a directory with all in it. */
static inline void tree_remove_path(const char *path)
{
	nftw(path, tree_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void tree_close(struct proc_tree *tree)
{
	tree_remove_path(tree->path);
}

/** Make a directory, those above it too. */
static inline void tree_dir(const struct proc_tree *tree, const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", tree->path, name);
	for (char *slash = path + strlen(tree->path) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		mkdir(path, 0755);
		*slash = '/';
	}
	mkdir(path, 0755);
}

/** Write a file, as in tree_write(&tree, "12/io", "read_bytes: %d\n", 4). Anew, not in place. */
__attribute__((format(printf, 3, 4))) static inline void tree_write(
	const struct proc_tree *tree, const char *name, const char *format, ...)
{
	char path[512];
	va_list args;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", tree->path, name);
	unlink(path);
	file = fopen(path, "w");
	if (!file)
		abort();
	va_start(args, format);
	vfprintf(file, format, args);
	va_end(args);
	fclose(file);
}

/** Put a process there, or change its stat. */
static inline void tree_put(const struct proc_tree *tree, struct fixture f)
{
	char name[64];

	snprintf(name, sizeof(name), "%d", f.pid);
	tree_dir(tree, name);
	snprintf(name, sizeof(name), "%d/stat", f.pid);
	tree_write(tree, name,
		"%d (%s) %c %d %d %d 0 -1 4194304 %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64
		" %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " 20 %" PRId64 " %" PRId64
		" 0 %" PRId64 " %" PRId64 " %" PRId64 " 18446744073709551615 0 0 0 0\n",
		f.pid, f.comm ? f.comm : "test", f.state ? f.state : 'S', f.parent, f.pid,
		f.session, f.minor, f.children_minor, f.major, f.children_major, f.user, f.system,
		f.children_user, f.children_system, f.nice, f.threads ? f.threads : 1,
		f.start ? f.start : 100, f.virtual_bytes, f.rss_pages);
}

/** Give a process the other files. */
static inline void tree_details(const struct proc_tree *tree, int pid, int64_t shared_kb,
	int64_t swap_kb, int64_t switches, int64_t io)
{
	char name[64];

	snprintf(name, sizeof(name), "%d/status", pid);
	tree_write(tree, name,
		"Name:\ttest\nVmRSS:\t  100 kB\nRssAnon:\t   10 kB\nRssFile:\t%8" PRId64
		" kB\nRssShmem:\t       0 kB\nVmSwap:\t%8" PRId64
		" kB\nvoluntary_ctxt_switches:\t%" PRId64 "\nnonvoluntary_ctxt_switches:\t%" PRId64
		"\n",
		shared_kb, swap_kb, switches, switches * 2);
	snprintf(name, sizeof(name), "%d/io", pid);
	tree_write(tree, name,
		"rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: %" PRId64
		"\nwrite_bytes: %" PRId64 "\ncancelled_write_bytes: 0\n",
		io, io * 2);
	snprintf(name, sizeof(name), "%d/schedstat", pid);
	tree_write(tree, name, "0 %" PRId64 " 3\n", switches * 1000);
	snprintf(name, sizeof(name), "%d/fd", pid);
	tree_dir(tree, name);
	for (int fd = 0; fd < 3; fd++) {
		snprintf(name, sizeof(name), "%d/fd/%d", pid, fd);
		tree_write(tree, name, "%s", "");
	}
}

/** Take a process away. */
static inline void tree_drop(const struct proc_tree *tree, int pid)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%d", tree->path, pid);
	tree_remove_path(path);
}

/** Replace a process by another with its pid, in a directory with another inode number. */
static inline void tree_recycle(const struct proc_tree *tree, struct fixture f)
{
	char from[128], to[128];

	snprintf(from, sizeof(from), "%s/%d", tree->path, f.pid);
	snprintf(to, sizeof(to), "%s/old", tree->path);
	if (rename(from, to) < 0)
		abort();
	tree_put(tree, f);
	tree_remove_path(to);
}

#endif
