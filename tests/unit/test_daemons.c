/* SPDX-License-Identifier: Apache-2.0 */
/* Daemons whose pids somebody wrote down: pidfiles, and the state of runit and s6. */
#include "thermos_root.h"
#include "source/pidfile.h"
#include "source/supervise.h"
#include "source/supervisord.h"

static struct source *open_pidfiles(const char *path, bool hear_only)
{
	const struct daemon_options options = {
		.poll_ns = hear_only ? 3600 * NS_PER_S : 1, .log = &test_log};
	struct source *source = NULL;
	struct tally_error err = {0};

	if (pidfile_open(path, &options, &source, &err) < 0)
		fail_msg("%s", err.message);
	return source;
}

static void write_pid(const char *name, const char *before, pid_t pid, const char *after)
{
	char text[64];

	snprintf(text, sizeof(text), "%s%d%s", before, (int)pid, after);
	write_bytes(below("%s", name), text, strlen(text), O_TRUNC);
}

static void age(const char *name, int seconds)
{
	struct timespec times[2] = {{time(NULL) - seconds, 0}, {time(NULL) - seconds, 0}};

	assert_int_equal(utimensat(AT_FDCWD, below("%s", name), times, 0), 0);
}

static void every_pidfile_of_a_directory_is_a_task(void **state)
{
	pid_t a = spawn(), b = spawn();
	int64_t start_ns = 0;

	write_pid("web.pid", "", a, "\n");
	write_pid("db.pid", " ", b, " \r\nmore\n");
	write_pid("notes.txt", "", a, "\n");
	write_pid(".hidden.pid", "", a, "\n");
	struct source *source = open_pidfiles(base, false);
	assert_int_equal(refresh(source), 1);
	assert_int_equal(count_tasks(source), 2);
	struct told told = told_of(source, "web");
	assert_int_equal(told.life, TALLY_LIFE_ACTIVE);
	assert_int_equal(told.processes[0].pid, a);
	assert_string_equal(told.processes[0].name, "web");
	assert_int_equal(identity_start_ns("/proc", a, &start_ns), 0);
	assert_int_equal(told.processes[0].start_ns, start_ns);
	assert_int_equal(told_of(source, "db").processes[0].pid, b);
	assert_int_equal(refresh(source), 0);
	source_close(source);
	reap(a);
	reap(b);
}

static void one_pidfile_can_be_named(void **state)
{
	pid_t pid = spawn();
	struct source *source = open_pidfiles(below("web.pid"), false);

	refresh(source);
	assert_int_equal(count_tasks(source), 0);
	write_pid("web.pid", "", pid, "\n");
	write_pid("other.pid", "", pid, "\n");
	refresh(source);
	assert_int_equal(count_tasks(source), 1);
	assert_int_equal(told_of(source, "web").processes[0].pid, pid);
	source_close(source);
	reap(pid);
}

static void a_daemon_that_ends_is_lost_until_it_is_back(void **state)
{
	pid_t pid = spawn();

	write_pid("web.pid", "", pid, "\n");
	struct source *source = open_pidfiles(base, false);
	refresh(source);
	reap(pid);
	assert_int_equal(refresh(source), 1);
	assert_int_equal(told_of(source, "web").life, TALLY_LIFE_LOST);
	assert_int_equal(told_of(source, "web").processes[0].pid, 0);
	assert_int_equal(refresh(source), 0);
	pid = spawn();
	write_pid("web.pid", "", pid, "\n");
	assert_int_equal(refresh(source), 1);
	assert_int_equal(told_of(source, "web").life, TALLY_LIFE_ACTIVE);
	assert_int_equal(told_of(source, "web").processes[0].pid, pid);
	unlink(below("web.pid"));
	assert_int_equal(refresh(source), 1);
	assert_int_equal(count_tasks(source), 0);
	source_close(source);
	reap(pid);
}

