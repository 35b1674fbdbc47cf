#include "smtpd_fixture.h"

#include "base/log.h"
#include "base/sys.h"
#include <fcntl.h>
#include <ftw.h>
#include <sys/socket.h>
#include <unistd.h>

#define OVERRIDES_MAX 64

static const char *const basic[] = {"compatibility_level", "3.6", "myhostname", "mx.test", "mydomain", "test",
	"myorigin", "test", "mydestination", "test, localhost", "mynetworks", "127.0.0.0/8",
	"local_recipient_maps", "inline:{user=x}", "alias_maps", "", "relay_domains", "",
	"smtpd_peername_lookup", "no", "smtpd_error_sleep_time", "0", "smtpd_relay_restrictions",
	"permit_mynetworks, reject_unauth_destination", "inet_interfaces", "127.0.0.1", "smtpd_banner",
	"$myhostname ESMTP", "smtpd_timeout", "5s", "smtpd_authorized_xclient_hosts", "127.0.0.0/8",
	"smtpd_authorized_xforward_hosts", "127.0.0.0/8", NULL};

static void die(const char *what, const struct err *err)
{
	fprintf(stderr, "smtpd fixture: %s: %s\n", what, err->text);
	abort();
}

static size_t add_pairs(struct config_pair *pairs, size_t n, const char *const *list)
{
	for (; list && *list && n < OVERRIDES_MAX; list += 2)
		pairs[n++] = (struct config_pair){list[0], list[1]};
	return n;
}

static void make_file(const char *directory, const char *name)
{
	struct err err = {""};
	char path[100];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0)
		die(name, &err);
	close(fd);
}

static const struct config *load(const char *directory, const char *const *overrides)
{
	struct config_pair pairs[OVERRIDES_MAX];
	struct config_source source = {.directory = directory, .overrides = pairs, .program = "smtpd"};
	struct err err = {""};
	const struct config *cfg;

	make_file(directory, "main.cf");
	source.override_count = add_pairs(pairs, 0, basic);
	source.override_count = add_pairs(pairs, source.override_count, overrides);
	cfg = config_load(&source, NULL, NULL, &err);
	if (!cfg)
		die("configuration", &err);
	return cfg;
}

static void silence_log(void)
{
	static const struct log_options options = {.sink = LOG_SINK_FD,
		.syslog_name = "test",
		.program = "smtpd",
		.facility = "mail",
		.host = "test"};
	struct log_options quiet = options;

	quiet.fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	log_open(&quiet);
}

struct smtpd_fixture *smtpd_fixture_new(const char *const *overrides)
{
	struct smtpd_fixture *f = x_alloc(sizeof(*f));
	struct spool_options options = {.hash_queue_names = "", .owner = getuid(), .group = getgid()};
	struct err err = {""};
	const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

	silence_log();
	snprintf(f->directory, sizeof(f->directory), "%s/test-smtpd-XXXXXX", base);
	if (!mkdtemp(f->directory))
		die("directory", &err);
	options.queue_directory = f->directory;
	if (!spool_make_directories(&options, &err) || !(f->spool = spool_open(&options, &err)))
		die("spool", &err);
	f->cfg = load(f->directory, overrides);
	f->server = server_new(f->cfg, f->spool, &err);
	if (!f->server)
		die("server", &err);
	f->slot.server = f->server;
	return f;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

void smtpd_fixture_free(struct smtpd_fixture **fp)
{
	struct smtpd_fixture *f = *fp;

	dns_free(&f->slot.dns);
	server_free(&f->server);
	config_free(&f->cfg);
	spool_close(&f->spool);
	nftw(f->directory, remove_one, 10, FTW_DEPTH | FTW_PHYS);
	x_free(fp);
}

static void drain(int fd, struct buf *out)
{
	char piece[4096];
	ssize_t n;

	while ((n = read(fd, piece, sizeof(piece))) > 0)
		buf_add(out, piece, (size_t)n);
}

void smtpd_dialogue(struct smtpd_fixture *f, const char *address, struct str input, struct buf *out)
{
	const int room = 4 << 20;
	struct net_addr peer;
	int ends[2];

	if (!net_parse_ip(str_c(address), 4711, &peer) ||
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
		abort();
	setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	/* What does not fit is cut: the dialogue has no second thread. */
	send(ends[0], input.p, input.n, MSG_DONTWAIT | MSG_NOSIGNAL);
	shutdown(ends[0], SHUT_WR);
	session_run_here(session_new(f->server, ends[1], &peer, f->cfg), &f->slot);
	drain(ends[0], out);
	close(ends[0]);
}

struct taken {
	struct smtpd_fixture *f;
	struct queue_id last;
	enum spool_queue queue;
	size_t count;
};

static bool note_found(void *arg, enum spool_queue q, const struct queue_id *id)
{
	struct taken *t = arg;

	t->last = *id;
	t->queue = q;
	t->count++;
	return true;
}

static void scan(struct smtpd_fixture *f, struct taken *t)
{
	struct err err = {""};

	*t = (struct taken){.f = f};
	spool_scan(f->spool, QUEUE_INCOMING, note_found, t, &err);
	spool_scan(f->spool, QUEUE_HOLD, note_found, t, &err);
}

size_t smtpd_clear_queue(struct smtpd_fixture *f)
{
	struct err err = {""};
	struct taken t;
	size_t removed = 0;

	for (scan(f, &t); t.count > 0; scan(f, &t), removed++)
		if (!spool_remove(f->spool, t.queue, &t.last, &err))
			die("remove", &err);
	return removed;
}

bool smtpd_take_message(
	struct smtpd_fixture *f, struct pool *pool, struct envelope **envelope, struct buf *content)
{
	struct spool_reader *reader = NULL;
	struct err err = {""};
	struct str piece;
	struct taken t;

	scan(f, &t);
	if (t.count == 0)
		return false;
	if (spool_load(f->spool, t.queue, &t.last, pool, envelope, &err) != SPOOL_OK ||
		spool_open_content(f->spool, t.queue, &t.last, &reader, &err) != SPOOL_OK)
		die("message", &err);
	while (spool_read_content(reader, &piece, &err) == SPOOL_OK && piece.n > 0)
		buf_str(content, piece);
	spool_reader_free(&reader);
	smtpd_clear_queue(f);
	return true;
}
