/* SPDX-License-Identifier: Apache-2.0 */
/** JSON as the program writes it. */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include <jansson.h>
#include <stdio.h>

/** A text that others chose as JSON: what is no UTF-8 becomes U+FFFD. NULL gives null. */
json_t *json_text(const char *text);

/** Write a value, indented, and a newline. @return 0 or -EIO. */
int json_write(const json_t *value, FILE *out);

#endif
