/* SPDX-License-Identifier: Apache-2.0 */
/** A share of one core: credit grows with time and is spent as CPU time. Pure. */
#ifndef DISK_BUDGET_H
#define DISK_BUDGET_H

#include <stdint.h>

struct budget {
	double share;	  /**< Cores; 1 or more: no limit. */
	double credit_ns; /**< CPU time that may be used now; below zero: wait. */
	int64_t last_ns;
};

/** Credit that may be saved up, as time in which it is earned: a burst after a quiet time. */
#define BUDGET_SAVED_NS (30 * INT64_C(1000000000))

/** Begin with all the credit that can be saved. */
void budget_init(struct budget *budget, double share, int64_t now_ns);

void budget_spend(struct budget *budget, int64_t cpu_ns);

/** Time until there is credit; 0: there is. */
int64_t budget_wait_ns(struct budget *budget, int64_t now_ns);

#endif
