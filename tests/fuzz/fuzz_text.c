/* SPDX-License-Identifier: Apache-2.0 */
/** Names of processes and tasks are any bytes: none may reach a terminal, or JSON, unfit for it. */
#include <assert.h>
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_shown(const char *text, size_t room)
{
	char shown[256];
	const char *at = shown;

	text_show(shown, room, text);
	assert(strlen(shown) < room);
	for (const char *end = shown + strlen(shown); at < end;) {
		int32_t code_point = text_code_point(&at, end);

		assert(code_point >= 0 && !text_code_point_hostile(code_point));
	}
}

static void check_json(const char *text)
{
	char *utf8 = text_utf8(text);
	json_t *string = utf8 ? json_string(utf8) : NULL;

	assert(string);
	json_decref(string);
	free(utf8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	check_shown(text, 256);
	check_shown(text, 1 + size % 16);
	check_json(text);
	free(text);
	return 0;
}
