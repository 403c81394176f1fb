/* SPDX-License-Identifier: Apache-2.0 */
/* The source of Thermos tasks: real directories, real streams, real processes. */
#include "thermos_root.h"
#include "source/definition.h"

static void a_task_is_told_with_all_that_is_known_of_it(void **state)
{
	struct wire wire = {0};
	pid_t pid = spawn();
	int64_t start_ns = 0;
	struct tally_error err;
	json_t *definition = NULL;

	wire_header(&wire, "task-1", base, (int)getuid());
	wire_task(&wire, 0, 1764000000123, 7);
	wire_running(&wire, "web", 0, 1, pid, now());
	wire_process(&wire, "db", 0, 0, 0, 0);
	make_task("", "task-1", &wire);

	struct source *source = open_kind(&source_thermos, false);
	assert_int_equal(refresh(source), 1);
	struct told told = told_of(source, "task-1");
	assert_true(told.found);
	assert_int_equal(told.life, TALLY_LIFE_ACTIVE);
	assert_string_equal(told.user, "a-user");
	assert_string_equal(told.name, "a name");
	assert_string_equal(told.sandbox, base);
	assert_int_equal(told.started_ns, 1764000000000000000);
	assert_int_equal(told.state_ns, 1764000000123000000);
	assert_int_equal(told.ended_ns, 0);
	assert_int_equal(told.process_count, 2);
	assert_string_equal(told.processes[0].name, "web");
	assert_int_equal(told.processes[0].life, TALLY_LIFE_ACTIVE);
	assert_int_equal(told.processes[0].pid, pid);
	assert_int_equal(identity_start_ns("/proc", pid, &start_ns), 0);
	assert_int_equal(told.processes[0].start_ns, start_ns);
	assert_string_equal(told.processes[1].name, "db");
	assert_int_equal(told.processes[1].life, TALLY_LIFE_WAITING);
	assert_int_equal(told.processes[1].pid, 0);
	assert_int_equal(definition_read(told.definition, &definition, &err), 0);
	json_decref(definition);
	assert_int_equal(said.warnings, 0);
	assert_int_equal(refresh(source), 0);
	source_close(source);
	reap(pid);
}

static void a_task_goes_from_active_to_finished_to_nowhere(void **state)
{
	struct wire wire = {0};

	wire_header(&wire, "task-1", NULL, (int)getuid());
	wire_task(&wire, 0, 1000, 7);
	make_task("", "task-1", &wire);
	struct source *source = open_kind(&source_thermos, false);
	refresh(source);
	assert_int_equal(told_of(source, "task-1").life, TALLY_LIFE_ACTIVE);

	wire_running(&wire, "web", 0, 1, 99999999, now());
	wire_process(&wire, "web", 3, 5, 42, now());
	wire_task(&wire, 2, 2000, 7);
	append("task-1", &wire);
	assert_int_equal(rename(below("tasks/active/task-1"), below("tasks/finished/task-1")), 0);
	assert_int_equal(refresh(source), 1);
	struct told told = told_of(source, "task-1");
	assert_int_equal(told.life, TALLY_LIFE_FAILED);
	assert_int_equal(told.ended_ns, 2000000000);
	assert_int_equal(told.processes[0].life, TALLY_LIFE_FAILED);
	assert_int_equal(told.processes[0].return_code, 42);
	assert_string_equal(told.processes[0].state, "FAILED");
	assert_non_null(strstr(told.definition, "tasks/finished/task-1"));

	assert_int_equal(unlink(below("tasks/finished/task-1")), 0);
	assert_int_equal(refresh(source), 1);
	assert_false(told_of(source, "task-1").found);
	source_close(source);
}

