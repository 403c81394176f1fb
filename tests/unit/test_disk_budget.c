/* SPDX-License-Identifier: Apache-2.0 */
/** However much there is to do, the share is kept; dear looks become rare, and do not line up. */
#include "check.h"
#include "base/clock.h"
#include "disk/budget.h"
#include "disk/schedule.h"

#define SLICE_NS (5 * NS_PER_MS)

static void endless_work_keeps_to_the_share(void **state)
{
	const double share = 0.02;
	const int64_t until_ns = 1000 * NS_PER_S;
	int64_t now_ns = 0, spent_ns = 0;
	struct budget budget;

	budget_init(&budget, share, now_ns);
	while (now_ns < until_ns) {
		int64_t wait_ns = budget_wait_ns(&budget, now_ns);

		now_ns += wait_ns ? wait_ns : SLICE_NS;
		if (wait_ns)
			continue;
		budget_spend(&budget, SLICE_NS);
		spent_ns += SLICE_NS;
	}
	double most_ns = share * (double)(until_ns + BUDGET_SAVED_NS);
	assert_between(spent_ns, (int64_t)(0.95 * most_ns), (int64_t)most_ns + 2 * SLICE_NS);
}

static void what_is_saved_is_limited(void **state)
{
	struct budget budget;
	int64_t now_ns = 100000 * NS_PER_S, spent_ns = 0;

	budget_init(&budget, 0.02, 0);
	while (budget_wait_ns(&budget, now_ns) == 0) {
		budget_spend(&budget, SLICE_NS);
		spent_ns += SLICE_NS;
	}
	assert_between(spent_ns, SLICE_NS, (int64_t)(0.02 * (double)BUDGET_SAVED_NS) + SLICE_NS);
}

static void dear_looks_are_rare_and_do_not_line_up(void **state)
{
	struct schedule schedule = {.interval_ns = 60 * NS_PER_S, .share = 0.02, .random = 1};
	struct sandbox *sandbox = sandbox_new(~0u, &(struct disk_site){.path = "/x"});
	int64_t first_ns = 0;
	bool differ = false;

	/* Cheap: its interval, less a tenth at most. */
	for (int i = 0; i < 100; i++) {
		sandbox->spent_ns = NS_PER_MS;
		schedule_again(&schedule, sandbox, 0);
		assert_between(sandbox->due_ns, 54 * NS_PER_S, 60 * NS_PER_S);
		differ |= i && sandbox->due_ns != first_ns;
		first_ns = sandbox->due_ns;
	}
	assert_true(differ);
	/* Dear: half of the share is what it may take. */
	sandbox->spent_ns = 3 * NS_PER_S;
	schedule_again(&schedule, sandbox, 0);
	assert_between(sandbox->due_ns, 270 * NS_PER_S, 300 * NS_PER_S);
	sandbox_release(sandbox);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(endless_work_keeps_to_the_share),
		cmocka_unit_test(what_is_saved_is_limited),
		cmocka_unit_test(dear_looks_are_rare_and_do_not_line_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
