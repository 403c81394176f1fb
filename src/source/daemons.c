/* SPDX-License-Identifier: Apache-2.0 */
#include "source/daemons.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/fail.h"
#include "base/hash.h"
#include "base/text.h"
#include "source/facts.h"
#include "source/identity.h"

#define TOLERANCE_NS (2 * NS_PER_S)

struct daemon {
	char *id;
	bool claimed; /* In the look under way. */
	pid_t pid;    /* Believed; 0: none. */
	int64_t start_ns;
	bool lived;	       /* It had a process once. */
	int64_t ended_wall_ns; /* When that was found to be gone. */
	pid_t said;	       /* The pid that was said not to be believed. */
	UT_hash_handle hh;
};

struct daemons {
	const char *source;
	const struct log *log;
	int procfs;
	struct daemon *all; /* uthash by id; iterates in order of appearance. */
	bool changed, said_full;
};

int daemons_new(const char *source, const char *procfs, const struct log *log, struct daemons **ret,
	struct tally_error *err)
{
	struct daemons *daemons = calloc(1, sizeof(*daemons));

	if (!daemons)
		return tally_fail(err, -ENOMEM, "cannot look for daemons");
	daemons->source = source;
	daemons->log = log;
	daemons->procfs = open(procfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (daemons->procfs < 0) {
		int r = -errno;

		free(daemons);
		return tally_fail(err, r, "cannot open %s", procfs);
	}
	*ret = daemons;
	return 0;
}

static void forget(struct daemons *daemons, struct daemon *daemon)
{
	HASH_DEL(daemons->all, daemon);
	free(daemon->id);
	free(daemon);
}

struct daemons *daemons_free(struct daemons *daemons)
{
	struct daemon *daemon, *next;

	if (!daemons)
		return NULL;
	HASH_ITER (hh, daemons->all, daemon, next)
		forget(daemons, daemon);
	close(daemons->procfs);
	free(daemons);
	return NULL;
}

void daemons_begin(struct daemons *daemons)
{
	struct daemon *daemon, *next;

	daemons->changed = false;
	HASH_ITER (hh, daemons->all, daemon, next)
		daemon->claimed = false;
}

static struct daemon *add(struct daemons *daemons, const char *id)
{
	if (HASH_COUNT(daemons->all) >= DAEMONS_MAX) {
		if (!daemons->said_full)
			log_say(daemons->log, TALLY_LOG_WARN,
				"%s: there are more than %d daemons: the others are not followed",
				daemons->source, DAEMONS_MAX);
		daemons->said_full = true;
		return NULL;
	}

	struct daemon *daemon = calloc(1, sizeof(*daemon));
	if (daemon)
		daemon->id = strdup(id);
	if (daemon && daemon->id)
		HASH_ADD_KEYPTR(hh, daemons->all, daemon->id, strlen(daemon->id), daemon);
	if (!daemon || !daemon->hh.tbl) {
		free(daemon ? daemon->id : NULL);
		free(daemon);
		return NULL;
	}
	daemons->changed = true;
	return daemon;
}

static int read_facts(struct daemons *daemons, pid_t pid, struct process_facts *ret)
{
	char name[16];

	*ret = (struct process_facts){0};
	snprintf(name, sizeof(name), "%d", (int)pid);
	return process_facts_read(daemons->procfs, name, ret);
}

static int check(struct daemons *daemons, const struct daemon_claim *claim,
	struct process_facts *facts, struct tally_error *err)
{
	int r = read_facts(daemons, claim->pid, facts);

	if (r < 0)
		return r == -ESRCH ? tally_refuse(err, r, "it is gone")
				   : tally_fail(err, r, "it cannot be read");
	if (facts->kernel)
		return tally_refuse(err, -ESTALE, "it is a kernel thread");

