/* SPDX-License-Identifier: Apache-2.0 */
/* Rules: what fits them, and what names they give. */
#include "check.h"
#include "source/match_rule.h"

#define PATTERNS(...)                                                                              \
	{                                                                                          \
		(const char *const[]){__VA_ARGS__},                                                \
			sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)                \
	}

static struct match_rules *rules_of(const struct match_rule *rules, size_t count)
{
	struct match_rules *made;
	struct match_fault fault;
	struct tally_error err;
	size_t number;

	if (match_rules_new(rules, count, &made, &fault, &number, &err) < 0)
		fail_msg("rule %zu: %s: %s", number, fault.key ? fault.key : "-", err.message);
	return made;
}

static const struct match_facts nginx = {.value = {
						 [MATCH_COMM] = "nginx",
						 [MATCH_EXE] = "/usr/sbin/nginx",
						 [MATCH_CMDLINE] = "nginx: worker process",
						 [MATCH_USER] = "www-data",
						 [MATCH_CGROUP] = "/system.slice/nginx.service",
						 [MATCH_PARENT] = "systemd",
					 }};

static bool fits(enum match_key key, const char *pattern)
{
	struct match_rule rule = {.task = "t"};
	const char *const items[] = {"never", pattern};
	struct match_result result;

	rule.keys[key] = (struct match_patterns){
		items + (key == MATCH_CMDLINE), key == MATCH_CMDLINE ? 1 : 2};
	struct match_rules *rules = rules_of(&rule, 1);
	bool yes = match_rules_apply(rules, &nginx, &result);

	match_rules_free(rules);
	return yes;
}

