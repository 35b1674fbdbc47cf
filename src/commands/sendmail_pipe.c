/* postdrop at the other end of a pipe. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sys.h"
#include "commands/sendmail.h"

#define ANSWER_MAX 65536

struct sendmail_pipe {
	int to, from;
	pid_t child;
	struct buf content;
	struct buf frame;
	bool broken; /* postdrop reads no more: its answer says why */
};

static void start_postdrop(struct sendmail_pipe *p, const struct sendmail *s, int in, int out)
{
	extern char **environ;
	char *path = x_asprintf("%s/postdrop", s->cfg->command_directory);
	char directory[4096];
	char *argv[] = {path, (char[]){"-r"}, s->config_dir ? (char[]){"-c"} : NULL, directory, NULL};
	posix_spawn_file_actions_t actions;

	snprintf(directory, sizeof(directory), "%s", config_directory(s->cfg));
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	errno = posix_spawn(&p->child, path, &actions, NULL, argv, environ);
	if (errno != 0)
		sendmail_fail_user("execute %s: %m", path);
	posix_spawn_file_actions_destroy(&actions);
	x_free(&path);
}

struct sendmail_pipe *sendmail_pipe_open(const struct sendmail *s)
{
	struct sendmail_pipe *p = x_alloc(sizeof(*p));
	int in[2], out[2];

	signal(SIGPIPE, SIG_IGN);
	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
		sendmail_fail_user("pipe: %m");
	start_postdrop(p, s, in[0], out[1]);
	sys_close(&in[0]);
	sys_close(&out[1]);
	p->to = in[1];
	p->from = out[0];
	p->content = BUF(SUBMISSION_PIECE);
	p->frame = BUF(FRAME_MAX);
	return p;
}

static void send_frame(struct sendmail_pipe *p)
{
	if (!p->broken && (p->frame.over || !sys_write_all(p->to, p->frame.data, p->frame.len)))
		p->broken = true;
	buf_clear(&p->frame);
}

static void send_content(struct sendmail_pipe *p)
{
	if (p->content.len == 0)
		return;
	submission_content_encode(&p->frame, buf_slice(&p->content));
	send_frame(p);
	buf_clear(&p->content);
}

void sendmail_pipe_content(struct sendmail_pipe *p, struct str piece)
{
	while (piece.n > 0) {
		struct str part = str_first(piece, SUBMISSION_PIECE - p->content.len);

		buf_str(&p->content, part);
		piece = str_from(piece, part.n);
		if (p->content.len == SUBMISSION_PIECE)
			send_content(p);
	}
}

static void read_answer(struct sendmail_pipe *p, struct buf *in)
{
	char piece[4096];
	ssize_t n;

	while ((n = read(p->from, piece, sizeof(piece))) != 0) {
		if (n < 0 && errno != EINTR)
			return;
		if (n > 0 && !buf_add(in, piece, (size_t)n))
			return;
	}
}

static int reap(struct sendmail_pipe *p)
{
	int status = 0;

	while (waitpid(p->child, &status, 0) < 0 && errno == EINTR)
		continue;
	return status;
}

static void pipe_free(struct sendmail_pipe **p)
{
	sys_close(&(*p)->to);
	sys_close(&(*p)->from);
	buf_free(&(*p)->content);
	buf_free(&(*p)->frame);
	x_free(p);
}

static bool parse_answer(const struct buf *in, struct pool *pool, struct submission_answer *answer)
{
	struct cursor fields;
	uint16_t type;
	size_t used;

	return frame_parse(buf_slice(in), &type, &fields, &used) == 1 && type == FRAME_SUBMIT_ANSWER &&
	       submission_answer_decode(fields, pool, answer);
}

/* Only a queue id means that the message is safe. */
void sendmail_pipe_finish(struct sendmail_pipe **pp, const struct submission *envelope)
{
	struct sendmail_pipe *p = *pp;
	struct pool *pool = pool_new(1024);
	struct buf in = BUF(ANSWER_MAX);
	struct submission_answer answer;
	int status;

	send_content(p);
	submission_encode(&p->frame, envelope);
	if (p->frame.over)
		sendmail_fail_user("too many recipients");
	send_frame(p);
	sys_close(&p->to);
	read_answer(p, &in);
	status = reap(p);
	if (!parse_answer(&in, pool, &answer))
		sendmail_fail_user("postdrop ended without an answer, status %d", status);
	if (answer.error)
		sendmail_fail_user("%s", answer.error);
	buf_free(&in);
	pool_free(&pool);
	pipe_free(pp);
}

/* The end of input before the envelope makes postdrop forget the message. */
void sendmail_pipe_abort(struct sendmail_pipe **p)
{
	struct buf in = BUF(ANSWER_MAX);

	sys_close(&(*p)->to);
	read_answer(*p, &in);
	reap(*p);
	buf_free(&in);
	pipe_free(p);
}
