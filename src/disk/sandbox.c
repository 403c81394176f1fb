/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/sandbox.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/fail.h"

/* After so many looks a method that had no room is tried again. */
#define LATER_LOOKS 16

struct sandbox *sandbox_new(unsigned methods, const struct disk_site *site)
{
	struct sandbox *sandbox = calloc(1, sizeof(*sandbox));

	if (!sandbox)
		return NULL;
	sandbox->path = strdup(site->path);
	if (!sandbox->path) {
		free(sandbox);
		return NULL;
	}
	atomic_init(&sandbox->references, 1);
	sandbox->site = *site;
	sandbox->site.path = sandbox->path;
	sandbox->methods = methods;
	sandbox->tend_wait_ns = INT64_MAX;
	sandbox->reading.code = sandbox->reading.deleted_code = -EINPROGRESS;
	shelf_put(&sandbox->shelf, &sandbox->reading);
	return sandbox;
}

static void outline_free(struct outline *outline)
{
	if (outline)
		outline_done(outline);
	free(outline);
}

/* Callers see by the number of looks whether it is of the newest figure. */
void sandbox_outline(struct sandbox *sandbox)
{
	const struct disk_job *job = sandbox->job;
	struct outline *outline = job && job->ops->outline ? calloc(1, sizeof(*outline)) : NULL;

	if (!outline)
		return;
	if (job->ops->outline(sandbox->job, outline) < 0) {
		outline_free(outline);
		return;
	}
	outline_sort(outline);
	outline->looks = sandbox->reading.looks;
	outline->boot_ns = sandbox->reading.boot_ns;
	outline_free(atomic_exchange(&sandbox->outline, outline));
}

void sandbox_hold(struct sandbox *sandbox)
{
	atomic_fetch_add(&sandbox->references, 1);
}

void sandbox_shut(struct sandbox *sandbox)
{
	if (sandbox->job)
		sandbox->job->ops->close(sandbox->job);
	sandbox->job = NULL;
	deleted_stop(&sandbox->deleted);
	sandbox->counting = false;
	sandbox->tend_wait_ns = INT64_MAX;
}

void sandbox_tend(struct sandbox *sandbox, struct disk_tools *tools)
{
	const struct disk_job *job = sandbox->job;

	sandbox->tend_wait_ns =
		job && job->ops->tend ? job->ops->tend(sandbox->job, tools) : INT64_MAX;
}

void sandbox_release(struct sandbox *sandbox)
{
	if (!sandbox || atomic_fetch_sub(&sandbox->references, 1) > 1)
		return;
	sandbox_shut(sandbox);
	deleted_done(&sandbox->deleted);
	outline_free(atomic_exchange(&sandbox->outline, NULL));
	free(sandbox->path);
	free(sandbox);
}

static void explain(struct sandbox *sandbox, const struct tally_error *err)
{
	snprintf(sandbox->reading.why, sizeof(sandbox->reading.why), "%.127s", err->message);
}

/* A method that is not for this sandbox is not asked again; if it says why, people may read it. */
static int choose_method(struct sandbox *sandbox, struct tally_error *err)
{
	for (size_t i = 0; disk_methods[i]; i++) {
		if (!(sandbox->methods & 1u << i))
			continue;
		*err = (struct tally_error){0};
		int r = disk_methods[i]->open(&sandbox->site, &sandbox->job, err);
		if (r == 0)
			sandbox->job->ops = disk_methods[i];
		if (r != -EOPNOTSUPP)
			return r;
		sandbox->methods &= ~(1u << i);
		explain(sandbox, err);
	}
	return tally_refuse(
		err, -EOPNOTSUPP, "no method that may be used serves sandbox %s", sandbox->path);
}

static unsigned bit_of_method(const struct sandbox *sandbox)
{
	size_t i = 0;

	while (disk_methods[i] != sandbox->job->ops)
		i++;
	return 1u << i;
}

/* For now, when what it lacks is what others have. */
static int give_up_method(struct sandbox *sandbox, int code, const struct tally_error *err)
{
	unsigned bit = bit_of_method(sandbox);

	sandbox->methods &= ~bit;
	if (code == -EUSERS) {
		sandbox->later |= bit;
		sandbox->waited = 0;
	}
	sandbox_shut(sandbox);
	explain(sandbox, err);
	return 1;
}

/* After a look: nothing is lost but what the method in use remembers. */
static void try_again(struct sandbox *sandbox)
{
	if (sandbox->later & bit_of_method(sandbox)) {
		sandbox->later = 0; /* It has found room. */
		sandbox->reading.why[0] = '\0';
	}
	if (!sandbox->later || ++sandbox->waited < LATER_LOOKS)
		return;
	sandbox->methods |= sandbox->later;
	sandbox_shut(sandbox);
}

static void take_figure(struct sandbox *sandbox, const struct disk_figure *figure)
{
	struct disk_reading *reading = &sandbox->reading;

	if (reading->code < 0 && reading->code != -EINPROGRESS)
		reading->why[0] = '\0';
	reading->code = 0;
	reading->bytes = figure->bytes;
	reading->files = figure->files;
	reading->partial = figure->partial;
	reading->boot_ns = figure->boot_ns;
	reading->drift_bytes = figure->drift_bytes;
	reading->rereads = figure->rereads;
	reading->method = sandbox->job->ops->name;
	reading->knows_directories = sandbox->job->ops->outline;
	reading->looks++;
}

/* The look ends with what is held open; that it cannot be told does not make it fail. */
static int count_deleted(struct sandbox *sandbox, struct disk_tools *tools)
{
	struct disk_reading *reading = &sandbox->reading;
	struct deleted_sum sum;
	int r = sandbox->counting ? deleted_step(&sandbox->deleted, &tools->held, &sum)
				  : deleted_begin(&sandbox->deleted, sandbox->path, &sum);

	sandbox->counting = r > 0;
	if (r > 0)
		return r;
	reading->deleted_code = sum.code;
	reading->deleted_bytes = sum.bytes;
	reading->deleted_files = sum.files;
	return 0;
}

static int step(struct sandbox *sandbox, struct disk_tools *tools, struct tally_error *err)
{
	struct disk_figure figure;
	int r;

	if (sandbox->counting)
		return count_deleted(sandbox, tools);
	if (!sandbox->job)
		r = choose_method(sandbox, err) ?: 1;
	else
		r = sandbox->job->ops->step(sandbox->job, tools, &figure, err);
	if ((r == -EOPNOTSUPP || r == -EUSERS) && sandbox->job)
		return give_up_method(sandbox, r, err);
	if (r == 0) {
		take_figure(sandbox, &figure);
		try_again(sandbox);
		r = count_deleted(sandbox, tools);
	}
	return r;
}

enum slice sandbox_slice(
	struct sandbox *sandbox, struct disk_tools *tools, slice_over_fn *over, void *context)
{
	struct tally_error err = {0};
	int r;

	do
		r = step(sandbox, tools, &err);
	while (r > 0 && !over(context));
	if (r < 0) {
		sandbox->reading.code = r;
		explain(sandbox, &err);
	}
	sandbox_tend(sandbox, tools);
	sandbox->outcome = r > 0 ? SLICE_MORE : r == 0 ? SLICE_FIGURE : SLICE_FAILED;
	return sandbox->outcome;
}