static void what_runs_in_a_finished_task_was_lost(void **state)
{
	struct wire wire = {0};
	pid_t pid = spawn();
	struct stat st;

	wire_header(&wire, "task-1", NULL, (int)getuid());
	wire_running(&wire, "web", 0, 1, pid, now());
	make_task("", "task-1", &wire);
	rename(below("tasks/active/task-1"), below("tasks/finished/task-1"));
	struct source *source = open_kind(&source_thermos, false);
	refresh(source);
	struct told told = told_of(source, "task-1");
	assert_int_equal(told.life, TALLY_LIFE_LOST);
	assert_int_equal(stat(below("tasks/finished/task-1"), &st), 0);
	assert_int_equal(told.ended_ns / NS_PER_S, st.st_mtim.tv_sec);
	assert_int_equal(told.processes[0].life, TALLY_LIFE_LOST);
	assert_int_equal(told.processes[0].pid, 0);
	source_close(source);
	reap(pid);
}

static void everything_new_is_heard_at_once(void **state)
{
	struct wire wire = {0};
	struct source *source = open_kind(&source_thermos, true);
	pid_t pid = spawn();

	refresh(source);
	wire_header(&wire, "task-1", NULL, (int)getuid());
	make_task("", "task-1", &wire);
	assert_true(hear(source));
	assert_true(told_of(source, "task-1").found);

	usleep(100000); /* Whatever was still to hear of its making. */
	refresh(source);
	usleep(100000);
	refresh(source);
	wire_running(&wire, "web", 0, 1, pid, now());
	append("task-1", &wire);
	assert_true(hear(source));
	assert_int_equal(told_of(source, "task-1").processes[0].pid, pid);

	usleep(100000);
	refresh(source);
	rename(below("tasks/active/task-1"), below("tasks/finished/task-1"));
	assert_true(hear(source));
	assert_int_equal(told_of(source, "task-1").life, TALLY_LIFE_LOST);
	source_close(source);
	reap(pid);
}

static void a_root_that_comes_later_is_heard_of(void **state)
{
	struct wire wire = {0};

	rename(below("tasks"), below("away"));
	rename(below("checkpoints"), below("away/checkpoints"));
	struct source *source = open_kind(&source_thermos, true);
	refresh(source);
	assert_int_equal(count_tasks(source), 0);
	make_root("");
	wire_header(&wire, "task-1", NULL, (int)getuid());
	make_task("", "task-1", &wire);
	for (int i = 0; i < 10 && count_tasks(source) == 0; i++)
		hear(source);
	assert_true(told_of(source, "task-1").found);
	source_close(source);
}

static void who_writes_without_a_pause_wakes_nobody_more_than_20_times_a_second(void **state)
{
	struct wire wire = {0};
	struct source *source = open_kind(&source_thermos, true);
	int woken = 0;

	wire_header(&wire, "task-1", NULL, (int)getuid());
	make_task("", "task-1", &wire);
	refresh(source);
	int64_t begun_ns = clock_boot_ns();
	while (clock_boot_ns() - begun_ns < NS_PER_S / 2) {
		struct pollfd fd = {.fd = source_fd(source), .events = POLLIN};

		wire_task(&wire, 0, 1000, 7);
		append("task-1", &wire);
		if (poll(&fd, 1, 0) == 1) {
			woken++;
			refresh(source);
		}
	}
	assert_between(woken, 1, (clock_boot_ns() - begun_ns) / WATCH_QUIET_NS + 2);
	source_close(source);
}

static void a_torn_record_is_tried_again_from_its_start(void **state)
{
	struct wire wire = {0}, more = {0};

	wire_header(&wire, "task-1", NULL, (int)getuid());
	make_task("", "task-1", &wire);
	struct source *source = open_kind(&source_thermos, false);
	refresh(source);
	wire_process(&more, "web", 0, 0, 0, 0);
	wire_process(&more, "web", 1, 1, 5, now());
	for (size_t i = 0; i < more.length; i++) {
		write_bytes(below("checkpoints/task-1/runner"), more.bytes + i, 1, O_APPEND);
		refresh(source);
	}
	wire_done(&more);
	struct told told = told_of(source, "task-1");
	assert_int_equal(told.process_count, 1);
	assert_string_equal(told.processes[0].state, "FORKED");
	assert_int_equal(said.warnings, 0);
	source_close(source);
}

static void write_process_stream(struct wire *wire, const char *id, const char *process)
{
	wire_header(wire, id, NULL, (int)getuid());
	wire_process(wire, process, 0, 0, 0, 0);
}

