/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/budget.h"

void budget_init(struct budget *budget, double share, int64_t now_ns)
{
	*budget = (struct budget){
		.share = share, .credit_ns = share * (double)BUDGET_SAVED_NS, .last_ns = now_ns};
}

void budget_spend(struct budget *budget, int64_t cpu_ns)
{
	budget->credit_ns -= (double)cpu_ns;
}

static void earn(struct budget *budget, int64_t now_ns)
{
	double most = budget->share * (double)BUDGET_SAVED_NS;

	budget->credit_ns += budget->share * (double)(now_ns - budget->last_ns);
	if (budget->credit_ns > most)
		budget->credit_ns = most;
	budget->last_ns = now_ns;
}

int64_t budget_wait_ns(struct budget *budget, int64_t now_ns)
{
	earn(budget, now_ns);
	if (budget->share >= 1 || budget->credit_ns > 0)
		return 0;
	return (int64_t)(-budget->credit_ns / budget->share) + 1;
}
