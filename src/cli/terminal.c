/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/terminal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

bool terminal_can_move(int fd)
{
	const char *kind = getenv("TERM");

	return isatty(fd) && kind && *kind && strcmp(kind, "dumb") != 0;
}

const struct style *terminal_style(int fd)
{
	static const struct style plain = {"", "", "", "", "", ""};
	static const struct style coloured = {
		"\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[0m"};
	const char *no_colour = getenv("NO_COLOR");

	if (no_colour && *no_colour)
		return &plain;
	return terminal_can_move(fd) ? &coloured : &plain;
}

int terminal_size(int fd, int *ret_rows, int *ret_columns)
{
	struct winsize size;

	if (ioctl(fd, TIOCGWINSZ, &size) < 0)
		return -errno;
	*ret_rows = size.ws_row;
	*ret_columns = size.ws_col;
	return 0;
}

enum terminal_owner terminal_owner(int fd)
{
	struct termios modes;

	if (tcgetpgrp(fd) != getpgrp() || tcgetattr(fd, &modes) < 0)
		return TERMINAL_OTHERS;
	return modes.c_lflag & ICANON ? TERMINAL_OURS : TERMINAL_RAW;
}
