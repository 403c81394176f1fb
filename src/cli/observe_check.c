/* SPDX-License-Identifier: Apache-2.0 */
/* `tally observe`: what the options mean, and whether they go together. */
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/attr.h"
#include "base/fail.h"
#include "base/parse.h"
#include "cli/daemon.h"
#include "cli/observe.h"

#define DEFAULT_LISTEN "127.0.0.1:1338"

/* Descriptors that a supervisor hands over begin here. */
#define LISTEN_FDS_START 3

void observe_default_socket(char *path, size_t size)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");

	path[0] = '\0';
	if (geteuid() == 0)
		snprintf(path, size, "/run/tally/tally.sock");
	else if (runtime && runtime[0] == '/')
		snprintf(path, size, "%s/tally/tally.sock", runtime);
}

static bool is_none(const char *text)
{
	return strcmp(text, "none") == 0;
}

/* An address that other machines reach needs a lock on the door, and walls. */
static int check_reach(struct observer *o, const char *spec)
{
	const struct observe_options *options = &o->options;
	struct tally_error err;
	int local = listen_is_local(spec, &err);

	if (local < 0)
		return line_refuse_option(&o->line, "listen", "%s", err.message);
	if (local || options->insecure || (options->tls_cert && options->token_file))
		return OPTIONS_GO;
	return line_refuse_option(&o->line, "listen",
		"%s can be reached from other machines: give --tls-cert, --tls-key and --token-file, "
		"or say --insecure",
		spec);
}

static int check_listen(struct observer *o)
{
	const struct option_list *list = &o->options.listen;
	int status = OPTIONS_GO;

	if (list->count >= SOCKETS_MAX)
		return line_refuse_option(
			&o->line, "listen", "no more than %d addresses", SOCKETS_MAX - 1);
	for (size_t i = 0; status == OPTIONS_GO && i < list->count; i++)
		if (!is_none(list->items[i]))
			status = check_reach(o, list->items[i]);
	if (status == OPTIONS_GO && o->options.socket && !is_none(o->options.socket) &&
		o->options.socket[0] != '/')
		status = line_refuse_option(&o->line, "socket", "it is an absolute path, or none");
	return status;
}

static int check_tls(struct observer *o)
{
	if (!o->options.tls_cert == !o->options.tls_key)
		return OPTIONS_GO;
	return line_refuse(&o->line, 0, "--tls-cert and --tls-key go together");
}

static int take_series(struct observer *o)
{
	uint64_t limit;

	if (!o->options.max_series)
		return OPTIONS_GO;
	if (!parse_u64(o->options.max_series, 100, 10000000, &limit))
		return line_refuse_option(
			&o->line, "max-series", "it is a number from 100 to 10000000");
	o->series_limit = (size_t)limit;
	return OPTIONS_GO;
}

static int take_hosts(struct observer *o)
{
	const struct option_list *list = &o->options.hosts;

	o->hosts = calloc(list->count + 1, sizeof(*o->hosts));
	if (!o->hosts)
		return line_fail(&o->line, "there is no memory");
	for (size_t i = 0; i < list->count; i++)
		o->hosts[i] = list->items[i];
	return OPTIONS_GO;
}

static int take_share(struct observer *o)
{
	const struct option_list *list = &o->options.share;

	o->share = calloc(list->count + 1, sizeof(*o->share));
	if (!o->share)
		return line_fail(&o->line, "there is no memory");
	for (size_t i = 0; i < list->count; i++) {
		if (strcmp(list->items[i], "all") == 0) {
			o->share_all = true;
			continue;
		}
		const struct passwd *user = getpwnam(list->items[i]);
		if (!user)
			return line_refuse_option(&o->line, "share",
				"there is no user '%.60s'; name one, or say all", list->items[i]);
		o->share[o->share_count++] = user->pw_uid;
	}
	return OPTIONS_GO;
}

static int check_remote(struct observer *o)
{
	const struct observe_options *options = &o->options;
	const struct option_list *labels = &options->remote_labels;
	struct tally_error err;

	if (!options->remote) {
		static const char *const names[] = {"remote-write-interval", "remote-write-label",
			"remote-write-queue", "remote-write-token-file", "remote-write-ca"};

		for (size_t i = 0; i < ARRAY_SIZE(names); i++)
			if (options_given(&o->line, names[i]))
				return line_refuse_option(&o->line, names[i],
					"it goes with --remote-write URL, which is not given");
		return OPTIONS_GO;
	}
	if (remote_check_url(options->remote, &err) < 0)
		return line_refuse_option(&o->line, "remote-write", "%s", err.message);
	for (size_t i = 0; i < labels->count; i++)
		if (remote_check_label(labels->items[i], &err) < 0)
			return line_refuse_option(
				&o->line, "remote-write-label", "%s", err.message);
	if (options->remote_queue_bytes && options->remote_queue_bytes < REMOTE_QUEUE_BYTES_MIN)
		return line_refuse_option(
			&o->line, "remote-write-queue", "it is a size of 1M or more");
	return OPTIONS_GO;
}

int observe_check(struct observer *o)
{
	int status = OPTIONS_GO;

	if (daemon_log_format(o->options.log_format) < 0)
		status = line_refuse_option(
			&o->line, "log-format", "the formats are text, journal and json");
	if (status == OPTIONS_GO)
		status = check_listen(o);
	if (status == OPTIONS_GO)
		status = check_tls(o);
	if (status == OPTIONS_GO)
		status = check_remote(o);
	if (status == OPTIONS_GO)
		status = take_series(o);
	if (status == OPTIONS_GO)
		status = take_hosts(o);
	if (status == OPTIONS_GO)
		status = take_share(o);
	return status;
}

static int open_one(struct observer *o, const char *spec, struct tally_error *err)
{
	int r = listener_open(spec, &o->listeners[o->listener_count], err);

	o->listener_count += r == 0;
	return r;
}

static int adopt_all(struct observer *o, int count, struct tally_error *err)
{
	int r = 0;

	for (int i = 0; r == 0 && i < count && o->listener_count < SERVE_LISTENERS_MAX; i++) {
		r = listener_adopt(LISTEN_FDS_START + i, &o->listeners[o->listener_count], err);
		o->listener_count += r == 0;
	}
	return r;
}

/* What a supervisor hands over takes the place of the defaults, not of what was asked for. */
int observe_listen(struct observer *o, struct tally_error *err)
{
	const struct observe_options *options = &o->options;
	int given = daemon_listen_fds(), r = adopt_all(o, given, err);
	const char *socket = options->socket;

	for (size_t i = 0; r == 0 && i < options->listen.count; i++)
		if (!is_none(options->listen.items[i]))
			r = open_one(o, options->listen.items[i], err);
	if (r == 0 && options->listen.count == 0 && !given)
		r = open_one(o, DEFAULT_LISTEN, err);

	observe_default_socket(o->default_socket, sizeof(o->default_socket));
	if (!socket && !given && o->default_socket[0])
		socket = o->default_socket;
	if (r == 0 && socket && !is_none(socket))
		r = open_one(o, socket, err);
	return r;
}
