/* SPDX-License-Identifier: Apache-2.0 */
/* `tally run`: a command as a task, from its beginning to the report. */
#include "cli/run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fail.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/procfile.h"
#include "cli/report.h"
#include "cli/shared.h"
#include "monitor/monitor.h"

/* Longer ones are refused by the monitor; multiplied, they might not fit. */
#define INTERVAL_MOST_NS (24 * 3600 * NS_PER_S)

#define AT(member) offsetof(struct run_options, member)

static const struct option_row options[] = {
	{"file", 'f', OPTION_FILE, "PROCFILE", AT(procfile),
		"run the processes that this Procfile names, as one task, instead of a command"},
	{"keep-going", 'k', OPTION_FLAG, NULL, AT(keep_going),
		"do not end the others when one process of the Procfile ends"},
	{"grace", 'g', OPTION_DURATION, "TIME", AT(grace_ns),
		"time from SIGTERM to SIGKILL when they are ended (default: 10s)"},
	{"env", 'e', OPTION_FILE, "FILE", AT(environment),
		"environment of the Procfile's processes (default: .env beside it, if there is one)"},
	{"port", 'p', OPTION_STRING, "PORT", AT(port),
		"PORT of the Procfile's first process, 100 more for each further one (default: 5000)"},
	{"name", 'n', OPTION_STRING, "NAME", AT(name), "name of the task (default: the command's)"},
	{"interval", 'i', OPTION_DURATION, "TIME", AT(interval_ns), HELP_INTERVAL},
	{"sandbox", 's', OPTION_DIRECTORY, "DIR", AT(sandbox),
		"directory whose disk usage belongs to the task"},
	{"disk-interval", 0, OPTION_DURATION, "TIME", AT(disk_interval_ns), HELP_DISK_INTERVAL},
	{"collector", 'c', OPTION_STRING, "NAME", AT(collector), HELP_COLLECTOR},
	{"pss", 0, OPTION_FLAG, NULL, AT(pss), HELP_PSS},
	{"time-limit", 't', OPTION_DURATION, "TIME", AT(time_limit_ns),
		"end the command and all it started after this long: SIGTERM, and SIGKILL 5 s later; "
		"exit 124"},
	{"wait", 'w', OPTION_FLAG, NULL, AT(wait),
		"measure until everything that the command left running has ended, too"},
	{"json", 'j', OPTION_FILE, "FILE", AT(json), "write the report as a JSON object"},
	{"csv", 0, OPTION_FILE, "FILE", AT(csv),
		"write every sample of the task and its processes as CSV"},
	{"report", 0, OPTION_FILE, "FILE", AT(report),
		"write the report as a page with charts, one file that needs no network"},
	{"svg", 0, OPTION_FILE, "FILE", AT(svg), "write a small picture of CPU and memory"},
	{"store", 0, OPTION_FILE, "FILE", AT(store),
		"keep the history in this file, for `tally history` and `tally show --at`"},
	{"quiet", 'q', OPTION_FLAG, NULL, AT(quiet), "no live line and no report on the terminal"},
	{.name = NULL},
};

/* What is done in main's order; on failure the ones that were done are undone in reverse. */
struct files {
	struct output json, csv, html, svg;
};

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

static int take_sandbox(struct run *run)
{
	const char *given = run->options.sandbox;
	struct stat there;

	if (!given)
		return OPTIONS_GO;
	run->sandbox = realpath(given, NULL);
	if (!run->sandbox || stat(run->sandbox, &there) < 0)
		return line_refuse_option(
			&run->line, "sandbox", "cannot use %s: %s", given, strerror(errno));
	if (!S_ISDIR(there.st_mode))
		return line_refuse_option(
			&run->line, "sandbox", "cannot use %s: it is not a directory", given);
	return OPTIONS_GO;
}

static int refuse_stdout(struct run *run, const char *option, const char *path)
{
	if (!path || strcmp(path, "-") != 0)
		return OPTIONS_GO;
	return line_refuse_option(&run->line, option,
		"standard output belongs to the command; name a file, or a descriptor as /dev/fd/3");
}

static int take_command(struct run *run)
{
	static const char *const others[] = {"keep-going", "grace", "env", "port"};

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (options_given(&run->line, others[i]))
			return line_refuse_option(&run->line, others[i],
				"--%s is for a Procfile: name it with --file PROCFILE", others[i]);
	if (run->line.argument_count == 0)
		return line_refuse(&run->line, 0,
			"a command is missing: tally run COMMAND [ARGUMENT]..., or tally run -f PROCFILE");
	run->words = run->line.arguments;
	run->process = base_name(run->words[0]);
	run->task = run->options.name ? run->options.name : run->process;
	return OPTIONS_GO;
}

