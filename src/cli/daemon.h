/* SPDX-License-Identifier: Apache-2.0 */
/** What a daemon needs of the system: its supervisor, its log, its privileges. */
#ifndef CLI_DAEMON_H
#define CLI_DAEMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <tally/error.h>
#include <tally/log.h>

/* ---- daemon_notify.c: systemd's protocols, which are a datagram and two variables ---- */

/**
 * Tell the supervisor something: "READY=1", "STOPPING=1", "WATCHDOG=1", "STATUS=…". Does nothing where
 * nobody listens (NOTIFY_SOCKET is not set).
 */
void daemon_notify(const char *state);

/** How often the supervisor wants to hear WATCHDOG=1; 0: it does not care. Nanoseconds. */
int64_t daemon_watchdog_ns(void);

/** Number of sockets handed over (LISTEN_FDS), which begin at descriptor 3. Asked once. */
int daemon_listen_fds(void);

/* ---- daemon_log.c ---- */

/** How log lines look. */
enum log_format {
	LOG_TEXT,    /**< "tally: …" */
	LOG_JOURNAL, /**< "<4>…", for what reads standard error on behalf of the journal. */
	LOG_JSON,    /**< {"time", "level", "message"} */
};

/**
 * Choose the format.
 *
 * @name    "text", "journal", "json"; NULL: journal where standard error goes to it, else text.
 * @return  0 or -EINVAL.
 */
int daemon_log_format(const char *name);

/** A tally_log_fn: warnings and what a person who watches the start would like to know. */
void daemon_log(void *context, enum tally_log_level level, const char *line);

/* ---- daemon_rights.c ---- */

/**
 * Become another user for good, and keep only what reading needs: CAP_SYS_PTRACE (the figures of
 * other users' processes), CAP_DAC_READ_SEARCH (their sandboxes), CAP_BPF and CAP_PERFMON.
 *
 * @user    Name; NULL: stay who we are and only give up the other capabilities.
 * @return  0, -ESRCH (no such user), -EPERM and others.
 *
 * To be called before any thread is started: capabilities belong to threads.
 */
int daemon_drop_rights(const char *user, struct tally_error *err);

/* ---- daemon_confine.c ---- */

/**
 * Allow all threads the system calls that an observer makes, and no others: it starts no programs,
 * signals and traces nobody, mounts nothing, changes no user. A call that is not allowed fails with
 * EPERM, and the kernel's audit log tells of it.
 *
 * @return  0, or -ENOTSUP: this kernel has no such filter.
 */
int daemon_confine(struct tally_error *err);

/* ---- daemon_pidfile.c ---- */

/**
 * Write our pid to a file and hold a lock on it.
 *
 * @ret_fd  To be kept open.
 * @return  0, -EEXIST (another holds it: the message says which pid), errno of open.
 */
int daemon_pidfile(const char *path, int *ret_fd, struct tally_error *err);

#endif
