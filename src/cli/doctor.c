/* SPDX-License-Identifier: Apache-2.0 */
/* `tally doctor`: what this machine allows, and what would give more. */
#include "cli/doctor.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <tally/monitor.h>
#include <unistd.h>
#include "base/text.h"
#include "cli/commands.h"
#include "cli/json.h"
#include "cli/observed.h"
#include "cli/terminal.h"
#include "collect/bpf/bpf.h"
#include "collect/collector.h"
#include "disk/method.h"
#include "source/source.h"

struct doctor_options {
	const char *socket;
	bool json;
};

static const struct option_row options[] = {
	{"json", 'j', OPTION_FLAG, NULL, offsetof(struct doctor_options, json),
		"write JSON instead of text"},
	{"socket", 0, OPTION_FILE, "PATH", offsetof(struct doctor_options, socket), HELP_SOCKET},
	{.name = NULL},
};

static const char *const status_words[] = {
	[FINDING_OK] = "ok",
	[FINDING_LIMITED] = "limited",
	[FINDING_MISSING] = "missing",
	[FINDING_NOTE] = "note",
};

/* Receives every finding. */
typedef void finding_fn(void *context, const char *name, const struct finding *finding);

static bool look_at_collector(const struct collector_ops *ops, finding_fn *visit, void *context)
{
	static const struct collect_options defaults;
	struct finding finding = {0};
	struct tally_error err = {0};
	char name[64];
	bool works = ops->probe(&defaults, &err) == 0;

	finding.status = works ? FINDING_OK : FINDING_MISSING;
	snprintf(finding.detail, sizeof(finding.detail), "%s", works ? ops->summary : err.message);
	snprintf(name, sizeof(name), "collector %s", ops->name);
	visit(context, name, &finding);
	return works;
}

struct requirements {
	finding_fn *visit;
	void *context;
};

static void look_at_requirement(
	void *context, const char *requirement, bool met, const char *remedy)
{
	const struct requirements *requirements = context;
	struct finding finding = {.status = met ? FINDING_OK : FINDING_MISSING};

	snprintf(finding.detail, sizeof(finding.detail), "%s", requirement);
	finding.remedy = met ? NULL : remedy;
	requirements->visit(requirements->context, "needed by bpf", &finding);
}

static void look_at_source(const struct source_ops *ops, finding_fn *visit, void *context)
{
	struct finding finding = {0};
	struct tally_error err = {0};
	char name[64];
	bool works = !ops->probe || ops->probe(&err) == 0;

	finding.status = works ? FINDING_OK : FINDING_MISSING;
	snprintf(finding.detail, sizeof(finding.detail), "%s", works ? ops->summary : err.message);
	snprintf(name, sizeof(name), "source %s", ops->name);
	visit(context, name, &finding);
}

/* The ways to measure a sandbox, in the order in which they are tried. */
static void look_at_method(const struct disk_method_ops *ops, finding_fn *visit, void *context)
{
	struct finding finding = {0};
	struct tally_error err = {0};
	char name[64];
	bool works = ops->probe(&err) == 0;

	finding.status = works ? FINDING_OK : FINDING_LIMITED;
	snprintf(finding.detail, sizeof(finding.detail), "%s", works ? ops->summary : err.message);
	finding.meaning = works ? NULL : "a sandbox that it would serve costs more to measure";
	finding.remedy = works ? NULL : ops->remedy;
	snprintf(name, sizeof(name), "disk %s", ops->name);
	visit(context, name, &finding);
}

/* @return whether anything can be measured at all. */
static bool look_at_all(const char *socket, finding_fn *visit, void *context)
{
	struct finding overlap = {0};
	bool works = false;

	for (size_t i = 0; collectors[i]; i++)
		works |= look_at_collector(collectors[i], visit, context);
	bpf_requirements(look_at_requirement, &(struct requirements){visit, context});
	for (size_t i = 0; sources[i]; i++)
		look_at_source(sources[i], visit, context);
	for (size_t i = 0; disk_methods[i]; i++)
		look_at_method(disk_methods[i], visit, context);
	for (const struct check *check = checks; check->name; check++) {
		struct finding finding = {0};

		check->look(&finding);
		visit(context, check->name, &finding);
	}
	doctor_overlap(socket, &overlap);
	visit(context, "tasks that overlap", &overlap);
	return works;
}

static const char *colour_of(const struct style *style, enum finding_status status)
{
	switch (status) {
	case FINDING_OK:
		return style->good;
	case FINDING_LIMITED:
		return style->warn;
	case FINDING_MISSING:
		return style->bad;
	default:
		return style->dim;
	}
}

static void print_finding(void *context, const char *name, const struct finding *finding)
{
	const struct style *style = context;
	char detail[sizeof(finding->detail)];

	text_show(detail, sizeof(detail), finding->detail);
	printf("%s%-7s%s  %s%-18s%s  %s\n", colour_of(style, finding->status),
		status_words[finding->status], style->off, style->bold, name, style->off, detail);
	if (finding->meaning)
		printf("%29s%s%s%s\n", "", style->dim, finding->meaning, style->off);
	if (finding->remedy)
		printf("%29s%sto do: %s%s\n", "", style->dim, finding->remedy, style->off);
}

static void add_finding(void *context, const char *name, const struct finding *finding)
{
	json_t *object = json_object();

	json_object_set_new(object, "check", json_text(name));
	json_object_set_new(object, "status", json_text(status_words[finding->status]));
	json_object_set_new(object, "detail", json_text(finding->detail));
	json_object_set_new(object, "meaning", json_text(finding->meaning));
	json_object_set_new(object, "remedy", json_text(finding->remedy));
	json_array_append_new(context, object);
}

static bool write_findings(const char *socket)
{
	json_t *all = json_object(), *list = json_array();
	struct utsname kernel;

	json_object_set_new(all, "version", json_text(tally_version()));
	json_object_set_new(all, "kernel", json_text(uname(&kernel) == 0 ? kernel.release : NULL));
	json_object_set_new(all, "checks", list);
	bool works = look_at_all(socket, add_finding, list);
	json_write(all, stdout);
	json_decref(all);
	return works;
}

static int run_doctor(int argc, char **argv)
{
	struct doctor_options o = {0};
	struct command_line line;
	int r = options_parse(&command_doctor, argc, argv, &o, &line);

	if (r != OPTIONS_GO)
		return r;

	const struct style *style = terminal_style(STDOUT_FILENO);
	bool works = o.json ? write_findings(o.socket)
			    : look_at_all(o.socket, print_finding, (void *)style);
	return works ? 0 : EXIT_FAIL;
}

const struct command command_doctor = {
	.name = "doctor",
	.summary = "Tell what this machine allows, and what would give more",
	.description =
		"Exits with 1 when nothing can be measured here. Where an observer runs, it is\n"
		"asked which processes are in two tasks.",
	.options = options,
	.run = run_doctor,
};
