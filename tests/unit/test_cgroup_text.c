/* SPDX-License-Identifier: Apache-2.0 */
/* What cgroups, their mounts and their names say: every parser on what kernels and runtimes write. */
#include "check.h"
#include <sys/stat.h>
#include "collect/cgroup_figures.h"
#include "collect/cgroup_text.h"
#include "source/auto_scan.h"
#include "source/cgroup_mounts.h"
#include "source/cgroup_name.h"
#include "source/cgroup_runtime.h"
#include "tree.h"

#define HEX32 "0123456789abcdef0123456789abcdef"
#define ID    HEX32 HEX32

static void a_key_is_a_whole_word(void **state)
{
	static const char text[] =
		"oom 3\noom_kill 7\noom_group_kill 9\nbad x\nbig 9223372036854775808\n";
	int64_t value = -1;

	assert_true(cgroup_text_key(text, sizeof(text) - 1, "oom_kill", &value));
	assert_int_equal(value, 7);
	assert_true(cgroup_text_key(text, sizeof(text) - 1, "oom", &value));
	assert_int_equal(value, 3);
	assert_false(cgroup_text_key(text, sizeof(text) - 1, "oom_ki", &value));
	assert_false(cgroup_text_key(text, sizeof(text) - 1, "bad", &value));
	assert_false(cgroup_text_key(text, sizeof(text) - 1, "big", &value));
	assert_int_equal(value, 3);
}

static void limits_are_numbers_or_none(void **state)
{
	int64_t value = -1;

	assert_int_equal(cgroup_text_number("max\n", 4, &value), 0);
	assert_int_equal(cgroup_text_number("4096\n", 5, &value), 1);
	assert_int_equal(value, 4096);
	assert_int_equal(cgroup_text_number("", 0, &value), -EINVAL);
	assert_int_equal(cgroup_text_cpu_max("max 100000\n", 11, &value), 0);
	assert_int_equal(cgroup_text_cpu_max("150000 100000\n", 14, &value), 1);
	assert_int_equal(value, 1500000000);
	assert_int_equal(cgroup_text_cpu_max("1 0\n", 4, &value), -EINVAL);
}

static void pressure_is_told_in_nanoseconds(void **state)
{
	static const char text[] = "some avg10=0.00 avg60=0.00 avg300=0.00 total=12\n"
				   "full avg10=1.00 avg60=0.00 avg300=0.00 total=5\n";
	int64_t value = -1;

	assert_true(cgroup_text_pressure(text, sizeof(text) - 1, "some", &value));
	assert_int_equal(value, 12000);
	assert_true(cgroup_text_pressure(text, sizeof(text) - 1, "full", &value));
	assert_int_equal(value, 5000);
	assert_false(cgroup_text_pressure(text, 20, "some", &value));
}

static void assert_member(const char *text, const char *controller, const char *path)
{
	struct cursor found;
	bool is = cgroup_membership(text, strlen(text), controller, &found);

	assert_int_equal(is, path != NULL);
	if (path) {
		assert_int_equal(found.end - found.at, strlen(path));
		assert_memory_equal(found.at, path, strlen(path));
	}
}

static void a_process_is_in_one_cgroup_per_hierarchy(void **state)
{
	static const char text[] = "5:memory:/m:x\n4:cpu,cpuacct:/c\n1:name=systemd:/s\n0::/u/v\n";

	assert_member(text, NULL, "/u/v");
	assert_member(text, "memory", "/m:x");
	assert_member(text, "cpuacct", "/c");
	assert_member(text, "name=systemd", "/s");
	assert_member(text, "pids", NULL);
	assert_member("0::/../x\n", NULL, NULL);
	assert_member("0::/a..b\n", NULL, "/a..b");
	assert_member("0::\n", NULL, NULL);
}

static void mounts_are_found_and_the_whole_one_is_taken(void **state)
{
	static const char *const lines[] = {
		"29 24 0:25 /sub /part rw - cgroup2 cgroup2 rw",
		"30 24 0:26 / /sys/fs/cgroup/unified rw,nosuid shared:9 master:2 - cgroup2 none rw",
		"31 24 0:27 / /sys/fs/cgroup/cpu\\040x rw shared:1 - cgroup cgroup rw,cpu,cpuacct",
		"32 24 0:28 / /proc rw - proc proc rw",
		"cut off",
	};
	struct cgroup_mounts mounts = {0};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		assert_int_equal(
			cgroup_mounts_take(&mounts, lines[i], strlen(lines[i])), i < 3 ? 1 : 0);
	assert_string_equal(cgroup_mounts_unified(&mounts)->dir, "/sys/fs/cgroup/unified");
	assert_string_equal(
		cgroup_mounts_controller(&mounts, "cpuacct")->dir, "/sys/fs/cgroup/cpu x");
	assert_null(cgroup_mounts_controller(&mounts, "memory"));
	cgroup_mounts_done(&mounts);
}