static void a_file_left_behind_names_nobody(void **state)
{
	pid_t pid = spawn();

	write_pid("web.pid", "", pid, "\n");
	age("web.pid", 600); /* The process was started after that. */
	struct source *source = open_pidfiles(base, false);
	for (int i = 0; i < 3; i++)
		refresh(source);
	assert_int_equal(told_of(source, "web").processes[0].pid, 0);
	assert_int_equal(told_of(source, "web").life, TALLY_LIFE_WAITING);
	assert_int_equal(said.warnings, 1);
	assert_non_null(strstr(said.last, "s after the pid was written down"));
	source_close(source);
	reap(pid);
}

static void a_users_file_names_his_own_processes_only(void **state)
{
	if (getuid() != 0)
		skip_because("only root has files of others");
	pid_t pid = spawn();
	write_pid("web.pid", "", pid, "\n");
	assert_int_equal(chown(below("web.pid"), 65534, 65534), 0);
	struct source *source = open_pidfiles(base, false);
	refresh(source);
	assert_int_equal(told_of(source, "web").processes[0].pid, 0);
	assert_non_null(strstr(said.last, "uid 65534 wrote the pid down"));
	source_close(source);
	reap(pid);
}

static void a_new_pidfile_is_heard_at_once(void **state)
{
	struct source *source = open_pidfiles(base, true);
	pid_t pid = spawn();

	refresh(source);
	write_pid("web.pid", "", pid, "\n");
	for (int i = 0; i < 5 && !told_of(source, "web").found; i++)
		hear(source);
	assert_int_equal(told_of(source, "web").processes[0].pid, pid);
	source_close(source);
	reap(pid);
}

static void what_is_no_pid_is_refused(void **state)
{
	static const char *const wrong[] = {"", "\n", "x", "-1", "0", "12x", "12 13", "99999999999",
		"4294967297", "2147483648", "\n12"};
	static const char *const right[] = {"12", "12\n", "  12  \n", "12\r\n", "12\n13\n"};
	pid_t pid = 0;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(pidfile_parse(wrong[i], strlen(wrong[i]), &pid), -EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(right); i++) {
		assert_int_equal(pidfile_parse(right[i], strlen(right[i]), &pid), 0);
		assert_int_equal(pid, 12);
	}
}

static void what_is_no_file_blocks_nobody(void **state)
{
	assert_int_equal(mkfifo(below("fifo.pid"), 0644), 0);
	make_folders(below("folder.pid"));
	assert_int_equal(symlink("/proc/self/stat", below("link.pid")), 0);
	struct source *source = open_pidfiles(base, false);
	refresh(source);
	assert_int_equal(count_tasks(source), 0);
	source_close(source);
}

static void status_files_are_told_apart_by_their_size(void **state)
{
	uint8_t bytes[64] = {0};
	pid_t pid = -1;

	for (size_t length = 0; length < sizeof(bytes); length++) {
		bool known = length == 18 || length == 20 || length == 35 || length == 43;
		assert_int_equal(supervise_parse(bytes, length, &pid), known ? 0 : -EINVAL);
	}
	bytes[12] = 0x2c; /* 812, little-endian. */
	bytes[13] = 0x03;
	assert_int_equal(supervise_parse(bytes, 20, &pid), 0);
	assert_int_equal(pid, 812);
	bytes[19] = 2;
	assert_int_equal(supervise_parse(bytes, 20, &pid), 0);
	assert_int_equal(pid, 0);
	bytes[30] = 0x03; /* 812, big-endian. */
	bytes[31] = 0x2c;
	bytes[34] = 4;
	assert_int_equal(supervise_parse(bytes, 35, &pid), 0);
	assert_int_equal(pid, 812);
	bytes[34] = 6;
	assert_int_equal(supervise_parse(bytes, 35, &pid), 0);
	assert_int_equal(pid, 0);
	memset(bytes, 0xff, sizeof(bytes));
	bytes[34] = 0;
	assert_int_equal(supervise_parse(bytes, 35, &pid), -EINVAL);
}