static void patterns_of_each_key(void **state)
{
	static const struct {
		enum match_key key;
		const char *pattern;
		bool fits;
	} cases[] = {
		{MATCH_COMM, "nginx", true},
		{MATCH_COMM, "ngin", false},
		{MATCH_COMM, "ngi*", true},
		{MATCH_COMM, "[mn]ginx", true},
		{MATCH_EXE, "nginx", true},
		{MATCH_EXE, "/usr/sbin/nginx", true},
		{MATCH_EXE, "/usr/bin/nginx", false},
		{MATCH_EXE, "/usr/*/nginx", true},
		{MATCH_EXE, "sbin/nginx", false},
		{MATCH_CMDLINE, "worker", true},
		{MATCH_CMDLINE, "^worker", false},
		{MATCH_CMDLINE, "nginx: (master|worker) process$", true},
		{MATCH_USER, "www-data", true},
		{MATCH_USER, "root", false},
		{MATCH_CGROUP, "*/nginx.service", true},
		{MATCH_CGROUP, "nginx.service", false},
		{MATCH_PARENT, "systemd", true},
		{MATCH_PARENT, "init", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (fits(cases[i].key, cases[i].pattern) != cases[i].fits)
			fail_msg("%s: %s", match_key_names[cases[i].key], cases[i].pattern);
}

static void all_keys_and_all_expressions_must_fit(void **state)
{
	const struct match_rule both = {.task = "t",
		.keys = {[MATCH_COMM] = PATTERNS("nginx"), [MATCH_USER] = PATTERNS("root")}};
	const struct match_rule expressions = {
		.task = "t", .keys = {[MATCH_CMDLINE] = PATTERNS("worker", "master")}};
	struct match_result result;
	struct match_rules *rules = rules_of(&both, 1);

	assert_false(match_rules_apply(rules, &nginx, &result));
	match_rules_free(rules);
	rules = rules_of(&expressions, 1);
	assert_false(match_rules_apply(rules, &nginx, &result));
	match_rules_free(rules);
}

static void the_first_that_fits_names(void **state)
{
	const struct match_rule given[] = {
		{.task = "a", .keys = {[MATCH_COMM] = PATTERNS("other")}},
		{.task = "{{user}} of {{ exe_base }}",
			.process = "{{kind}}/{{.Matches.kind}}/{{.Comm}}/{{cgroup}}",
			.keys = {[MATCH_CMDLINE] = PATTERNS("nginx", ": (?<kind>\\w+) process")}},
		{.task = "c", .keys = {[MATCH_COMM] = PATTERNS("*")}},
	};
	struct match_rules *rules = rules_of(given, 3);
	struct match_result result;

	assert_true(match_rules_apply(rules, &nginx, &result));
	assert_string_equal(result.task, "www-data of nginx");
	assert_string_equal(result.process, "worker/worker/nginx//system.slice/nginx.service");
	assert_true(match_rules_need(rules, MATCH_USER));
	assert_false(match_rules_need(rules, MATCH_PARENT));
	match_rules_free(rules);
}

static void what_is_not_known_fits_nothing_and_names_nothing(void **state)
{
	const struct match_rule given[] = {
		{.task = "a", .keys = {[MATCH_EXE] = PATTERNS("*")}},
		{.task = "a", .keys = {[MATCH_CMDLINE] = PATTERNS(".*")}},
		{.task = "{{exe}}",
			.process = "x{{user}}y",
			.keys = {[MATCH_COMM] = PATTERNS("*")}},
	};
	const struct match_facts facts = {.value = {[MATCH_COMM] = "c"}};
	struct match_rules *rules = rules_of(given, 3);
	struct match_result result;

	assert_true(match_rules_apply(rules, &facts, &result));
	assert_string_equal(result.task, "_");
	assert_string_equal(result.process, "xy");
	match_rules_free(rules);
}

static void names_are_shown_not_obeyed_and_have_an_end(void **state)
{
	const struct match_rule rule = {
		.task = "{{all}}", .keys = {[MATCH_CMDLINE] = PATTERNS("(?<all>.*)")}};
	static char line[5000];
	const struct match_facts facts = {.value = {[MATCH_COMM] = "c", [MATCH_CMDLINE] = line}};
	struct match_rules *rules = rules_of(&rule, 1);
	struct match_result result;

	memset(line, 'x', sizeof(line) - 1);
	memcpy(line, "a\x1b[2J\n", 6);
	assert_true(match_rules_apply(rules, &facts, &result));
	assert_memory_equal(result.task, "a?[2J?xx", 8);
	assert_int_equal(strlen(result.task), MATCH_NAME_SIZE - 1);
	match_rules_free(rules);
}

/* (a+)+$ on a long row of a's takes ages where nobody stops it. */
static void a_costly_expression_is_stopped(void **state)
{
	const struct match_rule given[] = {
		{.task = "slow", .keys = {[MATCH_CMDLINE] = PATTERNS("^(a+)+$")}},
		{.task = "rest", .keys = {[MATCH_COMM] = PATTERNS("*")}},
	};
	char line[4096];
	const struct match_facts facts = {.value = {[MATCH_COMM] = "c", [MATCH_CMDLINE] = line}};
	struct match_rules *rules = rules_of(given, 2);
	struct match_result result;

	memset(line, 'a', sizeof(line) - 2);
	strcpy(line + sizeof(line) - 2, "b");
	assert_true(match_rules_apply(rules, &facts, &result));
	assert_string_equal(result.task, "rest");
	match_rules_free(rules);
}

static void faults_are_placed(void **state)
{
	static const char *const expressions[] = {"ok", "(bad"};
	static const char *const empty[] = {"ok", ""};
	const struct match_patterns good = PATTERNS("x");
	const struct {
		struct match_rule rule;
		const char *key;
		size_t index;
	} cases[] = {
		{{.task = NULL, .keys = {[MATCH_COMM] = good}}, "task", 0},
		{{.task = "", .keys = {[MATCH_COMM] = good}}, "task", 0},
		{{.task = "{{x}}", .keys = {[MATCH_COMM] = good}}, "task", 0},
		{{.task = "{{.StartTime}}", .keys = {[MATCH_COMM] = good}}, "task", 0},
		{{.task = "t", .process = "{{", .keys = {[MATCH_COMM] = good}}, "process", 0},
		{{.task = "t"}, NULL, 0},
		{{.task = "t", .keys = {[MATCH_CMDLINE] = {expressions, 2}}}, "cmdline", 1},
		{{.task = "t", .keys = {[MATCH_PARENT] = {empty, 2}}}, "parent", 1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct match_fault fault;
		struct tally_error err = {0};

		assert_int_equal(match_rule_check(&cases[i].rule, &fault, &err), -EINVAL);
		if (cases[i].key)
			assert_string_equal(fault.key, cases[i].key);
		else
			assert_null(fault.key);
		assert_int_equal(fault.index, cases[i].index);
		assert_null(strchr(err.message, '\n'));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns_of_each_key),
		cmocka_unit_test(all_keys_and_all_expressions_must_fit),
		cmocka_unit_test(the_first_that_fits_names),
		cmocka_unit_test(what_is_not_known_fits_nothing_and_names_nothing),
		cmocka_unit_test(names_are_shown_not_obeyed_and_have_an_end),
		cmocka_unit_test(a_costly_expression_is_stopped),
		cmocka_unit_test(faults_are_placed),
	};

	return cmocka_run_group_tests_name("match rules", tests, NULL, NULL);
}