static void names_are_those_people_know(void **state)
{
	static const struct {
		const char *path, *text, *runtime, *pod;
		enum cgroup_kind kind;
	} cases[] = {
		{"/system.slice/nginx.service", "nginx.service", "", "", CGROUP_UNIT},
		{"/system.slice/_cpu.service", "cpu.service", "", "", CGROUP_UNIT},
		{"/user.slice/user-7.slice/user@7.service",
			"user.slice/user-7.slice/user@7.service", "", "", CGROUP_OTHER},
		{"/user.slice/user-7.slice/user@7.service/app.slice/x.service", "user-7/x.service",
			"", "", CGROUP_UNIT},
		{"/user.slice/user-7.slice/session-3.scope", "session-3.scope", "", "",
			CGROUP_UNIT},
		{"/system.slice/docker-" ID ".scope", "0123456789ab", "docker", "",
			CGROUP_CONTAINER},
		{"/docker/" ID, "0123456789ab", "docker", "", CGROUP_CONTAINER},
		{"/machine.slice/libpod-" ID ".scope", "0123456789ab", "libpod", "",
			CGROUP_CONTAINER},
		{"/machine.slice/libpod-conmon-" ID ".scope", "libpod-conmon-0123456789ab",
			"libpod-conmon", "", CGROUP_UNIT},
		{"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod12345678_9a.slice/"
		 "cri-containerd-" ID ".scope",
			"pod-12345678/0123456789ab", "cri-containerd", "12345678-9a",
			CGROUP_CONTAINER},
		{"/kubepods/besteffort/pod12345678-9a/" ID, "pod-12345678/0123456789ab", "",
			"12345678-9a", CGROUP_CONTAINER},
		{"/x.slice:cri-containerd:" ID, "0123456789ab", "cri-containerd", "",
			CGROUP_CONTAINER},
		{"/lxc.payload.web", "web", "", "", CGROUP_NAMED},
		{"/a\nb/c", "a?b/c", "", "", CGROUP_OTHER},
		{"/x-\x1b[2J.service", "x-?[2J.service", "", "", CGROUP_UNIT},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cgroup_name name;

		cgroup_name_of(cases[i].path, &name);
		assert_string_equal(name.text, cases[i].text);
		assert_string_equal(name.runtime, cases[i].runtime);
		assert_string_equal(name.pod, cases[i].pod);
		assert_int_equal(name.kind, cases[i].kind);
	}
}

static void a_name_of_any_length_fits(void **state)
{
	struct cgroup_name name;
	char path[5000];

	memset(path, 'x', sizeof(path) - 1);
	path[0] = '/';
	path[sizeof(path) - 1] = 0;
	cgroup_name_of(path, &name);
	assert_int_equal(strlen(name.text), CGROUP_NAME_SIZE - 1);
	memcpy(path + sizeof(path) - 9, ".service", 9);
	cgroup_name_of(path, &name);
	assert_true(strlen(name.text) < CGROUP_NAME_SIZE);
}

/* Whoever may make cgroups may call them anything. */
static void a_name_holds_no_control_character(void **state)
{
	struct cgroup_name name;

	cgroup_name_of("/kubepods/pod1\n2\x1b"
		       "3\xff/" ID,
		&name);
	assert_string_equal(name.text, "pod-1?2?3?/0123456789ab");
	cgroup_name_of("/a/\r\x7fx-conmon-" ID ".scope", &name);
	assert_string_equal(name.text, "??x-conmon-0123456789ab");
}

/* Look a container up in a tree that a script makes; what it is called, and the end of its layer. */
static void assert_known(const char *script, const char *called, const char *layer)
{
	struct cgroup_name name;
	struct cgroup_known known;
	char *root = tree_new(NULL);

	tree_run(root, script);
	cgroup_name_of("/docker/" ID, &name);
	cgroup_runtime_look(root, &name, &known);
	assert_string_equal(known.name, called);
	assert_int_equal(known.layer != NULL, layer != NULL);
	if (layer)
		assert_string_equal(known.layer + strlen(root), layer);
	free(known.layer);
	tree_free(root);
}