/* A real supervisor of one service, by its own program. */
static pid_t supervise(const char *program, const char *service)
{
	static const char script[] = "#!/bin/sh\nexec sleep 1000\n";

	make_folders(below("%s", service));
	write_bytes(below("%s/run", service), script, strlen(script), O_TRUNC);
	assert_int_equal(chmod(below("%s/run", service), 0755), 0);
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		execlp(program, program, below("%s", service), (char *)NULL);
		_exit(127);
	}
	for (int i = 0; i < 100 && access(below("%s/supervise/status", service), R_OK) < 0; i++) {
		usleep(20000);
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return 0;
	}
	return pid;
}

/* The pid that the source tells, once it is another than `before`. */
static pid_t pid_after(struct source *source, const char *task, pid_t before)
{
	for (int i = 0; i < 200; i++) {
		refresh(source);
		struct told told = told_of(source, task);
		if (told.found && told.processes[0].pid && told.processes[0].pid != before)
			return told.processes[0].pid;
		usleep(20000);
	}
	return 0;
}

static void assert_sleeps(pid_t pid)
{
	char path[64], comm[32] = "";

	for (int i = 0; i < 100 && strcmp(comm, "sleep\n") != 0; i++) {
		snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
		CLEANUP_FILE FILE *file = fopen(path, "re");
		if (file && !fgets(comm, sizeof(comm), file))
			comm[0] = 0;
		usleep(10000);
	}
	assert_string_equal(comm, "sleep\n");
}

static void follow_services_of(const char *program)
{
	const struct daemon_options options = {.poll_ns = 1, .log = &test_log};
	struct source *source = NULL;
	struct tally_error err;

	make_folders(below("services"));
	pid_t supervisor = supervise(program, "real");
	if (!supervisor)
		skip_because("%s is not installed", program);
	assert_int_equal(symlink("../real", below("services/web")), 0);
	assert_int_equal(supervise_open(below("services"), &options, &source, &err), 0);
	pid_t first = pid_after(source, "web", 0);
	assert_sleeps(first);
	kill(first, SIGKILL); /* It is started again, under another pid. */
	pid_t second = pid_after(source, "web", first);
	assert_sleeps(second);
	assert_int_equal(told_of(source, "web").life, TALLY_LIFE_ACTIVE);
	assert_int_equal(said.warnings, 0);
	kill(supervisor, SIGTERM); /* Both end their service first. */
	waitpid(supervisor, NULL, 0);
	refresh(source);
	assert_int_equal(told_of(source, "web").life, TALLY_LIFE_LOST);
	source_close(source);
}

static void services_of_runit_are_followed(void **state)
{
	follow_services_of("runsv");
}

static void services_of_s6_are_followed(void **state)
{
	follow_services_of("s6-supervise");
}

struct parsed {
	size_t count;
	char names[4][512];
	pid_t pids[4];
};

static void remember(void *context, const char *name, pid_t pid)
{
	struct parsed *parsed = context;

	if (parsed->count < 4) {
		copy_text(parsed->names[parsed->count], 512, name);
		parsed->pids[parsed->count] = pid;
	}
	parsed->count++;
}

#define MEMBER(name, type, value)                                                                  \
	"<member>\n<name>" name "</name>\n<value><" type ">" value "</" type                       \
	"></value>\n</member>\n"
#define PROGRAM(name, group, pid)                                                                  \
	"<value><struct>\n" MEMBER("name", "string", name) MEMBER("group", "string", group)        \
		MEMBER("spawnerr", "string", "") MEMBER("pid", "int", pid) "</struct></value>\n"

static const char answer[] =
	"HTTP/1.0 200 OK\r\nServer: Medusa/1.12\r\n\r\n<?xml version='1.0'?>\n<methodResponse>"
	"\n<params>\n<param>\n<value><array><data>\n" PROGRAM("web", "web", "812")
		PROGRAM("a&amp;&lt;b&gt;", "many", "0") "</data></array></value></methodResponse>";

static int parse(const char *text, size_t length, struct parsed *parsed)
{
	struct tally_error err;
	char *exact = malloc(length + !length);

	memcpy(exact, text, length);
	*parsed = (struct parsed){0};
	int r = supervisord_parse(exact, length, remember, parsed, &err);
	free(exact);
	return r;
}

