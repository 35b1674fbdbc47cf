#include "table/table_outside.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/sys.h"

#define MESSAGE_MAX (TABLE_VALUE_MAX + 4096)

/* fd and helper are set by table_outside_start, before there are threads; lock: one question at a time. */
static struct {
	int fd;
	pid_t helper;
	pthread_mutex_t lock;
} outside = {.fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- the helper. A question is the table's name, NUL, the key; an answer a byte of enum table_status, then
 * the value or the reason. */

static void close_table(void *table)
{
	struct table *t = table;

	table_close(&t);
}

static struct table *find_table(struct hash *tables, struct str spec, struct err *err)
{
	struct table *t = hash_get(tables, spec);
	char *name;

	if (t)
		return t;
	name = x_strndup(spec.p, spec.n);
	t = table_open(name, 0, err);
	x_free(&name);
	if (t)
		hash_put(tables, spec, t);
	return t;
}

static void answer(struct hash *tables, struct str question, struct buf *out)
{
	ptrdiff_t end = str_find(question, '\0');
	struct buf value = BUF(TABLE_VALUE_MAX);
	enum table_status status = TABLE_MISCONFIGURED;
	struct err err = {""};
	struct table *t = end < 0 ? NULL : find_table(tables, str_first(question, (size_t)end), &err);

	if (t)
		status = table_lookup(t, str_from(question, (size_t)end + 1), &value, &err);
	buf_putc(out, (char)status);
	if (status == TABLE_FOUND)
		buf_str(out, buf_slice(&value));
	else
		buf_puts(out, err.text);
	buf_free(&value);
}

static void serve(int fd)
{
	struct hash *tables = hash_new(close_table);
	struct buf out = BUF(MESSAGE_MAX);
	char *room = x_alloc(MESSAGE_MAX);
	ssize_t n;

	while ((n = recv(fd, room, MESSAGE_MAX, 0)) > 0 || (n < 0 && errno == EINTR)) {
		if (n < 0)
			continue;
		buf_clear(&out);
		answer(tables, (struct str){room, (size_t)n}, &out);
		if (send(fd, buf_cstr(&out), out.len, MSG_NOSIGNAL) < 0)
			break;
	}
	buf_free(&out);
	x_free(&room);
	hash_free(&tables);
}

static void __attribute__((noreturn)) helper(int fd, pid_t parent, uid_t uid, gid_t gid)
{
	struct err err;

	dup2(fd, 3);
	close_range(4, ~0u, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == parent && sys_become(uid, gid, &gid, 1, &err)) {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve(3);
	}
	_exit(0);
}

/* ---- who asks */

bool table_outside_start(uid_t uid, gid_t gid, struct err *err)
{
	pid_t self = getpid();
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
		return err_errno(err, "socketpair");
	outside.helper = fork();
	if (outside.helper == 0)
		helper(ends[1], self, uid, gid);
	close(ends[1]);
	if (outside.helper < 0) {
		close(ends[0]);
		return err_errno(err, "fork");
	}
	outside.fd = ends[0];
	return true;
}

bool table_outside_active(void)
{
	return outside.fd >= 0;
}

static ssize_t exchange(const struct buf *question, char *room)
{
	ssize_t n = -1;

	pthread_mutex_lock(&outside.lock);
	if (send(outside.fd, buf_cstr(question), question->len, MSG_NOSIGNAL) >= 0) {
		do {
			n = recv(outside.fd, room, MESSAGE_MAX, 0);
		} while (n < 0 && errno == EINTR);
	}
	pthread_mutex_unlock(&outside.lock);
	return n;
}

static enum table_status take_answer(struct cursor in, const char *spec, struct buf *value, struct err *err)
{
	uint8_t status = TABLE_RETRY;

	if (!cursor_u8(&in, &status) || status > TABLE_MISCONFIGURED) {
		err_set(err, "%s: the helper outside the root directory is gone", spec);
		return TABLE_RETRY;
	}
	if (status == TABLE_FOUND)
		buf_str(value, cursor_rest(&in));
	else if (status != TABLE_NOT_FOUND)
		err_set(err, STR_FMT, STR_ARG(cursor_rest(&in)));
	return (enum table_status)status;
}

enum table_status table_outside_lookup(const char *spec, struct str key, struct buf *value, struct err *err)
{
	struct buf question = BUF(MESSAGE_MAX);
	char *room = x_alloc(MESSAGE_MAX);
	enum table_status status;
	ssize_t n;

	buf_add(&question, spec, strlen(spec) + 1);
	buf_str(&question, key);
	n = question.over ? -1 : exchange(&question, room);
	status = take_answer(cursor_of(room, n > 0 ? (size_t)n : 0), spec, value, err);
	buf_free(&question);
	x_free(&room);
	return status;
}

void table_outside_stop(void)
{
	if (outside.fd < 0)
		return;
	shutdown(outside.fd, SHUT_RDWR);
	while (waitpid(outside.helper, NULL, 0) < 0 && errno == EINTR)
		continue;
}
