/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filter of system calls. What is not named here fails with EPERM, as if a right were missing:
 * an observer whose C library tries something new goes on, and one that was taken over can start no
 * program, signal or trace nobody, mount nothing, become nobody else. The kernel's audit log tells
 * what was refused.
 */
#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/quota.h>
#include <unistd.h>
#include "base/attr.h"
#include "base/fail.h"
#include "cli/daemon.h"

/* By name: what a machine's kernel or C library does not know is not needed there. Its own ring of
 * io_uring the disk worker opens before; another cannot be. */
/* clang-format off */
static const char *const allowed[] = {
	/* Files: to read what there is, to write the store. */
	"read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2",
	"open", "openat", "openat2", "creat", "close", "close_range",
	"stat", "lstat", "fstat", "newfstatat", "fstatat64", "statx", "statfs", "fstatfs", "statfs64", "fstatfs64", "stat64", "lstat64", "fstat64",
	"access", "faccessat", "faccessat2", "readlink", "readlinkat", "getcwd", "lseek", "_llseek",
	"getdents", "getdents64", "getxattr", "fgetxattr",
	"mkdir", "mkdirat", "rmdir", "rename", "renameat", "renameat2", "unlink", "unlinkat",
	"truncate", "ftruncate", "ftruncate64", "fallocate", "fsync", "fdatasync", "sync_file_range",
	"umask", "chmod", "fchmod", "fchmodat", "fchown", "fchown32", "utimensat",
	"fcntl", "fcntl64", "flock", "ioctl", "dup", "dup2", "dup3", "fadvise64", "readahead",
	"name_to_handle_at",
	"inotify_init1", "inotify_add_watch", "inotify_rm_watch", "fanotify_init", "fanotify_mark",
	"io_uring_enter", "io_uring_register",
	/* Memory and threads. */
	"brk", "mmap", "mmap2", "munmap", "mremap", "mprotect", "madvise", "msync", "mincore", "membarrier", "memfd_create",
	"futex", "futex_time64", "futex_waitv", "futex_wait", "futex_wake", "futex_requeue",
	"set_robust_list", "get_robust_list", "rseq", "set_tid_address", "arch_prctl", "prctl",
	"sched_yield", "sched_getaffinity", "sched_getparam", "sched_getscheduler", "sched_setaffinity", "getcpu",
	"exit", "exit_group", "restart_syscall", "wait4", "waitid",
	/* Signals of our own, and time. */
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending", "rt_sigtimedwait", "rt_sigsuspend", "sigaltstack",
	"sigreturn", "signalfd", "signalfd4",
	"clock_gettime", "clock_gettime64", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time",
	"timer_create", "timer_settime", "timer_gettime", "timer_delete",
	"timerfd_create", "timerfd_settime", "timerfd_gettime",
	/* Waiting, and the net. */
	"poll", "ppoll", "ppoll_time64", "select", "_newselect", "pselect6",
	"epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2",
	"eventfd", "eventfd2", "pipe", "pipe2",
	"socket", "socketpair", "bind", "listen", "accept", "accept4", "connect", "shutdown",
	"getsockname", "getpeername", "getsockopt", "setsockopt",
	"send", "sendto", "sendmsg", "sendmmsg", "recv", "recvfrom", "recvmsg", "recvmmsg",
	/* Who and where we are, and who others are. */
	"getpid", "gettid", "getppid", "getpgid", "getpgrp", "getsid", "getuid", "geteuid", "getgid", "getegid", "getgroups",
	"getuid32", "geteuid32", "getgid32", "getegid32", "getresuid", "getresgid", "capget",
	"getrusage", "getrlimit", "ugetrlimit", "prlimit64", "getpriority", "ioprio_get", "times", "uname", "sysinfo", "getrandom",
	"pidfd_open", "bpf",
};
/* clang-format on */

/* Allowed with certain arguments only. */
struct narrow {
	const char *name;
	struct scmp_arg_cmp when;
};

static int allow_narrow(scmp_filter_ctx filter)
{
	const struct narrow rules[] = {
		/* Threads, no processes. */
		{"clone", {.arg = 0,
				  .op = SCMP_CMP_MASKED_EQ,
				  .datum_a = CLONE_THREAD,
				  .datum_b = CLONE_THREAD}},
		/* abort() */
		{"tgkill", {.arg = 0, .op = SCMP_CMP_EQ, .datum_a = (scmp_datum_t)getpid()}},
		/* The disk worker steps back from ordinary priority and, where that starves it, forth. */
		{"sched_setscheduler", {.arg = 1, .op = SCMP_CMP_EQ, .datum_a = SCHED_OTHER}},
		{"sched_setscheduler", {.arg = 1, .op = SCMP_CMP_EQ, .datum_a = SCHED_IDLE}},
		/* To ask for the quota of a project, not to set any. */
		{"quotactl_fd", {.arg = 1,
					.op = SCMP_CMP_MASKED_EQ,
					.datum_a = UINT32_MAX,
					.datum_b = QCMD((uint32_t)Q_GETQUOTA, PRJQUOTA)}},
		{"ioprio_set", {.arg = 1, .op = SCMP_CMP_EQ, .datum_a = 0}},
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(rules); i++) {
		int number = seccomp_syscall_resolve_name(rules[i].name);

		if (number >= 0)
			r = seccomp_rule_add_array(
				filter, SCMP_ACT_ALLOW, number, 1, &rules[i].when);
	}
	return r;
}

/* Its flags lie in memory, where no filter looks. The C library then takes clone(). */
static int forbid_clone3(scmp_filter_ctx filter)
{
	int number = seccomp_syscall_resolve_name("clone3");

	return number < 0 ? 0 : seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), number, 0);
}

static int set_attributes(scmp_filter_ctx filter)
{
	/* Of all threads; and a tree rather than a list, for it is walked at each call. */
	int r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);

	if (r == 0)
		r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(EPERM));
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1);
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	return r;
}

static int fill_filter(scmp_filter_ctx filter)
{
	int r = set_attributes(filter);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(allowed); i++) {
		int number = seccomp_syscall_resolve_name(allowed[i]);

		if (number >= 0)
			r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
	}
	if (r == 0)
		r = allow_narrow(filter);
	return r == 0 ? forbid_clone3(filter) : r;
}

int daemon_confine(struct tally_error *err)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r = filter ? fill_filter(filter) : -ENOMEM;

	if (r == 0)
		r = seccomp_load(filter);
	if (filter)
		seccomp_release(filter);
	return r < 0 ? tally_fail(err, -ENOTSUP, "cannot install the filter of system calls (%s)",
			       strerror(-r))
		     : 0;
}