static void a_stream_replaced_underneath_is_read_anew(void **state)
{
	struct wire wire = {0};

	write_process_stream(&wire, "task-1", "old");
	make_task("", "task-1", &wire);
	struct source *source = open_kind(&source_thermos, false);
	refresh(source);
	assert_string_equal(told_of(source, "task-1").processes[0].name, "old");

	/* By another file of the same length. */
	write_process_stream(&wire, "task-1", "new");
	write_bytes(below("runner"), wire.bytes, wire.length, O_TRUNC);
	wire_done(&wire);
	rename(below("runner"), below("checkpoints/task-1/runner"));
	assert_int_equal(refresh(source), 1);
	struct told told = told_of(source, "task-1");
	assert_int_equal(told.process_count, 1);
	assert_string_equal(told.processes[0].name, "new");

	/* In place, shorter. */
	wire_header(&wire, "task-1", NULL, (int)getuid());
	write_bytes(below("checkpoints/task-1/runner"), wire.bytes, wire.length, O_TRUNC);
	wire_done(&wire);
	assert_int_equal(refresh(source), 1);
	assert_int_equal(told_of(source, "task-1").process_count, 0);

	/* In place, longer, from another start. */
	wire_header(&wire, "task-1", "/elsewhere", (int)getuid());
	wire_process(&wire, "third", 0, 0, 0, 0);
	wire_process(&wire, "fourth", 0, 0, 0, 0);
	write_bytes(below("checkpoints/task-1/runner"), wire.bytes, wire.length, O_TRUNC);
	wire_done(&wire);
	assert_int_equal(refresh(source), 1);
	assert_string_equal(told_of(source, "task-1").processes[1].name, "fourth");

	/* In place, longer, and alike at its start: what follows does not fit, which tells. */
	wire_header(&wire, "task-1", "/elsewhere", (int)getuid());
	for (int i = 0; i < 6; i++)
		wire_process(&wire, "fifth-with-a-long-name", i,
			i < 3	 ? i
			: i == 3 ? 3
				 : i - 4,
			1, 1);
	write_bytes(below("checkpoints/task-1/runner"), wire.bytes, wire.length, O_TRUNC);
	wire_done(&wire);
	assert_int_equal(refresh(source), 1);
	told = told_of(source, "task-1");
	assert_int_equal(told.process_count, 1);
	assert_int_equal(told.processes[0].run_count, 2);
	assert_int_equal(said.warnings, 0);
	source_close(source);
}

static void corruption_is_said_once_and_what_was_known_is_kept(void **state)
{
	struct wire wire = {0};

	write_process_stream(&wire, "task-1", "web");
	make_task("", "task-1", &wire);
	struct source *source = open_kind(&source_thermos, false);
	refresh(source);
	write_bytes(below("checkpoints/task-1/runner"), "\0\0\0\4junk", 8, O_APPEND);
	refresh(source);
	assert_int_equal(said.warnings, 1);
	assert_non_null(strstr(said.last, "task task-1: its checkpoint is corrupt behind byte"));
	wire_process(&wire, "web", 1, 1, 5, now());
	append("task-1", &wire);
	for (int i = 0; i < 5; i++)
		refresh(source);
	assert_int_equal(said.warnings, 1);
	assert_string_equal(told_of(source, "task-1").processes[0].name, "web");
	assert_string_equal(told_of(source, "task-1").processes[0].state, "WAITING");

	/* Put right, it is read again. */
	write_process_stream(&wire, "task-1", "right");
	write_bytes(below("runner"), wire.bytes, wire.length, O_TRUNC);
	wire_done(&wire);
	rename(below("runner"), below("checkpoints/task-1/runner"));
	refresh(source);
	assert_string_equal(told_of(source, "task-1").processes[0].name, "right");
	source_close(source);
}

