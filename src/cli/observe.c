/* SPDX-License-Identifier: Apache-2.0 */
/* `tally observe`: the daemon. */
#include "cli/observe.h"

#include <errno.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/fail.h"
#include "cli/commands.h"
#include "cli/daemon.h"
#include "cli/shared.h"
#include "monitor/monitor.h"

#define AT(member) offsetof(struct observe_options, member)

static const struct option_row options[] = {
	{"config", 0, OPTION_FILE, "FILE", AT(config),
		"YAML file of these options, and of rules that name tasks; the command line wins"},
	{"source", 0, OPTION_LIST, "SPEC", AT(sources),
		"where tasks come from, as cgroup:PATH, thermos:DIR, pid:web=812 or none (default: auto); may be given again"},
	{"listen", 'l', OPTION_LIST, "ADDRESS", AT(listen),
		"where to answer HTTP: ADDRESS:PORT, a port, or none (default: 127.0.0.1:1338); may be given again"},
	{"socket", 0, OPTION_FILE, "PATH", AT(socket),
		"unix socket to answer on, too, or none (default: /run/tally/tally.sock, or below XDG_RUNTIME_DIR)"},
	{"interval", 'i', OPTION_DURATION, "TIME", AT(interval_ns), HELP_INTERVAL},
	{"disk-interval", 0, OPTION_DURATION, "TIME", AT(disk_interval_ns), HELP_DISK_INTERVAL},
	{"history", 0, OPTION_DURATION, "TIME", AT(history_ns),
		"how far back samples are kept (default: 1h)"},
	{"history-memory", 0, OPTION_SIZE, "SIZE", AT(history_bytes),
		"limit of the memory they take (default: 256M)"},
	{"store", 0, OPTION_FILE, "PATH", AT(store),
		"file that keeps them beyond this run, or none (default: /var/lib/tally/history.db, or below XDG_STATE_HOME)"},
	{"store-size", 0, OPTION_SIZE, "SIZE", AT(store_bytes),
		"limit of that file and its companions (default: 1G)"},
	{"collector", 'c', OPTION_STRING, "NAME", AT(collector), HELP_COLLECTOR},
	{"pss", 0, OPTION_FLAG, NULL, AT(pss), HELP_PSS},
	{"max-series", 0, OPTION_STRING, "N", AT(max_series),
		"most series of tasks in /metrics; the rest is summed as _other (default: 50000)"},
	{"share", 0, OPTION_LIST, "USER", AT(share),
		"show this user, or all, the figures that /proc shows to the owner of a process alone (I/O, descriptors, PSS, disk); root, ourselves and whoever has the token see them anyway"},
	{"show-commands", 0, OPTION_FLAG, NULL, AT(show_commands),
		"show the command lines in the definitions of Thermos' tasks, to those who see all figures"},
	{"remote-write", 0, OPTION_STRING, "URL", AT(remote),
		"push what /metrics shows to Prometheus, as http://127.0.0.1:9090/api/v1/write; what it cannot take waits beside the store"},
	{"remote-write-interval", 0, OPTION_DURATION, "TIME", AT(remote_interval_ns),
		"between two instants pushed (default: 15s)"},
	{"remote-write-label", 0, OPTION_LIST, "LABEL", AT(remote_labels),
		"a label NAME=VALUE of every series pushed, besides job=tally and instance=HOSTNAME; may be given again"},
	{"remote-write-queue", 0, OPTION_SIZE, "SIZE", AT(remote_queue_bytes),
		"limit of what waits to be pushed; the oldest goes first (default: 64M)"},
	{"remote-write-token-file", 0, OPTION_FILE, "FILE", AT(remote_token_file),
		"file whose first secret the receiver wants: Authorization: Bearer TOKEN"},
	{"remote-write-ca", 0, OPTION_FILE, "FILE", AT(remote_ca),
		"certificates that the receiver's may be signed by, PEM (default: the system's)"},
	{"token-file", 0, OPTION_FILE, "FILE", AT(token_file),
		"secrets, one per line, one of which every TCP client must have: Authorization: Bearer TOKEN"},
	{"tls-cert", 0, OPTION_FILE, "FILE", AT(tls_cert),
		"certificate chain, PEM: TCP speaks TLS"},
	{"tls-key", 0, OPTION_FILE, "FILE", AT(tls_key), "its key, PEM"},
	{"insecure", 0, OPTION_FLAG, NULL, AT(insecure),
		"listen where other machines reach us without TLS and a token"},
	{"host", 0, OPTION_LIST, "NAME", AT(hosts),
		"a host name that is ours on loopback, besides localhost; may be given again"},
	{"user", 'u', OPTION_STRING, "NAME", AT(user),
		"become this user, keeping only the capabilities to read processes"},
	{"pidfile", 0, OPTION_FILE, "FILE", AT(pidfile),
		"write our pid there, and hold a lock on it"},
	{"log-format", 0, OPTION_STRING, "FORMAT", AT(log_format),
		"text, journal or json (default: journal where standard error is the journal's, else text)"},
	{"no-seccomp", 0, OPTION_FLAG, NULL, AT(no_seccomp),
		"do without the filter that allows us the system calls of observing alone"},
	{.name = NULL},
};

