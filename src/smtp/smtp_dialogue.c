#include "smtp/smtp_dialogue.h"

#include "base/log.h"
#include "smtp/smtp_notify.h"

#define LINE_SHOWN 500 /* bytes of a line */

bool smtp_dialogue_open(struct smtp_client *c, struct err *err)
{
	const struct config *cfg = c->cfg;

	if (!cfg->debug_peer_list[0])
		return true;
	c->debug_peers = matchlist_open("debug_peer_list", cfg->debug_peer_list,
		matchlist_parent_flag(cfg->parent_domain_matches_subdomains, "debug_peer_list"), err);
	return c->debug_peers != NULL;
}

static bool listed(const struct smtp_session *s, const char *address, const char *nexthop)
{
	struct matchlist *list = s->client->debug_peers;
	struct err err = {""};

	if (nexthop && matchlist_name(list, str_c(nexthop), &err) == TABLE_FOUND)
		return true;
	return matchlist_host(list, str_c(s->host), str_c(address ? address : ""), &err) == TABLE_FOUND;
}

void smtp_dialogue_begin(struct smtp_session *s, const char *address, const char *nexthop)
{
	s->debug_level =
		s->client->debug_peers && listed(s, address, nexthop) ? s->client->cfg->debug_peer_level : 0;
}

static void show(const struct smtp_session *s, char direction, struct str line)
{
	log_info("%c %s: " STR_FMT, direction, s->relay, STR_ARG(str_first(str_trim(line), LINE_SHOWN)));
}

void smtp_dialogue_said(struct smtp_session *s, struct str line)
{
	smtp_notify_said(s, line);
	if (s->debug_level > 0)
		show(s, '>', line);
}

void smtp_dialogue_heard(struct smtp_session *s, const struct smtp_reply *reply)
{
	struct str rest = str_c(reply->text), line;

	smtp_notify_heard(s, reply);
	while (s->debug_level > 0 && str_word(&rest, "\n", &line))
		show(s, '<', line);
}