static void an_answer_of_supervisord_is_understood(void **state)
{
	static const char password[] = "HTTP/1.0 401 Unauthorized\r\n\r\n";
	struct parsed parsed;

	assert_int_equal(parse(answer, strlen(answer), &parsed), 0);
	assert_int_equal(parsed.count, 2);
	assert_string_equal(parsed.names[0], "web");
	assert_int_equal(parsed.pids[0], 812);
	assert_string_equal(parsed.names[1], "many:a&<b>");
	assert_int_equal(parsed.pids[1], 0);
	for (size_t cut = 0; cut < strlen(answer); cut++) /* A sanitizer sees what it reads. */
		assert_int_equal(parse(answer, cut, &parsed), -EPROTO);
	assert_int_equal(parse(password, strlen(password), &parsed), -EACCES);
}

static pid_t start_supervisord(void)
{
	char text[3 * sizeof(base) + 1024];

	snprintf(text, sizeof(text),
		"[unix_http_server]\nfile=%s/sock\n[supervisord]\nnodaemon=true\nlogfile=/dev/null\n"
		"logfile_maxbytes=0\npidfile=%s/pid\nchildlogdir=%s\n[rpcinterface:supervisor]\n"
		"supervisor.rpcinterface_factory = supervisor.rpcinterface:"
		"make_main_rpcinterface\n[program:web]\ncommand=sleep 1000\nstartsecs=0\n"
		"[program:off]\ncommand=sleep 1000\nautostart=false\n"
		"[program:many]\ncommand=sleep 1000\nprocess_name=n%%(process_num)d\nnumprocs=2\n",
		base, base, base);
	write_bytes(below("conf"), text, strlen(text), O_TRUNC);
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (!freopen("/dev/null", "w", stdout))
			_exit(1);
		execlp("supervisord", "supervisord", "-c", below("conf"), (char *)NULL);
		_exit(127);
	}
	for (int i = 0; i < 500 && access(below("sock"), R_OK) < 0; i++) {
		usleep(20000);
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return 0;
	}
	return pid;
}

static void programs_of_supervisord_are_followed(void **state)
{
	const struct daemon_options options = {.poll_ns = 1, .log = &test_log};
	struct source *source = NULL;
	struct tally_error err;
	pid_t supervisor = start_supervisord();

	if (!supervisor)
		skip_because("supervisord is not installed");
	assert_int_equal(supervisord_open(below("sock"), &options, &source, &err), 0);
	pid_t first = pid_after(source, "web", 0);
	assert_sleeps(first);
	assert_true(pid_after(source, "many:n0", 0) > 0);
	assert_true(pid_after(source, "many:n1", 0) > 0);
	assert_int_equal(count_tasks(source), 4);
	assert_int_equal(told_of(source, "off").life, TALLY_LIFE_WAITING);
	kill(first, SIGKILL);
	assert_sleeps(pid_after(source, "web", first));
	assert_int_equal(said.warnings, 0);
	kill(supervisor, SIGTERM);
	waitpid(supervisor, NULL, 0);
	for (int i = 0; i < 100 && told_of(source, "web").life != TALLY_LIFE_LOST; i++) {
		refresh(source);
		usleep(10000);
	}
	assert_int_equal(told_of(source, "web").life, TALLY_LIFE_LOST);
	assert_int_equal(said.warnings, 1);
	source_close(source);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(every_pidfile_of_a_directory_is_a_task),
		TEST(one_pidfile_can_be_named),
		TEST(a_daemon_that_ends_is_lost_until_it_is_back),
		TEST(a_file_left_behind_names_nobody),
		TEST(a_users_file_names_his_own_processes_only),
		TEST(a_new_pidfile_is_heard_at_once),
		TEST(what_is_no_pid_is_refused),
		TEST(what_is_no_file_blocks_nobody),
		TEST(status_files_are_told_apart_by_their_size),
		TEST(services_of_runit_are_followed),
		TEST(services_of_s6_are_followed),
		TEST(an_answer_of_supervisord_is_understood),
		TEST(programs_of_supervisord_are_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
