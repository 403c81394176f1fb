/* SPDX-License-Identifier: Apache-2.0 */
/** Configuration files of the observer, and their rules applied to a process. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "cli/commands.h"
#include "cli/config.h"
#include "cli/observe.h"
#include "source/match_rule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void apply_rules(const struct config *config)
{
	static const struct match_facts facts = {
		.value = {"python3", "/usr/bin/python3.11", "python3 -m http.server 8000", "root",
			"/system.slice/web.service", "systemd"}};
	size_t count, number;
	const struct match_rule *given = config_rules(config, &count);
	struct match_rules *rules;
	struct match_fault fault;
	struct match_result result;

	assert(match_rules_new(given, count, &rules, &fault, &number, NULL) == 0);
	if (match_rules_apply(rules, &facts, &result))
		assert(*result.task && *result.process);
	match_rules_free(rules);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config *config = NULL;
	struct tally_error err = {0};
	struct observe_options options = {0};
	struct command_line line = {.command = &command_observe};
	int r = config_parse("file", (const char *)data, size, &command_observe, &config, &err);

	if (r < 0) {
		assert(err.code == r && !config);
		assert(strncmp(err.message, "file:", 5) == 0 && !strchr(err.message, '\n'));
		return 0;
	}
	assert(config_apply(config, &line, &options, &err) == 0);
	apply_rules(config);
	options_done(&command_observe, &options);
	config_free(config);
	return 0;
}
