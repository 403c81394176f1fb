/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/nearest.h"

#include <string.h>

/* Longer words are not considered. */
#define LENGTH_MAX 31

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/*
 * Edits that turn a into b: one character inserted, left out, replaced, or two neighbours swapped
 * (optimal string alignment). Row i holds the distances of the first i characters of a.
 */
static unsigned distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
	unsigned rows[LENGTH_MAX + 1][LENGTH_MAX + 1];

	for (unsigned i = 0; i <= a_length; i++)
		for (unsigned j = 0; j <= b_length; j++) {
			if (i == 0 || j == 0) {
				rows[i][j] = i + j;
				continue;
			}
			rows[i][j] = least(least(rows[i - 1][j], rows[i][j - 1]) + 1,
				rows[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				rows[i][j] = least(rows[i][j], rows[i - 2][j - 2] + 1);
		}
	return rows[a_length][b_length];
}

void nearest_consider(struct nearest *nearest, const char *mistyped, const char *known)
{
	size_t length = strlen(mistyped), known_length = strlen(known);

	if (length == 0 || length > LENGTH_MAX || known_length > LENGTH_MAX)
		return;

	unsigned edits = distance(mistyped, length, known, known_length);
	if (edits > 1 + known_length / 4 || edits >= known_length)
		return;
	if (!nearest->word || edits < nearest->distance)
		*nearest = (struct nearest){known, edits};
}