static void garbage_makes_a_task_without_processes(void **state)
{
	struct wire wire = {0};

	for (int i = 0; i < 5000; i++)
		wire_number(&wire, (uint64_t)rand(), 1);
	make_task("", "task-1", &wire);
	write_process_stream(&wire, "task-2", "web");
	make_task("", "task-2", &wire);
	struct source *source = open_kind(&source_thermos, false);
	for (int i = 0; i < 5; i++)
		refresh(source);
	assert_int_equal(told_of(source, "task-1").process_count, 0);
	assert_int_equal(told_of(source, "task-2").process_count, 1);
	assert_int_equal(said.warnings, 1);
	source_close(source);
}

static void a_recycled_pid_is_refused_and_said_once(void **state)
{
	struct wire wire = {0};
	pid_t pid = spawn();

	wire_header(&wire, "task-1", NULL, (int)getuid());
	wire_running(&wire, "web", 0, 1, pid, now() - 3600);
	make_task("", "task-1", &wire);
	struct source *source = open_kind(&source_thermos, false);
	settle(source);
	struct told told = told_of(source, "task-1");
	assert_int_equal(told.processes[0].pid, 0);
	assert_int_equal(told.processes[0].life, TALLY_LIFE_ACTIVE);
	assert_int_equal(said.warnings, 1);
	assert_non_null(strstr(said.last, "started 3600 s later than the checkpoint says"));
	source_close(source);
	reap(pid);
}

static void a_pid_of_another_user_is_refused(void **state)
{
	struct wire wire = {0};
	pid_t pid = spawn();

	wire_header(&wire, "task-1", NULL, (int)getuid() + 12345);
	wire_running(&wire, "web", 0, 1, pid, now());
	make_task("", "task-1", &wire);
	struct source *source = open_kind(&source_thermos, false);
	settle(source);
	assert_int_equal(told_of(source, "task-1").processes[0].pid, 0);
	assert_int_equal(said.warnings, 1);
	assert_non_null(strstr(said.last, "it runs as uid"));
	source_close(source);
	reap(pid);
}

/* Once found, an identity is kept: whoever gets the pid later is not it. */
static void a_pid_recycled_while_it_is_watched_stays_what_it_was(void **state)
{
	struct wire wire = {0};
	pid_t pid = spawn(), impostor = 0;
	int64_t start_ns = 0, impostor_ns = 0;

	assert_int_equal(identity_start_ns("/proc", pid, &start_ns), 0);
	wire_header(&wire, "task-1", NULL, (int)getuid());
	wire_running(&wire, "web", 0, 1, pid, now());
	make_task("", "task-1", &wire);
	struct source *source = open_kind(&source_thermos, false);
	refresh(source);
	reap(pid);
	usleep(30000);
	for (int i = 0; i < 200 && impostor != pid; i++) {
		char last[16];
		CLEANUP_CLOSE int fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);

		snprintf(last, sizeof(last), "%d", (int)pid - 1);
		if (fd < 0 || write(fd, last, strlen(last)) < 0) {
			if (impostor)
				reap(impostor);
			source_close(source);
			skip_because("pids cannot be chosen here: %s", strerror(errno));
		}
		if (impostor)
			reap(impostor);
		impostor = spawn();
	}
	if (impostor != pid) {
		reap(impostor);
		source_close(source);
		skip_because("this machine starts too many processes to choose a pid");
	}
	settle(source);
	struct told told = told_of(source, "task-1");
	assert_int_equal(told.processes[0].pid, pid);
	assert_int_equal(told.processes[0].start_ns, start_ns);
	assert_int_equal(identity_start_ns("/proc", impostor, &impostor_ns), 0);
	assert_int_not_equal(impostor_ns, start_ns);
	source_close(source);
	reap(impostor);
}

static void thermos_itself_never_counts(void **state)
{
	struct wire wire = {0};
	pid_t runner = spawn(), coordinator = spawn();

	wire_header(&wire, "task-1", NULL, (int)getuid());
	wire_task(&wire, 0, 1000, runner);
	wire_running(&wire, "runner", 0, coordinator, runner, now());
	wire_running(&wire, "coordinator", 0, coordinator, coordinator, now());
	make_task("", "task-1", &wire);
	struct source *source = open_kind(&source_thermos, false);
	settle(source);
	struct told told = told_of(source, "task-1");
	assert_int_equal(told.processes[0].pid, 0);
	assert_int_equal(told.processes[1].pid, 0);
	assert_int_equal(said.warnings, 2);
	source_close(source);
	reap(runner);
	reap(coordinator);
}