static void runtimes_tell_names_and_layers(void **state)
{
	assert_known("true", "", NULL);
	assert_known("d=var/lib/docker; mkdir -p $d/containers/" ID " $d/overlay2/m/diff "
		     "$d/image/overlay2/layerdb/mounts/" ID "\n"
		     "echo '{\"Name\": \"/web\"}' >$d/containers/" ID "/config.v2.json\n"
		     "printf m >$d/image/overlay2/layerdb/mounts/" ID "/mount-id",
		"web", "/var/lib/docker/overlay2/m/diff");
	assert_known("d=var/lib/docker/containers/" ID "; mkdir -p $d\n"
		     "echo '{\"Name\": \"/k8s_app_shop_prod_uid_0\"}' >$d/config.v2.json",
		"shop/app", NULL);
	assert_known(
		"d=var/lib/containers/storage; mkdir -p $d/overlay-containers $d/overlay/l/diff\n"
		"echo '[{\"id\": \"x\", \"names\": [\"no\"]}, {\"id\": \"" ID
		"\", \"names\": [\"db\"], \"layer\": \"l\"}]' >$d/overlay-containers/containers.json",
		"db", "/var/lib/containers/storage/overlay/l/diff");
	assert_known("d=run/containerd/io.containerd.runtime.v2.task/k8s.io/" ID "; mkdir -p $d\n"
		     "echo '{\"annotations\": {\"io.kubernetes.cri.sandbox-name\": \"shop\", "
		     "\"io.kubernetes.cri.container-name\": \"app\"}}' >$d/config.json",
		"shop/app", NULL);
	assert_known("mkdir -p var/log/containers; touch var/log/containers/shop_prod_app-" ID
		     ".log",
		"shop/app", NULL);
	assert_known("mkdir -p proc/self upper\n"
		     "echo '9 8 0:5 / /run/" ID "/rootfs rw - overlay overlay "
		     "rw,lowerdir=/l,upperdir=/upper,workdir=/w' >proc/self/mountinfo",
		"", "/upper");
}

static void what_runtimes_tell_is_not_trusted(void **state)
{
	assert_known("d=var/lib/docker/containers/" ID "; mkdir -p $d\n"
		     "echo '{\"Name\": \"/a\\u001bb/c\"}' >$d/config.v2.json",
		"a?b?c", NULL);
	assert_known("d=var/lib/docker/containers/" ID "; mkdir -p $d\n"
		     "echo '[{' >$d/config.v2.json",
		"", NULL);
	assert_known("d=var/lib/docker; mkdir -p $d/overlay2 secret/diff "
		     "$d/image/overlay2/layerdb/mounts/" ID "\n"
		     "printf ../../../../secret >$d/image/overlay2/layerdb/mounts/" ID "/mount-id",
		"", NULL);
}

static void version_2_tells_what_it_has(void **state)
{
	char *root = tree_new(NULL);
	struct cgroup_descriptors descriptors = {0, 100};
	struct cgroup_figures *figures;
	struct tally_sample sample = {0};
	const struct cgroup_place place = {.unified = root};

	tree_run(root, "echo 1 >cgroup.procs; echo 5000 >memory.current; echo 9000 >memory.peak\n"
		       "printf 'anon 1\\ninactive_file 2000\\n' >memory.stat\n"
		       "echo max >memory.max; printf 'oom 1\\noom_kill 2\\n' >memory.events\n"
		       "echo 'throttled_usec 7' >cpu.stat; echo '50000 100000' >cpu.max");
	assert_int_equal(cgroup_figures_open(&place, &descriptors, &figures, NULL), 0);
	cgroup_figures_read(figures, true);
	cgroup_figures_put(figures, &sample);
	assert_int_equal(sample.value[TALLY_MEMORY_CURRENT], 5000);
	assert_int_equal(sample.value[TALLY_MEMORY_PEAK], 9000);
	assert_int_equal(sample.value[TALLY_MEMORY_WORKING_SET], 3000);
	assert_int_equal(sample.value[TALLY_OOM_KILLS], 2);
	assert_int_equal(sample.value[TALLY_CPU_THROTTLED], 7000);
	assert_int_equal(sample.value[TALLY_CPU_LIMIT], 500000000);
	assert_false(tally_sample_has(&sample, TALLY_MEMORY_LIMIT));
	assert_int_equal(sample.reason[TALLY_MEMORY_LIMIT], TALLY_REASON_NO_LIMIT);
	assert_int_equal(sample.reason[TALLY_CPU_PRESSURE], TALLY_REASON_KERNEL);

	/* Gone: levels end, counters stay, and go on with the next one. */
	tree_run(root, "rm cgroup.procs");
	cgroup_figures_read(figures, false);
	cgroup_figures_put(figures, &sample);
	assert_int_equal(sample.reason[TALLY_MEMORY_CURRENT], TALLY_REASON_ENDED);
	assert_int_equal(sample.value[TALLY_OOM_KILLS], 2);
	assert_int_equal(descriptors.kept, 0);
	tree_run(root, "echo 1 >cgroup.procs; printf 'oom_kill 1\\n' >memory.events");
	assert_int_equal(cgroup_figures_move(figures, &place, NULL), 0);
	cgroup_figures_read(figures, true);
	cgroup_figures_put(figures, &sample);
	assert_int_equal(sample.value[TALLY_OOM_KILLS], 3);
	cgroup_figures_close(figures);
	tree_free(root);
}

