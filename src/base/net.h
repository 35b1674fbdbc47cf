/* Sockets and addresses. Every descriptor made here is close-on-exec. Errors: -1 with err filled. */
#ifndef BASE_NET_H
#define BASE_NET_H

#include "base/err.h"
#include "base/str.h"
#include <sys/socket.h>

struct net_addr {
	struct sockaddr_storage ss;
	socklen_t len;
};

#define NET_HOST_MAX 48	 /* room for a printed IPv4 or IPv6 address and NUL */
#define NET_TEXT_MAX 128 /* room for "[addr]:port" or a socket's path and NUL */

/* "192.0.2.1" or "2001:db8::1", no brackets, no names; IPv4-mapped IPv6 becomes IPv4. port in host order. */
bool net_parse_ip(struct str text, uint16_t port, struct net_addr *out);
/* The printed address without port; "unknown" for other families. */
const char *net_host(const struct net_addr *a, char out[NET_HOST_MAX]);
const char *net_text(const struct net_addr *a, char out[NET_TEXT_MAX]);
uint16_t net_port(const struct net_addr *a);
bool net_is_loopback(const struct net_addr *a);
bool net_same_host(const struct net_addr *a, const struct net_addr *b); /* address without port */
void net_unmap(struct net_addr *a); /* ::ffff:192.0.2.1 becomes 192.0.2.1 */
bool net_peer(int fd, struct net_addr *out);
bool net_local(int fd, struct net_addr *out);

/* A network: "192.0.2.0/24", "[2001:db8::]/32", "[::1]", "192.0.2.1". Host bits must be zero. */
struct net_cidr {
	int family;
	unsigned char addr[16];
	int bits;
};
bool net_parse_cidr(struct str text, struct net_cidr *out, struct err *err);
bool net_cidr_match(const struct net_cidr *net, const struct net_addr *a);

int net_listen(
	const struct net_addr *a, int backlog, struct err *err); /* SO_REUSEADDR, IPV6_V6ONLY, nonblocking */
/* Even where a socket listens that net_share lets others be beside. */
int net_listen_beside(const struct net_addr *a, int backlog, struct err *err);
void net_share(int fd, bool share); /* of one user's sockets */
int net_listen_unix(const char *path, int mode, int backlog,
	struct err *err); /* replaces a stale socket, sets its mode */
int net_connect(const struct net_addr *a, const struct net_addr *source, int64_t deadline,
	struct err *err); /* source may be NULL; result nonblocking; ETIMEDOUT in errno past the deadline */
/* The same with socket buffers of so many bytes, which is what the peer may send ahead; 0: the system's. */
int net_connect_window(const struct net_addr *a, const struct net_addr *source, int window, int64_t deadline,
	struct err *err);
/* Likewise for a listening socket: connections made from now on have it. */
void net_set_window(int fd, int window);
/* Waits until the deadline for a listener whose queue of connections is full; result nonblocking. */
int net_connect_unix(const char *path, int64_t deadline, struct err *err);
/* "inet:host:port" (names by the system's resolver), "unix:path" or a path: how parameters name the
 * operator's services. */
int net_connect_endpoint(const char *endpoint, int64_t deadline, struct err *err);
/* Wakes up who listens there: connects without waiting and sends one byte. So many callers waiting already
 * that no more fit is as good. */
bool net_trigger(const char *path, struct err *err);
int net_accept(
	int fd, struct net_addr *peer); /* blocking result; -1 with errno; IPv4-mapped peers unmapped */
bool net_nonblock(int fd, bool on);
/* Waits for events (poll bits) until the deadline: 1 ready, 0 time out, -1 error in errno. */
int net_wait(int fd, short events, int64_t deadline);

#endif
