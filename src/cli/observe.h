/* SPDX-License-Identifier: Apache-2.0 */
/** What the parts of `tally observe` share. */
#ifndef CLI_OBSERVE_H
#define CLI_OBSERVE_H

#include <tally/monitor.h>
#include "base/log.h"
#include "cli/config.h"
#include "cli/options.h"
#include "collect/collector.h"
#include "serve/remote/remote.h"
#include "serve/serve.h"

/** Most sockets of each kind that are asked for. */
#define SOCKETS_MAX SERVE_LISTENERS_MAX

/** Options of `tally observe`. */
struct observe_options {
	struct option_list sources, listen, hosts, share, remote_labels;
	const char *socket, *collector, *token_file, *tls_cert, *tls_key, *user, *pidfile;
	const char *log_format, *max_series, *config;
	const char *store; /**< NULL: the default place; "none". */
	const char *remote, *remote_token_file, *remote_ca;
	uint64_t history_bytes, store_bytes, remote_queue_bytes;
	int64_t interval_ns, disk_interval_ns, history_ns, remote_interval_ns;
	bool insecure, pss, no_seccomp, show_commands;
};

/** The daemon. */
struct observer {
	struct observe_options options;
	struct command_line line;
	struct log log;
	struct listener listeners[SERVE_LISTENERS_MAX];
	size_t listener_count;
	char default_socket[108], default_store[4096];
	const char **hosts; /**< NULL-terminated. */
	uid_t *share;
	size_t share_count;
	bool share_all;
	size_t series_limit; /**< 0: the default. */
	int signals;	     /**< signalfd. */
	int pidfile;
	bool confined;		     /**< Other system calls than those of observing fail. */
	struct collector *collector; /**< Until the monitor has it. */
	char collector_reason[256];
	struct tally_monitor *monitor;
	char *remote_queue; /**< Path; NULL: in memory. */
	struct remote *remote;
	struct server *server;
	struct config *config; /**< Of --config, as it was at the start; or NULL. */
	struct observer
		*reloaded; /**< What the newest reload read, in its first members; or NULL. */
};

/**
 * Look at the options for what could not work. @return OPTIONS_GO, or an exit status.
 */
int observe_check(struct observer *observer);

/** Take the options of --config, where the command line has it. As observe_check(). */
int observe_take_config(struct observer *observer);

/** As observe_check(), and whether each source is one. */
int observe_check_config(struct observer *observer);

/** Add the source of the rules, if there are any. @return 0, or an error. */
int observe_add_rules(struct observer *observer, struct tally_error *err);

/**
 * Read the file of --config again. The sources and rules that changed take the place of those before;
 * what both name keeps its history. All else counts from the next start on, which is said.
 *
 * @return  0, or an error: all is as it was.
 */
int observe_reload(struct observer *observer, struct tally_error *err);

/** Free what the newest reload read. */
void observe_forget_reload(struct observer *observer);

/** Free options, lists and the file. */
void observe_done_config(struct observer *observer);

/** Open all sockets. @return 0, or an error. */
int observe_listen(struct observer *observer, struct tally_error *err);

/** Where the socket of an observer is by default; "" where this user has no place for it. */
void observe_default_socket(char *path, size_t size);

#endif