static void a_kernel_thread_never_counts(void **state)
{
	struct wire wire = {0};
	int64_t start_ns = 0;

	if (getuid() != 0 || identity_start_ns("/proc", 2, &start_ns) < 0)
		skip_because("kernel threads are not to be seen here");
	wire_header(&wire, "task-1", NULL, 0);
	wire_running(&wire, "web", 0, 1, 2, (double)identity_wall_ns(start_ns) / 1e9);
	make_task("", "task-1", &wire);
	struct source *source = open_kind(&source_thermos, false);
	settle(source);
	assert_int_equal(told_of(source, "task-1").processes[0].pid, 0);
	assert_non_null(strstr(said.last, "kernel thread"));
	source_close(source);
}

/* A process of another user, by a real setuid. */
static pid_t spawn_as(uid_t uid)
{
	pid_t pid = fork();

	if (pid == 0) {
		if (setresuid(uid, uid, uid) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
			_exit(1);
		pause();
		_exit(0);
	}
	usleep(50000);
	return pid;
}

static void a_stream_that_a_user_wrote_speaks_for_that_user_only(void **state)
{
	struct wire wire = {0};

	if (getuid() != 0)
		skip_because("only root has processes of others");
	pid_t ours = spawn(), theirs = spawn_as(65534);
	make_folders(below("sandbox"));
	wire_header(&wire, "task-1", below("sandbox"), 0); /* It says that it is root's. */
	wire_running(&wire, "ours", 0, 1, ours, now());
	wire_running(&wire, "theirs", 0, 1, theirs, now());
	make_task("", "task-1", &wire);
	assert_int_equal(chown(below("checkpoints/task-1/runner"), 65534, 65534), 0);
	struct source *source = open_kind(&source_thermos, false);
	settle(source);
	struct told told = told_of(source, "task-1");
	assert_int_equal(told.processes[0].pid, 0);
	assert_int_equal(told.processes[1].pid, theirs);
	assert_string_equal(told.sandbox, "");
	source_close(source);
	reap(ours);
	reap(theirs);
}

static void a_header_without_a_uid_names_a_user(void **state)
{
	struct wire wire = {0};

	if (getuid() != 0)
		skip_because("only root has processes of others");
	pid_t ours = spawn(), theirs = spawn_as(65534);
	size_t at = wire_begin(&wire, 1);
	wire_text_field(&wire, 1, "task-1");
	wire_text_field(&wire, 5, "nobody");
	wire_end(&wire, at);
	wire_running(&wire, "ours", 0, 1, ours, now());
	wire_running(&wire, "theirs", 0, 1, theirs, now());
	make_task("", "task-1", &wire);
	struct source *source = open_kind(&source_thermos, false);
	settle(source);
	struct told told = told_of(source, "task-1");
	assert_int_equal(told.processes[0].pid, 0);
	assert_int_equal(told.processes[1].pid, theirs);
	source_close(source);
	reap(ours);
	reap(theirs);
}

/* Bring a header with this sandbox; what the source makes of it. */
static const char *sandbox_of(const char *path, int uid)
{
	static struct told told;
	struct wire wire = {0};

	said = (struct said){0};
	wire_header(&wire, "task-1", path, uid);
	make_task("", "task-1", &wire);
	struct source *source = open_kind(&source_thermos, false);
	settle(source);
	told = told_of(source, "task-1");
	source_close(source);
	return told.sandbox;
}

static void a_sandbox_outside_its_owners_reach_is_refused(void **state)
{
	int uid = (int)getuid();

	make_folders(below("sandbox/inner"));
	assert_string_equal(sandbox_of(below("sandbox"), uid), below("sandbox"));
	assert_int_equal(said.warnings, 0);
	assert_string_equal(sandbox_of(below("sandbox//inner/"), uid), below("sandbox/inner"));
	assert_string_equal(sandbox_of("/", uid), "");
	assert_int_equal(said.warnings, 1);
	assert_string_equal(sandbox_of("///", uid), "");
	assert_string_equal(sandbox_of("/.", uid), "");
	assert_string_equal(sandbox_of("/tmp/..", uid), "");
	assert_string_equal(sandbox_of("sandbox", uid), "");
	assert_string_equal(sandbox_of("", uid), "");
	assert_string_equal(sandbox_of(below("sandbox/../sandbox"), uid), "");
	assert_string_equal(sandbox_of(below("sandbox"), uid + 1), "");
	assert_int_equal(said.warnings, 1);
	assert_non_null(strstr(said.last, "belongs to uid"));
	write_bytes(below("file"), "x", 1, 0);
	assert_string_equal(sandbox_of(below("file"), uid), "");
	assert_int_equal(symlink("/", below("link")), 0);
	assert_string_equal(sandbox_of(below("link"), uid), "");
	assert_string_equal(sandbox_of(below("link/"), uid), "");
	assert_string_equal(sandbox_of("/proc/self/root", uid), "");
	assert_string_equal(sandbox_of(below("not-there"), uid), "");
	assert_int_equal(said.warnings, 0); /* It may yet come: no warning. */
}

static void a_sandbox_that_comes_later_is_taken_up(void **state)
{
	struct wire wire = {0};

	wire_header(&wire, "task-1", below("sandbox"), (int)getuid());
	make_task("", "task-1", &wire);
	struct source *source = open_kind(&source_thermos, false);
	refresh(source);
	assert_string_equal(told_of(source, "task-1").sandbox, "");
	make_folders(below("sandbox"));
	settle(source);
	assert_string_equal(told_of(source, "task-1").sandbox, below("sandbox"));
	source_close(source);
}

static void hostile_names_are_taken_as_they_are(void **state)
{
	char longest[256];
	const char *const names[] = {"a\nb\x1b[31m", "..x", "\xff\xfe", "a b'$(reboot)", longest};
	struct wire wire = {0};

	memset(longest, 'y', 255);
	longest[255] = 0;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		wire_header(&wire, "../../../etc/passwd", NULL, (int)getuid());
		wire_process(&wire, "/../\n", 0, 0, 0, 0);
		make_task("", names[i], &wire);
	}
	struct source *source = open_kind(&source_thermos, false);
	settle(source);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct told told = told_of(source, names[i]);

		if (names[i][0] == '.')
			assert_false(told.found); /* Hidden: of no writer we know. */
		else
			assert_int_equal(told.process_count, 1);
	}
	for (const char *c = said.all; *c; c++) /* No control character reaches a terminal. */
		assert_true(*c == '\n' || (unsigned char)*c >= ' ');
	source_close(source);
}

