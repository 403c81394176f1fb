/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/top_terminal.h"

#include <curses.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/fail.h"
#include "cli/terminal.h"

static const int held_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP};
static const int ending_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
static const int crash_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

/* There is one terminal, and handlers know it only from here. */
static struct {
	SCREEN *screen;
	struct termios modes;
	char leave[128]; /* What ends the use of the whole screen. */
	size_t leave_length;
	int standard_error; /* The real one; -1: not put aside. */
	volatile sig_atomic_t ended_by;
	sigset_t waiting; /* Mask while we wait. */
} terminal = {.standard_error = -1};

void top_terminal_hold_signals(void)
{
	sigset_t held;

	sigemptyset(&held);
	for (size_t i = 0; i < ARRAY_SIZE(held_signals); i++)
		sigaddset(&held, held_signals[i]);
	sigprocmask(SIG_BLOCK, &held, &terminal.waiting);
	for (size_t i = 0; i < ARRAY_SIZE(held_signals); i++)
		sigdelset(&terminal.waiting, held_signals[i]);
}

static void end_by(int number)
{
	terminal.ended_by = number;
}

/* Only what a signal handler may do; then the signal has its usual effect. */
static void crash(int number)
{
	tcsetattr(STDIN_FILENO, TCSANOW, &terminal.modes);
	if (write(STDOUT_FILENO, terminal.leave, terminal.leave_length) < 0)
		_exit(128 + number);
	raise(number);
}

static void catch (const int *numbers, size_t count, void (*handler)(int), int flags)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = flags};

	for (size_t i = 0; i < count; i++)
		sigaction(numbers[i], &action, NULL);
}

static void remember_leaving(void)
{
	static const char *const names[] = {"rmkx", "sgr0", "rmcup", "cnorm"};

	terminal.leave_length = 0;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *text = tigetstr(names[i]);
		size_t length = text && text != (char *)-1 ? strlen(text) : 0;

		if (terminal.leave_length + length > sizeof(terminal.leave))
			continue;
		if (length)
			memcpy(terminal.leave + terminal.leave_length, text, length);
		terminal.leave_length += length;
	}
}

/* What the library has to say must not fall into the picture: it is shown afterwards. */
static void put_errors_aside(void)
{
	CLEANUP_CLOSE int aside = memfd_create("tally-top", MFD_CLOEXEC);

	if (aside < 0)
		return;
	fflush(stderr);
	terminal.standard_error = dup(STDERR_FILENO);
	if (terminal.standard_error >= 0)
		dup2(aside, STDERR_FILENO);
}

static void show_errors(void)
{
	char piece[4096];
	ssize_t length;
	off_t at = 0;

	if (terminal.standard_error < 0)
		return;
	fflush(stderr);
	CLEANUP_CLOSE int aside = dup(STDERR_FILENO);
	dup2(terminal.standard_error, STDERR_FILENO);
	close(terminal.standard_error);
	terminal.standard_error = -1;
	while ((length = pread(aside, piece, sizeof(piece), at)) > 0) {
		if (write(STDERR_FILENO, piece, (size_t)length) < 0)
			return;
		at += length;
	}
}

static void set_modes(void)
{
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	set_escdelay(25);
	curs_set(0);
}

int top_terminal_open(struct tally_error *err)
{
	const char *kind = getenv("TERM");

	if (!isatty(STDIN_FILENO) || !terminal_can_move(STDOUT_FILENO))
		return tally_refuse(err, -ENOTTY,
			"it needs a terminal on standard input and output; --once writes a plain table");
	tcgetattr(STDIN_FILENO, &terminal.modes);
	terminal.screen = newterm(NULL, stdout, stdin);
	if (!terminal.screen)
		return tally_refuse(err, -ENOTTY,
			"the terminal '%s' is not known here; set TERM to one that is, or take --once",
			kind);
	set_modes();
	remember_leaving();
	put_errors_aside();
	catch (ending_signals, ARRAY_SIZE(ending_signals), end_by, 0);
	catch (crash_signals, ARRAY_SIZE(crash_signals), crash, (int)SA_RESETHAND);
	atexit(top_terminal_close);
	return 0;
}

void top_terminal_close(void)
{
	if (!terminal.screen)
		return;
	endwin();
	delscreen(terminal.screen);
	terminal.screen = NULL;
	show_errors();
	catch (ending_signals, ARRAY_SIZE(ending_signals), SIG_DFL, 0);
	catch (crash_signals, ARRAY_SIZE(crash_signals), SIG_DFL, 0);
	sigprocmask(SIG_SETMASK, &terminal.waiting, NULL);
}

int top_terminal_wait(int64_t timeout_ns)
{
	struct pollfd fd = {.fd = STDIN_FILENO, .events = POLLIN};
	struct timespec timeout = {timeout_ns / NS_PER_S, timeout_ns % NS_PER_S};

	/* A terminal that is gone stays readable, and has nothing for ever. */
	if (ppoll(&fd, 1, &timeout, &terminal.waiting) > 0 &&
		(fd.revents & (POLLHUP | POLLERR | POLLNVAL)))
		return SIGHUP;
	return (int)terminal.ended_by;
}
