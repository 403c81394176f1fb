/* SPDX-License-Identifier: Apache-2.0 */
/** The page of a report, in two pieces: its data goes between them. Made by scripts/bundle from web/. */
#ifndef CLI_REPORT_PAGE_H
#define CLI_REPORT_PAGE_H

#include <stddef.h>

extern const unsigned char report_page_head[], report_page_tail[];
extern const size_t report_page_head_length, report_page_tail_length;

#endif