static void what_is_no_file_is_no_task_and_blocks_nobody(void **state)
{
	struct wire wire = {0};

	write_process_stream(&wire, "real", "web");
	make_task("", "real", &wire);
	make_folders(below("tasks/active/folder"));
	assert_int_equal(mkfifo(below("tasks/active/fifo"), 0644), 0);
	assert_int_equal(symlink("real", below("tasks/active/link")), 0);
	wire_header(&wire, "x", NULL, 0);
	make_task("", "fifo-stream", &wire);
	unlink(below("checkpoints/fifo-stream/runner"));
	assert_int_equal(mkfifo(below("checkpoints/fifo-stream/runner"), 0644), 0);
	wire_header(&wire, "x", NULL, 0);
	make_task("", "link-stream", &wire);
	unlink(below("checkpoints/link-stream/runner"));
	assert_int_equal(symlink("../real/runner", below("checkpoints/link-stream/runner")), 0);
	wire_header(&wire, "x", NULL, 0);
	make_task("", "link-folder", &wire);
	unlink(below("checkpoints/link-folder/runner"));
	rmdir(below("checkpoints/link-folder"));
	assert_int_equal(symlink("real", below("checkpoints/link-folder")), 0);

	struct source *source = open_kind(&source_thermos, false);
	settle(source);
	assert_int_equal(count_tasks(source), 4);
	assert_int_equal(told_of(source, "real").process_count, 1);
	assert_int_equal(told_of(source, "fifo-stream").process_count, 0);
	assert_int_equal(told_of(source, "link-stream").process_count, 0);
	assert_int_equal(told_of(source, "link-folder").process_count, 0);
	source_close(source);
}

