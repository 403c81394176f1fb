/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/accept.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#define WEIGHT_ONE 1000

static const char *skip_blank(const char *at)
{
	while (*at == ' ' || *at == '\t')
		at++;
	return at;
}

/* "0.75" in thousandths; what is malformed weighs nothing. */
static int read_weight(const char *at)
{
	int weight = 0, scale = 100;

	if (*at == '1')
		return WEIGHT_ONE;
	if (*at++ != '0' || *at++ != '.')
		return 0;
	for (; *at >= '0' && *at <= '9' && scale > 0; at++, scale /= 10)
		weight += (*at - '0') * scale;
	return weight;
}

/* The q among the parameters of one element, which ends at `end`. */
static int element_weight(const char *at, const char *end)
{
	while ((at = memchr(at, ';', (size_t)(end - at)))) {
		at = skip_blank(at + 1);
		if ((at[0] == 'q' || at[0] == 'Q') && at[1] == '=')
			return read_weight(at + 2);
	}
	return WEIGHT_ONE;
}

int accept_weight(const char *header, const char *name)
{
	size_t length = strlen(name);
	int best = -1;

	for (const char *at = header; at && *at;) {
		at = skip_blank(at);
		const char *end = at + strcspn(at, ",");
		size_t word = strcspn(at, ",; \t");

		if (word == length && strncasecmp(at, name, length) == 0) {
			int weight = element_weight(at, end);

			best = weight > best ? weight : best;
		}
		at = *end ? end + 1 : end;
	}
	return best;
}

/* The wildcard speaks for what is not mentioned. */
static int weight_or_any(const char *header, const char *name, const char *any)
{
	int weight = accept_weight(header, name);

	return weight >= 0 ? weight : accept_weight(header, any);
}

enum encoding accept_encoding(const char *header)
{
	int zstd = weight_or_any(header, "zstd", "*");
	int gzip = weight_or_any(header, "gzip", "*");

	if (zstd <= 0 && gzip <= 0)
		return ENCODING_IDENTITY;
	if (accept_weight(header, "identity") > (zstd > gzip ? zstd : gzip))
		return ENCODING_IDENTITY;
	return zstd >= gzip ? ENCODING_ZSTD : ENCODING_GZIP;
}

bool accept_openmetrics(const char *header)
{
	int open = accept_weight(header, "application/openmetrics-text");

	return open > 0 && open >= accept_weight(header, "text/plain");
}

const char *encoding_name(enum encoding encoding)
{
	static const char *const names[] = {
		[ENCODING_IDENTITY] = NULL, [ENCODING_GZIP] = "gzip", [ENCODING_ZSTD] = "zstd"};

	return names[encoding];
}
