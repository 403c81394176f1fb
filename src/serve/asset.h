/* SPDX-License-Identifier: Apache-2.0 */
/** The files of web/, which are part of the program. */
#ifndef SERVE_ASSET_H
#define SERVE_ASSET_H

#include <stddef.h>

struct asset {
	const char *path; /**< "/app.js". */
	const char *type; /**< Content-Type. */
	const char *etag; /**< Quoted; changes with the content. */
	const unsigned char *bytes;
	size_t length;
};

/** All of them, made by scripts/embed from web/. */
extern const struct asset assets[];
extern const size_t asset_count;

/** Find one; "/" is the page. @return NULL when there is none. */
const struct asset *asset_find(const char *path);

#endif
