/* SPDX-License-Identifier: Apache-2.0 OR BSD-2-Clause OR GPL-2.0 */
/**
 * What the kernel program and the user side of the BPF collector share: numbers of fixed width in
 * structs of asserted size, so that the two compilers cannot disagree.
 *
 * A *set* is a set of groups, known to the kernel by its number only. Every thread of a member
 * carries a mark with two sets: that of its tree and that of its cgroup. What the thread consumes
 * is added to both; user space knows which groups a set stands for. Set 0 is the empty one.
 */
#ifndef BPF_SHARED_H
#define BPF_SHARED_H

#include <linux/types.h>

/* How a thread came to a set. */
#define DIM_TREE   0
#define DIM_CGROUP 1
#define DIMS	   2

/* Counters of a thread that its mark remembers as reported. COUNT_CPU is user and system. */
#define COUNT_CPU	  0
#define COUNT_SYSTEM	  1
#define COUNT_WAIT	  2
#define COUNT_READ	  3
#define COUNT_WRITE	  4
#define COUNT_MINOR	  5
#define COUNT_MAJOR	  6
#define COUNT_VOLUNTARY	  7
#define COUNT_INVOLUNTARY 8
#define COUNTS_REPORTED	  9
/* Of a set only. */
#define COUNT_STARTED 9
#define COUNTS	      10

/* Levels of a set, summed anew by each pass. Memory in pages. */
#define LEVEL_RSS     0
#define LEVEL_SHARED  1
#define LEVEL_SWAP    2
#define LEVEL_VIRTUAL 3
#define LEVEL_PIDS    4
#define LEVEL_THREADS 5
#define LEVEL_FDS     6
#define LEVELS	      7

/* Flags of a mark. */
#define MARK_LEADER 0x1 /* leads its process: its levels count */
#define MARK_NEW    0x2 /* made by user space: not yet seen by the kernel program */
#define MARK_GONE   0x4 /* a leader that has exited before its threads */
#define MARK_CUT    0x8 /* has more descriptors than are counted */

/* Descriptors are counted up to 64 times this number per process: 1,048,576, and 4,096 before
 * Linux 5.17, where the kernel program may not loop so long. */
#define FD_WORDS     16384
#define FD_WORDS_OLD 64

/* CPUs whose part of a memory counter is added; see read_pages(). */
#define CPU_LIMIT 256

/* Threads that could not be marked when they were forked wait here for the next pass. */
#define STRAY_LIMIT 4096

/* Sets, roots and registered cgroups there can be. */
#define SET_LIMIT    16384
#define ROOT_LIMIT   16384
#define CGROUP_LIMIT 16384
#define UNION_LIMIT  16384

/* The mark of a thread, in its task storage. The first 56 bytes share a cache line with the
 * storage's own header: an idle thread is done with them. */
struct tally_mark {
	__u64 seen_ns; /* sum_exec_runtime at the last pass: unmoved means idle */
	__u32 set[DIMS];
	__u32 root; /* token of the root it is, or 0 */
	__u8 flags, turn;
	__u8 done; /* the thread has run for the last time, and all of it is reported */
	__u8 unused;
	__u64 virtual_pages;
	__u32 rss_pages, shared_pages, swap_pages, threads, fds;
	__u16 refreshed; /* pass in which its levels were last read */
	__u16 counted;	 /* pass in which they were last added up */
	__u64 reported[COUNTS_REPORTED];
	__u32 claimed;
	__u32 run; /* adoption run in which it came to its tree's set */
};

/*
 * Totals of a set. Its first two lines of cache are written by hooks on any CPU, the third by the
 * pass alone.
 */
struct tally_set {
	__s64 count[COUNTS]; /* never reset while the set is in use */
	__s64 open;	     /* marks of threads that may still use something */
	__u32 dead;	     /* all its groups are gone: not inherited any more */
	__u32 unused[9];
	/* Reset by user space before a pass, written by the iterator only. */
	__s64 level[LEVELS];
	__u32 seen; /* open marks that this pass has met */
	__u8 met;   /* some mark was met since user space last looked: not reset by it */
	__u8 cut;   /* not all descriptors of its members were counted */
	__u16 unused_too;
};

/* A root pid, for its niceness and state. Valid while `token` is that of the mark. */
struct tally_root {
	__u32 token;
	__u32 pass;  /* pass that saw it last */
	__u32 state; /* __state | exit_state; its letter is made by get_task_state()'s rule */
	__s32 nice;
};

/* What a root_add of a pid that is marked already asks of the next pass. */
struct tally_request {
	__u32 set, root;
};

/* Key and value of the union map. A zero `all` is a question to user space. */
struct tally_pair {
	__u32 a, b; /* b with PAIR_ROOT: it is what the task is a root of, and a what it was in */
};

#define PAIR_ROOT (1u << 31)

struct tally_union {
	__u32 all;  /* a and b */
	__u32 rest; /* b without a */
};

/* What registered cgroups stand for: a cgroup's own groups and those of the cgroups around it. */
struct tally_cgroup {
	__u32 set;
	__u32 fresh; /* the part of it that adopts: what members did before counts for it */
};

/* A cgroup resolved to the registered one that it lies in. */
struct tally_resolved {
	__u32 generation;
	__u32 set, fresh, pad;
};

/* A thread that got no storage. */
struct tally_stray {
	__u64 start_ns;
	__u32 set[DIMS];
};

/* Written by user space before a pass. */
struct tally_config {
	__u32 pass;
	__u32 adopt;	  /* look at strangers too: their parents, leaders, requests */
	__u32 repair;	  /* a child was not marked: adopt unmarked children of marked parents */
	__u32 run;	  /* adoption run under way */
	__u32 cgroups;	  /* some cgroup is registered */
	__u32 check;	  /* compare every thread's cgroup with its mark */
	__u32 generation; /* of the registered cgroups */
	__u32 level;	  /* depth of our pid namespace */
};

/* Written by the kernel program. */
struct tally_news {
	__u32 changed;	 /* marks made or moved in this pass */
	__u32 wanted;	 /* unions that user space has to make */
	__u32 moved;	 /* tasks moved between cgroups since the last check */
	__u32 members;	 /* processes counted in this pass */
	__u32 strangers; /* processes without a mark, counted when adopting or checking */
	__u32 visited;	 /* threads, all */
	__u64 missed;	 /* threads that could not be marked when forked, and wait as strays */
	__u64 lost;	 /* those for which there was no room either */
	__u64 strays;	 /* strays waiting now */
	__u64 unions_full;
};

/* One thread of a member, as the dump has it. */
struct tally_thread {
	__u64 start_ns, cpu_ns;
	__u64 rss_pages;
	__u32 set[DIMS];
	__u32 root;
	__s32 pid, tgid, parent; /* in our pid namespace */
	__s32 parent_leader, pad;
	char comm[16];
};

_Static_assert(sizeof(struct tally_mark) == 136, "mark");
_Static_assert(sizeof(struct tally_set) == 192, "set");
_Static_assert(sizeof(struct tally_root) == 16, "root");
_Static_assert(sizeof(struct tally_config) == 32, "config");
_Static_assert(sizeof(struct tally_news) == 56, "news");
_Static_assert(sizeof(struct tally_thread) == 72, "thread");

#endif
