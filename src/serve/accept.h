/* SPDX-License-Identifier: Apache-2.0 */
/** What a client accepts: Accept and Accept-Encoding, which are hostile input. Pure. */
#ifndef SERVE_ACCEPT_H
#define SERVE_ACCEPT_H

#include <stdbool.h>

/** Content codings that answers are made in. */
enum encoding { ENCODING_IDENTITY, ENCODING_GZIP, ENCODING_ZSTD, ENCODING_COUNT };

/**
 * Weight that a list gives to a name: "a;q=0.5, b" gives 500 to a and 1000 to b.
 *
 * @header  Value of the header, or NULL.
 * @name    Compared without regard to case; parameters other than q are ignored, the greatest
 *          weight counts.
 * @return  0 to 1000 thousandths, or -1: not mentioned.
 */
int accept_weight(const char *header, const char *name);

/** The best coding that a client takes; of equals zstd, which costs us least. */
enum encoding accept_encoding(const char *header);

/** Whether a client would rather have OpenMetrics than plain text. */
bool accept_openmetrics(const char *header);

/** Name of a coding for Content-Encoding; NULL for none. Static. */
const char *encoding_name(enum encoding encoding);

#endif
