-- 0002: what the help desks hold, one row per record, keyed by (integration_id, id). Written only by the worker's sink.
-- version columns (updated_at) and row_hash drive its two guards: never overwrite newer with older, never rewrite what did not change.

CREATE TABLE deskmill.accounts (
    integration_id bigint NOT NULL REFERENCES deskmill.integrations,
    id             text NOT NULL,
    name           text,
    domain         text,
    created_at     timestamptz,
    updated_at     timestamptz,
    row_hash       bigint NOT NULL,
    synced_at      timestamptz NOT NULL,
    deleted_at     timestamptz,
    PRIMARY KEY (integration_id, id)
);
COMMENT ON TABLE deskmill.accounts IS 'Customers'' companies, as the help desk knows them.';
COMMENT ON COLUMN deskmill.accounts.integration_id IS 'The integration it came through.';
COMMENT ON COLUMN deskmill.accounts.id IS 'The vendor''s id.';
COMMENT ON COLUMN deskmill.accounts.name IS 'Name at the vendor.';
COMMENT ON COLUMN deskmill.accounts.domain IS 'Main domain.';
COMMENT ON COLUMN deskmill.accounts.created_at IS 'When it was made at the vendor.';
COMMENT ON COLUMN deskmill.accounts.updated_at IS 'The vendor''s version of the row.';
COMMENT ON COLUMN deskmill.accounts.row_hash IS 'XXH3 of the row''s content; tells a changed row from an unchanged one.';
COMMENT ON COLUMN deskmill.accounts.synced_at IS 'When this row was last written.';
COMMENT ON COLUMN deskmill.accounts.deleted_at IS 'When the record was found to be gone at the vendor.';

CREATE TABLE deskmill.users (
    integration_id bigint NOT NULL REFERENCES deskmill.integrations,
    id             text NOT NULL,
    name           text,
    email          text,
    role           text NOT NULL CHECK (role IN ('agent', 'contact')),
    account_id     text,
    row_hash       bigint NOT NULL,
    synced_at      timestamptz NOT NULL,
    deleted_at     timestamptz,
    PRIMARY KEY (integration_id, id)
);
COMMENT ON TABLE deskmill.users IS 'People: the team (agents) and those who ask (contacts). Assignees and requesters of issues are here.';
COMMENT ON COLUMN deskmill.users.integration_id IS 'The integration it came through.';
COMMENT ON COLUMN deskmill.users.id IS 'The vendor''s id.';
COMMENT ON COLUMN deskmill.users.name IS 'Name at the vendor.';
COMMENT ON COLUMN deskmill.users.email IS 'Main address.';
COMMENT ON COLUMN deskmill.users.role IS 'agent: of the support team; contact: a customer.';
COMMENT ON COLUMN deskmill.users.account_id IS 'A contact''s account.';
COMMENT ON COLUMN deskmill.users.row_hash IS 'XXH3 of the row''s content; tells a changed row from an unchanged one.';
COMMENT ON COLUMN deskmill.users.synced_at IS 'When this row was last written.';
COMMENT ON COLUMN deskmill.users.deleted_at IS 'When the record was found to be gone at the vendor.';

