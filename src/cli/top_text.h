/* SPDX-License-Identifier: Apache-2.0 */
/** Text in a field of so many columns, whatever others put into it. */
#ifndef CLI_TOP_TEXT_H
#define CLI_TOP_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/** How a field is filled. */
enum top_fill {
	TOP_CUT,   /**< Cut where it does not fit; as short as the text. */
	TOP_LEFT,  /**< And filled with blanks behind. */
	TOP_RIGHT, /**< And filled with blanks before. */
};

/**
 * Put a text into a field: what is hostile or no UTF-8 becomes '?', what does not fit is cut and the
 * cut shown ("…").
 *
 * @out      Always terminated; `size` bytes, 1 or more. Where it is too small it is cut there.
 * @columns  Of the field; 0 or less: nothing.
 * @ascii    Whatever is not ASCII becomes '?', and the cut '~'.
 * @return   Columns that are filled.
 */
int top_text_fit(
	char *out, size_t size, const char *text, int columns, enum top_fill fill, bool ascii);

#endif
