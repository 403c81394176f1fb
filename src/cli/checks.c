/* SPDX-License-Identifier: Apache-2.0 */
/* The checks of `tally doctor`: each looks at one thing, and none changes anything. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>
#include "base/attr.h"
#include "base/file.h"
#include "base/parse.h"
#include "cli/doctor.h"

/* Kept descriptors that serve "500 tasks of 10 processes" twice over. */
#define DESCRIPTORS_ENOUGH 16384

static void PRINTF_LIKE(3, 4)
	found(struct finding *finding, enum finding_status status, const char *format, ...)
{
	va_list args;

	finding->status = status;
	va_start(args, format);
	vsnprintf(finding->detail, sizeof(finding->detail), format, args);
	va_end(args);
}

/* Read a small file as a string; its length, or negative errno. */
static ssize_t read_text(const char *path, char *text, size_t size)
{
	ssize_t length = file_read_at(AT_FDCWD, path, text, size - 1);

	text[length > 0 ? length : 0] = '\0';
	return length;
}

/* Something that is there when a file can be read. */
static void look_at_file(struct finding *finding, const char *path, const char *there,
	const char *meaning, const char *remedy)
{
	char text[256];
	ssize_t length = read_text(path, text, sizeof(text));

	if (length > 0) {
		found(finding, FINDING_OK, "%s", there);
		return;
	}
	found(finding, FINDING_MISSING, "cannot read %s: %s", path,
		length < 0 ? strerror((int)-length) : "it is empty");
	finding->meaning = meaning;
	finding->remedy = remedy;
}

static void look_at_kernel(struct finding *finding)
{
	struct utsname kernel;
	unsigned major = 0, minor = 0;

	if (uname(&kernel) < 0 || sscanf(kernel.release, "%u.%u", &major, &minor) != 2) {
		found(finding, FINDING_LIMITED, "its version is not known");
		return;
	}
	bool old = major < 5 || (major == 5 && minor < 10);
	found(finding, old ? FINDING_LIMITED : FINDING_OK, "%s %s, %s", kernel.sysname,
		kernel.release, kernel.machine);
	if (old) {
		finding->meaning = "it is older than what Tally is tested on";
		finding->remedy = "use Linux 5.10 or newer";
	}
}

/* "CapEff:\t000001ffffffffff" of /proc/self/status. */
static uint64_t effective_capabilities(void)
{
	char text[4096];
	const char *line;

	if (read_text("/proc/self/status", text, sizeof(text)) < 0)
		return 0;
	line = strstr(text, "\nCapEff:");
	return line ? strtoull(line + strlen("\nCapEff:"), NULL, 16) : 0;
}

static bool capable(int capability)
{
	return effective_capabilities() >> capability & 1;
}

static void look_at_privileges(struct finding *finding)
{
	static const struct {
		int number;
		const char *name;
	} wanted[] = {
		{CAP_SYS_PTRACE, "CAP_SYS_PTRACE"},
		{CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH"},
	};
	char lacking[128] = "";

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		size_t used = strlen(lacking);

		if (!capable(wanted[i].number))
			snprintf(lacking + used, sizeof(lacking) - used, "%s%s",
				used ? " and " : "", wanted[i].name);
	}
	if (!*lacking) {
		found(finding, FINDING_OK, "user %d, who may read every process", (int)geteuid());
		return;
	}
	found(finding, FINDING_LIMITED, "user %d, without %s", (int)geteuid(), lacking);
	finding->meaning = "I/O, descriptors and PSS of other users' processes stay absent";
	finding->remedy =
		"run as root, or setcap cap_sys_ptrace,cap_dac_read_search+ep on the program";
}

/* The word behind "hidepid=" in the options of the /proc mount, or false. */
static bool find_hidepid(char *value, size_t size)
{
	CLEANUP_FILE FILE *mounts = fopen("/proc/self/mounts", "re");
	char line[4096];

	while (mounts && fgets(line, sizeof(line), mounts)) {
		const char *option = strstr(line, "hidepid=");

		if (!strstr(line, " /proc proc ") || !option)
			continue;
		option += strlen("hidepid=");
		snprintf(value, size, "%.*s", (int)strcspn(option, ", \n"), option);
		return true;
	}
	return false;
}

static void look_at_hidepid(struct finding *finding)
{
	char value[32];

	if (!find_hidepid(value, sizeof(value)) || strcmp(value, "0") == 0 ||
		strcmp(value, "off") == 0) {
		found(finding, FINDING_OK, "/proc shows the processes of all users");
		return;
	}
	bool exempt = capable(CAP_SYS_PTRACE);
	found(finding, exempt ? FINDING_OK : FINDING_LIMITED, "/proc is mounted with hidepid=%s%s",
		value, exempt ? ", which does not concern us" : "");
	if (!exempt) {
		finding->meaning = "other users' processes cannot be seen";
		finding->remedy =
			"run as root, or as a member of the group in the mount option gid=";
	}
}

static void look_at_descriptors(struct finding *finding)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
		found(finding, FINDING_LIMITED, "the limit cannot be read: %s", strerror(errno));
		return;
	}
	bool enough = limit.rlim_cur >= DESCRIPTORS_ENOUGH;
	found(finding, enough ? FINDING_OK : FINDING_LIMITED,
		"up to %" PRIu64 " open files, %" PRIu64 " at most", (uint64_t)limit.rlim_cur,
		(uint64_t)limit.rlim_max);
	if (!enough) {
		finding->meaning =
			"each process measured keeps a file open; more processes cost more per tick";
		finding->remedy = "raise it: ulimit -n 65536, or LimitNOFILE= of the service";
	}
}