static int open_signals(struct observer *o, struct tally_error *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	o->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return o->signals < 0 ? tally_fail(err, -errno, "cannot wait for signals") : 0;
}

/* BPF programs are loaded with all the rights there are; reading them takes fewer. */
static int open_collector(struct observer *o, struct tally_error *err)
{
	const struct collect_options collect = {.pss = o->options.pss, .log = &o->log};
	const char *name = o->options.collector ? o->options.collector : "auto";

	return collector_open(name, &collect, &o->collector, o->collector_reason, err);
}

/* As given, or the default place, or NULL for none. */
static const char *store_of(struct observer *o)
{
	const char *given = o->options.store;

	if (given)
		return strcmp(given, "none") == 0 ? NULL : given;
	shared_default_store(o->default_store, sizeof(o->default_store));
	return o->default_store[0] ? o->default_store : NULL;
}

static int open_monitor(struct observer *o, struct tally_error *err)
{
	const struct observe_options *given = &o->options;
	const struct tally_monitor_options monitor = {
		.interval_ns = given->interval_ns,
		.disk_interval_ns = given->disk_interval_ns,
		.history_ns = given->history_ns,
		.history_bytes = given->history_bytes,
		.store = store_of(o),
		.store_bytes = given->store_bytes,
		.log = daemon_log,
	};
	int r = monitor_new_with(
		&monitor, TAKE(o->collector), o->collector_reason, &o->monitor, err);

	for (size_t i = 0; r == 0 && i < given->sources.count; i++)
		r = tally_monitor_add_source(o->monitor, given->sources.items[i], err);
	if (r == 0)
		r = observe_add_rules(o, err);
	return r == 0 ? tally_monitor_start(o->monitor, err) : r;
}

static int open_remote(struct observer *o, struct tally_error *err)
{
	const char *store = store_of(o);
	const struct remote_options remote = {
		.monitor = o->monitor,
		.log = &o->log,
		.url = o->options.remote,
		.token_path = o->options.remote_token_file,
		.ca_path = o->options.remote_ca,
		.labels = o->options.remote_labels.items,
		.label_count = o->options.remote_labels.count,
		.queue_path = store ? (o->remote_queue = remote_queue_path(store)) : NULL,
		.queue_bytes = o->options.remote_queue_bytes,
		.interval_ns = o->options.remote_interval_ns,
		.series_limit = o->series_limit,
	};

	if (store && !o->remote_queue)
		return tally_fail(err, -ENOMEM, "cannot start remote write");
	return remote_start(&remote, &o->remote, err);
}

