/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The source of tasks that rules define: which process is looked for, and what its task is called.
 *
 * Each process is judged once, and again when it became another program (exec): soon after its start, when
 * that happens as a rule, and then more and more rarely, every minute in the end. The first rule that
 * fits counts. What descends from a process that a rule named belongs where it belongs, unless
 * a rule names it; nothing is counted in two tasks of this source.
 */
#ifndef SOURCE_MATCH_H
#define SOURCE_MATCH_H

#include "source/source.h"

/** Rules of a source, and patterns of one key. */
#define MATCH_RULES_MAX	   1000
#define MATCH_PATTERNS_MAX 1000

/** Tasks of this source; what would be in further ones is not followed, which is said once. */
#define MATCH_TASKS_MAX 4096

/** What a rule looks at. */
enum match_key {
	MATCH_COMM, /**< The kernel's name of the process: 15 bytes. */
	MATCH_EXE, /**< Its executable: all of the path where the pattern has a '/', else the last part. */
	MATCH_CMDLINE, /**< Its arguments, with blanks between them. */
	MATCH_USER,    /**< Name, or number, of the user it runs as. */
	MATCH_CGROUP,  /**< Path of its cgroup, v2 where there is one. */
	MATCH_PARENT,  /**< MATCH_COMM of its parent. */
	MATCH_KEY_COUNT
};

/** As they are called in the configuration. */
extern const char *const match_key_names[MATCH_KEY_COUNT];

/** Patterns of one key. */
struct match_patterns {
	const char *const *items;
	size_t count; /**< 0: this key does not matter. */
};

/**
 * One rule. All its keys must fit; of the patterns of a key, one: shell patterns with '*', '?' and
 * '[…]'; of MATCH_CMDLINE all: regular expressions (PCRE2), found anywhere.
 *
 * Names hold variables: {{comm}}, {{exe}}, {{exe_base}}, {{user}}, {{cgroup}}, {{parent}}, and {{NAME}}
 * for the group (?<NAME>…) of a regular expression. Process-exporter's spelling is understood:
 * {{.Comm}}, {{.ExeFull}}, {{.ExeBase}}, {{.Username}}, {{.Cgroups}}, {{.Matches.NAME}}.
 */
struct match_rule {
	const char *task;
	const char *process; /**< NULL: {{comm}}. */
	struct match_patterns keys[MATCH_KEY_COUNT];
};

/** Where a rule is wrong. */
struct match_fault {
	const char *
		key; /**< "task", "process" or one of match_key_names[]; static. NULL: all of it. */
	size_t index; /**< Of the pattern. */
};

/** Is it a rule? @return 0 or -EINVAL; -ENOMEM. @ret_fault filled on failure; may be NULL. */
int match_rule_check(
	const struct match_rule *rule, struct match_fault *ret_fault, struct tally_error *err);

/** How the source works; a zeroed one is the default. */
struct match_options {
	const char *procfs; /**< NULL: "/proc". */
	const struct log *log;
};

/** Open with rules, which are copied. @return 0 or negative errno. */
int match_open(const struct match_rule *rules, size_t count, const struct match_options *options,
	struct source **ret, struct tally_error *err);

#endif