CREATE TABLE deskmill.issues (
    integration_id                        bigint NOT NULL REFERENCES deskmill.integrations,
    id                                    text NOT NULL,
    number                                bigint,
    title                                 text,
    state                                 text,
    source                                text,
    type                                  text,
    link                                  text,
    body_html                             text,
    account_id                            text,
    assignee_id                           text,
    requester_id                          text,
    team_id                               text,
    tags                                  text[],
    created_at                            timestamptz,
    updated_at                            timestamptz,
    closed_at                             timestamptz,
    latest_message_time                   timestamptz,
    first_response_at                     timestamptz,
    first_response_seconds                bigint,
    business_hours_first_response_seconds bigint,
    resolution_at                         timestamptz,
    resolution_seconds                    bigint,
    business_hours_resolution_seconds     bigint,
    number_of_touches                     bigint,
    priority                              text,
    category                              text,
    handler                               text,
    resolution_type                       text,
    self_servable                         text,
    custom_fields                         jsonb,
    row_hash                              bigint NOT NULL,
    synced_at                             timestamptz NOT NULL,
    messages_read_for                     timestamptz,
    deleted_at                            timestamptz,
    PRIMARY KEY (integration_id, id)
);
COMMENT ON TABLE deskmill.issues IS 'Tickets. Columns carry what the vendor says; times are UTC instants, *_seconds are the vendor''s own figures.';
COMMENT ON COLUMN deskmill.issues.integration_id IS 'The integration it came through.';
COMMENT ON COLUMN deskmill.issues.id IS 'The vendor''s id.';
COMMENT ON COLUMN deskmill.issues.title IS 'Subject.';
COMMENT ON COLUMN deskmill.issues.body_html IS 'First message, as HTML.';
COMMENT ON COLUMN deskmill.issues.account_id IS 'The customer''s account (accounts.id).';
COMMENT ON COLUMN deskmill.issues.assignee_id IS 'Who works on it (users.id).';
COMMENT ON COLUMN deskmill.issues.requester_id IS 'Who asked (users.id).';
COMMENT ON COLUMN deskmill.issues.team_id IS 'The team it is assigned to, by the vendor''s id.';
COMMENT ON COLUMN deskmill.issues.tags IS 'Tags, in the vendor''s order; null: none.';
COMMENT ON COLUMN deskmill.issues.created_at IS 'When it was opened.';
COMMENT ON COLUMN deskmill.issues.first_response_seconds IS 'From opening to the first reply of the team.';
COMMENT ON COLUMN deskmill.issues.business_hours_first_response_seconds IS 'The same within the vendor''s business hours.';
COMMENT ON COLUMN deskmill.issues.resolution_seconds IS 'From opening to resolution.';
COMMENT ON COLUMN deskmill.issues.business_hours_resolution_seconds IS 'The same within the vendor''s business hours.';
COMMENT ON COLUMN deskmill.issues.number IS 'The number people know the issue by.';
COMMENT ON COLUMN deskmill.issues.state IS 'Status slug at the vendor: new, waiting_on_you, waiting_on_customer, on_hold, closed, or one of the team''s own.';
COMMENT ON COLUMN deskmill.issues.source IS 'Channel: slack, email, chat_widget, form ...';
COMMENT ON COLUMN deskmill.issues.type IS 'conversation or ticket.';
COMMENT ON COLUMN deskmill.issues.link IS 'Address of the issue in the help desk.';
COMMENT ON COLUMN deskmill.issues.updated_at IS 'The vendor''s version of the row: an older one never overwrites a newer one.';
COMMENT ON COLUMN deskmill.issues.closed_at IS 'When it was closed: the vendor''s closing time where given, else its resolution, which is null again after a reopening.';
COMMENT ON COLUMN deskmill.issues.latest_message_time IS 'The newest message at the vendor; moves when messages are due to be read again.';
COMMENT ON COLUMN deskmill.issues.first_response_at IS 'First reply of the team.';
COMMENT ON COLUMN deskmill.issues.resolution_at IS 'When it was resolved; null again after a reopening.';
COMMENT ON COLUMN deskmill.issues.number_of_touches IS 'Replies of the team.';
COMMENT ON COLUMN deskmill.issues.priority IS 'Custom field priority.';
COMMENT ON COLUMN deskmill.issues.category IS 'Custom field category.';
COMMENT ON COLUMN deskmill.issues.handler IS 'Custom field handler.';
COMMENT ON COLUMN deskmill.issues.resolution_type IS 'Custom field resolution-type.';
COMMENT ON COLUMN deskmill.issues.self_servable IS 'Custom field self-servable.';
COMMENT ON COLUMN deskmill.issues.custom_fields IS 'All other custom fields, as {slug: value, or list of values}.';
COMMENT ON COLUMN deskmill.issues.row_hash IS 'XXH3 of the row''s content; tells a changed row from an unchanged one.';
COMMENT ON COLUMN deskmill.issues.synced_at IS 'When this row was last written.';
COMMENT ON COLUMN deskmill.issues.messages_read_for IS 'The latest_message_time for which the messages have been read (1970-01-01: there was none); null: never read.';
COMMENT ON COLUMN deskmill.issues.deleted_at IS 'When the record was found to be gone at the vendor.';
CREATE INDEX issues_state ON deskmill.issues (state);
CREATE INDEX issues_priority ON deskmill.issues (priority);
CREATE INDEX issues_category ON deskmill.issues (category);
CREATE INDEX issues_handler ON deskmill.issues (handler);
CREATE INDEX issues_account ON deskmill.issues (account_id);
CREATE INDEX issues_created ON deskmill.issues (created_at);
CREATE INDEX issues_closed ON deskmill.issues (closed_at);
CREATE INDEX issues_messages_due ON deskmill.issues (integration_id, latest_message_time)
    WHERE messages_read_for IS NULL OR messages_read_for <> COALESCE(latest_message_time, 'epoch'::timestamptz);

CREATE TABLE deskmill.messages (
    integration_id bigint NOT NULL REFERENCES deskmill.integrations,
    id             text NOT NULL,
    issue_id       text NOT NULL,
    sender_type    text NOT NULL CHECK (sender_type IN ('customer', 'team', 'system')),
    sender_id      text,
    sender_name    text,
    is_private     boolean NOT NULL,
    source         text,
    body_text      text,
    body_html      text,
    created_at     timestamptz,
    row_hash       bigint NOT NULL,
    synced_at      timestamptz NOT NULL,
    deleted_at     timestamptz,
    PRIMARY KEY (integration_id, id)
);
COMMENT ON TABLE deskmill.messages IS 'What was said on an issue, replies and internal notes alike.';
COMMENT ON COLUMN deskmill.messages.integration_id IS 'The integration it came through.';
COMMENT ON COLUMN deskmill.messages.id IS 'The vendor''s id.';
COMMENT ON COLUMN deskmill.messages.issue_id IS 'The issue (issues.id).';
COMMENT ON COLUMN deskmill.messages.sender_id IS 'Who wrote it (users.id); null: neither agent nor contact.';
COMMENT ON COLUMN deskmill.messages.sender_name IS 'Name as shown with the message.';
COMMENT ON COLUMN deskmill.messages.source IS 'Channel it came by.';
COMMENT ON COLUMN deskmill.messages.body_html IS 'As HTML, as the vendor has it.';
COMMENT ON COLUMN deskmill.messages.created_at IS 'When it was written.';
COMMENT ON COLUMN deskmill.messages.sender_type IS 'customer (a contact), team (an agent) or system (neither).';
COMMENT ON COLUMN deskmill.messages.is_private IS 'An internal note that the customer does not see.';
COMMENT ON COLUMN deskmill.messages.body_text IS 'What a person reads, made from the HTML.';
COMMENT ON COLUMN deskmill.messages.row_hash IS 'XXH3 of the row''s content; tells a changed row from an unchanged one.';
COMMENT ON COLUMN deskmill.messages.synced_at IS 'When this row was last written.';
COMMENT ON COLUMN deskmill.messages.deleted_at IS 'When the record was found to be gone at the vendor.';
CREATE INDEX messages_issue ON deskmill.messages (issue_id);
CREATE INDEX messages_issue_sender ON deskmill.messages (issue_id, sender_type, created_at);
