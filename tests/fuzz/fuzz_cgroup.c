/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel and runtimes say of cgroups: the first byte chooses the parser. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "collect/cgroup_text.h"
#include "source/auto_scan.h"
#include "source/cgroup_mounts.h"
#include "source/cgroup_name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void feed_figures(const char *text, size_t length)
{
	int64_t value = 0;

	if (cgroup_text_key(text, length, "oom_kill", &value))
		assert(value >= 0);
	if (cgroup_text_number(text, length, &value) > 0)
		assert(value >= 0);
	if (cgroup_text_cpu_max(text, length, &value) > 0)
		assert(value >= 0);
	if (cgroup_text_pressure(text, length, "some", &value))
		assert(value >= 0);
	cgroup_text_pressure(text, length, "full", &value);
}

static void feed_membership(const char *text, size_t length)
{
	static const char *const controllers[] = {NULL, "memory", "name=systemd"};

	for (size_t i = 0; i < 3; i++) {
		struct cursor path;

		if (!cgroup_membership(text, length, controllers[i], &path))
			continue;
		assert(path.at >= text && path.end <= text + length && *path.at == '/');
		assert(!memmem(path.at, (size_t)(path.end - path.at), "/../", 4));
	}
}

static void feed_mounts(const char *text, size_t length)
{
	struct cgroup_mounts mounts = {0};

	if (cgroup_mounts_take(&mounts, text, length) > 0)
		assert(mounts.count == 1 && mounts.items[0].dir[0] == '/');
	cgroup_mounts_unified(&mounts);
	cgroup_mounts_controller(&mounts, "cpu");
	cgroup_mounts_done(&mounts);
}

static void feed_name(const char *text, size_t length)
{
	struct cgroup_name name;
	char *path = strndup(text, length);

	cgroup_name_of(path, &name);
	assert(strlen(name.text) < sizeof(name.text));
	for (const char *at = name.text; *at; at++)
		assert((unsigned char)*at >= ' ' && *at != 0x7f);
	if (name.kind == CGROUP_CONTAINER)
		assert(cgroup_is_container_id(name.container, strlen(name.container)));
	free(path);
}

static void feed_stat(const char *text, size_t length)
{
	struct auto_facts facts;
	char name[32];

	if (auto_facts_parse(text, length, &facts) == 0)
		auto_terminal_name(facts.terminal, name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const feeds[])(const char *, size_t) = {
		feed_figures, feed_membership, feed_mounts, feed_name, feed_stat};

	if (size == 0)
		return 0;
	/* In memory of its own, so that a byte read behind it is found. */
	char *text = malloc(size - 1);
	memcpy(text, data + 1, size - 1);
	feeds[data[0] % 5](text, size - 1);
	free(text);
	return 0;
}
