/* SPDX-License-Identifier: Apache-2.0 */
#include "source/definition.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "base/attr.h"
#include "base/fail.h"
#include "base/file.h"
#include "base/text.h"
#include "source/folder.h"

static int read_text(int fd, char **ret, size_t *ret_length)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size > DEFINITION_MAX)
		return -EFBIG;

	char *text = malloc((size_t)st.st_size + 1);
	if (!text)
		return -ENOMEM;
	ssize_t got = file_pread(fd, text, (size_t)st.st_size);
	if (got < 0) {
		free(text);
		return (int)got;
	}
	*ret = text;
	*ret_length = (size_t)got;
	return 0;
}

int definition_read_at(int base, const char *path, json_t **ret, struct tally_error *err)
{
	char shown[256];
	json_error_t wrong;
	CLEANUP_FREE char *text = NULL;
	size_t length = 0;
	CLEANUP_CLOSE int fd = open_beneath(base, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	int r = fd < 0 ? fd : read_text(fd, &text, &length);

	text_show(shown, sizeof(shown), path);
	if (r < 0)
		return tally_fail(err, r, "cannot read %s", shown);

	json_t *object = json_loadb(text, length, 0, &wrong);
	if (!json_is_object(object)) {
		r = tally_refuse(err, -EINVAL, "%s is no JSON object%s%s", shown,
			object ? "" : ": ", object ? "" : wrong.text);
		json_decref(object);
		return r;
	}
	*ret = object;
	return 0;
}

int definition_read(const char *path, json_t **ret, struct tally_error *err)
{
	CLEANUP_CLOSE int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	while (*path == '/')
		path++;
	return root < 0 ? tally_fail(err, -errno, "cannot open /")
			: definition_read_at(root, path, ret, err);
}
