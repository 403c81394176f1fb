/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The parts of the BPF collector, for each other.
 *
 *   collector.c     the operations of the interface
 *   requirements.c  what it needs of a machine
 *   load.c          the kernel program: loaded, attached, its memory mapped
 *   sets.c          sets of groups and their numbers
 *   roots.c         root pids: tokens by which the kernel program names them
 *   adopt.c         new roots, questions of the kernel program, sets that nobody holds any more
 *   cgroups.c       which cgroup stands for which set
 *   pass.c          one look at the machine
 *   publish.c       sums of sets become samples of groups
 *   members.c       live members, on demand
 *   held.c          files without a name that anyone holds open, by a program of its own
 */
#ifndef BPF_INSIDE_H
#define BPF_INSIDE_H

#include "collect/bpf/bpf.h"
#include "base/attr.h"
#include "collect/bpf/sets.h"
#include "collect/bpf/shared.h"

struct tally_bpf;
struct held_program;

/** What limits there are, and what tests make fail. A zeroed one is the default. */
struct bpf_limits {
	uint32_t sets;	     /**< Sets there may be; 0: SET_LIMIT. */
	uint32_t roots;	     /**< Root pids; 0: ROOT_LIMIT. */
	uint32_t fail_every; /**< Every n-th mark of a child cannot be made; 0: never. */
	uint32_t strays;     /**< Room for those; 0: STRAY_LIMIT. */
};

/** How the roots of a group are given. */
enum group_kind { GROUP_EMPTY, GROUP_TREE, GROUP_CGROUP };

struct group_state {
	enum group_kind kind;
	uint32_t set;	       /**< The set of this group alone. */
	uint32_t family;       /**< As collect_root.family. */
	bool limited;	       /**< Some members could not be marked: figures are absent. */
	bool cut;	       /**< Some descriptors were not counted in this pass. */
	int64_t base[COUNTS];  /**< From sets that were given back. */
	int64_t count[COUNTS]; /**< Sums of this pass. */
	int64_t level[LEVELS];
	uint32_t *roots; /**< Slots of its root pids. */
	uint32_t root_count, root_room;
};

/** A root pid. Shared by the groups whose root it is. */
struct root_slot {
	uint32_t token; /**< slot + n * ROOT_LIMIT, never 0; new for each use of the slot. */
	uint32_t users;
	pid_t pid;
	int64_t start_ns;
};

struct root_table {
	struct root_slot *slots; /**< Slot 0 is not used. */
	uint32_t count, room, limit, free;
	size_t mapped; /**< Bytes of *shared. */
	struct tally_root *shared;
};

/** A registered cgroup. */
struct cgroup_root {
	uint64_t id;
	uint64_t *above; /**< Ids of the cgroups around it, its own first. */
	uint32_t above_count;
	uint32_t group;
	uint32_t set; /**< What it stands for in the kernel now. */
	bool fresh;   /**< The next pass adopts its members. */
	char *path;   /**< Its directory. */
};

struct cgroup_table {
	struct cgroup_root *roots;
	uint32_t count, room;
	bool changed; /**< What they stand for is to be told anew: nesting may have changed. */
};

/** What the last dump of members said, sorted by process; kept until the next pass. */
struct member_dump {
	struct tally_thread *threads;
	size_t count, room;
	bool valid;
};

struct bpf_collector {
	struct collector base;
	const struct log *log;
	const char *procfs;
	struct tally_bpf *skeleton;
	struct held_program *held;   /**< NULL: the kernel refused it. */
	struct tally_config *config; /**< Shared with the kernel program. */
	struct tally_news *news;
	int marks, requests, cgroup_map, unions;
	struct tally_set *shared; /**< Shared with the kernel program, indexed by set. */
	size_t mapped;		  /**< Bytes of it. */

	struct set_table sets;
	struct root_table roots;
	struct cgroup_table cgroups;
	struct member_dump dump;
	struct group_state *groups;
	uint32_t group_room;

