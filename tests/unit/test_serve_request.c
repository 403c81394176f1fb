/* SPDX-License-Identifier: Apache-2.0 */
/* What a client asks for: paths, queries, headers. */
#include "check.h"
#include <sys/stat.h>
#include <unistd.h>
#include <tally/metric.h>
#include "base/attr.h"
#include "base/clock.h"
#include "serve/accept.h"
#include "serve/guard.h"
#include "serve/query.h"
#include "serve/request.h"

static struct request request;
static struct tally_error err;

static int parse(const char *target)
{
	return request_parse("GET", target, strlen(target), &request, &err);
}

static void assert_route(const char *target, enum route route)
{
	assert_int_equal(parse(target), 0);
	assert_int_equal(request.route, route);
}

static void assert_refused(const char *target, int status)
{
	err.message[0] = '\0';
	assert_int_equal(parse(target), status);
	assert_true(err.message[0] != '\0');
}

static void each_address_leads_to_its_route(void **state)
{
	assert_route("/", ROUTE_ASSET);
	assert_route("/?at=12:00&task=web", ROUTE_ASSET);
	assert_route("/app.js", ROUTE_ASSET);
	assert_string_equal(request.path, "/app.js");
	assert_route("/api/v1/tasks", ROUTE_TASKS);
	assert_route("/api/v1/tasks/web", ROUTE_TASK);
	assert_route("/api/v1/tasks/web/history", ROUTE_HISTORY);
	assert_route("/api/v1/status", ROUTE_STATUS);
	assert_route("/metrics", ROUTE_METRICS);
	assert_route("/metrics?collect%5B%5D=cpu", ROUTE_METRICS);
	assert_route("/healthz", ROUTE_HEALTH);
	assert_route("/j/task_ids", ROUTE_THERMOS_IDS);
	assert_route("/j/task_ids/active/20/10", ROUTE_THERMOS_IDS);
	assert_string_equal(request.args[2], "10");
	assert_route("/j/task_id_count", ROUTE_THERMOS_COUNT);
	assert_route("/j/task?task_id=a,b", ROUTE_THERMOS_TASK);
	assert_string_equal(request.params[PARAM_TASK_ID], "a,b");
	assert_null(request.args[0]);
	assert_route("/j/process/a/b/3", ROUTE_THERMOS_PROCESS);
	assert_route("/j/processes?task_ids=a", ROUTE_THERMOS_PROCESSES);
}

static void what_no_route_takes_is_a_file_that_there_may_be(void **state)
{
	assert_route("/api/v1/tasks/", ROUTE_ASSET);
	assert_route("/api/v1", ROUTE_ASSET);
	assert_route("/api/v1/tasks/a/b", ROUTE_ASSET);
	assert_route("//api/v1/tasks", ROUTE_ASSET);
	assert_route("/healthz/", ROUTE_ASSET);
	assert_refused("/1/2/3/4/5/6/7/8/9", 404);
}

static void an_id_may_hold_anything_once_it_is_escaped(void **state)
{
	assert_route("/api/v1/tasks/system.slice%2Fa%20b%3f%23%25", ROUTE_TASK);
	assert_string_equal(request.args[0], "system.slice/a b?#%");
	assert_route("/api/v1/tasks/%FF%2e%2e", ROUTE_TASK);
	assert_string_equal(request.args[0], "\xff..");
	assert_route("/api/v1/tasks/a+b/history?process=c+d", ROUTE_HISTORY);
	assert_string_equal(request.args[0], "a+b");
	assert_string_equal(request.params[PARAM_PROCESS], "c d");
}

static void dots_lead_nowhere(void **state)
{
	assert_route("/../etc/passwd", ROUTE_ASSET);
	assert_string_equal(request.path, "/../etc/passwd");
	assert_route("/%2e%2e%2fetc%2fpasswd", ROUTE_ASSET);
	assert_route("/api/v1/x/../tasks", ROUTE_ASSET);
}

static void malformed_addresses_are_refused(void **state)
{
	assert_refused("", 400);
	assert_refused("api/v1/tasks", 400);
	assert_refused("http://127.0.0.1/metrics", 400);
	assert_refused("*", 400);
	assert_refused("/a b", 400);
	assert_refused("/a\tb", 400);
	assert_refused("/\xc3\xa4", 400);
	assert_refused("/a#b", 400);
	assert_refused("/%", 400);
	assert_refused("/%4", 400);
	assert_refused("/%zz", 400);
	assert_refused("/%00", 400);
	assert_refused("/api/v1/tasks/a%00b", 400);
	assert_refused("/api/v1/tasks?at=%0", 400);
}

static void an_address_that_is_too_long_is_refused(void **state)
{
	char target[REQUEST_TARGET_MAX + 2];

	memset(target, 'a', sizeof(target));
	target[0] = '/';
	assert_int_equal(request_parse("GET", target, REQUEST_TARGET_MAX, &request, &err), 0);
	assert_int_equal(request_parse("GET", target, REQUEST_TARGET_MAX + 1, &request, &err), 414);
}