static int take_procfile(struct run *run)
{
	if (run->line.argument_count > 0)
		return line_refuse(&run->line, run->line.argc - run->line.argument_count,
			"either a command or --file PROCFILE is run, not both");
	if (run->options.wait)
		return line_refuse_option(&run->line, "wait",
			"what a process of a Procfile leaves running is waited for anyway");
	int status = procfile_take(run);
	if (status != OPTIONS_GO)
		return status;
	run->task = run->options.name ? run->options.name : base_name(run->many->folder);
	return OPTIONS_GO;
}

static int take_line(struct run *run, int argc, char **argv)
{
	int r = options_parse(&command_run, argc, argv, &run->options, &run->line);

	if (r == OPTIONS_GO)
		r = take_sandbox(run);
	if (r == OPTIONS_GO)
		r = refuse_stdout(run, "json", run->options.json);
	if (r == OPTIONS_GO)
		r = refuse_stdout(run, "csv", run->options.csv);
	if (r == OPTIONS_GO)
		r = refuse_stdout(run, "report", run->options.report);
	if (r == OPTIONS_GO)
		r = refuse_stdout(run, "svg", run->options.svg);
	if (r != OPTIONS_GO)
		return r;
	r = run->options.procfile ? take_procfile(run) : take_command(run);
	if (r != OPTIONS_GO)
		return r;
	run->interval_ns = run->options.interval_ns ? run->options.interval_ns : NS_PER_S;
	if (!*run->task)
		return line_refuse(&run->line, 0, "a task needs a name; give one with --name NAME");
	return OPTIONS_GO;
}

static int open_files(struct run *run, struct files *files, struct tally_error *err)
{
	int r = 0;

	if (run->options.json)
		r = output_open(&files->json, run->options.json, err);
	if (r == 0 && run->options.csv)
		r = output_open(&files->csv, run->options.csv, err);
	if (r == 0 && run->options.report)
		r = output_open(&files->html, run->options.report, err);
	if (r == 0 && run->options.svg)
		r = output_open(&files->svg, run->options.svg, err);
	return r;
}

static int fork_command(struct run *run, struct tally_error *err)
{
	const struct command_process process = {.name = run->process, .words = run->words};
	const struct command_options command = {
		.task = run->task,
		.sandbox = run->sandbox,
		.processes = &process,
		.process_count = 1,
		.mask = &run->mask_before,
	};

	if (run->many)
		return procfile_fork(run, err);
	return source_command_open(&command, &run->source, err);
}