	bool pss;		/**< Was asked for. */
	bool adopt;		/**< The next pass has to look for members. */
	bool check;		/**< … to look at cgroups. */
	uint32_t moved;		/**< news->moved when it was last dealt with. */
	uint64_t lost;		/**< news->lost, in the same way. */
	uint64_t limited;	/**< Limits of ours that bit. */
	char buffer[32 * 1024]; /**< For what iterators write. */
	int64_t swept_ns;	/**< When sets were last looked through. */
};

/* requirements.c */
/** The requirements that are cheap to try. @return 0, or -ENOTSUP with the first that is not met. */
int bpf_probe(struct tally_error *err);
/** All requirements, after a failure. @return As bpf_probe(). */
int bpf_explain(struct tally_error *err);

/* load.c */
int bpf_load(struct bpf_collector *c, const struct bpf_limits *limits, struct tally_error *err);
void bpf_unload(struct bpf_collector *c);
/** Map as much of the sets as there are. @return 0 or negative errno. */
int bpf_map_sets(struct bpf_collector *c);
int bpf_map_roots(struct bpf_collector *c);
/** Run an iterator of the kernel program; @take, if any, gets what it writes. */
int bpf_run_pass(struct bpf_collector *c);
typedef int bpf_take_fn(void *context, const void *data, size_t size);
int bpf_run_dump(struct bpf_collector *c, bpf_take_fn *take, void *context);

/* collector.c */
int bpf_open_limited(const struct collect_options *options, const struct bpf_limits *limits,
	struct collector **ret, struct tally_error *err);

/* roots.c */
int roots_init(struct root_table *roots, uint32_t limit);
void roots_done(struct root_table *roots);
/** Slot of a root pid, made if needed, with one user more. @return 0, -ENOSPC, -ENOMEM. */
int roots_take(struct root_table *roots, pid_t pid, int64_t start_ns, uint32_t *ret);
void roots_drop(struct root_table *roots, uint32_t slot);

/* adopt.c */
int adopt_pid(struct bpf_collector *c, uint32_t group, const struct collect_root *root,
	struct tally_error *err);
/** A set number for groups, with its memory mapped and emptied. As sets_find(). */
int adopt_set(
	struct bpf_collector *c, const uint32_t *groups, uint32_t count, bool fresh, uint32_t *ret);
/** Answer the unions that the kernel program asked for. @return How many were answered. */
unsigned adopt_unions(struct bpf_collector *c);
/** Give back the sets that no mark holds, seen at two looks. */
void adopt_sweep(struct bpf_collector *c);

/* cgroups.c */
int cgroups_add(struct bpf_collector *c, uint32_t group, const struct collect_root *root,
	struct tally_error *err);
/** A group is going: its cgroups are registered no more. Call it before sets_drop(). */
void cgroups_drop(struct bpf_collector *c, uint32_t group);
/** Before a pass: tell the kernel program what changed. */
void cgroups_settle(struct bpf_collector *c);
/** The pass has adopted: what comes into the cgroups from now on counts from then on. */
void cgroups_adopted(struct bpf_collector *c);
void cgroups_done(struct cgroup_table *table);

/* pass.c */
int pass_run(struct bpf_collector *c, struct tally_error *err);
/** As collector_settle(). */
int pass_settle(
	struct bpf_collector *c, uint32_t group, int64_t timeout_ns, struct tally_error *err);

/* publish.c */
void publish_groups(struct bpf_collector *c);
/** Add what a set holds to the base of its groups, before it is given back. */
void publish_keep(struct bpf_collector *c, uint32_t set);

/* members.c */
void members_visit(
	struct bpf_collector *c, uint32_t group, collect_member_fn *visit, void *context);

/* held.c */
/** @level Depth of our pid namespace. @return NULL: it cannot be had. */
struct held_program *held_open(uint32_t level);
/** Takes NULL, returns NULL. */
struct held_program *held_close(struct held_program *program);
/** As collector_held(). */
int held_list(const struct held_program *program, collect_held_fn *visit, void *context);

#endif