	int64_t late_ns = identity_wall_ns(facts->start_ns) - claim->written_wall_ns;
	if (late_ns > TOLERANCE_NS)
		return tally_refuse(err, -ESTALE,
			"it was started %" PRId64 " s after the pid was written down",
			(late_ns + NS_PER_S / 2) / NS_PER_S);
	if (claim->writer != 0 && claim->writer != facts->uid && claim->writer != facts->euid)
		return tally_refuse(err, -ESTALE,
			"it runs as uid %u, and uid %u wrote the pid down", facts->uid,
			claim->writer);
	return 0;
}

/* That of a daemon which is down is not worth a word. */
static void say(struct daemons *daemons, struct daemon *daemon, pid_t pid, int code,
	const struct tally_error *err)
{
	char shown[256];

	if (daemon->said == pid)
		return;
	daemon->said = pid;
	text_show(shown, sizeof(shown), daemon->id);
	log_say(daemons->log, code == -ESRCH ? TALLY_LOG_INFO : TALLY_LOG_WARN,
		"%s: task %s is not counted: pid %d is not it: %s", daemons->source, shown,
		(int)pid, err->message);
}

static void lose(struct daemons *daemons, struct daemon *daemon)
{
	daemon->pid = 0;
	daemon->ended_wall_ns = clock_wall_ns();
	daemons->changed = true;
}

static bool still_lives(struct daemons *daemons, const struct daemon *daemon)
{
	struct process_facts facts;

	return read_facts(daemons, daemon->pid, &facts) == 0 && facts.start_ns == daemon->start_ns;
}

static void take(struct daemons *daemons, struct daemon *daemon, const struct daemon_claim *claim)
{
	struct process_facts facts;
	struct tally_error err;
	int r = check(daemons, claim, &facts, &err);

	if (r < 0) {
		say(daemons, daemon, claim->pid, r, &err);
		return;
	}
	daemon->pid = claim->pid;
	daemon->start_ns = facts.start_ns;
	daemon->lived = true;
	daemon->said = 0;
	daemons->changed = true;
}

void daemons_claim(struct daemons *daemons, const struct daemon_claim *claim)
{
	struct daemon *daemon;

	HASH_FIND_STR(daemons->all, claim->id, daemon);
	if (!daemon)
		daemon = add(daemons, claim->id);
	if (!daemon || daemon->claimed)
		return;
	daemon->claimed = true;
	if (daemon->pid && (daemon->pid != claim->pid || !still_lives(daemons, daemon)))
		lose(daemons, daemon);
	if (claim->pid && !daemon->pid)
		take(daemons, daemon, claim);
}

void daemons_claim_again(struct daemons *daemons)
{
	struct daemon *daemon, *next;

	HASH_ITER (hh, daemons->all, daemon, next) {
		daemon->claimed = true;
		if (daemon->pid && !still_lives(daemons, daemon))
			lose(daemons, daemon);
	}
}

bool daemons_end(struct daemons *daemons)
{
	struct daemon *daemon, *next;

	HASH_ITER (hh, daemons->all, daemon, next)
		if (!daemon->claimed) {
			forget(daemons, daemon);
			daemons->changed = true;
		}
	return daemons->changed;
}

void daemons_list(struct daemons *daemons, source_task_fn *visit, void *context)
{
	struct daemon *daemon, *next;

	HASH_ITER (hh, daemons->all, daemon, next) {
		enum tally_life gone = daemon->lived ? TALLY_LIFE_LOST : TALLY_LIFE_WAITING;
		struct source_process process = {
			.name = daemon->id,
			.life = daemon->pid ? TALLY_LIFE_ACTIVE : gone,
			.pid = daemon->pid,
			.start_ns = daemon->start_ns,
			.started_wall_ns = daemon->lived ? identity_wall_ns(daemon->start_ns) : 0,
			.ended_wall_ns = daemon->pid ? 0 : daemon->ended_wall_ns,
		};
		struct source_task task = {
			.id = daemon->id,
			.life = process.life,
			.started_wall_ns = process.started_wall_ns,
			.ended_wall_ns = process.ended_wall_ns,
			.processes = &process,
			.process_count = 1,
		};

		visit(context, &task);
	}
}
