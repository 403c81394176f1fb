/* SPDX-License-Identifier: Apache-2.0 */
/* Where the disk of a task went: its heaviest directories, and what has no name any more. */
#include <errno.h>
#include "base/clock.h"
#include "base/fail.h"
#include "base/parse.h"
#include "monitor/monitor.h"
#include "serve/call.h"

/* Names of files are the owner's, as /proc and permissions have it. */
static int refuse_others(struct tally_error *err)
{
	tally_refuse(err, -EACCES,
		"names of files are shown to root, the observer's own user and whoever has its token alone");
	return MHD_HTTP_FORBIDDEN;
}

/* 503 means: ask again. What cannot be looked at is not there. */
static int status_of(int code)
{
	return code == -EAGAIN || code == -ENOMEM ? MHD_HTTP_SERVICE_UNAVAILABLE
						  : MHD_HTTP_NOT_FOUND;
}

static void put_figure(struct buffer *out, const char *key, int64_t value)
{
	buffer_printf(out, ",\"%s\":", key);
	buffer_put_i64(out, value);
}

static void put_text(struct buffer *out, const char *key, const char *text)
{
	buffer_printf(out, ",\"%s\":", key);
	if (text && *text)
		buffer_put_json(out, text);
	else
		buffer_puts(out, "null");
}

static void put_age(struct buffer *out, int64_t boot_ns)
{
	int64_t age_ns = clock_boot_ns() - boot_ns;

	buffer_puts(out, ",\"disk_age_seconds\":");
	if (boot_ns)
		buffer_put_seconds(out, age_ns > 0 ? age_ns : 0);
	else
		buffer_puts(out, "null");
}

/* ---- the heaviest directories ---- */

static int read_depth(const struct request *request, uint64_t *ret, struct tally_error *err)
{
	const char *text = request->params[PARAM_DEPTH];

	*ret = OUTLINE_DEPTH_MOST;
	if (!text || parse_u64(text, 0, OUTLINE_DEPTH_MOST, ret))
		return 0;
	tally_refuse(err, -EINVAL, "depth is a number from 0 to %d, not '%.40s'",
		OUTLINE_DEPTH_MOST, text);
	return MHD_HTTP_BAD_REQUEST;
}

static void write_dirs(struct buffer *out, const struct outline *dirs, uint64_t depth)
{
	const char *comma = "";

	buffer_puts(out, ",\"directories\":[");
	for (unsigned i = 0; i < dirs->count; i++) {
		const struct outline_dir *dir = &dirs->dirs[i];

		if (dir->depth > depth)
			continue;
		buffer_printf(out, "%s{\"path\":", comma);
		buffer_put_json(out, dir->depth ? dir->path : ".");
		put_figure(out, "depth", dir->depth);
		put_figure(out, "bytes", dir->bytes);
		put_figure(out, "files", dir->files);
		buffer_putc(out, '}');
		comma = ",";
	}
	buffer_putc(out, ']');
}

int call_disk(struct call *call, struct tally_error *err)
{
	const char *task = call->request->args[0];
	struct buffer *out = &call->body;
	struct monitor_outline outline;
	uint64_t depth;

	if (call->sees != SEES_ALL)
		return refuse_others(err);
	int status = read_depth(call->request, &depth, err);
	if (status)
		return status;
	int r = monitor_outline(call->server->options.monitor, task, &outline, err);
	if (r < 0)
		return status_of(r);
	buffer_puts(out, "{\"task\":");
	buffer_put_json(out, task);
	put_text(out, "sandbox", outline.sandbox);
	put_text(out, "disk_method", outline.method);
	put_text(out, "why", outline.why);
	put_figure(out, "disk_bytes", outline.bytes);
	put_figure(out, "disk_files", outline.files);
	put_figure(out, "partial", outline.partial);
	put_age(out, outline.boot_ns);
	if (outline.has_dirs)
		write_dirs(out, &outline.dirs, depth);
	else
		buffer_puts(out, ",\"directories\":null");
	put_figure(out, "left_out", outline.dirs.left_out);
	buffer_puts(out, "}\n");
	monitor_outline_done(&outline);
	return MHD_HTTP_OK;
}

/* ---- deleted, but open ---- */

struct file_list {
	struct buffer *out;
	const char *comma;
};

static void write_file(void *context, const struct monitor_deleted *file)
{
	struct file_list *list = context;
	struct buffer *out = list->out;

	buffer_printf(out, "%s{\"process\":", list->comma);
	if (file->process)
		buffer_put_json(out, file->process);
	else
		buffer_puts(out, "null");
	put_figure(out, "pid", file->pid);
	put_figure(out, "fd", file->fd);
	put_figure(out, "bytes", file->bytes);
	put_figure(out, "size", file->size);
	buffer_printf(out, ",\"inode\":%llu", (unsigned long long)file->inode);
	put_text(out, "name", file->name);
	buffer_putc(out, '}');
	list->comma = ",";
}

int call_deleted(struct call *call, struct tally_error *err)
{
	const char *task = call->request->args[0];
	struct buffer *out = &call->body;
	struct file_list list = {out, ""};
	struct monitor_deleted_sum sum;

	if (call->sees != SEES_ALL)
		return refuse_others(err);
	buffer_puts(out, "{\"task\":");
	buffer_put_json(out, task);
	buffer_puts(out, ",\"files\":[");
	int r = monitor_deleted(call->server->options.monitor, task, write_file, &list, &sum, err);
	if (r < 0) {
		buffer_done(out);
		return status_of(r);
	}
	buffer_putc(out, ']');
	if (sum.code == 0) {
		put_figure(out, "disk_deleted_bytes", sum.bytes);
		put_figure(out, "disk_deleted_files", sum.files);
	} else {
		buffer_puts(out, ",\"disk_deleted_bytes\":null,\"disk_deleted_files\":null");
	}
	put_text(out, "why", sum.code ? tally_reason_text(sum.reason) : NULL);
	put_age(out, sum.boot_ns);
	put_figure(out, "left_out", sum.left_out);
	buffer_puts(out, "}\n");
	return MHD_HTTP_OK;
}
