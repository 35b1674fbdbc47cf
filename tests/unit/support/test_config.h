/* A configuration for tests that need some fields only: every text empty, every number 0, then what the test
 * sets. */
#ifndef TEST_CONFIG_H
#define TEST_CONFIG_H

#include "config/config.h"

static inline struct config test_config(void)
{
	struct config c = {
#define PARAM_TEXT(name, ...) .name = "",
#define PARAM_RAW(name, ...) .name = "",
#define PARAM_TABLES(name, ...) .name = "",
#define PARAM_ENUM(name, ...) .name = "",
#define PARAM_WORDS(name, ...) .name = "",
#include "config/parameters.def"
	};

	c.myhostname = "mail.example.com";
	c.mydomain = c.myorigin = "example.com";
	c.mydestination = "mail.example.com, localhost.example.com, localhost, example.com";
	c.inet_interfaces = "127.0.0.1";
	c.inet_protocols = "ipv4";
	c.local_transport = "local:mail.example.com";
	c.virtual_transport = "virtual";
	c.relay_transport = "relay";
	c.default_transport = "smtp";
	c.error_service_name = "error";
	c.empty_address_recipient = "MAILER-DAEMON";
	c.empty_address_relayhost_maps_lookup_key = "<>";
	c.empty_address_default_transport_maps_lookup_key = "<>";
	c.double_bounce_sender = "double-bounce";
	c.append_at_myorigin = c.swap_bangpath = c.allow_percent_hack = c.resolve_dequoted_address = true;
	c.smtputf8_enable = c.show_user_unknown_table_name = c.enable_original_recipient = true;
	c.unknown_local_recipient_reject_code = c.unknown_relay_recipient_reject_code = 550;
	c.unknown_virtual_alias_reject_code = c.unknown_virtual_mailbox_reject_code = 550;
	c.header_size_limit = 102400;
	c.hopcount_limit = 50;
	c.message_size_limit = 10240000;
	c.duplicate_filter_limit = 1000;
	c.queue_file_attribute_count_limit = 100;
	c.message_drop_headers = "bcc, content-length, resent-bcc, return-path";
	c.header_from_format = "standard";
	c.full_name_encoding_charset = "utf-8";
	c.header_address_token_limit = 10240;
	c.virtual_alias_expansion_limit = c.virtual_alias_recursion_limit = 1000;
	c.virtual_alias_address_length_limit = 1000;
	c.propagate_unmatched_extensions = "canonical, virtual";
	c.canonical_classes = "envelope_sender, envelope_recipient, header_sender, header_recipient";
	c.sender_canonical_classes = "envelope_sender, header_sender";
	c.recipient_canonical_classes = "envelope_recipient, header_recipient";
	c.masquerade_classes = "envelope_sender, header_sender, header_recipient";
	return c;
}

#endif