static int open_server(struct observer *o, struct tally_error *err)
{
	const struct serve_options serve = {
		.monitor = o->monitor,
		.log = &o->log,
		.remote = o->remote,
		.secrets_path = o->options.token_file,
		.cert_path = o->options.tls_cert,
		.key_path = o->options.tls_key,
		.hosts = o->hosts,
		.show_commands = o->options.show_commands,
		.share_all = o->share_all,
		.share_uids = o->share,
		.share_count = o->share_count,
		.series_limit = o->series_limit,
	};

	return serve_start(&serve, o->listeners, o->listener_count, &o->server, err);
}

/* The user we become may use the sockets. */
static int give_sockets(struct observer *o, const struct passwd *user, struct tally_error *err)
{
	for (size_t i = 0; i < o->listener_count; i++)
		if (o->listeners[i].path &&
			chown(o->listeners[i].path, user->pw_uid, user->pw_gid) < 0)
			return tally_fail(err, -errno, "cannot give %s to user %.60s",
				o->listeners[i].path, o->options.user);
	return 0;
}

/* The folder of the store is made while we may, for the user we become. One that is there stays as
 * it is. */
static int give_store(struct observer *o, const struct passwd *user, struct tally_error *err)
{
	const char *store = store_of(o), *slash = store ? strrchr(store, '/') : NULL;

	if (!slash || slash == store)
		return 0;
	CLEANUP_FREE char *folder = strndup(store, (size_t)(slash - store));
	if (!folder)
		return tally_fail(err, -ENOMEM, "cannot make the folder of %s", store);
	if (mkdir(folder, 0700) < 0)
		return errno == EEXIST ? 0 : tally_fail(err, -errno, "cannot make %s", folder);
	if (chown(folder, user->pw_uid, user->pw_gid) < 0)
		return tally_fail(
			err, -errno, "cannot give %s to user %.60s", folder, o->options.user);
	return 0;
}

/* A user that is not there is refused where rights are dropped. */
static int give_to_user(struct observer *o, struct tally_error *err)
{
	const struct passwd *user = o->options.user ? getpwnam(o->options.user) : NULL;

	if (!user)
		return 0;
	int r = give_sockets(o, user, err);
	return r < 0 ? r : give_store(o, user, err);
}

/* Whatever needs rights comes before they are dropped, and threads come after. */
static int start(struct observer *o, struct tally_error *err)
{
	int r = open_signals(o, err);

	if (r == 0 && o->options.pidfile)
		r = daemon_pidfile(o->options.pidfile, &o->pidfile, err);
	if (r == 0)
		r = observe_listen(o, err);
	if (r == 0)
		r = give_to_user(o, err);
	if (r == 0)
		r = open_collector(o, err);
	if (r == 0)
		r = daemon_drop_rights(o->options.user, err);
	if (r == 0)
		r = open_monitor(o, err);
	if (r == 0 && o->options.remote)
		r = open_remote(o, err);
	if (r == 0)
		r = open_server(o, err);
	return r;
}

static void say_where(struct observer *o)
{
	const struct listener *listeners = o->listeners;
	struct tally_status status;
	char places[512] = "nowhere";
	size_t used = 0;

	for (size_t i = 0; i < o->listener_count && used < sizeof(places); i++)
		used += (size_t)snprintf(places + used, sizeof(places) - used, "%s%s%s",
			i ? ", " : "",
			!listeners[i].tcp     ? ""
			: o->options.tls_cert ? "https://"
					      : "http://",
			listeners[i].name);
	tally_monitor_status(o->monitor, &status);
	log_say(&o->log, TALLY_LOG_INFO, "observing with %s every %.3g s%s; answers at %s",
		status.collector, (double)status.interval_ns / 1e9,
		o->confined ? ", confined by a filter of system calls" : "", places);
}

static void confine(struct observer *o)
{
	struct tally_error err;

	if (o->options.no_seccomp)
		return;
	if (daemon_confine(&err) < 0)
		log_say(&o->log, TALLY_LOG_WARN, "%s; going on without", err.message);
	else
		o->confined = true;
}

