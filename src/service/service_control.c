/* What comes from outside: signals, and master's bytes on the channel. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/net.h"
#include "base/sys.h"
#include "service/service_private.h"
#include "table/table.h"

#define CONTROL_STACK (64u << 10)
#define RENEWAL_AGE 5 /* seconds */

static void enter_state(struct service *s, enum service_state state)
{
	int old = atomic_load(&s->state);
	uint64_t one = 1;

	while (old < (int)state && !atomic_compare_exchange_weak(&s->state, &old, state))
		continue;
	if (write(s->wake_fd, &one, sizeof one) < 0 && errno != EAGAIN)
		log_warning("wake-up: %s", strerror(errno));
}

void service_leave(struct service *s)
{
	enter_state(s, SERVICE_RETIRING);
}

/* Retires when a table changed that only a new process can open. Not at once: a table that changes all the
 * time does not fill the machine with processes that finish. */
void service_tick_tables(struct service *s)
{
	struct buf which = BUF(1000);
	bool due = table_tick(&which);

	if (due && !service_retiring(s) && clock_mono() - s->started >= RENEWAL_AGE * NS_PER_SEC) {
		log_info("table %s has changed -- restarting", buf_cstr(&which));
		service_leave(s);
	}
	buf_free(&which);
}

static sigset_t our_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	return set;
}

/* A Ctrl-C at the terminal reaches all processes; master decides what follows, so SIGINT and SIGHUP are read
 * and dropped. */
bool service_control_open(struct service *s, struct err *err)
{
	sigset_t set = our_signals();

	signal(SIGPIPE, SIG_IGN);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (!net_nonblock(SERVICE_FD_CHANNEL, true))
		return err_errno(err, "channel to master");
	s->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	s->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (s->signal_fd < 0 || s->wake_fd < 0)
		return err_errno(err, "signals");
	return true;
}

void service_tell(char byte)
{
	if (send(SERVICE_FD_CHANNEL, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1)
		log_debug("cannot tell master: %s", strerror(errno));
}

static void read_signals(struct service *s)
{
	struct signalfd_siginfo info;

	while (read(s->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
		if (info.ssi_signo == SIGTERM)
			enter_state(s, SERVICE_STOPPING);
	}
}

static int passed_descriptor(struct msghdr *msg)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	int fd;

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
		c->cmsg_len != CMSG_LEN(sizeof fd))
		return -1;
	memcpy(&fd, CMSG_DATA(c), sizeof fd);
	return fd;
}

/* Bytes from master, at most `size`, and a descriptor when one comes along. */
static ssize_t receive(int channel, char *bytes, size_t size, int *fd)
{
	char room[CMSG_SPACE(sizeof(int))] __attribute__((aligned(__alignof__(struct cmsghdr))));
	struct iovec part = {bytes, size};
	struct msghdr msg = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
	ssize_t n = recvmsg(channel, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	*fd = n > 0 ? passed_descriptor(&msg) : -1;
	return n;
}

/* The new file takes the place of the old one at once and under the same number, so that no writer notices.
 */
static void replace_log(struct service *s, int fd)
{
	if (s->args.log_fd && dup3(fd, SERVICE_FD_LOG, O_CLOEXEC) < 0)
		log_warning("new log file: %s", strerror(errno));
}

/* Without master there is nobody to serve for, but what was begun is finished. */
static void read_channel(struct service *s)
{
	char bytes[16];
	int fd;
	ssize_t n = receive(SERVICE_FD_CHANNEL, bytes, sizeof bytes, &fd);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		atomic_store(&s->master_gone, true);
		enter_state(s, SERVICE_RETIRING);
		return;
	}
	if (fd >= 0)
		replace_log(s, fd);
	sys_close(&fd);
	for (ssize_t i = 0; i < n; i++) {
		if (bytes[i] == CHANNEL_STOP)
			enter_state(s, SERVICE_STOPPING);
		else if (bytes[i] == CHANNEL_RETIRE)
			enter_state(s, SERVICE_RETIRING);
	}
}

/* wake_fd stays readable once we retire, so it is left out then. */
void service_control_step(struct service *s, int timeout_ms)
{
	struct pollfd fds[3] = {
		{.fd = s->signal_fd, .events = POLLIN},
		{.fd = atomic_load(&s->master_gone) ? -1 : SERVICE_FD_CHANNEL, .events = POLLIN},
		{.fd = service_retiring(s) ? -1 : s->wake_fd, .events = POLLIN},
	};

	if (poll(fds, 3, timeout_ms) <= 0)
		return;
	if (fds[0].revents)
		read_signals(s);
	if (fds[1].revents)
		read_channel(s);
}

static void *control_main(void *arg)
{
	struct service *s = arg;

	for (;;) {
		service_control_step(s, 1000);
		service_tick_tables(s);
	}
	return NULL;
}

bool service_control_thread(struct service *s, struct err *err)
{
	pthread_attr_t attr;
	pthread_t thread;
	int failed;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, CONTROL_STACK);
	failed = pthread_create(&thread, &attr, control_main, s);
	pthread_attr_destroy(&attr);
	errno = failed;
	return failed == 0 || err_errno(err, "start the control thread");
}
