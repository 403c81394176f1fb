/* SPDX-License-Identifier: Apache-2.0 */
/** Trees of files for the tests of disk usage, and what du says of them. */
#ifndef TESTS_TREE_H
#define TESTS_TREE_H

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "check.h"

/** A new directory under $TMPDIR or /tmp, or under `parent` when that is not NULL. */
static inline char *tree_new(const char *parent)
{
	char *path = NULL;

	if (!parent)
		parent = getenv("TMPDIR") ?: "/tmp";
	assert_true(asprintf(&path, "%s/tally-disk-XXXXXX", parent) > 0);
	assert_non_null(mkdtemp(path));
	return path;
}

/** Where large trees are made and removed quickly, for what does not depend on a file system. */
static inline const char *tree_quick(void)
{
	return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : NULL;
}

/** Run a shell script in a directory. Its exit status. */
static inline int tree_try(const char *path, const char *script)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (chdir(path) < 0)
			_exit(126);
		execl("/bin/bash", "bash", "-ec", script, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

/** Run a shell script in a directory; it must succeed. */
static inline void tree_run(const char *path, const char *script)
{
	int status = tree_try(path, script);

	if (status)
		fail_msg("in %s: exit status %d of: %s", path, status, script);
}

/** Remove it with all that is in it, and free its name. */
static inline void tree_free(char *path)
{
	char *script = NULL;
	assert_true(asprintf(&script,
			    "rm -rf '%s' 2>/dev/null || { chmod -R u+rwx '%s'; rm -rf '%s'; }",
			    path, path, path) > 0);
	tree_run("/", script);
	free(script);
	free(path);
}

/** First number that a command prints; its complaints are not shown. */
static inline int64_t tree_number(const char *path, const char *command)
{
	char *script = NULL;
	long long number = -1;

	assert_true(asprintf(&script, "cd '%s' && { %s; } 2>/dev/null", path, command) > 0);
	FILE *pipe = popen(script, "re");
	assert_non_null(pipe);
	assert_int_equal(fscanf(pipe, "%lld", &number), 1);
	while (fgetc(pipe) != EOF)
		;
	pclose(pipe);
	free(script);
	return number;
}

/** What GNU du says it uses. */
static inline int64_t tree_du(const char *path)
{
	return tree_number(path, "du -xsB1 .");
}

/** Entries in it, itself included. */
static inline int64_t tree_files(const char *path)
{
	return tree_number(path, "find . -xdev -printf x | wc -c");
}

#endif