static void a_base_may_come_go_and_be_made_anew(void **state)
{
	struct wire wire = {0};
	char aside[PATH_MAX];

	write_process_stream(&wire, "task-1", "web");
	make_task("", "task-1", &wire);
	snprintf(aside, sizeof(aside), "%s-aside", base);
	assert_int_equal(rename(base, aside), 0);
	struct source *source = open_kind(&source_thermos, false);
	refresh(source);
	refresh(source);
	assert_int_equal(count_tasks(source), 0);
	assert_int_equal(said.warnings, 1);
	assert_int_equal(rename(aside, base), 0);
	refresh(source);
	assert_int_equal(count_tasks(source), 1);

	assert_int_equal(rename(base, aside), 0);
	refresh(source);
	assert_int_equal(count_tasks(source), 0);
	make_root("");
	write_process_stream(&wire, "task-2", "web");
	make_task("", "task-2", &wire);
	refresh(source);
	assert_int_equal(count_tasks(source), 1);
	assert_true(told_of(source, "task-2").found);
	source_close(source);
	snprintf(aside, sizeof(aside), "rm -rf %s-aside", base);
	assert_int_equal(system(aside), 0);
}

static void what_can_be_no_root_is_refused(void **state)
{
	struct source *source = NULL;
	struct tally_error err;

	write_bytes(below("file"), "x", 1, 0);
	assert_int_equal(source_thermos.open(below("file"), NULL, &source, &err), -ENOTDIR);
	assert_non_null(strstr(err.message, "/file is not a directory"));
	assert_null(source);
}

static void one_id_in_two_roots_is_one_task(void **state)
{
	struct wire wire = {0};
	struct tally_error err;

	make_root("other/");
	write_process_stream(&wire, "task-1", "first");
	make_task("", "task-1", &wire);
	write_process_stream(&wire, "task-1", "second");
	make_task("other/", "task-1", &wire);
	write_process_stream(&wire, "task-2", "second");
	make_task("other/", "task-2", &wire);
	struct source *source = open_kind(&source_thermos, false);
	assert_int_equal(source_thermos.add(source, below("other"), &err), 0);
	settle(source);
	assert_int_equal(count_tasks(source), 2);
	assert_string_equal(told_of(source, "task-1").processes[0].name, "first");
	assert_int_equal(said.warnings, 1);
	source_close(source);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_task_is_told_with_all_that_is_known_of_it),
		TEST(a_task_goes_from_active_to_finished_to_nowhere),
		TEST(what_runs_in_a_finished_task_was_lost),
		TEST(everything_new_is_heard_at_once),
		TEST(a_root_that_comes_later_is_heard_of),
		TEST(who_writes_without_a_pause_wakes_nobody_more_than_20_times_a_second),
		TEST(a_torn_record_is_tried_again_from_its_start),
		TEST(a_stream_replaced_underneath_is_read_anew),
		TEST(corruption_is_said_once_and_what_was_known_is_kept),
		TEST(garbage_makes_a_task_without_processes),
		TEST(a_recycled_pid_is_refused_and_said_once),
		TEST(a_pid_of_another_user_is_refused),
		TEST(a_pid_recycled_while_it_is_watched_stays_what_it_was),
		TEST(thermos_itself_never_counts),
		TEST(a_kernel_thread_never_counts),
		TEST(a_stream_that_a_user_wrote_speaks_for_that_user_only),
		TEST(a_header_without_a_uid_names_a_user),
		TEST(a_sandbox_outside_its_owners_reach_is_refused),
		TEST(a_sandbox_that_comes_later_is_taken_up),
		TEST(hostile_names_are_taken_as_they_are),
		TEST(what_is_no_file_is_no_task_and_blocks_nobody),
		TEST(a_base_may_come_go_and_be_made_anew),
		TEST(what_can_be_no_root_is_refused),
		TEST(one_id_in_two_roots_is_one_task),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
