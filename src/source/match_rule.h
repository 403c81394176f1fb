/* SPDX-License-Identifier: Apache-2.0 */
/** Rules ready to be applied. Pure: facts of a process in, names of its task and process out. */
#ifndef SOURCE_MATCH_RULE_H
#define SOURCE_MATCH_RULE_H

#include <stdbool.h>
#include "source/match.h"

/** Bytes of the name of a task or process, with the NUL. */
#define MATCH_NAME_SIZE 256

/** What is known of a process; NULL: it is not, and no pattern fits. */
struct match_facts {
	const char *value[MATCH_KEY_COUNT];
};

/** What a process is to be. */
struct match_result {
	char task[MATCH_NAME_SIZE], process[MATCH_NAME_SIZE];
};

struct match_rules;

int match_rules_new(const struct match_rule *rules, size_t count, struct match_rules **ret,
	struct match_fault *ret_fault, size_t *ret_rule, struct tally_error *err);

/** Takes NULL, returns NULL. */
struct match_rules *match_rules_free(struct match_rules *rules);

/** Whether some rule looks at a key, or names something by it: others need not be read. */
bool match_rules_need(const struct match_rules *rules, enum match_key key);

/** Apply them. @return false: no rule fits. */
bool match_rules_apply(
	struct match_rules *rules, const struct match_facts *facts, struct match_result *ret);

#endif
