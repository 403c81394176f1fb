/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program. Its files, in the order in which a command line passes through them:
 *
 *     main.c         finds the command
 *     commands.c     the table of commands
 *     options.c      takes the words apart by the table of options of the command
 *     line.c         points at the word that is wrong; nearest.c knows what was meant
 *     help.c         `tally help`, --help and --version, from the same tables
 *     run.c          `tally run`: its options, its files, its beginning and its end
 *       supervise.c  signals, the time limit, and waiting for the end
 *       finish.c     the last samples
 *       limit.c      ends what runs longer than it may
 *       procfile.c   the processes of a Procfile, until they run; procfile_life.c until they have ended
 *       prefix.c     their output, line by line
 *       live.c       the line at the foot of the terminal
 *       record.c     the samples: peaks, and the rows of --csv (csv.c)
 *       report.c     what it says at the end; report_json.c for --json
 *     top.c          `tally top`: its own files, top_*.c, are listed there
 *     show.c         `tally show`: the tasks there are
 *       show_table.c as tables; tasks_json.c as JSON
 *     disk.c         `tally disk`: the heaviest directories
 *       disk_deleted.c `tally show --deleted`
 *     observe.c      `tally observe`: the daemon; what it serves is in src/serve
 *       observe_config.c its configuration file, also again; config.c reads it, config_where.c
 *                    says where it is wrong
 *       observe_check.c what its options mean, and its sockets
 *       daemon_*.c   its supervisor, its log, its rights, its pid file
 *     config_check.c `tally config`: whether the observer would take a file
 *     status.c       `tally status`: asks the observer how it is
 *     doctor.c       `tally doctor`: the table of checks, and how it is shown
 *       checks.c     the checks
 *     completion.c   `tally completion`: what shells complete; one file for each shell
 *     progress.c     how far long work is
 *     output.c       files that are written whole or not at all
 *     format.c       figures as people read them
 *     table.c        text in columns; json.c for JSON
 *     terminal.c     what the terminal can do
 */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <string.h>
#include <unistd.h>
#include "base/text.h"
#include "cli/commands.h"
#include "cli/help.h"

static int refuse_command(const char *word)
{
	char shown[64];
	const char *nearest = command_nearest(word);

	text_show(shown, sizeof(shown), word);
	if (word[0] == '-')
		fprintf(stderr,
			"tally: %s: options come behind a command, as in `tally run --quiet make`\n",
			shown);
	else if (nearest)
		fprintf(stderr, "tally: there is no command '%s'; did you mean `tally %s`?\n",
			shown, nearest);
	else
		fprintf(stderr,
			"tally: there is no command '%s'; `tally help` lists those there are, and "
			"`tally run %s` runs a program\n",
			shown, shown);
	return EXIT_USAGE;
}

static int dispatch(int argc, char **argv)
{
	if (argc < 2) {
		help_program(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
		return help_program(stdout);
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
		return help_version();

	const struct command *command = command_find(argv[1]);
	return command ? command->run(argc, argv) : refuse_command(argv[1]);
}

/*
 * A file that we open must not become standard error because nobody gave us one. What is run still
 * finds closed what was closed.
 */
static void fill_standard_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR | O_CLOEXEC) < 0)
			_exit(EXIT_FAIL);
}

int main(int argc, char **argv)
{
	fill_standard_descriptors();
	/* UTF-8 whatever the locale says: only the width of characters depends on it. */
	setlocale(LC_CTYPE, "C.UTF-8");
	int status = dispatch(argc, argv);

	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	if (errno != EPIPE) /* A reader that has seen enough, as head(1), is no failure. */
		fprintf(stderr, "tally: cannot write to standard output: %s\n", strerror(errno));
	return status ? status : EXIT_FAIL;
}
