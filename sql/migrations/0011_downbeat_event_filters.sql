-- Filters that are too long to travel in the address of a list's next page.

CREATE TABLE downbeat.event_filter (
    id      uuid        NOT NULL,
    content json        NOT NULL,
    expires timestamptz NOT NULL,
    CONSTRAINT pk_event_filter PRIMARY KEY (id)
);

-- For those that have expired.
CREATE INDEX ix_event_filter__expires ON downbeat.event_filter (expires);

COMMENT ON TABLE downbeat.event_filter IS 'Long filters of events, which the addresses of further pages name.';
COMMENT ON COLUMN downbeat.event_filter.id IS 'Made of the content.';
COMMENT ON COLUMN downbeat.event_filter.content IS 'Filter as a client sent it, with both ends of the time in which events occurred.';
COMMENT ON COLUMN downbeat.event_filter.expires IS 'When it may go: a day after the last page that was asked for.';
