/* Listening sockets. They belong to master and outlive the processes: as long as an address stays in the
 * configuration its socket is never closed. */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/sys.h"
#include "master/master.h"

#define BACKLOG 4096
#define UNIX_MODE 0666	 /* who may reach a socket is decided by the directory: public or private */
#define BIND_ATTEMPTS 20 /* the processes of an instance that was killed may still be closing theirs */
#define BIND_PAUSE_US 100000

static struct listener *find(struct master *m, const char *key)
{
	list_each(pos, &m->listeners)
	{
		struct listener *l = container_of(pos, struct listener, link);

		if (strcmp(l->key, key) == 0)
			return l;
	}
	return NULL;
}

static struct listener *add(struct master *m, char *key, char *path, int fd)
{
	struct listener *l = x_alloc(sizeof *l);

	l->key = key;
	l->path = path;
	l->fd = fd;
	list_append(&m->listeners, &l->link);
	return l;
}

static bool use(struct mservice *s, struct listener *l, struct err *err)
{
	if (l->used)
		return err_set(err, "%s is used by two services", l->key);
	l->used = true;
	s->listeners = x_realloc(s->listeners, (s->listener_count + 1) * sizeof(struct listener *));
	s->listeners[s->listener_count++] = l;
	return true;
}

static struct address_settings address_settings(const struct master *m)
{
	const struct config *cfg = m->settings->config;

	return (struct address_settings){cfg->inet_interfaces, cfg->inet_protocols, cfg->known_tcp_ports};
}

/* Ours of this port that no service of the new configuration uses, so far; how many. */
static int share_leaving(struct master *m, const struct net_addr *a, bool share)
{
	struct net_addr local;
	int count = 0;

	list_each(pos, &m->listeners)
	{
		const struct listener *l = container_of(pos, struct listener, link);

		if (l->used || l->path || !net_local(l->fd, &local) || net_port(&local) != net_port(a))
			continue;
		net_share(l->fd, share);
		count++;
	}
	return count;
}

/* One port at another address, or at all: the sockets at the old one are still there, and serve until the
 * first process of the new configuration is ready. */
static int bind_beside_leaving(struct master *m, const struct net_addr *a, struct err *err)
{
	int fd = -1, error = EADDRINUSE;

	if (share_leaving(m, a, true) > 0) {
		fd = net_listen_beside(a, BACKLOG, err);
		error = errno;
		share_leaving(m, a, false);
	}
	errno = error;
	return fd;
}

static int bind_patiently(struct master *m, const struct net_addr *a, struct err *err)
{
	int fd = net_listen(a, BACKLOG, err);

	if (fd < 0 && errno == EADDRINUSE)
		fd = bind_beside_leaving(m, a, err);
	for (int i = 1; fd < 0 && errno == EADDRINUSE && i < BIND_ATTEMPTS; i++) {
		usleep(BIND_PAUSE_US);
		fd = net_listen(a, BACKLOG, err);
	}
	if (fd >= 0)
		net_set_window(fd, m->settings->config->tcp_windowsize);
	return fd;
}

static bool family_missing(int error)
{
	return error == EAFNOSUPPORT || error == EADDRNOTAVAIL;
}

static bool listen_address(struct mservice *s, const struct net_addr *a, struct err *err)
{
	struct address_settings settings = address_settings(s->master);
	char text[NET_TEXT_MAX];
	char *key = x_asprintf("inet:%s", net_text(a, text));
	struct listener *l = find(s->master, key);
	int fd = -1;

	if (!l) {
		fd = bind_patiently(s->master, a, err);
		if (fd >= 0)
			l = add(s->master, x_strdup(key), NULL, fd);
	}
	x_free(&key);
	if (l)
		return use(s, l, err);
	return family_missing(errno) && address_family_optional(&settings, a);
}

static bool listen_inet(struct mservice *s, struct err *err)
{
	struct address_settings settings = address_settings(s->master);
	struct address_list list;
	bool ok;

	ok = address_resolve(&settings, s->name, &list, err);
	for (size_t i = 0; i < list.count; i++)
		ok = listen_address(s, &list.list[i], err) && ok;
	address_list_free(&list);
	return ok && (s->listener_count > 0 || err_set(err, "no address to listen on"));
}

static int make_fifo(const char *path, struct err *err)
{
	struct stat st;
	int fd = -1;

	if (mkfifo(path, 0) == 0 || errno == EEXIST)
		fd = open(path, O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && chmod(path, UNIX_MODE) == 0)
		fd = open(path, O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0 || fchmod(fd, UNIX_MODE) != 0) {
		err_errno(err, "fifo %s", path);
		sys_close(&fd);
	} else if (!S_ISFIFO(st.st_mode)) {
		err_set(err, "%s: not a fifo", path);
		sys_close(&fd);
	}
	return fd;
}

static int open_local(const struct mservice *s, const char *path, struct err *err)
{
	if (s->type == SERVICE_FIFO)
		return make_fifo(path, err);
	if (s->type == SERVICE_UNIX_DGRAM) {
		err_set(err, "type unix-dgram is for postlogd alone");
		return -1;
	}
	return net_listen_unix(path, UNIX_MODE, BACKLOG, err);
}

static bool listen_local(struct mservice *s, struct err *err)
{
	char *path = x_asprintf("%s/%s", s->entry->is_private ? "private" : "public", s->name);
	char *key = x_asprintf("%s:%s", service_type_name(s->type), path);
	struct listener *l = find(s->master, key);
	int fd = -1;

	if (!l) {
		fd = strchr(s->name, '/') ? -1 : open_local(s, path, err);
		if (fd >= 0)
			l = add(s->master, x_strdup(key), x_strdup(path), fd);
		else if (strchr(s->name, '/'))
			err_set(err, "a service name must not contain \"/\"");
	}
	x_free(&path);
	x_free(&key);
	return l && use(s, l, err);
}

bool listen_service(struct mservice *s, struct err *err)
{
	x_free(&s->listeners);
	s->listener_count = 0;
	return s->type == SERVICE_INET ? listen_inet(s, err) : listen_local(s, err);
}

void listen_sweep(struct master *m)
{
	list_each(pos, &m->listeners)
	{
		struct listener *l = container_of(pos, struct listener, link);

		if (l->used)
			continue;
		list_remove(&l->link);
		if (l->path)
			unlink(l->path);
		sys_close(&l->fd);
		x_free(&l->path);
		x_free(&l->key);
		x_free(&l);
	}
}