static void version_1_tells_the_same_elsewhere(void **state)
{
	char *root = tree_new(NULL), *memory = NULL, *cpu = NULL;
	struct cgroup_descriptors descriptors = {0}; /* none may be kept */
	struct cgroup_figures *figures;
	struct tally_sample sample = {0};

	tree_run(root, "mkdir u m c; echo 1 >u/cgroup.procs; echo 500 >m/memory.usage_in_bytes\n"
		       "echo 'total_inactive_file 600' >m/memory.stat\n"
		       "echo 9223372036854771712 >m/memory.limit_in_bytes\n"
		       "echo 'throttled_time 7' >c/cpu.stat\n"
		       "echo 100000 >c/cpu.cfs_period_us; echo -1 >c/cpu.cfs_quota_us");
	assert_true(asprintf(&memory, "%s/m", root) > 0 && asprintf(&cpu, "%s/c", root) > 0);
	char *unified = NULL;
	assert_true(asprintf(&unified, "%s/u", root) > 0);
	const struct cgroup_place place = {unified, memory, cpu};
	assert_int_equal(cgroup_figures_open(&place, &descriptors, &figures, NULL), 0);
	cgroup_figures_read(figures, true);
	cgroup_figures_put(figures, &sample);
	assert_int_equal(sample.value[TALLY_MEMORY_CURRENT], 500);
	assert_int_equal(sample.value[TALLY_MEMORY_WORKING_SET], 0);
	assert_int_equal(sample.value[TALLY_CPU_THROTTLED], 7);
	assert_int_equal(sample.reason[TALLY_MEMORY_LIMIT], TALLY_REASON_NO_LIMIT);
	assert_int_equal(sample.reason[TALLY_CPU_LIMIT], TALLY_REASON_NO_LIMIT);
	assert_int_equal(descriptors.kept, 0);
	cgroup_figures_close(figures);
	free(unified);
	free(memory);
	free(cpu);
	tree_free(root);
}

static void a_line_of_stat_tells_sessions_from_daemons(void **state)
{
	static const char line[] =
		"812 (a (b) \x1b) S 1 812 812 34817 812 4194560 1 2 3 4 5 6 7 8 20 "
		"0 1 0 100 1 1\n";
	struct auto_facts facts;
	char name[32];

	assert_int_equal(auto_facts_parse(line, sizeof(line) - 1, &facts), 0);
	assert_string_equal(facts.comm, "a (b) ?");
	assert_int_equal(facts.parent, 1);
	assert_int_equal(facts.session, 812);
	assert_false(facts.kernel);
	auto_terminal_name(facts.terminal, name);
	assert_string_equal(name, "pts/1");
	auto_terminal_name(4 << 8 | 1, name);
	assert_string_equal(name, "tty1");
	assert_int_equal(auto_facts_parse(line, 20, &facts), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_is_a_whole_word),
		cmocka_unit_test(limits_are_numbers_or_none),
		cmocka_unit_test(pressure_is_told_in_nanoseconds),
		cmocka_unit_test(a_process_is_in_one_cgroup_per_hierarchy),
		cmocka_unit_test(mounts_are_found_and_the_whole_one_is_taken),
		cmocka_unit_test(names_are_those_people_know),
		cmocka_unit_test(a_name_of_any_length_fits),
		cmocka_unit_test(a_name_holds_no_control_character),
		cmocka_unit_test(runtimes_tell_names_and_layers),
		cmocka_unit_test(what_runtimes_tell_is_not_trusted),
		cmocka_unit_test(version_2_tells_what_it_has),
		cmocka_unit_test(version_1_tells_the_same_elsewhere),
		cmocka_unit_test(a_line_of_stat_tells_sessions_from_daemons),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
