/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Commands and their options as tables. Parsing, --help, the completion of shells and the check of
 * the man page all read the same rows.
 *
 * Words are taken as getopt_long(3) takes them: --name VALUE, --name=VALUE, -n VALUE, -nVALUE,
 * bundles of flags (-qv), and -- before what is no option. Names are never abbreviated: a script
 * must not break when a new option comes.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <tally/error.h>
#include "base/attr.h"

/** Exit status of wrong usage, and of failure. */
#define EXIT_USAGE 2
#define EXIT_FAIL  1

/** What follows an option, and what it is stored as. */
enum option_type {
	OPTION_FLAG,	  /**< Nothing; bool. */
	OPTION_STRING,	  /**< const char *, of argv. */
	OPTION_FILE,	  /**< As OPTION_STRING: a path. */
	OPTION_DIRECTORY, /**< As OPTION_STRING: a path of a directory. */
	OPTION_DURATION,  /**< int64_t, nanoseconds. */
	OPTION_SIZE,	  /**< uint64_t, bytes. */
	OPTION_TIME,	  /**< int64_t, nanoseconds since the epoch. */
	OPTION_LIST,	  /**< struct option_list: may be given again. */
};

/** The values of an option that may be given again, in their order. */
struct option_list {
	const char **items; /**< Of argv. */
	size_t count;
};

/** Add one, which must stay. @return 0, -ENOMEM */
int option_list_add(struct option_list *list, const char *item);

/** One option. */
struct option_row {
	const char *name; /**< Long name, without the dashes; NULL ends a table. */
	char letter;	  /**< Short name, or 0. */
	enum option_type type;
	const char *argument; /**< Word for its value in texts, as "DIR"; NULL for flags. */
	size_t offset;	      /**< Of its value in the command's own struct. */
	const char *help;     /**< One sentence without a final stop. */
};

/** Most options of one command, --help and --version included. */
#define OPTION_ROWS_MAX 48

/** Most arguments of a command that does not run others. */
#define ARGUMENTS_MAX 4

/** One command of the program. */
struct command {
	const char *name;
	const char *arguments;	 /**< What follows the options, as "[TASK[/PROCESS]]". */
	const char *summary;	 /**< One line. */
	const char *description; /**< What --help adds; lines of at most 79 columns. */
	const struct option_row *options;
	unsigned least, most; /**< Number of arguments. */
	bool runs; /**< Its arguments are a command: the first of them ends the options. */
	int (*run)(int argc, char **argv);
};

/** All commands, NULL-terminated, in the order of --help. */
extern const struct command *const commands[];

/** The options that every command has; --help and --version. */
extern const struct option_row options_common[];

/**
 * A command line taken apart. Options may also come from a configuration file (config.h): what is
 * wrong with those is said with their line in it.
 */
struct command_line {
	const struct command *command;
	int argc;
	char **argv;
	char *few[ARGUMENTS_MAX + 1];
	char **arguments; /**< NULL-terminated. */
	int argument_count;
	int where[OPTION_ROWS_MAX]; /**< Index in argv of an option's last value; 0: not given. */
	const char *file;	    /**< The configuration file, or NULL. */
	int lines[OPTION_ROWS_MAX]; /**< Line in it; 0: not in it, or given on the command line. */
	struct tally_error *silent; /**< Takes what would be said; NULL: standard error. */
};

/** options_parse() has done all that was asked, successfully, or the command may go on. */
#define OPTIONS_GO (-1)

/**
 * Take a command line apart.
 *
 * @argc, @argv  Those of main(): argv[1] is the name of the command.
 * @values       The command's own struct, holding its defaults. Release with options_done().
 * @return       OPTIONS_GO, or an exit status: the help asked for was printed, or the error was.
 */
int options_parse(const struct command *command, int argc, char **argv, void *values,
	struct command_line *ret);

/** Free what lists hold. */
void options_done(const struct command *command, void *values);

/**
 * Find an option of the command by its name.
 *
 * @ret     Its row.
 * @return  Its number in where[] and lines[], or -1.
 */
int options_find(const struct command *command, const char *name, const struct option_row **ret);

/** Name of an option that is most like a word, or NULL. */
const char *options_nearest(const struct command *command, const char *word);

/** Store a value as an option's; a flag takes none. @return 0, -EINVAL, -ENOMEM. */
int options_store(
	const struct option_row *row, void *values, const char *text, struct tally_error *err);

/** Whether an option was given, on the command line or in the file. */
bool options_given(const struct command_line *line, const char *name);

/**
 * Say what is wrong with a word of the command line, point at it, and return EXIT_USAGE.
 *
 * @index  Of the word in argv; 0: nowhere in particular.
 */
int line_refuse(const struct command_line *line, int index, const char *format, ...)
	PRINTF_LIKE(3, 4);

/** As line_refuse(), pointing at the value of an option. */
int line_refuse_option(const struct command_line *line, const char *name, const char *format, ...)
	PRINTF_LIKE(3, 4);

/** Say why a command failed, in one line, and return EXIT_FAIL. */
int line_fail(const struct command_line *line, const char *format, ...) PRINTF_LIKE(2, 3);

/** Find a command by its name; NULL when there is none. */
const struct command *command_find(const char *name);

/** Name of the command that is most like a word, or NULL. */
const char *command_nearest(const char *word);

#endif
