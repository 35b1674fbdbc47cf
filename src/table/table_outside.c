#include "table/table_outside.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/sys.h"
#include "table/table_watch.h"

#define MESSAGE_MAX (TABLE_VALUE_MAX + 4096)
#define CHANNELS 8	/* questions at a time */
#define HELPER_FD_MIN 3 /* the helper's ends are there and behind */

/* A question is one of these, for ASK the table's flags, the table's name, NUL, and the key; an answer is a
 * byte of enum table_status or FORBIDDEN, then the value or the reason. */
enum { ALLOW = 'A', SEAL = 'S', ASK = 'L' };
enum { FORBIDDEN = TABLE_MISCONFIGURED + 1 }; /* misconfigured: we may not read the file */

struct channel {
	int fd;
	pthread_mutex_t lock; /* one question at a time */
};

/* All but the locks is set by table_outside_start, before there are threads. */
static struct {
	bool active;
	pid_t helper;
	atomic_uint turn;
	struct channel channels[CHANNELS];
} outside;

/* ---- the helper */

struct helper {
	pthread_mutex_t lock; /* guards what follows; tables stay once they are there */
	struct hash *tables;  /* by flags and name */
	struct hash *allowed; /* names */
	bool sealed;
};

struct serving {
	struct helper *helper;
	int fd;
	pthread_t thread;
};

static struct table *find_table(
	struct helper *h, int flags, struct str spec, bool *forbidden, struct err *err)
{
	struct buf id = BUF(MESSAGE_MAX);
	char *name = x_strndup(spec.p, spec.n);
	struct table_watch *watch = NULL;
	struct table *t = NULL;

	buf_printf(&id, "%d:%s", flags, name);
	pthread_mutex_lock(&h->lock);
	if (!hash_get(h->allowed, spec)) {
		err_set(err, "%s: not a table of this service", name);
	} else {
		t = hash_get(h->tables, buf_slice(&id));
		if (!t)
			t = table_try(name, flags, &watch, err);
		if (t)
			hash_put(h->tables, buf_slice(&id), t);
	}
	pthread_mutex_unlock(&h->lock);
	*forbidden = watch && table_watch_forbidden(watch);
	table_watch_free(&watch);
	x_free(&name);
	buf_free(&id);
	return t;
}

static void lookup(struct helper *h, struct cursor question, struct buf *out)
{
	struct str rest, spec, key;
	struct buf value = BUF(TABLE_VALUE_MAX);
	enum table_status status = TABLE_MISCONFIGURED;
	bool forbidden = false;
	struct err err = {""};
	uint8_t flags = 0;
	struct table *t;

	cursor_u8(&question, &flags);
	rest = cursor_rest(&question);
	spec = str_first(rest, strnlen(rest.p, rest.n));
	key = str_from(rest, spec.n + 1);
	t = find_table(h, flags, spec, &forbidden, &err);
	if (t)
		status = table_lookup(t, key, &value, &err);
	buf_putc(out, forbidden ? FORBIDDEN : (char)status);
	if (status == TABLE_FOUND)
		buf_str(out, buf_slice(&value));
	else
		buf_puts(out, err.text);
	buf_free(&value);
}

static void allow(struct helper *h, struct str spec)
{
	pthread_mutex_lock(&h->lock);
	if (!h->sealed)
		hash_put(h->allowed, spec, h);
	pthread_mutex_unlock(&h->lock);
}

static void seal(struct helper *h)
{
	pthread_mutex_lock(&h->lock);
	h->sealed = true;
	pthread_mutex_unlock(&h->lock);
}

static void answer(struct helper *h, struct cursor question, struct buf *out)
{
	uint8_t kind = 0;

	cursor_u8(&question, &kind);
	if (kind == ASK) {
		lookup(h, question, out);
		return;
	}
	if (kind == ALLOW)
		allow(h, cursor_rest(&question));
	else if (kind == SEAL)
		seal(h);
	buf_putc(out, TABLE_NOT_FOUND);
}

static void *serve(void *arg)
{
	struct serving *s = arg;
	struct buf out = BUF(MESSAGE_MAX);
	char *room = x_alloc(MESSAGE_MAX);
	ssize_t n;

	while ((n = recv(s->fd, room, MESSAGE_MAX, 0)) > 0 || (n < 0 && errno == EINTR)) {
		if (n < 0)
			continue;
		buf_clear(&out);
		answer(s->helper, cursor_of(room, (size_t)n), &out);
		if (send(s->fd, buf_cstr(&out), out.len, MSG_NOSIGNAL) < 0)
			break;
	}
	buf_free(&out);
	x_free(&room);
	return NULL;
}

/* Ends with the first connection, and the process with it: a question that takes long holds nobody up. */
static void serve_all(void)
{
	struct helper h = {PTHREAD_MUTEX_INITIALIZER, hash_new(NULL), hash_new(NULL), false};
	struct serving serving[CHANNELS];

	for (int i = CHANNELS - 1; i >= 0; i--) {
		serving[i] = (struct serving){&h, HELPER_FD_MIN + i, 0};
		if (i > 0 && pthread_create(&serving[i].thread, NULL, serve, &serving[i]) != 0)
			return;
		if (i > 0)
			pthread_detach(serving[i].thread);
	}
	serve(&serving[0]);
}

