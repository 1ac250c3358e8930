-- Events, and the automations that follow them; then the comments that all tables have in common.

CREATE TABLE events (
    occurred             timestamptz NOT NULL,
    event                text        NOT NULL,
    resource_id          text        NOT NULL,
    resource             jsonb       NOT NULL,
    related_resource_ids jsonb       NOT NULL DEFAULT '[]',
    related              jsonb       NOT NULL DEFAULT '[]',
    payload              jsonb       NOT NULL,
    received             timestamptz NOT NULL,
    recorded             timestamptz NOT NULL,
    follows              uuid,
    id                   uuid        NOT NULL DEFAULT gen_random_uuid(),
    created              timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated              timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT pk_events PRIMARY KEY (id)
);

COMMENT ON TABLE events IS 'Events: what happened to which resource; from clients and from the server''s own changes.';
COMMENT ON COLUMN events.occurred IS 'When it happened, by the clock of whoever tells of it.';
COMMENT ON COLUMN events.event IS 'What happened, such as prefect.flow-run.Completed.';
COMMENT ON COLUMN events.resource_id IS 'Id of the resource that it happened to; a copy out of resource.';
COMMENT ON COLUMN events.resource IS 'Object of labels of that resource; its id is under prefect.resource.id.';
COMMENT ON COLUMN events.related_resource_ids IS 'List of the ids of related; a copy for searching.';
COMMENT ON COLUMN events.related IS 'List of objects of labels of other resources that took part, each with its role.';
COMMENT ON COLUMN events.payload IS 'Object with the details.';
COMMENT ON COLUMN events.received IS 'When a server got it.';
COMMENT ON COLUMN events.recorded IS 'When it was stored.';
COMMENT ON COLUMN events.follows IS 'Event that came before this one, where their order matters.';

CREATE TABLE event_resources (
    occurred      timestamptz NOT NULL,
    resource_id   text        NOT NULL,
    resource_role text        NOT NULL,
    resource      json        NOT NULL,
    event_id      uuid        NOT NULL,
    id            uuid        NOT NULL DEFAULT gen_random_uuid(),
    created       timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated       timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT pk_event_resources PRIMARY KEY (id)
);

COMMENT ON TABLE event_resources IS 'The resources of each event, one row each, for finding the events of a resource.';
COMMENT ON COLUMN event_resources.occurred IS 'When the event happened; a copy.';
COMMENT ON COLUMN event_resources.resource_id IS 'Id of the resource.';
COMMENT ON COLUMN event_resources.resource_role IS 'Its role in the event; empty for the one that it happened to.';
COMMENT ON COLUMN event_resources.resource IS 'Object of its labels.';
COMMENT ON COLUMN event_resources.event_id IS 'The event.';

CREATE TABLE automation (
    name               varchar     NOT NULL,
    description        varchar     NOT NULL,
    enabled            boolean     NOT NULL DEFAULT true,
    trigger            jsonb       NOT NULL,
    actions            jsonb       NOT NULL,
    actions_on_trigger jsonb       NOT NULL DEFAULT '[]',
    actions_on_resolve jsonb       NOT NULL DEFAULT '[]',
    id                 uuid        NOT NULL DEFAULT gen_random_uuid(),
    created            timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated            timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    tags               jsonb       NOT NULL DEFAULT '[]',
    CONSTRAINT pk_automation PRIMARY KEY (id)
);

COMMENT ON TABLE automation IS 'Automations: a trigger over events and what to do when it fires.';
COMMENT ON COLUMN automation.name IS 'Name for people.';
COMMENT ON COLUMN automation.description IS 'What it is for.';
COMMENT ON COLUMN automation.enabled IS 'False while it does nothing.';
COMMENT ON COLUMN automation.trigger IS 'The trigger, an object, with the triggers inside it.';
COMMENT ON COLUMN automation.actions IS 'List of actions for each time it fires.';
COMMENT ON COLUMN automation.actions_on_trigger IS 'List of actions for when it starts to fire.';
COMMENT ON COLUMN automation.actions_on_resolve IS 'List of actions for when it stops.';
COMMENT ON COLUMN automation.tags IS 'List of tags.';

CREATE TABLE automation_bucket (
    automation_id  uuid        NOT NULL,
    trigger_id     uuid        NOT NULL,
    bucketing_key  jsonb       NOT NULL,
    last_event     jsonb,
    start          timestamptz NOT NULL,
    "end"          timestamptz NOT NULL,
    count          integer     NOT NULL,
    last_operation varchar,
    triggered_at   timestamptz,
    id             uuid        NOT NULL DEFAULT gen_random_uuid(),
    created        timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated        timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT pk_automation_bucket PRIMARY KEY (id),
    CONSTRAINT fk_automation_bucket__automation_id__automation FOREIGN KEY (automation_id)
        REFERENCES automation(id) ON DELETE CASCADE
);

CREATE UNIQUE INDEX uq_automation_bucket__automation_id__trigger_id__bucketing_key ON automation_bucket
    (automation_id, trigger_id, bucketing_key);

COMMENT ON TABLE automation_bucket IS 'Counts of events that a trigger has seen in its present window of time.';
COMMENT ON COLUMN automation_bucket.automation_id IS 'Automation of the trigger.';
COMMENT ON COLUMN automation_bucket.trigger_id IS 'The trigger.';
COMMENT ON COLUMN automation_bucket.bucketing_key IS
    'List of the values of the labels that the trigger counts apart by.';
