/* SPDX-License-Identifier: Apache-2.0 */
/** Figures as people read them: three significant digits and a unit. */
#ifndef CLI_FORMAT_H
#define CLI_FORMAT_H

#include <stdint.h>
#include <tally/sample.h>

/** Room for any figure. */
#define FORMAT_SIZE 32

/** "812 MiB", "1.23 GiB", "0 B". @return out */
const char *format_bytes(char out[FORMAT_SIZE], int64_t bytes);

/** "1.2 MiB/s". @return out */
const char *format_bytes_rate(char out[FORMAT_SIZE], double per_second);

/** "120 ms", "12.3 s", "1m 22.4s", "2h 03m 04s", "3d 04h 05m". @return out */
const char *format_duration(char out[FORMAT_SIZE], int64_t ns);

/** "1,204". @return out */
const char *format_count(char out[FORMAT_SIZE], int64_t count);

/** "1.95". @return out */
const char *format_cores(char out[FORMAT_SIZE], double cores);

/** A value of the table in its unit. @return out */
const char *format_metric(char out[FORMAT_SIZE], enum tally_metric metric, int64_t value);

/** Why a value is absent, in few words; tally_reason_text() has the sentence. Static. */
const char *format_reason(enum tally_reason reason);

#endif
