/* What the user who calls a command may do: authorized_*_users and local_login_sender_maps. */
#ifndef COMMANDS_COMMAND_USER_H
#define COMMANDS_COMMAND_USER_H

#include "config/config.h"

/* The login name of the caller's real user id, or NULL. */
const char *command_user_name(void);
/* Whether the list has the caller's login name ("unknown": has none). False with err: not, what says what he
 * is not allowed to do; or the list cannot be read. */
bool command_user_allowed(const char *parameter, const char *list, const char *what, struct err *err);
/* The same, but root and mail_owner always may. */
bool command_user_allowed_queue(
	const struct config *cfg, const char *parameter, const char *list, const char *what, struct err *err);
/* local_login_sender_maps: whether the caller may send mail from sender (internal form). False with err. */
bool command_user_may_send_from(const struct config *cfg, const char *sender, struct err *err);

#endif