/* The ends lie behind those of the program, so none is overwritten before it is moved. */
static void __attribute__((noreturn)) helper(const int *ends, pid_t parent, uid_t uid, gid_t gid)
{
	struct err err;

	for (int i = 0; i < CHANNELS; i++)
		dup2(ends[i], HELPER_FD_MIN + i);
	close_range(HELPER_FD_MIN + CHANNELS, ~0u, 0);
	table_report_to(NULL);
	table_on_unavailable(NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == parent && sys_become(uid, gid, &gid, 1, &err)) {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve_all();
	}
	_exit(0);
}

/* ---- who asks */

/* Above every number that the helper's own will have. */
static int move_up(int fd)
{
	int moved = fcntl(fd, F_DUPFD_CLOEXEC, HELPER_FD_MIN + CHANNELS);

	close(fd);
	return moved;
}

static bool make_channels(int *ends)
{
	for (int i = 0; i < CHANNELS; i++) {
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
			return false;
		outside.channels[i].fd = move_up(pair[0]);
		ends[i] = move_up(pair[1]);
		pthread_mutex_init(&outside.channels[i].lock, NULL);
	}
	return true;
}

bool table_outside_start(uid_t uid, gid_t gid, struct err *err)
{
	pid_t self = getpid();
	int ends[CHANNELS];

	if (!make_channels(ends))
		return err_errno(err, "socketpair");
	outside.helper = fork();
	if (outside.helper == 0)
		helper(ends, self, uid, gid);
	for (int i = 0; i < CHANNELS; i++)
		close(ends[i]);
	if (outside.helper < 0)
		return err_errno(err, "fork");
	outside.active = true;
	return true;
}

bool table_outside_active(void)
{
	return outside.active;
}

/* A connection that nobody uses, or else the next one's turn. */
static struct channel *take_channel(void)
{
	const unsigned turn = atomic_fetch_add(&outside.turn, 1);
	struct channel *c;

	for (unsigned i = 0; i < CHANNELS; i++) {
		c = &outside.channels[(turn + i) % CHANNELS];
		if (pthread_mutex_trylock(&c->lock) == 0)
			return c;
	}
	c = &outside.channels[turn % CHANNELS];
	pthread_mutex_lock(&c->lock);
	return c;
}

static ssize_t exchange(const struct buf *question, char *room)
{
	struct channel *c = take_channel();
	ssize_t n = -1;

	if (send(c->fd, buf_cstr(question), question->len, MSG_NOSIGNAL) >= 0) {
		do {
			n = recv(c->fd, room, MESSAGE_MAX, 0);
		} while (n < 0 && errno == EINTR);
	}
	pthread_mutex_unlock(&c->lock);
	return n;
}

static void tell(char kind, const char *spec)
{
	struct buf message = BUF(MESSAGE_MAX);
	char *room;

	if (!outside.active)
		return;
	room = x_alloc(MESSAGE_MAX);
	buf_putc(&message, kind);
	buf_puts(&message, spec);
	if (!message.over)
		exchange(&message, room);
	buf_free(&message);
	x_free(&room);
}

void table_outside_allow(const char *spec)
{
	tell(ALLOW, spec);
}

void table_outside_seal(void)
{
	tell(SEAL, "");
}

static enum table_status take_answer(
	struct cursor in, const char *spec, struct buf *value, bool *forbidden, struct err *err)
{
	uint8_t status = TABLE_RETRY;

	if (!cursor_u8(&in, &status) || status > FORBIDDEN) {
		err_set(err, "%s: the helper outside the root directory is gone", spec);
		return TABLE_RETRY;
	}
	if (status == TABLE_FOUND)
		buf_str(value, cursor_rest(&in));
	else if (status != TABLE_NOT_FOUND)
		err_set(err, STR_FMT, STR_ARG(cursor_rest(&in)));
	if (forbidden)
		*forbidden = status == FORBIDDEN;
	return status == FORBIDDEN ? TABLE_MISCONFIGURED : (enum table_status)status;
}

enum table_status table_outside_lookup(
	const char *spec, int flags, struct str key, struct buf *value, bool *forbidden, struct err *err)
{
	struct buf question = BUF(MESSAGE_MAX);
	char *room = x_alloc(MESSAGE_MAX);
	enum table_status status;
	ssize_t n;

	buf_putc(&question, ASK);
	buf_putc(&question, (char)flags);
	buf_add(&question, spec, strlen(spec) + 1);
	buf_str(&question, key);
	n = question.over ? -1 : exchange(&question, room);
	status = take_answer(cursor_of(room, n > 0 ? (size_t)n : 0), spec, value, forbidden, err);
	buf_free(&question);
	x_free(&room);
	return status;
}

void table_outside_stop(void)
{
	if (!outside.active)
		return;
	for (int i = 0; i < CHANNELS; i++)
		shutdown(outside.channels[i].fd, SHUT_RDWR);
	while (waitpid(outside.helper, NULL, 0) < 0 && errno == EINTR)
		continue;
}
