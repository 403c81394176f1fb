/* SPDX-License-Identifier: Apache-2.0 */
#include "source/thermos_pid.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/fail.h"
#include "base/parse.h"
#include "source/facts.h"
#include "source/identity.h"

/* Processes in namespaces that a scan keeps; a machine with more is scanned in part. */
#define INSIDERS_MAX (1 << 16)

/* Two starts closer than this are not told apart: they are known to a clock tick. */
#define SAME_START_NS (20 * NS_PER_MS)

/* A process in a pid namespace below ours. */
struct insider {
	pid_t inner, pid;
	int64_t start_ns;
	uid_t uid, euid;
};

struct pid_finder {
	int procfs; /* O_PATH, or -1 until it can be opened. */
	char *path;
	DIR *scan;			   /* Under way, or NULL. */
	struct insider *insiders, *coming; /* Of the last scan, sorted; of the one under way. */
	size_t insider_count, coming_count, coming_room;
};

int pid_finder_new(const char *procfs, struct pid_finder **ret, struct tally_error *err)
{
	struct pid_finder *finder = calloc(1, sizeof(*finder));

	if (!finder)
		return tally_fail(err, -ENOMEM, "cannot look for pids");
	finder->procfs = open(procfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
	finder->path = strdup(procfs);
	if (finder->procfs < 0 || !finder->path) {
		int r = finder->procfs < 0 ? -errno : -ENOMEM;

		pid_finder_free(finder);
		return tally_fail(err, r, "cannot open %s", procfs);
	}
	*ret = finder;
	return 0;
}

struct pid_finder *pid_finder_free(struct pid_finder *finder)
{
	if (!finder)
		return NULL;
	cleanup_close(&finder->procfs);
	cleanup_dir(&finder->scan);
	free(finder->path);
	free(finder->insiders);
	free(finder->coming);
	free(finder);
	return NULL;
}

static bool uid_fits(const struct pid_claim *claim, uid_t uid, uid_t euid)
{
	for (size_t i = 0; i < ARRAY_SIZE(claim->uids); i++)
		if (claim->uids[i] == uid || claim->uids[i] == euid)
			return true;
	return claim->any_uid;
}

/* How far the start of a process is from the claimed one. */
static int64_t start_distance(const struct pid_claim *claim, int64_t start_ns)
{
	return llabs(identity_wall_ns(start_ns) - claim->start_wall_ns);
}

static int check_facts(
	const struct pid_claim *claim, const struct process_facts *facts, struct tally_error *err)
{
	int64_t distance = start_distance(claim, facts->start_ns);

	if (facts->kernel)
		return tally_refuse(err, -ESTALE, "it is a kernel thread");
	if (distance > THERMOS_START_TOLERANCE_NS)
		return tally_refuse(err, -ESTALE,
			"it was started %" PRId64 " s %s than the checkpoint says",
			(distance + NS_PER_S / 2) / NS_PER_S,
			identity_wall_ns(facts->start_ns) < claim->start_wall_ns ? "earlier"
										 : "later");
	if (!uid_fits(claim, facts->uid, facts->euid))
		return tally_refuse(
			err, -ESTALE, "it runs as uid %u, not %u", facts->uid, claim->uids[0]);
	return 0;
}

int pid_find_here(struct pid_finder *finder, const struct pid_claim *claim, struct pid_found *ret,
	struct tally_error *err)
{
	struct process_facts facts = {0};
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", (int)claim->pid);
	int r = process_facts_read(finder->procfs, pid, &facts);
	if (r < 0)
		return r == -ESRCH ? tally_refuse(err, r, "it is gone")
				   : tally_fail(err, r, "it cannot be read");
	r = check_facts(claim, &facts, err);
	if (r == 0)
		*ret = (struct pid_found){claim->pid, facts.start_ns};
	return r;
}

static int by_inner(const void *a, const void *b)
{
	const struct insider *x = a, *y = b;

	if (x->inner != y->inner)
		return x->inner < y->inner ? -1 : 1;
	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

static int keep_insider(struct pid_finder *finder, const struct insider *insider)
{
	if (finder->coming_count == finder->coming_room) {
		size_t room = finder->coming_room ? finder->coming_room * 2 : 64;
		struct insider *grown;

		if (room > INSIDERS_MAX)
			return 0;
		grown = reallocarray(finder->coming, room, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		finder->coming = grown;
		finder->coming_room = room;
	}
	finder->coming[finder->coming_count++] = *insider;
	return 0;
}

static int look_at(struct pid_finder *finder, const char *name)
{
	struct process_facts facts = {0};
	uint64_t pid;

	if (!parse_u64(name, 1, INT32_MAX, &pid) ||
		process_facts_read(finder->procfs, name, &facts) < 0 || facts.kernel ||
		facts.levels < 2)
		return 0;
	return keep_insider(finder,
		&(struct insider){facts.inner, (pid_t)pid, facts.start_ns, facts.uid, facts.euid});
}

static void finish_scan(struct pid_finder *finder)
{
	closedir(TAKE(finder->scan));
	free(finder->insiders);
	finder->insider_count = finder->coming_count;
	finder->insiders = TAKE(finder->coming);
	finder->coming_count = finder->coming_room = 0;
	if (finder->insider_count)
		qsort(finder->insiders, finder->insider_count, sizeof(*finder->insiders), by_inner);
}

int pid_finder_scan(struct pid_finder *finder, int64_t slice_ns, struct tally_error *err)
{
	int64_t until_ns = clock_thread_cpu_ns() + slice_ns;
	struct dirent *entry;
	int r = 0;

	if (!finder->scan)
		finder->scan = opendir(finder->path);
	if (!finder->scan)
		return tally_fail(err, -errno, "cannot list %s", finder->path);
	while (r == 0 && (entry = readdir(finder->scan))) {
		r = look_at(finder, entry->d_name);
		if (r == 0 && clock_thread_cpu_ns() >= until_ns)
			return 0;
	}
	finish_scan(finder);
	return r < 0 ? tally_fail(err, r, "cannot list %s", finder->path) : 1;
}

bool pid_finder_scanning(const struct pid_finder *finder)
{
	return finder->scan;
}

/* Whether the working directory of a process is the sandbox: the same inode, by whatever path. */
static bool works_in(struct pid_finder *finder, pid_t pid, const char *sandbox)
{
	struct stat cwd, wanted;
	char path[32];

	if (!sandbox)
		return false;
	snprintf(path, sizeof(path), "%d/cwd", (int)pid);
	return fstatat(finder->procfs, path, &cwd, 0) == 0 && lstat(sandbox, &wanted) == 0 &&
	       cwd.st_dev == wanted.st_dev && cwd.st_ino == wanted.st_ino;
}

/* The best of those that fit, and how well the one after it does. */
struct choice {
	const struct insider *best;
	bool best_at_home;
	int64_t best_ns;
	bool tied;
};

static void consider(
	struct choice *choice, const struct insider *insider, bool at_home, int64_t distance_ns)
{
	bool better = !choice->best || (at_home && !choice->best_at_home) ||
		      (at_home == choice->best_at_home && distance_ns < choice->best_ns);
	bool equal = choice->best && at_home == choice->best_at_home &&
		     llabs(distance_ns - choice->best_ns) < SAME_START_NS;

	choice->tied = equal || (!better && choice->tied);
	if (!better)
		return;
	choice->best = insider;
	choice->best_at_home = at_home;
	choice->best_ns = distance_ns;
}

static size_t first_insider(const struct pid_finder *finder, pid_t inner)
{
	size_t low = 0, high = finder->insider_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (finder->insiders[middle].inner < inner)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool insider_fits(const struct pid_claim *claim, const struct insider *insider)
{
	return insider->inner == claim->pid &&
	       start_distance(claim, insider->start_ns) <= THERMOS_START_TOLERANCE_NS &&
	       uid_fits(claim, insider->uid, insider->euid);
}

/* Working directories are looked at only where there is a choice: stat() of one may be slow. */
static struct choice choose(struct pid_finder *finder, const struct pid_claim *claim)
{
	const struct insider *end = finder->insiders + finder->insider_count;
	const struct insider *first = finder->insiders + first_insider(finder, claim->pid);
	struct choice choice = {0};
	size_t fitting = 0;

	for (const struct insider *i = first; i < end && i->inner == claim->pid; i++)
		fitting += insider_fits(claim, i);
	for (const struct insider *i = first; i < end && i->inner == claim->pid; i++)
		if (insider_fits(claim, i))
			consider(&choice, i,
				fitting > 1 && works_in(finder, i->pid, claim->sandbox),
				start_distance(claim, i->start_ns));
	return choice;
}

int pid_find_inside(struct pid_finder *finder, const struct pid_claim *claim, struct pid_found *ret,
	struct tally_error *err)
{
	struct choice choice = {0};

	if (finder->insider_count)
		choice = choose(finder, claim);
	if (!choice.best)
		return tally_refuse(err, -ESRCH, "it is gone");
	if (choice.tied)
		return tally_refuse(err, -ENOTUNIQ,
			"several processes have that pid inside their namespaces, and nothing "
			"tells them apart");
	*ret = (struct pid_found){choice.best->pid, choice.best->start_ns};
	return 0;
}