COMMENT ON COLUMN automation_bucket.last_event IS 'The newest event counted.';
COMMENT ON COLUMN automation_bucket.start IS 'When the window opens.';
COMMENT ON COLUMN automation_bucket."end" IS 'When the window closes.';
COMMENT ON COLUMN automation_bucket.count IS 'Events counted so far.';
COMMENT ON COLUMN automation_bucket.last_operation IS 'What last wrote the row; for looking into trouble.';
COMMENT ON COLUMN automation_bucket.triggered_at IS 'When the trigger fired in this window; null if it has not.';

CREATE TABLE automation_related_resource (
    automation_id                uuid        NOT NULL,
    resource_id                  varchar,
    automation_owned_by_resource boolean     NOT NULL DEFAULT false,
    id                           uuid        NOT NULL DEFAULT gen_random_uuid(),
    created                      timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated                      timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT pk_automation_related_resource PRIMARY KEY (id),
    CONSTRAINT fk_automation_related_resource__automation_id__automation FOREIGN KEY (automation_id)
        REFERENCES automation(id) ON DELETE CASCADE
);

CREATE UNIQUE INDEX uq_automation_related_resource__automation_id__resource_id ON automation_related_resource
    (automation_id, resource_id);

COMMENT ON TABLE automation_related_resource IS 'Resources that automations belong to or are about.';
COMMENT ON COLUMN automation_related_resource.automation_id IS 'The automation.';
COMMENT ON COLUMN automation_related_resource.resource_id IS 'Id of the resource, such as prefect.deployment.ID.';
COMMENT ON COLUMN automation_related_resource.automation_owned_by_resource IS
    'True when the automation is deleted with the resource.';

CREATE TABLE composite_trigger_child_firing (
    automation_id     uuid        NOT NULL,
    parent_trigger_id uuid        NOT NULL,
    child_trigger_id  uuid        NOT NULL,
    child_firing_id   uuid        NOT NULL,
    child_fired_at    timestamptz,
    child_firing      jsonb       NOT NULL,
    id                uuid        NOT NULL DEFAULT gen_random_uuid(),
    created           timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated           timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT pk_composite_trigger_child_firing PRIMARY KEY (id),
    CONSTRAINT fk_composite_trigger_child_firing__automation_id__automation FOREIGN KEY (automation_id)
        REFERENCES automation(id) ON DELETE CASCADE
);

CREATE UNIQUE INDEX uq_composite_trigger_child_firing__a_id__pt_id__ct__id ON composite_trigger_child_firing
    (automation_id, parent_trigger_id, child_trigger_id);

COMMENT ON TABLE composite_trigger_child_firing IS
    'Which triggers inside a compound one have fired, until all that it needs have.';
COMMENT ON COLUMN composite_trigger_child_firing.automation_id IS 'Automation of the triggers.';
COMMENT ON COLUMN composite_trigger_child_firing.parent_trigger_id IS 'The compound trigger.';
COMMENT ON COLUMN composite_trigger_child_firing.child_trigger_id IS 'The trigger inside it.';
COMMENT ON COLUMN composite_trigger_child_firing.child_firing_id IS 'Id of the firing.';
COMMENT ON COLUMN composite_trigger_child_firing.child_fired_at IS 'When it fired.';
COMMENT ON COLUMN composite_trigger_child_firing.child_firing IS 'The firing, an object with its events.';

CREATE TABLE automation_event_follower (
    leader_event_id   uuid        NOT NULL,
    follower_event_id uuid        NOT NULL,
    received          timestamptz NOT NULL,
    follower          jsonb       NOT NULL,
    id                uuid        NOT NULL DEFAULT gen_random_uuid(),
    created           timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated           timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    scope             varchar     NOT NULL,
    CONSTRAINT pk_automation_event_follower PRIMARY KEY (id)
);

CREATE UNIQUE INDEX uq_follower_for_scope ON automation_event_follower (scope, follower_event_id);

COMMENT ON TABLE automation_event_follower IS 'Events that came before the event they follow, waiting for it.';
COMMENT ON COLUMN automation_event_follower.leader_event_id IS 'Event that is waited for.';
COMMENT ON COLUMN automation_event_follower.follower_event_id IS 'Event that waits.';
COMMENT ON COLUMN automation_event_follower.received IS 'When the waiting event was received.';
COMMENT ON COLUMN automation_event_follower.follower IS 'The waiting event.';
COMMENT ON COLUMN automation_event_follower.scope IS
    'Reader of events on whose behalf it waits; each event waits once per reader.';

-- Every table above but alembic_version has the same three columns, first or last.
DO $$
DECLARE
    relation regclass;
BEGIN
    FOR relation IN
        SELECT pg_class.oid
          FROM pg_class
          JOIN pg_attribute ON pg_attribute.attrelid = pg_class.oid AND pg_attribute.attname = 'updated'
         WHERE pg_class.relnamespace = 'public'::regnamespace
           AND pg_class.relkind = 'r'
    LOOP
        EXECUTE format('COMMENT ON COLUMN %s.id IS %L', relation, 'Primary key; the servers make it up.');
        EXECUTE format('COMMENT ON COLUMN %s.created IS %L', relation, 'When the row was made.');
        EXECUTE format('COMMENT ON COLUMN %s.updated IS %L', relation, 'When the row was last written.');
    END LOOP;
END
$$;
