#include "ipc/submission_pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sys.h"

#define ANSWER_MAX 65536

struct submission_pipe {
	int to, from;
	pid_t child;
	struct buf content, frame;
	bool broken; /* postdrop reads no more: its answer says why */
};

static bool start_postdrop(struct submission_pipe *p, const char *command_directory, const char *config_dir,
	int in, int out, struct err *err)
{
	char *path = x_asprintf("%s/postdrop", command_directory);
	char *directory = x_strdup(config_dir ? config_dir : "");
	char *argv[] = {path, (char[]){"-r"}, config_dir ? (char[]){"-c"} : NULL, directory, NULL};
	posix_spawn_file_actions_t actions;
	int failure;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	failure = errno = posix_spawn(&p->child, path, &actions, NULL, argv, environ);
	if (failure != 0)
		err_errno(err, "execute %s", path);
	posix_spawn_file_actions_destroy(&actions);
	x_free(&path);
	x_free(&directory);
	return failure == 0;
}

static int pipe_reap(struct submission_pipe *p)
{
	int status = 0;

	if (p->child > 0)
		while (waitpid(p->child, &status, 0) < 0 && errno == EINTR)
			continue;
	p->child = 0;
	return status;
}

static void pipe_free(struct submission_pipe **p)
{
	sys_close(&(*p)->to);
	sys_close(&(*p)->from);
	pipe_reap(*p);
	buf_free(&(*p)->content);
	buf_free(&(*p)->frame);
	x_free(p);
}

struct submission_pipe *submission_pipe_open(
	const char *command_directory, const char *config_dir, struct err *err)
{
	struct submission_pipe *p = x_alloc(sizeof(*p));
	int in[2] = {-1, -1}, out[2] = {-1, -1};
	bool ok;

	p->content = BUF(SUBMISSION_PIECE);
	p->frame = BUF(FRAME_MAX);
	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
		ok = err_errno(err, "pipe");
	else
		ok = start_postdrop(p, command_directory, config_dir, in[0], out[1], err);
	sys_close(&in[0]);
	sys_close(&out[1]);
	p->to = in[1];
	p->from = out[0];
	if (!ok)
		pipe_free(&p);
	return p;
}

static void send_frame(struct submission_pipe *p)
{
	if (!p->broken && (p->frame.over || !sys_write_all(p->to, p->frame.data, p->frame.len)))
		p->broken = true;
	buf_clear(&p->frame);
}

static void send_content(struct submission_pipe *p)
{
	if (p->content.len == 0)
		return;
	submission_content_encode(&p->frame, buf_slice(&p->content));
	send_frame(p);
	buf_clear(&p->content);
}

bool submission_pipe_content(struct submission_pipe *p, struct str piece)
{
	while (piece.n > 0) {
		struct str part = str_first(piece, SUBMISSION_PIECE - p->content.len);

		buf_str(&p->content, part);
		piece = str_from(piece, part.n);
		if (p->content.len == SUBMISSION_PIECE)
			send_content(p);
	}
	return !p->broken;
}

static void read_answer(struct submission_pipe *p, struct buf *in)
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

static bool parse_answer(struct str in, struct pool *pool, struct submission_answer *answer)
{
	struct cursor fields;
	uint16_t type;
	size_t used;

	return frame_parse(in, &type, &fields, &used) == 1 && type == FRAME_SUBMIT_ANSWER &&
	       submission_answer_decode(fields, pool, answer);
}

static bool exchange(struct submission_pipe *p, const struct submission *envelope, struct pool *pool,
	struct submission_answer *answer, struct err *err)
{
	struct buf in = BUF(ANSWER_MAX);
	bool ok;
	int status;

	send_content(p);
	submission_encode(&p->frame, envelope);
	if (p->frame.over)
		return err_set(err, "too many recipients");
	send_frame(p);
	sys_close(&p->to);
	read_answer(p, &in);
	status = pipe_reap(p);
	ok = parse_answer(buf_slice(&in), pool, answer) ||
	     err_set(err, "postdrop ended without an answer, status %d", status);
	buf_free(&in);
	return ok;
}

bool submission_pipe_finish(struct submission_pipe **p, const struct submission *envelope, struct pool *pool,
	struct submission_answer *answer, struct err *err)
{
	bool ok = exchange(*p, envelope, pool, answer, err);

	pipe_free(p);
	return ok;
}

void submission_pipe_abort(struct submission_pipe **p)
{
	struct buf in = BUF(ANSWER_MAX);

	if (*p == NULL)
		return;
	sys_close(&(*p)->to);
	read_answer(*p, &in);
	buf_free(&in);
	pipe_free(p);
}
