/* The folder of an authority: found, missing, half there; replaced in one step. */
#include "local/ca_dir.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "local/testing.h"
#include "sandbox/files.h"

static char top[64], dir[96];

static int start(void **state)
{
	(void)state;
	snprintf(top, sizeof(top), "/tmp/hark-ca-XXXXXX");
	assert_non_null(mkdtemp(top));
	snprintf(dir, sizeof(dir), "%s/a/ca", top);
	return 0;
}

static int stop(void **state)
{
	struct err err = {0};
	(void)state;
	assert_true(tree_remove(top, &err));
	return 0;
}

static void put_file(const char *name, const char *text)
{
	struct err err = {0};
	char path[NODE_PATH_LEN];
	assert_true(path_make(path, &err, "%s/%s", dir, name));
	assert_true(folders_above(path, 0755, &err));
	assert_true(file_write(path, slice_of(text), 0644, &err));
}

static unsigned mode_of(const char *name)
{
	char path[256];
	struct stat st;
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777;
}

/* Writes an authority whose files hold their names and MARK. */
static bool write_dir(const char *mark, struct err *err)
{
	struct ca_dir d;
	ca_dir_init(&d);
	assert_true(buf_printf(&d.cert, "cert %s", mark) && buf_printf(&d.key, "key %s", mark) &&
		    buf_printf(&d.roots, "roots %s", mark) &&
		    buf_printf(&d.chain, "chain %s", mark) &&
		    buf_printf(&d.token_key, "token %s", mark));
	bool ok = ca_dir_write(dir, &d, err);
	ca_dir_fini(&d);
	return ok;
}

static void expect(const char *mark)
{
	struct ca_dir d;
	struct err err = {0};
	char want[64];
	assert_true(ca_dir_read(dir, &d, &err));
	assert_true(d.found);
	snprintf(want, sizeof(want), "key %s", mark);
	assert_string_equal(buf_cstr(&d.key), want);
	snprintf(want, sizeof(want), "roots %s", mark);
	assert_string_equal(buf_cstr(&d.roots), want);
	snprintf(want, sizeof(want), "token %s", mark);
	assert_string_equal(buf_cstr(&d.token_key), want);
	ca_dir_fini(&d);
}

/* Nothing but the folder itself and what is in it. */
static void expect_alone(void)
{
	char above[96];
	unsigned n = 0;
	snprintf(above, sizeof(above), "%s/a", top);
	DIR *d = opendir(above);
	assert_non_null(d);
	while (readdir(d))
		n++;
	(void)closedir(d);      /* only read */
	assert_int_equal(n, 3); /* . .. ca */
}

static void missing_and_empty(void **state)
{
	struct ca_dir d;
	struct err err = {0};
	(void)state;
	assert_true(ca_dir_read(dir, &d, &err));
	assert_false(d.found);
	ca_dir_fini(&d);
	assert_true(folders_make(dir, 0755, &err));
	assert_true(ca_dir_read(dir, &d, &err));
	assert_false(d.found);
	ca_dir_fini(&d);
}

static void half_there(void **state)
{
	struct ca_dir d;
	struct err err = {0};
	(void)state;
	put_file("ca-cert.pem", "x");
	assert_false(ca_dir_read(dir, &d, &err));
	assert_non_null(strstr(err.text, "without ca-key.pem"));
	ca_dir_fini(&d);
	char path[128];
	snprintf(path, sizeof(path), "%s/ca-cert.pem", dir);
	assert_int_equal(unlink(path), 0);
	put_file("ca-key.pem", "x");
	assert_false(ca_dir_read(dir, &d, &err));
	assert_non_null(strstr(err.text, "without ca-cert.pem"));
	ca_dir_fini(&d);
}

static void made_and_read(void **state)
{
	struct err err = {0};
	(void)state;
	assert_true(write_dir("one", &err));
	expect("one");
	assert_int_equal(mode_of(""), 0700);
	assert_int_equal(mode_of("ca-key.pem"), 0600);
	assert_int_equal(mode_of("token-key.pem"), 0600);
	assert_int_equal(mode_of("root-cert.pem"), 0644);
	expect_alone();
}

