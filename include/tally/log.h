/* SPDX-License-Identifier: Apache-2.0 */
/** Where the text of the library goes. */
#ifndef TALLY_LOG_H
#define TALLY_LOG_H

#ifdef __cplusplus
extern "C" {
#endif

/** Severity of a line given to the log callback. */
enum tally_log_level {
	TALLY_LOG_ERROR, /**< Something is lost or will not work until somebody acts. */
	TALLY_LOG_WARN,	 /**< Something is worse than asked for, and goes on. */
	TALLY_LOG_INFO,	 /**< What a person who watches the start would like to know. */
	TALLY_LOG_DEBUG, /**< For the developers. */
};

/**
 * Receives what the library has to say; the library itself never prints.
 *
 * @line  One line, no newline at its end. Valid during the call only.
 *
 * Called from the thread that noticed, the monitor's own included, with no lock of the monitor
 * held that a tally_monitor_status() would need. It must not call tally_monitor_stop() or
 * tally_monitor_free().
 */
typedef void tally_log_fn(void *context, enum tally_log_level level, const char *line);

#ifdef __cplusplus
}
#endif
#endif
