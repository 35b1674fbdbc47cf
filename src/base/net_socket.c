/* Making sockets. */
#include "base/clock.h"
#include "base/net.h"
#include "base/sys.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static void set_on(int fd, int level, int option)
{
	int on = 1;

	setsockopt(fd, level, option, &on, sizeof(on));
}

static const struct sockaddr *generic(const struct net_addr *a)
{
	return (const struct sockaddr *)&a->ss;
}

/* Accepted sockets inherit the options of the listening one. */
static void listener_options(int fd, int family)
{
	set_on(fd, SOL_SOCKET, SO_REUSEADDR);
	set_on(fd, SOL_SOCKET, SO_KEEPALIVE);
	set_on(fd, IPPROTO_TCP, TCP_NODELAY);
	if (family == AF_INET6)
		set_on(fd, IPPROTO_IPV6, IPV6_V6ONLY);
}

void net_share(int fd, bool share)
{
	int value = share;

	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &value, sizeof(value));
}

static int listen_at(const struct net_addr *a, int backlog, bool beside, struct err *err)
{
	int fd = socket(a->ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	char text[NET_TEXT_MAX];

	if (fd < 0) {
		err_errno(err, "socket for %s", net_text(a, text));
		return -1;
	}
	listener_options(fd, a->ss.ss_family);
	net_share(fd, beside);
	if (bind(fd, generic(a), a->len) < 0 || listen(fd, backlog) < 0) {
		err_errno(err, "bind %s", net_text(a, text));
		sys_close(&fd);
		return -1;
	}
	net_share(fd, false);
	return fd;
}

int net_listen(const struct net_addr *a, int backlog, struct err *err)
{
	return listen_at(a, backlog, false, err);
}

int net_listen_beside(const struct net_addr *a, int backlog, struct err *err)
{
	return listen_at(a, backlog, true, err);
}

static bool unix_address(const char *path, struct net_addr *out, struct err *err)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	size_t n = strlen(path);

	if (n >= sizeof(un.sun_path)) {
		errno = ENAMETOOLONG;
		return err_set(err, "%s: socket path too long", path);
	}
	memcpy(un.sun_path, path, n + 1);
	memset(out, 0, sizeof(*out));
	memcpy(&out->ss, &un, sizeof(un));
	out->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
	return true;
}

static bool remove_stale(const char *path, struct err *err)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT || err_errno(err, "%s", path);
	if (!S_ISSOCK(st.st_mode))
		return err_set(err, "%s: in the way, and not a socket", path);
	return unlink(path) == 0 || err_errno(err, "remove %s", path);
}

/* fchmod before bind, so that the name never exists with wider access; chmod after it, because of the umask.
 */
int net_listen_unix(const char *path, int mode, int backlog, struct err *err)
{
	struct net_addr a;
	int fd;

	if (!unix_address(path, &a, err) || !remove_stale(path, err))
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || fchmod(fd, (mode_t)mode) < 0 || bind(fd, generic(&a), a.len) < 0 ||
		chmod(path, (mode_t)mode) < 0 || listen(fd, backlog) < 0) {
		err_errno(err, "listen on %s", path);
		sys_close(&fd);
	}
	return fd;
}

static bool finish_connect(int fd, int64_t deadline)
{
	int error = 0;
	socklen_t size = sizeof(error);
	int ready = net_wait(fd, POLLOUT, deadline);

	if (ready < 0)
		return false;
	if (ready == 0) {
		errno = ETIMEDOUT;
		return false;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		return false;
	errno = error;
	return error == 0;
}

static bool connect_by(int fd, const struct net_addr *a, int64_t deadline)
{
	if (connect(fd, generic(a), a->len) == 0)
		return true;
	return (errno == EINPROGRESS || errno == EINTR) && finish_connect(fd, deadline);
}

void net_set_window(int fd, int window)
{
	if (window <= 0)
		return;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &window, sizeof(window));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &window, sizeof(window));
}

int net_connect(const struct net_addr *a, const struct net_addr *source, int64_t deadline, struct err *err)
{
	return net_connect_window(a, source, 0, deadline, err);
}

int net_connect_window(const struct net_addr *a, const struct net_addr *source, int window, int64_t deadline,
	struct err *err)
{
	int fd = socket(a->ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	char text[NET_TEXT_MAX];

	if (fd < 0) {
		err_errno(err, "socket for %s", net_text(a, text));
		return -1;
	}
	if (a->ss.ss_family != AF_UNIX) {
		set_on(fd, SOL_SOCKET, SO_KEEPALIVE);
		set_on(fd, IPPROTO_TCP, TCP_NODELAY);
		net_set_window(fd, window);
	}
	if (source && bind(fd, generic(source), source->len) < 0) {
		err_errno(err, "bind %s", net_text(source, text));
		sys_close(&fd);
	} else if (!connect_by(fd, a, deadline)) {
		err_errno(err, "connect to %s", net_text(a, text));
		sys_close(&fd);
	}
	return fd;
}

/* A listener that accepts nothing lets a connect wait for as long as the socket may wait for writing. */
static bool limit_waiting(int fd, int64_t deadline)
{
	int ms = clock_left_ms(deadline);
	struct timeval limit = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	if (ms < 0)
		return true;
	if (ms == 0)
		limit.tv_usec = 1000;
	return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == 0;
}

int net_connect_unix(const char *path, int64_t deadline, struct err *err)
{
	struct net_addr a;
	int fd;

	if (!unix_address(path, &a, err))
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || !limit_waiting(fd, deadline) || connect(fd, generic(&a), a.len) < 0 ||
		!net_nonblock(fd, true)) {
		if (errno == EAGAIN)
			errno = ETIMEDOUT;
		err_errno(err, "connect to %s", path);
		sys_close(&fd);
	}
	return fd;
}

/* Whoever does not read the byte has seen the connection, and whose queue of connections is full is awake. */
static bool trigger(int fd, const struct net_addr *a)
{
	if (connect(fd, generic(a), a->len) != 0)
		return errno == EAGAIN;
	return send(fd, "W", 1, MSG_NOSIGNAL) == 1 || errno == EPIPE || errno == ECONNRESET;
}

bool net_trigger(const char *path, struct err *err)
{
	struct net_addr a;
	bool ok;
	int fd;

	if (!unix_address(path, &a, err))
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ok = fd >= 0 && trigger(fd, &a);
	if (!ok)
		err_errno(err, "wake up %s", path);
	sys_close(&fd);
	return ok;
}

/* A client that is gone before accept() shows as one of many errors, of which none concerns the listener
 * (accept(2)). */
static bool only_the_client(int error)
{
	static const int errors[] = {ECONNABORTED, EPROTO, ENETDOWN, ENOPROTOOPT, EHOSTDOWN, ENONET,
		EHOSTUNREACH, EOPNOTSUPP, ENETUNREACH, ETIMEDOUT, ECONNRESET, EINTR};

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		if (errors[i] == error)
			return true;
	}
	return false;
}

int net_accept(int fd, struct net_addr *peer)
{
	int client;

	memset(peer, 0, sizeof(*peer));
	peer->len = sizeof(peer->ss);
	client = accept4(fd, (struct sockaddr *)&peer->ss, &peer->len, SOCK_CLOEXEC);
	if (client < 0) {
		if (only_the_client(errno))
			errno = EAGAIN;
		return -1;
	}
	net_unmap(peer);
	return client;
}