static void replaced(void **state)
{
	struct err err = {0};
	(void)state;
	assert_true(folders_make(dir, 0755, &err)); /* an empty one is as good as none */
	assert_true(write_dir("one", &err));
	expect("one");
	put_file("README", "mine");
	assert_true(write_dir("two", &err));
	expect("two");
	assert_int_equal(mode_of("README"), 0644); /* somebody else's file is still there */
	expect_alone();
}

static void through_a_link(void **state)
{
	struct err err = {0};
	char real[96];
	(void)state;
	snprintf(real, sizeof(real), "%s/real", top);
	assert_true(folders_make(real, 0755, &err) && folders_above(dir, 0755, &err));
	assert_int_equal(symlink(real, dir), 0);
	assert_true(write_dir("one", &err));
	expect("one");
	struct stat st;
	assert_int_equal(lstat(dir, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
}

/* What a crash left half-made beside it is in nobody's way. */
static void after_a_crash(void **state)
{
	struct err err = {0};
	char left[128];
	(void)state;
	snprintf(left, sizeof(left), "%s.new/ca-key.pem", dir);
	assert_true(folders_above(left, 0755, &err) && file_write(left, SLICE("x"), 0600, &err));
	assert_true(write_dir("one", &err));
	expect("one");
	expect_alone();
}

static void a_folder_that_cannot_be_carried_over(void **state)
{
	struct err err = {0};
	(void)state;
	assert_true(write_dir("one", &err));
	put_file("sub/file", "mine");
	assert_false(write_dir("two", &err));
	assert_non_null(strstr(err.text, "sub"));
	expect("one");
	expect_alone();
}

/* In place is in place: that the old one cannot be removed is no failure, or the caller would go on with the
 * old authority while the new one is what the next start finds. */
static void an_old_one_that_cannot_be_removed(void **state)
{
	enum { NOBODY = 65534 };
	struct err err = {0};
	char held[160];
	(void)state;
	assert_true(write_dir("one", &err));
	snprintf(held, sizeof(held), "%s/cert-chain.pem", dir);
	assert_int_equal(unlink(held), 0);
	put_file("cert-chain.pem/held", "x");
	assert_int_equal(chmod(held, 0555), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) { /* root may remove anything */
		char above[96];
		snprintf(above, sizeof(above), "%s/a", top);
		bool is_nobody =
			geteuid() != 0 ||
			(chown(top, NOBODY, NOBODY) == 0 && chown(above, NOBODY, NOBODY) == 0 &&
			 chown(dir, NOBODY, NOBODY) == 0 && seteuid(NOBODY) == 0);
		_exit(is_nobody && write_dir("two", &err) ? 0 : 1);
	}
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	expect("two");
	snprintf(held, sizeof(held), "%s.new/cert-chain.pem", dir);
	assert_int_equal(chmod(held, 0755), 0); /* it is there; and stop() removes it */
}

static void the_token_key_alone(void **state)
{
	struct ca_dir d;
	struct err err = {0};
	(void)state;
	put_file("ca-cert.pem", "given");
	put_file("ca-key.pem", "given");
	ca_dir_init(&d);
	assert_true(buf_puts(&d.token_key, "token made"));
	assert_true(ca_dir_write_token_key(dir, &d, &err));
	ca_dir_fini(&d);
	assert_int_equal(mode_of("token-key.pem"), 0600);
	assert_true(ca_dir_read(dir, &d, &err));
	assert_string_equal(buf_cstr(&d.token_key), "token made");
	assert_string_equal(buf_cstr(&d.key), "given");
	ca_dir_fini(&d);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(missing_and_empty),
		TEST(half_there),
		TEST(made_and_read),
		TEST(replaced),
		TEST(through_a_link),
		TEST(after_a_crash),
		TEST(the_token_key_alone),
		TEST(a_folder_that_cannot_be_carried_over),
		TEST(an_old_one_that_cannot_be_removed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
