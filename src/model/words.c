/* SPDX-License-Identifier: Apache-2.0 */
/* The words for what is stored as a number. */
#include <tally/sample.h>
#include "base/attr.h"

static const char *const reasons[TALLY_REASON_COUNT] = {
	[TALLY_REASON_NOT_SAMPLED] = "not sampled yet; wait for the next tick",
	[TALLY_REASON_PERMISSION] =
		"the kernel refuses to show another user's process; run as root or grant CAP_SYS_PTRACE",
	[TALLY_REASON_KERNEL] = "this kernel does not give it; `tally doctor` says what is missing",
	[TALLY_REASON_NOT_ASKED] = "costly to read and not asked for; ask with --pss",
	[TALLY_REASON_BUDGET] = "costly to read and its time budget is spent; it follows in turn",
	[TALLY_REASON_NO_SANDBOX] = "the task has no sandbox; name one with --sandbox DIR",
	[TALLY_REASON_DISK_PENDING] = "the first walk of the sandbox has not ended yet",
	[TALLY_REASON_DISK_FAILED] = "the sandbox cannot be read; the log says why",
	[TALLY_REASON_ENDED] = "no live process is left to read it from",
	[TALLY_REASON_COLLECTOR] =
		"the collector in use cannot see it; `tally doctor` tells which can",
	[TALLY_REASON_TASK_ONLY] = "a figure of the task as a whole; ask for the task",
	[TALLY_REASON_LIMIT] = "a limit of Tally is reached; `tally doctor` tells which",
	[TALLY_REASON_NOT_STORED] =
		"not in this history: it was written before this figure existed",
	[TALLY_REASON_NOT_SHARED] =
		"the kernel shows it to the owner alone, so does the observer: ask as root or its own user, give its token, or start it with --share",
	[TALLY_REASON_NO_CGROUP] = "only a task that is a cgroup has it; see --source cgroup:PATH",
	[TALLY_REASON_NO_CONTROLLER] =
		"the task's cgroup is without the controller that tells it; enable it in cgroup.subtree_control of the one above",
	[TALLY_REASON_NO_LIMIT] = "no limit is set",
};

TALLY_API
const char *tally_reason_text(enum tally_reason reason)
{
	return (unsigned)reason < TALLY_REASON_COUNT ? reasons[reason] : "unknown";
}

/* The letters of fs/proc/array.c, task_state_array[]. */
TALLY_API
const char *tally_state_word(int64_t letter)
{
	switch (letter) {
	case 'R':
		return "running";
	case 'S':
		return "sleeping";
	case 'D':
		return "disk-sleep";
	case 'T':
		return "stopped";
	case 't':
		return "tracing-stop";
	case 'X':
	case 'x':
		return "dead";
	case 'Z':
		return "zombie";
	case 'P':
		return "parked";
	case 'I':
		return "idle";
	default:
		return "unknown";
	}
}

static const char *const lives[] = {
	[TALLY_LIFE_WAITING] = "waiting",
	[TALLY_LIFE_ACTIVE] = "active",
	[TALLY_LIFE_SUCCESS] = "success",
	[TALLY_LIFE_FAILED] = "failed",
	[TALLY_LIFE_KILLED] = "killed",
	[TALLY_LIFE_LOST] = "lost",
	[TALLY_LIFE_CLEANING] = "cleaning",
	[TALLY_LIFE_FINALIZING] = "finalizing",
};

TALLY_API
const char *tally_life_name(enum tally_life life)
{
	return (size_t)life < ARRAY_SIZE(lives) ? lives[life] : "unknown";
}
