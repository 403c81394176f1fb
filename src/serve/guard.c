/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/guard.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/attr.h"
#include "base/fail.h"
#include "base/file.h"
#include "base/parse.h"

#define SECRET_LEAST 16
#define FILE_MAX     (SECRETS_MAX * (SECRET_MAX + 1))

void secrets_done(struct secrets *secrets)
{
	for (size_t i = 0; i < secrets->count; i++) {
		explicit_bzero(secrets->lines[i], strlen(secrets->lines[i]));
		free(secrets->lines[i]);
	}
	free(secrets->lines);
	*secrets = (struct secrets){0};
}

static int add_secret(struct secrets *secrets, struct cursor line, struct tally_error *err)
{
	while (line.end > line.at && isspace((unsigned char)line.end[-1]))
		line.end--;
	cursor_skip_blank(&line);

	size_t length = (size_t)(line.end - line.at);
	if (length == 0 || *line.at == '#')
		return 0;
	if (length < SECRET_LEAST || length > SECRET_MAX)
		return tally_refuse(err, -EINVAL, "a secret has %zu characters; write %d to %d",
			length, SECRET_LEAST, SECRET_MAX);
	if (secrets->count == SECRETS_MAX)
		return tally_refuse(err, -EINVAL, "more than %d secrets", SECRETS_MAX);

	char **grown = reallocarray(secrets->lines, secrets->count + 1, sizeof(*grown));
	if (!grown)
		return tally_fail(err, -ENOMEM, "cannot keep a secret");
	secrets->lines = grown;
	grown[secrets->count] = strndup(line.at, length);
	if (!grown[secrets->count])
		return tally_fail(err, -ENOMEM, "cannot keep a secret");
	secrets->count++;
	return 0;
}

static int parse_secrets(
	const char *text, size_t length, struct secrets *ret, struct tally_error *err)
{
	struct cursor c = cursor_of(text, length), line;
	int r = 0;

	while (r == 0 && cursor_line(&c, &line))
		r = add_secret(ret, line, err);
	if (r == 0 && ret->count == 0)
		r = tally_refuse(err, -EINVAL, "there is no secret in it; write one per line");
	return r;
}

static int open_private(const char *path, struct tally_error *err)
{
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return tally_fail(err, -errno, "cannot read %s", path);
	if (st.st_mode & S_IRWXO)
		return tally_refuse(err, -EPERM,
			"%s can be read by everybody, so it keeps no secret; chmod 600 it", path);
	return take_fd(&fd);
}

int secrets_read(const char *path, struct secrets *ret, struct tally_error *err)
{
	CLEANUP_CLOSE int fd = open_private(path, err);
	struct secrets fresh = {0};
	char text[FILE_MAX];

	if (fd < 0)
		return fd;
	ssize_t length = file_pread(fd, text, sizeof(text));
	if (length < 0)
		return tally_fail(err, (int)length, "cannot read %s", path);

	int r = parse_secrets(text, (size_t)length, &fresh, err);
	explicit_bzero(text, sizeof(text));
	if (r < 0) {
		secrets_done(&fresh);
		return tally_prefix(err, r, "%s", path);
	}
	secrets_done(ret);
	*ret = fresh;
	return 0;
}

/* Equal, found out in a time that depends on the length of what was given alone. */
static bool same(const char *secret, const char *given, size_t given_length)
{
	size_t length = strlen(secret);
	unsigned difference = length != given_length;

	for (size_t i = 0; i < given_length; i++)
		difference |= (unsigned char)given[i] ^ (unsigned char)secret[i % length];
	return difference == 0;
}

static bool any_same(const struct secrets *secrets, const char *given, size_t length)
{
	bool found = false;

	for (size_t i = 0; i < secrets->count; i++)
		found |= same(secrets->lines[i], given, length);
	return found;
}

static int base64_value(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* @return bytes decoded, or -1. */
static ssize_t base64_decode(const char *text, char *out, size_t room)
{
	uint32_t bits = 0;
	int count = 0;
	size_t used = 0;

	for (; *text && *text != '='; text++) {
		int value = base64_value(*text);

		if (value < 0 || used == room)
			return -1;
		bits = bits << 6 | (uint32_t)value;
		count += 6;
		if (count >= 8) {
			count -= 8;
			out[used++] = (char)(bits >> count);
		}
	}
	return (ssize_t)used;
}

static bool open_basic(const struct secrets *secrets, const char *encoded)
{
	char text[2 * SECRET_MAX];
	ssize_t length = base64_decode(encoded, text, sizeof(text));
	const char *colon = length > 0 ? memchr(text, ':', (size_t)length) : NULL;

	if (!colon)
		return false;
	bool whole = any_same(secrets, text, (size_t)length);
	bool password = any_same(secrets, colon + 1, (size_t)(text + length - colon - 1));
	explicit_bzero(text, sizeof(text));
	return whole || password;
}

bool secrets_open(const struct secrets *secrets, const char *header)
{
	if (!header)
		return false;
	if (strncasecmp(header, "Bearer ", 7) == 0)
		return any_same(secrets, header + 7, strlen(header + 7));
	return strncasecmp(header, "Basic ", 6) == 0 && open_basic(secrets, header + 6);
}

/* Length of the host in "host", "host:port" or "[::1]:port". */
static size_t host_length(const char *header)
{
	if (header[0] == '[') {
		const char *end = strchr(header, ']');

		return end ? (size_t)(end + 1 - header) : strlen(header);
	}
	return strcspn(header, ":");
}

/* Nothing, or a colon and a number. */
static bool is_port(const char *text)
{
	if (*text == '\0')
		return true;
	return *text == ':' && strspn(text + 1, "0123456789") == strlen(text + 1);
}

static bool is_host(const char *header, size_t length, const char *name)
{
	return strlen(name) == length && strncasecmp(header, name, length) == 0;
}

static bool is_loopback4(const char *header, size_t length)
{
	char text[INET_ADDRSTRLEN];
	struct in_addr address;

	if (length >= sizeof(text))
		return false;
	memcpy(text, header, length);
	text[length] = '\0';
	return inet_pton(AF_INET, text, &address) == 1 &&
	       ntohl(address.s_addr) >> IN_CLASSA_NSHIFT == IN_LOOPBACKNET;
}

bool host_is_ours(const char *header, const char *const *extra)
{
	if (!header)
		return true;
	size_t length = host_length(header);

	if (!is_port(header + length))
		return false;
	if (is_host(header, length, "localhost") || is_host(header, length, "[::1]") ||
		is_loopback4(header, length))
		return true;
	for (; extra && *extra; extra++)
		if (is_host(header, length, *extra))
			return true;
	return false;
}
