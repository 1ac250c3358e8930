-- An event as the API shows it.
CREATE VIEW downbeat.event AS
SELECT downbeat.rfc3339(events.occurred) AS occurred,
       events.event,
       events.resource,
       events.related,
       events.payload,
       events.id,
       events.follows,
       downbeat.rfc3339(events.received) AS received
  FROM public.events;