static void only_reading_methods_are_taken(void **state)
{
	static const char *const refused[] = {
		"POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", ""};

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		assert_int_equal(request_parse(refused[i], "/", 1, &request, &err), 405);
	assert_int_equal(request_parse("HEAD", "/", 1, &request, &err), 0);
	assert_true(request.head);
}

static void a_mistyped_parameter_is_refused_with_those_there_are(void **state)
{
	assert_refused("/api/v1/tasks?att=1", 400);
	assert_non_null(strstr(err.message, "att"));
	assert_refused("/api/v1/tasks/a/history?at=1", 400);
	assert_non_null(strstr(err.message, "since, until, step, process, metrics, rate"));
	assert_refused("/api/v1/tasks?at=1&at=2", 400);
	assert_route("/api/v1/tasks?", ROUTE_TASKS);
	assert_route("/api/v1/tasks?&&", ROUTE_TASKS);
}

static int query_of(const char *target, struct query *query)
{
	assert_int_equal(parse(target), 0);
	return query_parse(&request, 1700000000 * NS_PER_S, query, &err);
}

static void parameters_become_values(void **state)
{
	struct query q;

	assert_int_equal(query_of("/api/v1/tasks/a/history", &q), 0);
	assert_true(q.since_ns == INT64_MIN && q.until_ns == INT64_MAX && q.metrics == 0);
	assert_int_equal(query_of("/api/v1/tasks/a/history?since=-5m&until=1700000000.5&step=10s"
				  "&rate=1&metrics=rss_bytes,cpu_rate&process=w",
				 &q),
		0);
	assert_true(q.since_ns == 1699999700 * NS_PER_S);
	assert_true(q.until_ns == 1700000000 * NS_PER_S + NS_PER_S / 2);
	assert_true(q.step_ns == 10 * NS_PER_S && q.rate);
	assert_true(q.metrics == (TALLY_BIT(TALLY_RSS) | QUERY_CPU_RATE));
	assert_string_equal(q.process, "w");
	assert_int_equal(query_of("/api/v1/tasks/a/history?step=0", &q), 0);
	assert_true(q.step_ns == 0);
	assert_int_equal(query_of("/api/v1/tasks/a?at=2023-11-14T22:13:20%2B00:00&pids=1", &q), 0);
	assert_true(q.has_at && q.at_ns == 1700000000 * NS_PER_S && q.pids);
}

static void a_time_zone_whose_plus_was_not_escaped_is_understood(void **state)
{
	struct query q;

	assert_int_equal(query_of("/api/v1/tasks?at=2023-11-15T00:13:20+02:00", &q), 0);
	assert_true(q.at_ns == 1700000000 * NS_PER_S);
}

static void values_that_mean_nothing_are_refused(void **state)
{
	static const char *const refused[] = {"since=yesterday", "since=", "step=-1", "step=x",
		"rate=2", "metrics=rss", "metrics=rss_bytes,,x", "since=20&until=10",
		"since=111111111111111111111111111111111111111111111111111111111111111111111"};
	char target[256];
	struct query q;

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		snprintf(target, sizeof(target), "/api/v1/tasks/a/history?%s", refused[i]);
		err.message[0] = '\0';
		assert_int_equal(query_of(target, &q), 400);
		assert_true(err.message[0] != '\0');
	}
}

static void weights_are_read_from_lists(void **state)
{
	assert_int_equal(accept_weight(NULL, "gzip"), -1);
	assert_int_equal(accept_weight("", "gzip"), -1);
	assert_int_equal(accept_weight("gzip", "gzip"), 1000);
	assert_int_equal(accept_weight("deflate, GZIP ; q=0.5", "gzip"), 500);
	assert_int_equal(accept_weight("gzip;q=0", "gzip"), 0);
	assert_int_equal(accept_weight("gzip;q=0.001", "gzip"), 1);
	assert_int_equal(accept_weight("gzip;q=x", "gzip"), 0);
	assert_int_equal(accept_weight("x-gzip,gzipp", "gzip"), -1);
	assert_int_equal(accept_weight("a;v=1;q=0.2,a;v=2;q=0.7", "a"), 700);
}

static void the_best_coding_is_chosen(void **state)
{
	assert_int_equal(accept_encoding(NULL), ENCODING_IDENTITY);
	assert_int_equal(accept_encoding("gzip"), ENCODING_GZIP);
	assert_int_equal(accept_encoding("gzip, deflate, br, zstd"), ENCODING_ZSTD);
	assert_int_equal(accept_encoding("gzip, zstd;q=0.5"), ENCODING_GZIP);
	assert_int_equal(accept_encoding("gzip;q=0, zstd;q=0"), ENCODING_IDENTITY);
	assert_int_equal(accept_encoding("*"), ENCODING_ZSTD);
	assert_int_equal(accept_encoding("zstd;q=0, *"), ENCODING_GZIP);
	assert_int_equal(accept_encoding("identity, gzip;q=0.5"), ENCODING_IDENTITY);
	assert_int_equal(accept_encoding("br"), ENCODING_IDENTITY);
}

