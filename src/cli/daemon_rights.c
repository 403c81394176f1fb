/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/attr.h"
#include "base/fail.h"
#include "cli/daemon.h"

/* What reading other users' processes takes; whoever has less keeps less. */
static const int kept[] = {CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH, CAP_PERFMON, CAP_BPF};

/* Two words: capabilities 0 to 31, and 32 to 63. */
#define CAP_WORDS _LINUX_CAPABILITY_U32S_3

static int read_rights(struct __user_cap_data_struct data[CAP_WORDS])
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

	return syscall(SYS_capget, &header, data) < 0 ? -errno : 0;
}

static int write_rights(const struct __user_cap_data_struct data[CAP_WORDS])
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

static void narrow(struct __user_cap_data_struct data[CAP_WORDS])
{
	__u32 wanted[CAP_WORDS] = {0};

	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		wanted[kept[i] / 32] |= 1u << kept[i] % 32;
	for (int i = 0; i < CAP_WORDS; i++) {
		data[i].permitted &= wanted[i];
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
}

static int become(const char *name, struct tally_error *err)
{
	struct passwd *user;

	errno = 0;
	user = getpwnam(name);
	if (!user)
		return tally_refuse(err, -ESRCH, "there is no user '%.60s'", name);
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || initgroups(name, user->pw_gid) < 0 ||
		setresgid(user->pw_gid, user->pw_gid, user->pw_gid) < 0 ||
		setresuid(user->pw_uid, user->pw_uid, user->pw_uid) < 0)
		return tally_fail(err, -errno, "cannot become user %.60s", name);
	return 0;
}

int daemon_drop_rights(const char *user, struct tally_error *err)
{
	struct __user_cap_data_struct data[CAP_WORDS];
	int r = user ? become(user, err) : 0;

	if (r < 0)
		return r;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	r = read_rights(data);
	if (r == 0) {
		narrow(data);
		r = write_rights(data);
	}
	if (r < 0)
		return tally_fail(err, r, "cannot give up capabilities");
	prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
	return 0;
}
