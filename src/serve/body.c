/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/body.h"

#include <stdlib.h>

struct body {
	char *bytes;
	size_t length, *account;
};

static void free_body(void *context)
{
	struct body *body = context;

	*body->account -= body->length;
	free(body->bytes);
	free(body);
}

int body_fits(const struct body_account *account, size_t length)
{
	return length <= account->limit && *account->bytes <= account->limit - length;
}

struct MHD_Response *body_response(struct body_account *account, char *bytes, size_t length)
{
	struct body *body = body_fits(account, length) ? malloc(sizeof(*body)) : NULL;

	if (!body) {
		free(bytes);
		return NULL;
	}
	*body = (struct body){bytes, length, account->bytes};
	*account->bytes += length;

	struct MHD_Response *response = MHD_create_response_from_buffer_with_free_callback_cls(
		length, bytes, free_body, body);
	if (!response)
		free_body(body);
	return response;
}
