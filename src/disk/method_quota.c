/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A sandbox with a project quota of its own (XFS, ext4, f2fs; Mesos' disk/xfs isolator gives each
 * one): the file system keeps the account, and is asked for it.
 *
 * bytes and files are dqb_curspace and dqb_curinodes of the project: as with a mount of its own,
 * what is deleted but open counts, and names of one inode are one. Needs CAP_SYS_ADMIN: the kernel
 * tells nobody else of projects.
 */
#include "disk/registry.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/quota.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fail.h"
#include "disk/site.h"

struct quota_job {
	struct disk_job job;
	const struct disk_site *site;
};

/* The project of a directory, when what is made in it belongs to the same; 0: none. */
static uint32_t project_of(int fd)
{
	struct fsxattr attributes;

	if (ioctl(fd, FS_IOC_FSGETXATTR, &attributes) < 0 ||
		!(attributes.fsx_xflags & FS_XFLAG_PROJINHERIT))
		return 0;
	return attributes.fsx_projid;
}

/* Is the project this directory's, and not one that it is a part of? */
static uint32_t own_project(int fd)
{
	CLEANUP_CLOSE int parent = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint32_t project = project_of(fd);

	if (!project || parent < 0 || project_of(parent) == project)
		return 0;
	return project;
}

static int read_account(int fd, uint32_t project, struct if_dqblk *ret)
{
	unsigned wanted = QIF_SPACE | QIF_INODES;

	if (syscall(SYS_quotactl_fd, fd, QCMD((unsigned)Q_GETQUOTA, PRJQUOTA), project, ret) < 0)
		return -errno;
	return (ret->dqb_valid & wanted) == wanted ? 0 : -EOPNOTSUPP;
}

/* The kernel tells projects only to those with CAP_SYS_ADMIN, and says so late. */
static bool may_ask(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

	return syscall(SYS_capget, &header, data) == 0 &&
	       data[CAP_TO_INDEX(CAP_SYS_ADMIN)].effective & CAP_TO_MASK(CAP_SYS_ADMIN);
}

static int quota_probe(struct tally_error *err)
{
	struct if_dqblk account;
	int r = read_account(-1, 1, &account);

	/* A descriptor that is none is complained of once the call itself is known. */
	if (r != -EBADF)
		return tally_fail(err, r, "this kernel has no quotactl_fd");
	if (!may_ask())
		return tally_refuse(err, -EPERM, "user %d may not ask for the accounts of projects",
			(int)geteuid());
	return 0;
}

static int quota_open(const struct disk_site *site, struct disk_job **ret, struct tally_error *err)
{
	CLEANUP_CLOSE int fd = -1;
	struct if_dqblk account;
	struct statx stat;
	struct quota_job *job;
	int r = site_open(site->path, &fd, &stat, err);

	if (r < 0)
		return r;

	uint32_t project = own_project(fd);
	if (!project)
		return -EOPNOTSUPP;
	r = read_account(fd, project, &account);
	if (r < 0) {
		tally_fail(err, r, "cannot read the quota of project %u", project);
		return -EOPNOTSUPP;
	}
	job = calloc(1, sizeof(*job));
	if (!job)
		return tally_fail(err, -ENOMEM, "cannot measure sandbox %s", site->path);
	job->site = site;
	*ret = &job->job;
	return 0;
}

static int quota_step(struct disk_job *base, struct disk_tools *tools, struct disk_figure *ret,
	struct tally_error *err)
{
	struct quota_job *job = (struct quota_job *)base;
	CLEANUP_CLOSE int fd = -1;
	int64_t now_ns = clock_boot_ns();
	struct if_dqblk account;
	struct statx stat;
	int r = site_open(job->site->path, &fd, &stat, err);

	if (r < 0)
		return r;

	uint32_t project = own_project(fd);
	if (!project || read_account(fd, project, &account) < 0)
		return -EOPNOTSUPP;
	*ret = (struct disk_figure){
		.bytes = (int64_t)account.dqb_curspace,
		.files = (int64_t)account.dqb_curinodes,
		.boot_ns = now_ns,
	};
	return 0;
}

static void quota_close(struct disk_job *job)
{
	free(job);
}

const struct disk_method_ops disk_method_quota = {
	.name = "quota",
	.summary = "asks the file system, of a sandbox with a project quota of its own",
	.remedy = "use Linux 5.14 or newer, as root or with CAP_SYS_ADMIN",
	.probe = quota_probe,
	.open = quota_open,
	.step = quota_step,
	.close = quota_close,
};
