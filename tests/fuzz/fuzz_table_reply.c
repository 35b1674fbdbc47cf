/*
 * What servers of tables answer: the first byte is the type, the first line behind it the key, the rest is
 * sent to whoever connects.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/sys.h"
#include "table/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REPLY_MAX 1000000

static struct {
	int listener, port;
	pthread_mutex_t lock; /* guards reply */
	struct buf reply;
} server = {.lock = PTHREAD_MUTEX_INITIALIZER, .reply = BUF(REPLY_MAX)};

static void set_reply(struct str text)
{
	pthread_mutex_lock(&server.lock);
	buf_clear(&server.reply);
	buf_str(&server.reply, text);
	pthread_mutex_unlock(&server.lock);
}

static void serve_one(int fd)
{
	struct buf reply = BUF(REPLY_MAX);
	char rest[1000];

	pthread_mutex_lock(&server.lock);
	buf_str(&reply, buf_slice(&server.reply));
	pthread_mutex_unlock(&server.lock);
	sys_write_all(fd, buf_cstr(&reply), reply.len);
	buf_free(&reply);
	shutdown(fd, SHUT_WR);
	while (read(fd, rest, sizeof(rest)) > 0)
		continue;
	close(fd);
}

static void *serve(void *arg)
{
	int fd;

	while ((fd = accept(server.listener, NULL, NULL)) >= 0)
		serve_one(fd);
	return NULL;
}

static void start_server(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	pthread_t thread;

	server.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(server.listener, (struct sockaddr *)&address, length) != 0 ||
		listen(server.listener, 10) != 0 ||
		getsockname(server.listener, (struct sockaddr *)&address, &length) != 0 ||
		pthread_create(&thread, NULL, serve, NULL) != 0)
		abort();
	pthread_detach(thread);
	server.port = ntohs(address.sin_port);
}

static char *memcache_spec(void)
{
	static int fd = -1;
	char *text;

	if (fd < 0) {
		fd = memfd_create("settings", MFD_CLOEXEC);
		text = x_asprintf("memcache = inet:127.0.0.1:%d\nmax_try = 1\ndata_size_limit = 1000\n"
				  "line_size_limit = 200\n",
			server.port);
		sys_write_all(fd, text, strlen(text));
		x_free(&text);
	}
	return x_asprintf("memcache:/proc/self/fd/%d", fd);
}

static char *spec_of(unsigned type)
{
	if (type % 3 == 0)
		return x_asprintf("tcp:127.0.0.1:%d", server.port);
	if (type % 3 == 1)
		return x_asprintf("socketmap:inet:127.0.0.1:%d:x", server.port);
	return memcache_spec();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf value = BUF(TABLE_VALUE_MAX);
	struct err err = {""};
	struct table *t;
	struct str rest, key;
	ptrdiff_t end;
	char *spec;

	if (server.port == 0)
		start_server();
	if (size < 2)
		return 0;
	rest = (struct str){(const char *)data + 1, size - 1};
	end = str_find(rest, '\n');
	key = str_first(rest, end < 0 ? 0 : (size_t)end);
	set_reply(str_from(rest, key.n + (end >= 0)));
	spec = spec_of(data[0]);
	t = table_open(spec, 0, &err);
	if (t && table_lookup(t, key, &value, &err) == TABLE_FOUND && value.over)
		abort();
	table_close(&t);
	x_free(&spec);
	buf_free(&value);
	return 0;
}
