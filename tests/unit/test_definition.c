/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON that defines a task, as a hostile user may leave it there. */
#include "thermos_root.h"
#include "source/definition.h"

static struct tally_error err;

static int read_one(const char *path)
{
	json_t *object = NULL;
	int r = definition_read(path, &object, &err);

	if (r == 0)
		assert_true(json_is_object(object));
	else
		assert_null(object);
	json_decref(object);
	return r;
}

static void write_text(const char *path, const char *text)
{
	write_bytes(path, text, strlen(text), O_TRUNC);
}

static void an_object_is_read(void **state)
{
	write_text(below("task"), "{\"name\": \"web\"}");
	assert_int_equal(read_one(below("task")), 0);
}

static void what_is_no_object_is_refused_with_its_reason(void **state)
{
	static const char *const texts[] = {"", "{", "[1]", "3", "{\"a\": }", "{\"a\": \"\xff\"}"};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		write_text(below("task"), texts[i]);
		assert_int_equal(read_one(below("task")), -EINVAL);
		assert_non_null(strstr(err.message, "is no JSON object"));
	}
}

static void deep_nesting_is_refused(void **state)
{
	char *text = malloc(1000001);

	memset(text, '[', 1000000);
	text[1000000] = 0;
	write_text(below("task"), text);
	assert_int_equal(read_one(below("task")), -EINVAL);
	free(text);
}

static void a_large_one_is_refused(void **state)
{
	write_text(below("task"), "{}");
	assert_int_equal(truncate(below("task"), DEFINITION_MAX + 1), 0);
	assert_int_equal(read_one(below("task")), -EFBIG);
}

static void links_are_not_followed_anywhere(void **state)
{
	make_folders(below("folder"));
	write_text(below("folder/task"), "{}");
	assert_int_equal(symlink("folder/task", below("link")), 0);
	assert_int_equal(symlink("folder", below("linked")), 0);
	assert_int_equal(read_one(below("folder/task")), 0);
	assert_int_equal(read_one(below("link")), -ELOOP);
	assert_int_equal(read_one(below("linked/task")), -ELOOP);
}

static void what_is_no_file_blocks_nobody(void **state)
{
	assert_int_equal(mkfifo(below("fifo"), 0644), 0);
	assert_int_equal(read_one(below("fifo")), -EINVAL);
	assert_int_equal(read_one(base), -EINVAL);
	assert_int_equal(read_one(below("nothing")), -ENOENT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(an_object_is_read),
		TEST(what_is_no_object_is_refused_with_its_reason),
		TEST(deep_nesting_is_refused),
		TEST(a_large_one_is_refused),
		TEST(links_are_not_followed_anywhere),
		TEST(what_is_no_file_blocks_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
