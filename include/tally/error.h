/* SPDX-License-Identifier: Apache-2.0 */
/**
 * How libtally reports failure.
 *
 * Every call that can fail returns a negative errno and, where it takes a `struct tally_error *`,
 * leaves one line of text that a person can act on: what could not be done, to which object, why,
 * and what to do about it.
 */
#ifndef TALLY_ERROR_H
#define TALLY_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

/** Length of an error's text, its final NUL included. Longer texts are cut, never overrun. */
#define TALLY_ERROR_SIZE 512

/**
 * An error, owned by the caller. Nothing in it is allocated: it needs no destructor. A zeroed one
 * says "no error". It is written only on failure; every parameter of this type may be NULL.
 */
struct tally_error {
	int code;			/**< Negative errno, as returned by the call. */
	char message[TALLY_ERROR_SIZE]; /**< One line without a newline, always NUL-terminated. */
};

#ifdef __cplusplus
}
#endif
#endif