static int64_t larger(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/*
 * The text keeps what it needs itself, and a short history does. Charts and a store want all there
 * is: coarser resolutions keep what is older than this.
 */
static int64_t history_of(const struct run *run)
{
	bool whole = run->options.store || run->options.report || run->options.svg;

	if (run->interval_ns >= INTERVAL_MOST_NS)
		return 0; /* The monitor refuses it. */
	if (whole)
		return larger(3600 * NS_PER_S, run->interval_ns * RECORD_HISTORY);
	return run->interval_ns * RECORD_HISTORY;
}

static int make_monitor(struct run *run, struct tally_error *err)
{
	const struct tally_monitor_options monitor = {
		.interval_ns = run->interval_ns,
		.disk_interval_ns = run->options.disk_interval_ns,
		.history_ns = history_of(run),
		.store = run->options.store,
		.collector = run->options.collector,
		.pss = run->options.pss,
		.log = shared_log,
	};
	int r = tally_monitor_new(&monitor, &run->monitor, err);

	if (r < 0) {
		run->source = source_close(run->source);
		return r;
	}
	r = monitor_add_source(run->monitor, run->source, err);
	if (r < 0)
		run->source = NULL;
	return r;
}

/* All that can go wrong before the command does anything; it is held meanwhile. */
static int prepare(struct run *run, struct files *files, struct tally_error *err)
{
	int r = open_files(run, files, err);

	if (r == 0)
		r = supervise_begin(run, err);
	if (r == 0)
		r = fork_command(run, err);
	if (r == 0)
		r = make_monitor(run, err);
	if (r == 0)
		r = tally_monitor_tick(run->monitor, err);
	if (r == 0)
		r = tally_monitor_start(run->monitor, err);
	return r;
}

/* A script is there, but not what its first line names: exec() calls both "not found". */
static int refuse_exec(struct run *run, int code, const struct tally_error *err)
{
	const char *word = run->words[0];
	char shown[128];

	text_show(shown, sizeof(shown), word);
	if (code == -ENOENT && strchr(word, '/') && access(word, F_OK) == 0)
		fprintf(stderr, "tally run: %s: the interpreter that it names is not there\n",
			shown);
	else
		fprintf(stderr, "tally run: %s: %s\n", shown, err->message);
	return code == -ENOENT ? 127 : 126;
}

static int write_json(const struct report *report, struct output *output, struct tally_error *err)
{
	json_t *object;
	int r;

	if (!output->stream)
		return 0;
	object = report_json(report);
	r = object ? json_write(object, output->stream) : -ENOMEM;
	json_decref(object);
	return r < 0 ? tally_fail(err, r, "cannot write %s", output->path)
		     : output_commit(output, err);
}

/* What the command did is not lost on us when a file cannot be written: its status is ours. */
static int conclude(struct run *run, struct files *files)
{
	struct report report;
	struct tally_error err;

	if (record_take(&run->record, &err) < 0 || report_gather(&report, run, &err) < 0)
		return line_fail(&run->line, "%s", err.message);
	if (!run->options.quiet)
		report_print(&report);

	bool failed = false;
	if (output_commit(&files->csv, &err) < 0)
		failed = line_fail(&run->line, "%s", err.message);
	if (write_json(&report, &files->json, &err) < 0)
		failed = line_fail(&run->line, "%s", err.message);
	if (report_write_files(&report, &files->html, &files->svg, &err) < 0)
		failed = line_fail(&run->line, "%s", err.message);
	int status = report_exit_status(&report);
	return status == 0 && failed ? EXIT_FAIL : status;
}

static int run_prepared(struct run *run, struct files *files)
{
	struct tally_error err;

	record_begin(&run->record, run->monitor, run->task, files->csv.stream);
	live_begin(&run->live, STDERR_FILENO);
	run->live.wanted &= !run->options.quiet;
	run->begun_boot_ns = clock_boot_ns();
	int r = run->many ? procfile_release(run, &err)
			  : source_command_release(run->source, 0, &err);
	if (r < 0 && !run->many)
		return refuse_exec(run, r, &err);
	if (r < 0) {
		line_fail(&run->line, "%s", err.message);
		procfile_stop(run);
	}
	supervise(run);
	return conclude(run, files);
}

/* A wish that cannot be fulfilled is wrong usage, what the machine refuses is failure. */
static int refuse(struct run *run, int code, const struct tally_error *err)
{
	line_fail(&run->line, "%s", err->message);
	return code == -EINVAL ? EXIT_USAGE : EXIT_FAIL;
}

static int run_run(int argc, char **argv)
{
	struct run run = {.signals = -1};
	struct files files = {0};
	struct tally_error err;
	int status = take_line(&run, argc, argv);

	if (status == OPTIONS_GO) {
		int r = prepare(&run, &files, &err);

		status = r < 0 ? refuse(&run, r, &err) : run_prepared(&run, &files);
	}
	output_abort(&files.json);
	output_abort(&files.csv);
	output_abort(&files.html);
	output_abort(&files.svg);
	if (run.monitor)
		tally_monitor_free(run.monitor);
	else
		source_close(run.source);
	procfile_free(run.many);
	cleanup_close(&run.signals);
	free(run.sandbox);
	return status;
}

const struct command command_run = {
	.name = "run",
	.arguments = "[--] COMMAND [ARGUMENT]... | -f PROCFILE",
	.summary = "Run a command as a task, and report what it consumed when it ends",
	.description =
		"The command's input, output and exit status are its own: tally speaks on\n"
		"standard error, and exits as the command did, with 128 + N after signal N, with\n"
		"127 when there is no such command and 126 when it cannot be executed. Signals\n"
		"sent to tally are passed on to the command. All that descends from it is\n"
		"measured, what it leaves running in the background, too.\n"
		"\n"
		"With --file, each line of a Procfile becomes a named process of one task. What\n"
		"they write comes line by line behind their names. When one ends, the others are\n"
		"ended; daemons that they put into the background belong to them, and are ended\n"
		"with them.",
	.options = options,
	.runs = true,
	.run = run_run,
};