static void prometheus_gets_openmetrics_and_curl_plain_text(void **state)
{
	assert_true(accept_openmetrics(
		"application/openmetrics-text;version=1.0.0,application/openmetrics-text;"
		"version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"));
	assert_false(accept_openmetrics("*/*"));
	assert_false(accept_openmetrics(NULL));
	assert_false(accept_openmetrics("text/plain, application/openmetrics-text;q=0.5"));
	assert_false(accept_openmetrics("application/openmetrics-text;q=0"));
}

static void a_foreign_host_is_told_from_ours(void **state)
{
	static const char *const ours[] = {"localhost", "LocalHost:1338", "127.0.0.1",
		"127.0.0.1:80", "127.1.2.3", "[::1]", "[::1]:1338", "tally.example:9", NULL};
	static const char *const foreign[] = {"", "evil.example", "localhost.evil.example",
		"127.0.0.1.evil.example", "127.0.0.1@evil", "128.0.0.1", "127.1", "[::2]", "[::1",
		"localhost:80x", "localhost:80:80", ":1338", "0.0.0.0", NULL};
	static const char *const extra[] = {"tally.example", NULL};

	for (int i = 0; ours[i]; i++)
		if (!host_is_ours(ours[i], extra))
			fail_msg("%s is ours", ours[i]);
	for (int i = 0; foreign[i]; i++)
		if (host_is_ours(foreign[i], extra))
			fail_msg("%s is foreign", foreign[i]);
	assert_true(host_is_ours(NULL, NULL));
	assert_false(host_is_ours("tally.example", NULL));
}

static void write_file(const char *path, const char *text, mode_t mode)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	assert_int_equal(chmod(path, mode), 0);
}

static void the_right_secret_opens_and_no_other(void **state)
{
	char path[] = "/tmp/tally-secret-XXXXXX";
	struct secrets secrets = {0};

	close(mkstemp(path));
	write_file(path, "# comment\n\n  0123456789abcdef \nann:open sesame 42\n", 0600);
	assert_int_equal(secrets_read(path, &secrets, &err), 0);
	assert_int_equal(secrets.count, 2);

	assert_true(secrets_open(&secrets, "Bearer 0123456789abcdef"));
	assert_true(secrets_open(&secrets, "bearer 0123456789abcdef"));
	/* any:0123456789abcdef and ann:open sesame 42 */
	assert_true(secrets_open(&secrets, "Basic YW55OjAxMjM0NTY3ODlhYmNkZWY="));
	assert_true(secrets_open(&secrets, "Basic YW5uOm9wZW4gc2VzYW1lIDQy"));

	static const char *const wrong[] = {NULL, "", "Bearer", "Bearer ", "Bearer 0123456789abcde",
		"Bearer 0123456789abcdef0", "Bearer 0123456789abcdefabcdef0123456789abcdef",
		"Bearer # comment", "0123456789abcdef", "Digest 0123456789abcdef", "Basic ",
		"Basic !!!!", "Basic MDEyMzQ1Njc4OWFiY2RlZg==", "Basic Yjo="};
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_false(secrets_open(&secrets, wrong[i]));
	secrets_done(&secrets);
	assert_false(secrets_open(&secrets, "Bearer "));
	unlink(path);
}

static void a_file_that_keeps_no_secret_is_refused(void **state)
{
	char path[] = "/tmp/tally-secret-XXXXXX";
	struct secrets secrets = {0};

	close(mkstemp(path));
	write_file(path, "0123456789abcdef\n", 0644);
	assert_int_equal(secrets_read(path, &secrets, &err), -EPERM);
	write_file(path, "short\n", 0600);
	assert_int_equal(secrets_read(path, &secrets, &err), -EINVAL);
	write_file(path, "\n# nothing\n", 0600);
	assert_int_equal(secrets_read(path, &secrets, &err), -EINVAL);
	unlink(path);
	assert_int_equal(secrets_read(path, &secrets, &err), -ENOENT);
	assert_int_equal(secrets.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_address_leads_to_its_route),
		cmocka_unit_test(what_no_route_takes_is_a_file_that_there_may_be),
		cmocka_unit_test(an_id_may_hold_anything_once_it_is_escaped),
		cmocka_unit_test(dots_lead_nowhere),
		cmocka_unit_test(malformed_addresses_are_refused),
		cmocka_unit_test(an_address_that_is_too_long_is_refused),
		cmocka_unit_test(only_reading_methods_are_taken),
		cmocka_unit_test(a_mistyped_parameter_is_refused_with_those_there_are),
		cmocka_unit_test(parameters_become_values),
		cmocka_unit_test(a_time_zone_whose_plus_was_not_escaped_is_understood),
		cmocka_unit_test(values_that_mean_nothing_are_refused),
		cmocka_unit_test(weights_are_read_from_lists),
		cmocka_unit_test(the_best_coding_is_chosen),
		cmocka_unit_test(prometheus_gets_openmetrics_and_curl_plain_text),
		cmocka_unit_test(a_foreign_host_is_told_from_ours),
		cmocka_unit_test(the_right_secret_opens_and_no_other),
		cmocka_unit_test(a_file_that_keeps_no_secret_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
