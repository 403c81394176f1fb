/* SPDX-License-Identifier: Apache-2.0 */
/* The filter of system calls: what an observer does still works, all else fails and kills nobody. */
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/quota.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/attr.h"
#include "cli/daemon.h"

/* Each is run by a child under the filter; 0 says that all was as it should. */
typedef int probe_fn(void);

static int run_confined(probe_fn *probe)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct tally_error err;

		if (daemon_confine(&err) < 0)
			_exit(err.code == -ENOTSUP ? 77 : 99);
		_exit(probe());
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return 98;
	return WEXITSTATUS(status);
}

static void expect_well(probe_fn *probe)
{
	int status = run_confined(probe);

	if (status == 77)
		skip();
	assert_int_equal(status, 0);
}

static int refused(long result)
{
	return result == -1 && errno == EPERM ? 0 : 1;
}

static int start_programs(void)
{
	char word[] = "true", *const words[] = {word, NULL};

	return refused(fork()) || refused(execve("/bin/true", words, words));
}

static int meddle(void)
{
	return refused(kill(getppid(), 0)) ||
	       refused(syscall(SYS_tgkill, getppid(), getppid(), 0)) ||
	       refused(ptrace(PTRACE_TRACEME, 0, 0, 0)) ||
	       refused(mount("none", "/tmp", "tmpfs", 0, NULL)) || refused(setresuid(0, 0, 0)) ||
	       refused(unshare(CLONE_NEWUSER)) || refused(chroot("/")) ||
	       refused(syscall(SYS_io_uring_setup, 8, NULL)) ||
	       refused(syscall(SYS_process_vm_writev, getppid(), NULL, 0, NULL, 0, 0));
}

static int call_the_unknown(void)
{
	return refused(syscall(9999)) || refused(syscall(SYS_acct, NULL));
}

static int ask_for_quotas(void)
{
	char room[256];
	int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	long asked = syscall(SYS_quotactl_fd, fd, QCMD((uint32_t)Q_GETQUOTA, PRJQUOTA), 7, room);

	/* The kernel itself has another reason, for root. */
	if (asked < 0 && errno == EPERM && geteuid() == 0)
		return 1;
	return refused(syscall(
		       SYS_quotactl_fd, fd, QCMD((uint32_t)Q_SETQUOTA, PRJQUOTA), 7, room)) ||
	       refused(syscall(
		       SYS_quotactl_fd, fd, QCMD((uint32_t)Q_GETQUOTA, USRQUOTA), 7, room)) ||
	       refused(syscall(SYS_quotactl, QCMD((uint32_t)Q_GETQUOTA, PRJQUOTA), "/", 7, room));
}

static void *take_ordinary_priority(void *argument)
{
	struct sched_param none = {0};
	int *ret = argument;

	*ret = pthread_setschedparam(pthread_self(), SCHED_IDLE, &none) ||
	       pthread_setschedparam(pthread_self(), SCHED_OTHER, &none);
	return NULL;
}

static int use_threads(void)
{
	pthread_t thread;
	int result = 1;

	if (pthread_create(&thread, NULL, take_ordinary_priority, &result) != 0)
		return 2;
	pthread_join(thread, NULL);
	return result;
}

static int use_a_database(void)
{
	char path[] = "/tmp/tally-confine-XXXXXX";
	sqlite3 *db;
	int fd = mkstemp(path);

	if (fd < 0)
		return 2;
	close(fd);
	int r = sqlite3_open(path, &db) ||
		sqlite3_exec(db,
			"PRAGMA journal_mode=WAL; CREATE TABLE t(x); INSERT INTO t VALUES(1)", NULL,
			NULL, NULL);
	sqlite3_close(db);
	unlink(path);
	return r;
}

static int resolve_names(void)
{
	struct addrinfo *found = NULL;
	int r = getaddrinfo("localhost", "9090", NULL, &found);

	if (found)
		freeaddrinfo(found);
	return r;
}

static int abort_as_ever(void)
{
	signal(SIGABRT, SIG_DFL);
	abort();
}

static void it_starts_no_programs(void **state)
{
	expect_well(start_programs);
}

static void it_meddles_with_nobody(void **state)
{
	expect_well(meddle);
}

static void it_asks_for_quotas_and_sets_none(void **state)
{
	expect_well(ask_for_quotas);
}

static void an_unknown_call_fails_and_does_not_kill(void **state)
{
	expect_well(call_the_unknown);
}

static void threads_still_start_and_choose_their_priority(void **state)
{
	expect_well(use_threads);
}

static void the_store_is_still_written(void **state)
{
	expect_well(use_a_database);
}

static void names_are_still_resolved(void **state)
{
	expect_well(resolve_names);
}

static void an_assertion_still_ends_it(void **state)
{
	int status = run_confined(abort_as_ever);

	if (status == 77)
		skip();
	assert_int_equal(status, 98); /* By a signal. */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_starts_no_programs),
		cmocka_unit_test(it_meddles_with_nobody),
		cmocka_unit_test(it_asks_for_quotas_and_sets_none),
		cmocka_unit_test(an_unknown_call_fails_and_does_not_kill),
		cmocka_unit_test(threads_still_start_and_choose_their_priority),
		cmocka_unit_test(the_store_is_still_written),
		cmocka_unit_test(names_are_still_resolved),
		cmocka_unit_test(an_assertion_still_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