/* ---- while it runs ---- */

static void reload(struct observer *o)
{
	struct tally_error err;

	daemon_notify("RELOADING=1");
	int r = observe_reload(o, &err);
	if (r == 0)
		r = serve_reload(o->server, &err);
	if (r == 0 && o->remote)
		r = remote_reload(o->remote, &err);
	if (r < 0)
		log_say(&o->log, TALLY_LOG_ERROR, "cannot reload: %s; what was in use stays in use",
			err.message);
	else
		log_say(&o->log, TALLY_LOG_INFO, "secrets and certificates were read again");
	daemon_notify("READY=1");
}

/* @return the signal that ends us, or 0. */
static int take_signal(struct observer *o)
{
	struct signalfd_siginfo info;

	if (read(o->signals, &info, sizeof(info)) != sizeof(info))
		return 0;
	if (info.ssi_signo != SIGHUP)
		return (int)info.ssi_signo;
	reload(o);
	return 0;
}

/* The watchdog is fed while ticks come: an observer that does not look is no observer. */
static void feed_watchdog(struct observer *o)
{
	struct tally_status status;

	tally_monitor_status(o->monitor, &status);
	if (!status.stale)
		daemon_notify("WATCHDOG=1");
}

static void stand_by(struct observer *o)
{
	int64_t watchdog_ns = daemon_watchdog_ns();
	int timeout = watchdog_ns ? (int)(watchdog_ns / 3 / NS_PER_MS) + 1 : -1;
	struct pollfd fd = {.fd = o->signals, .events = POLLIN};
	int signal_number = 0;

	while (!signal_number) {
		if (poll(&fd, 1, timeout) > 0)
			signal_number = take_signal(o);
		if (watchdog_ns)
			feed_watchdog(o);
	}
	log_say(&o->log, TALLY_LOG_INFO, "ending after signal %d", signal_number);
}

static void end(struct observer *o)
{
	for (size_t i = 0; !o->server && i < o->listener_count; i++)
		listener_close(&o->listeners[i]);
	serve_stop(o->server);
	remote_stop(o->remote);
	tally_monitor_free(o->monitor);
	collector_close(o->collector);
	if (o->pidfile >= 0) {
		unlink(o->options.pidfile);
		close(o->pidfile);
	}
	if (o->signals >= 0)
		close(o->signals);
	free(o->remote_queue);
	observe_forget_reload(o);
	observe_done_config(o);
}

static int observe(struct observer *o)
{
	struct tally_error err;
	int r = start(o, &err);

	if (r < 0) {
		line_fail(&o->line, "%s", err.message);
		return r == -EINVAL ? EXIT_USAGE : EXIT_FAIL;
	}
	confine(o);
	say_where(o);
	daemon_notify("READY=1");
	stand_by(o);
	daemon_notify("STOPPING=1");
	return 0;
}

static int run_observe(int argc, char **argv)
{
	struct observer o = {.log = {.write = daemon_log}, .signals = -1, .pidfile = -1};
	int status = options_parse(&command_observe, argc, argv, &o.options, &o.line);

	if (status == OPTIONS_GO)
		status = observe_take_config(&o);
	if (status == OPTIONS_GO)
		status = observe_check(&o);
	if (status == OPTIONS_GO)
		status = observe(&o);
	end(&o);
	return status;
}

const struct command command_observe = {
	.name = "observe",
	.summary = "Watch tasks all the time, and answer over HTTP",
	.description =
		"Keeps a history of what tasks consume, those that --source names or all the\n"
		"services and containers it finds, and answers from it: a page at\n"
		"http://127.0.0.1:1338, JSON below /api/v1/, Prometheus' /metrics.\n"
		"Ends on SIGTERM; reads its configuration, secrets and certificates again on\n"
		"SIGHUP.",
	.options = options,
	.run = run_observe,
};