static void look_at_fd_count(struct finding *finding)
{
	struct stat there;

	if (stat("/proc/self/fd", &there) == 0 && there.st_size > 0) {
		found(finding, FINDING_OK, "counted by the kernel");
		return;
	}
	found(finding, FINDING_LIMITED, "/proc/PID/fd does not tell its size");
	finding->meaning = "open descriptors are counted one by one, at a higher cost";
	finding->remedy = "use Linux 6.2 or newer";
}

static void look_at_io(struct finding *finding)
{
	look_at_file(finding, "/proc/self/io", "bytes read and written are counted",
		"io_read_bytes and io_write_bytes stay absent",
		"use a kernel with CONFIG_TASK_IO_ACCOUNTING");
}

static void look_at_run_queue(struct finding *finding)
{
	look_at_file(finding, "/proc/self/schedstat", "time spent waiting for a CPU is counted",
		"run_queue_wait_seconds stays absent", "use a kernel with CONFIG_SCHED_INFO");
}

static void look_at_pss(struct finding *finding)
{
	look_at_file(finding, "/proc/self/smaps_rollup", "can be read; ask for it with --pss",
		"pss_bytes stays absent", "use a kernel with CONFIG_PROC_PAGE_MONITOR");
}

/* Which versions are mounted: " - cgroup2 " and " - cgroup " of /proc/self/mountinfo. */
static void look_at_cgroups(struct finding *finding)
{
	CLEANUP_FILE FILE *mounts = fopen("/proc/self/mountinfo", "re");
	char line[4096];
	bool first = false, second = false;

	while (mounts && fgets(line, sizeof(line), mounts)) {
		first |= strstr(line, " - cgroup ") != NULL;
		second |= strstr(line, " - cgroup2 ") != NULL;
	}
	found(finding, second ? FINDING_OK : FINDING_LIMITED, "%s",
		first && second ? "version 2, beside controllers of version 1"
		: second	? "version 2"
		: first		? "version 1 only"
				: "none is mounted");
	if (!second) {
		finding->meaning = "a task cannot be told by its cgroup";
		finding->remedy = "mount version 2: mount -t cgroup2 none /sys/fs/cgroup/unified";
	}
}

static void look_at_pressure(struct finding *finding)
{
	char text[256];
	ssize_t length = read_text("/proc/pressure/cpu", text, sizeof(text));

	found(finding, FINDING_NOTE, "%s",
		length > 0 ? "the kernel tells it" : "the kernel does not tell it");
}

static void look_at_delays(struct finding *finding)
{
	char text[16];
	ssize_t length = read_text("/proc/sys/kernel/task_delayacct", text, sizeof(text));

	found(finding, FINDING_NOTE, "%s",
		length < 0	 ? "not in this kernel"
		: text[0] == '1' ? "on"
				 : "off");
}

static void read_limit(const char *path, char *text, size_t size)
{
	if (read_text(path, text, size) <= 0)
		snprintf(text, size, "an unknown number of");
	text[strcspn(text, "\n")] = '\0';
}

static void look_at_fanotify(struct finding *finding)
{
	CLEANUP_CLOSE int fd = fanotify_init(
		FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME | FAN_CLOEXEC | FAN_NONBLOCK, O_RDONLY);
	char groups[32], marks[32];

	if (fd < 0) {
		bool full = errno == EMFILE;

		found(finding, FINDING_LIMITED, "cannot be used: %s", strerror(errno));
		finding->meaning = "sandboxes are walked whole at every look";
		finding->remedy = full ? "other programs of this user have all groups: raise "
					 "fs.fanotify.max_user_groups"
				       : "use Linux 5.13 or newer, or run as root";
		return;
	}
	read_limit("/proc/sys/fs/fanotify/max_user_groups", groups, sizeof(groups));
	read_limit("/proc/sys/fs/fanotify/max_user_marks", marks, sizeof(marks));
	found(finding, FINDING_OK,
		"tells what changes in %s directories of %s sandboxes (fs.fanotify.max_user_marks "
		"and .max_user_groups); more are walked",
		marks, groups);
}

/* Directories are named by handles in what fanotify tells. */
static void look_at_disk(struct finding *finding)
{
	union {
		struct file_handle handle;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} space = {.handle.handle_bytes = MAX_HANDLE_SZ};
	int mount;

	if (name_to_handle_at(AT_FDCWD, ".", &space.handle, &mount, 0) == 0) {
		found(finding, FINDING_OK, "the file system here names directories by handles");
		return;
	}
	found(finding, FINDING_LIMITED, "the file system here gives no handles: %s",
		strerror(errno));
	finding->meaning = "sandboxes on it are walked whole at every look";
}

const struct check checks[] = {
	{"kernel", look_at_kernel},
	{"privileges", look_at_privileges},
	{"hidepid", look_at_hidepid},
	{"descriptors", look_at_descriptors},
	{"descriptor count", look_at_fd_count},
	{"I/O", look_at_io},
	{"run queue", look_at_run_queue},
	{"PSS", look_at_pss},
	{"cgroups", look_at_cgroups},
	{"pressure", look_at_pressure},
	{"delay accounting", look_at_delays},
	{"fanotify", look_at_fanotify},
	{"disk", look_at_disk},
	{.name = NULL},
};
