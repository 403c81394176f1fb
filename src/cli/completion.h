/* SPDX-License-Identifier: Apache-2.0 */
/** Completion for shells, written from the tables of commands and options. */
#ifndef CLI_COMPLETION_H
#define CLI_COMPLETION_H

#include <stdio.h>
#include "cli/options.h"

/** What a word of the command line may be. */
enum completion_kind {
	COMPLETE_NOTHING, /**< Nobody can guess it: a number, a time. */
	COMPLETE_WORDS,	  /**< One of some words. */
	COMPLETE_FILE,
	COMPLETE_DIRECTORY,
	COMPLETE_TASK,	  /**< A task that the observer knows. */
	COMPLETE_COMMAND, /**< A program, and what it takes. */
};

/** The values of an option. @ret_words Room for words with blanks between them. */
enum completion_kind completion_of_option(
	const struct option_row *row, char *ret_words, size_t size);

/** The arguments of a command, likewise. */
enum completion_kind completion_of_arguments(
	const struct command *command, char *ret_words, size_t size);

/** Names of all commands, with blanks between them. */
void completion_commands(char *ret_words, size_t size);

/** Write the script of a shell. */
void completion_bash(FILE *out);
void completion_zsh(FILE *out);
void completion_fish(FILE *out);

#endif
