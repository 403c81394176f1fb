/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/bpf/inside.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/attr.h"
#include "base/fail.h"

#define NEWER "Linux 5.11 or later with CONFIG_BPF_SYSCALL and CONFIG_DEBUG_INFO_BTF gives it"

static bool have_types(struct btf *types)
{
	return access("/sys/kernel/btf/vmlinux", R_OK) == 0;
}

static bool have_capability(unsigned capability)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

	if (syscall(SYS_capget, &header, data) < 0)
		return false;
	return data[capability / 32].effective & (1u << capability % 32);
}

static bool have_privilege(struct btf *types)
{
	return have_capability(CAP_SYS_ADMIN) ||
	       (have_capability(CAP_BPF) && have_capability(CAP_PERFMON));
}

static bool have_storage(struct btf *types)
{
	return libbpf_probe_bpf_map_type(BPF_MAP_TYPE_TASK_STORAGE, NULL) == 1;
}

/* Can a program that does nothing be loaded for this attach point? */
static bool can_load(struct btf *types, enum bpf_attach_type type, const char *name, __u32 kind)
{
	/* r0 = 0; exit */
	static const struct bpf_insn nothing[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K}, {.code = BPF_JMP | BPF_EXIT}};
	LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = type);
	int id = types ? btf__find_by_name_kind(types, name, kind) : -ENOENT;

	if (id <= 0)
		return false;
	options.attach_btf_id = (__u32)id;
	CLEANUP_CLOSE int fd = bpf_prog_load(BPF_PROG_TYPE_TRACING, NULL, "Dual BSD/GPL", nothing,
		ARRAY_SIZE(nothing), &options);
	return fd >= 0;
}

static bool have_iterator(struct btf *types)
{
	return can_load(types, BPF_TRACE_ITER, "bpf_iter_task", BTF_KIND_FUNC);
}

static bool have_fork(struct btf *types)
{
	return can_load(types, BPF_TRACE_RAW_TP, "btf_trace_sched_process_fork", BTF_KIND_TYPEDEF);
}

static bool have_switch(struct btf *types)
{
	return can_load(types, BPF_TRACE_RAW_TP, "btf_trace_sched_switch", BTF_KIND_TYPEDEF);
}

static bool have_attach(struct btf *types)
{
	return can_load(types, BPF_TRACE_RAW_TP, "btf_trace_cgroup_attach_task", BTF_KIND_TYPEDEF);
}

static const struct {
	const char *name, *remedy;
	bool (*met)(struct btf *types);
	bool costly; /**< Needs the kernel's type information read: some 30 ms. */
} requirements[] = {
	{"the kernel's type information (/sys/kernel/btf/vmlinux)",
		"a kernel built with CONFIG_DEBUG_INFO_BTF gives it", have_types, false},
	{"the capabilities CAP_BPF and CAP_PERFMON",
		"run as root, or grant both (CAP_SYS_ADMIN before Linux 5.8)", have_privilege,
		false},
	{"task storage for BPF programs", NEWER, have_storage, false},
	{"the BPF task iterator", NEWER, have_iterator, true},
	{"the tracepoint sched_process_fork for BPF", NEWER, have_fork, true},
	{"the tracepoint sched_switch for BPF", NEWER, have_switch, true},
	{"the tracepoint cgroup_attach_task for BPF", NEWER " and CONFIG_CGROUPS", have_attach,
		true},
};

int bpf_probe(struct tally_error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(requirements); i++)
		if (!requirements[i].costly && !requirements[i].met(NULL))
			return tally_refuse(err, -ENOTSUP, "this needs %s; %s",
				requirements[i].name, requirements[i].remedy);
	return 0;
}

static void find_missing(void *context, const char *requirement, bool met, const char *remedy)
{
	struct tally_error *err = context;

	if (!met && !err->code)
		tally_refuse(err, -ENOTSUP, "this needs %s; %s", requirement, remedy);
}

int bpf_explain(struct tally_error *err)
{
	struct tally_error missing = {0};

	if (bpf_requirements(find_missing, &missing) == 0)
		return 0;
	return tally_refuse(err, missing.code, "%s", missing.message);
}

int bpf_requirements(bpf_requirement_fn *visit, void *context)
{
	libbpf_print_fn_t print = libbpf_set_print(NULL);
	struct btf *types = btf__load_vmlinux_btf();
	int result = 0;

	for (size_t i = 0; i < ARRAY_SIZE(requirements); i++) {
		bool met = requirements[i].met(types);

		visit(context, requirements[i].name, met, requirements[i].remedy);
		if (!met)
			result = -ENOTSUP;
	}
	btf__free(types);
	libbpf_set_print(print);
	return result;
}
