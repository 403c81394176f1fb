/* SPDX-License-Identifier: Apache-2.0 */
/** The BPF collector of a build without it: it says so. */
#include "collect/bpf/bpf.h"

#include <errno.h>
#include "base/fail.h"
#include "collect/registry.h"

static const char built[] = "a build with the BPF collector";
static const char remedy[] = "build with -Dbpf=enabled (needs clang, bpftool and libbpf)";

int bpf_requirements(bpf_requirement_fn *visit, void *context)
{
	visit(context, built, false, remedy);
	return -ENOTSUP;
}

static int probe(const struct collect_options *options, struct tally_error *err)
{
	return tally_refuse(err, -ENOTSUP, "this is not %s: %s", built, remedy);
}

const struct collector_ops collector_bpf = {
	.name = "bpf",
	.summary = "not in this build",
	.probe = probe,
};
