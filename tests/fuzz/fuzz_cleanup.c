/* A message on its way into the spool: headers found, addresses in them rewritten. Nothing is committed. */
#include "../unit/support/test_config.h"
#include "cleanup/cleanup.h"
#include <ftw.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char directory[] = "/tmp/fuzz-cleanup-XXXXXX";

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static void remove_directory(void)
{
	nftw(directory, remove_one, 10, FTW_DEPTH | FTW_PHYS);
}

static struct cleanup_env *make_env(void)
{
	static struct config cfg;
	struct spool_options options = {
		.queue_directory = directory, .hash_queue_names = "", .owner = getuid(), .group = getgid()};
	struct resolver *r;
	struct err err;

	cfg = test_config();
	cfg.hopcount_limit = 5;
	cfg.append_dot_mydomain = true;
	cfg.message_strip_characters = "\\0";
	cfg.canonical_maps = "inline:{{a@x.org=b@y.org},{@w.org=@z.org},{user=\"First Last\"}}";
	cfg.masquerade_domains = "!no.m.org m.org";
	cfg.mime_nesting_limit = 3;
	cfg.mime_boundary_length_limit = 20;
	cfg.header_checks = cfg.mime_header_checks =
		"regexp:{{/^I/ IGNORE} {/^R/ REPLACE S: (r)} {/^P/ PREPEND p:}}";
	cfg.body_checks = "regexp:{{/^i/ IGNORE} {/^r/ REPLACE s} {/^p/ PREPEND p} {/^b/ BCC a@b.org}}";
	r = resolver_new(&cfg, &err);
	if (!r || !mkdtemp(directory) || !spool_make_directories(&options, &err))
		abort();
	atexit(remove_directory);
	return cleanup_env_new(&cfg, spool_open(&options, &err), r, NULL, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct cleanup_env *env;
	struct cleanup_options options = {.local_rewrite = true, .queue = QUEUE_INCOMING};
	struct str rest = {(const char *)data, size};
	struct cleanup *c;
	struct err err;

	if (!env)
		env = make_env();
	if (!env || size > 16384)
		return 0;
	c = cleanup_begin(env, &options, &err);
	cleanup_sender(c, "sender@x.org", NULL, RET_NONE, 0);
	cleanup_recipient(c, "user@y.org", NULL, NULL, 0);
	while (rest.n) {
		ptrdiff_t end = str_find(rest, '\n');
		struct str line = end < 0 ? rest : str_first(rest, (size_t)end);

		if (!cleanup_line(c, line, line.n && line.p[line.n - 1] == '\\'))
			break;
		rest = str_from(rest, line.n + 1);
	}
	cleanup_abort(&c);
	return 0;
}
