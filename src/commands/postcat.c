/* postcat(1): a queue file in human-readable form. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/sys.h"
#include "commands/command_config.h"
#include "commands/command_spool.h"
#include "commands/postcat_print.h"

struct options {
	struct postcat what;
	bool queue;
	const char *config_dir;
};

static void __attribute__((noreturn, format(printf, 1, 2))) fail(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "%s: fatal: ", program_invocation_short_name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(EXIT_FAILURE);
}

static void __attribute__((noreturn)) usage(void)
{
	fail("usage: postcat [-b (body text)] [-c config_dir] [-d (decimal record type)] [-e (envelope "
	     "records)] "
	     "[-h (header text)] [-o (print offset)] [-q (access queue)] [-v] [file(s)...]");
}

static void parse_option(struct options *o, int letter)
{
	switch (letter) {
	case 'b':
		o->what.body = true;
		break;
	case 'c':
		o->config_dir = optarg;
		break;
	case 'd':
		o->what.types = true;
		break;
	case 'e':
		o->what.envelope = true;
		break;
	case 'h':
		o->what.header = true;
		break;
	case 'o':
		o->what.offsets = true;
		break;
	case 'q':
		o->queue = true;
		break;
	case 'v':
		o->what.verbose = true;
		break;
	default:
		usage();
	}
}

/* ---- one file */

/* What goes to standard output and what to standard error stays in order. */
static bool warn(const char *name, const char *text)
{
	fflush(stdout);
	fprintf(stderr, "%s: warning: %s: %s\n", program_invocation_short_name, name, text);
	return false;
}

static bool show_open(const struct postcat *what, const char *name, int fd)
{
	struct pool *pool = pool_new(4096);
	struct spool_reader *reader = NULL;
	struct envelope *e;
	struct err err = {""};
	int copy = dup(fd);
	bool ok = copy >= 0 && spool_load_file(fd, pool, &e, &err) == SPOOL_OK &&
		  spool_open_file_content(copy, &reader, &err) == SPOOL_OK &&
		  postcat_print(what, stdout, name, e, reader, &err);

	if (!ok)
		warn(name, err.text);
	spool_reader_free(&reader);
	pool_free(&pool);
	return ok;
}

static bool show_path(const struct postcat *what, const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	bool ok;

	if (fd < 0)
		fail("open %s: %s", path, strerror(errno));
	ok = show_open(what, path, fd);
	sys_close(&fd);
	return ok;
}

/* A pipe cannot be read at places: its bytes go into memory first. */
static int copy_input(void)
{
	char piece[65536];
	int fd = memfd_create("postcat", MFD_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		fail("memory for standard input: %s", strerror(errno));
	while ((n = read(STDIN_FILENO, piece, sizeof(piece))) > 0)
		if (!sys_write_all(fd, piece, (size_t)n))
			fail("memory for standard input: %s", strerror(errno));
	if (n < 0)
		fail("read standard input: %s", strerror(errno));
	return fd;
}

static bool show_input(const struct postcat *what)
{
	int fd = copy_input();
	bool ok = show_open(what, "stdin", fd);

	sys_close(&fd);
	return ok;
}

/* ---- the queue */

static bool show_message(
	const struct postcat *what, struct spool *spool, enum spool_queue q, const struct queue_id *id)
{
	char *name = x_asprintf("%s/%s", spool_queue_name(q), id->text);
	struct pool *pool = pool_new(4096);
	struct spool_reader *reader = NULL;
	struct envelope *e;
	struct err err = {""};
	bool ok = spool_load(spool, q, id, pool, &e, &err) == SPOOL_OK &&
		  spool_open_content(spool, q, id, &reader, &err) == SPOOL_OK &&
		  postcat_print(what, stdout, name, e, reader, &err);

	if (!ok)
		warn(name, err.text);
	spool_reader_free(&reader);
	pool_free(&pool);
	x_free(&name);
	return ok;
}

static bool show_id(const struct postcat *what, struct spool *spool, uid_t owner, const char *text)
{
	struct queue_id id;
	enum spool_queue q;

	if (!queue_id_valid(str_c(text)))
		fail("bad mail queue ID: %s", text);
	if (command_queue_id(text, &id) && spool_find(spool, &id, &q))
		return show_message(what, spool, q, &id);
	fail("open queue file %s: %s", text,
		strerror(geteuid() == 0 || geteuid() == owner ? ENOENT : EACCES));
}

static bool show_queued(const struct options *o, int argc, char **argv)
{
	struct err err = {""};
	const struct config *cfg = command_config_load("postcat", o->config_dir, &err);
	struct spool *spool = cfg ? command_spool_open(cfg, &err) : NULL;
	uid_t owner;
	gid_t group;
	bool ok = true;

	if (!spool || !sys_user(cfg->mail_owner, &owner, &group, &err))
		fail("%s", err.text);
	for (int i = 0; i < argc; i++)
		ok = show_id(&o->what, spool, owner, argv[i]) && ok;
	spool_close(&spool);
	config_free(&cfg);
	return ok;
}

static bool show_files(const struct options *o, int argc, char **argv)
{
	bool ok = true;

	if (argc == 0)
		return show_input(&o->what);
	for (int i = 0; i < argc; i++)
		ok = show_path(&o->what, argv[i]) && ok;
	return ok;
}

int main(int argc, char **argv)
{
	struct options o = {0};
	int letter;
	bool ok;

	while ((letter = getopt(argc, argv, "+bc:dehoqv")) != -1)
		parse_option(&o, letter);
	if (!o.what.body && !o.what.envelope && !o.what.header)
		o.what.body = o.what.envelope = o.what.header = true;
	if (o.queue && optind == argc)
		usage();
	ok = o.queue ? show_queued(&o, argc - optind, argv + optind)
		     : show_files(&o, argc - optind, argv + optind);
	if (fflush(stdout) != 0 || ferror(stdout))
		fail("write standard output: %s", strerror(errno));
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
