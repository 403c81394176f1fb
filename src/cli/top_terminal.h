/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The terminal while `tally top` has all of it, and how it is given back: after q, after a signal,
 * and after a crash.
 */
#ifndef CLI_TOP_TERMINAL_H
#define CLI_TOP_TERMINAL_H

#include <stdint.h>
#include <tally/error.h>

/**
 * Hold back the signals that end, stop or resize us, so that they come while we wait and at no other
 * time; threads begun afterwards do not get them at all.
 */
void top_terminal_hold_signals(void);

/** Take the terminal. Standard error is kept back until it is given back. @return 0, -ENOTTY. */
int top_terminal_open(struct tally_error *err);

/** Give it back; does nothing when it is not taken. */
void top_terminal_close(void);

/**
 * Wait for a key, a signal, or so long.
 *
 * @timeout_ns  0: only look.
 * @return      Number of the signal that ends us, or 0.
 */
int top_terminal_wait(int64_t timeout_ns);

#endif
