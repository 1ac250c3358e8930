-- Slots by holder; and the leases of a Prefect database, which were lost with the memory of the server that kept them.

-- For what a run holds when it ends.
CREATE INDEX ix_concurrency_lease__holder_id ON downbeat.concurrency_lease (holder_id) WHERE holder_id IS NOT NULL;

COMMENT ON COLUMN downbeat.concurrency_lease.expires IS
    'From when on the slots are given back to whoever asks, unless the lease is renewed before; infinity while they are held until the holder ends.';

-- What follows is for a database that has just been adopted, which has no record of its installation yet.
--
-- A run that is on its way goes on with the lease that its state names, which the process that runs it keeps renewing: for as
-- long as that takes the lease lives, and for as long as Prefect gives a new one.
INSERT INTO downbeat.concurrency_lease (id, place, limit_id, holder_type, holder_id, slots, acquired, expires)
SELECT (state.state_details ->> 'deployment_concurrency_lease_id')::uuid,
       1,
       deployment.concurrency_limit_id,
       'flow_run',
       run.id,
       1,
       LEAST(run.state_timestamp, now()),
       now() + interval '300 seconds'
  FROM flow_run AS run
       JOIN flow_run_state AS state ON state.id = run.state_id AND state.flow_run_id = run.id
       JOIN deployment ON deployment.id = run.deployment_id
 WHERE run.state_type IN ('PENDING', 'RUNNING', 'CANCELLING')
   AND deployment.concurrency_limit_id IS NOT NULL
   AND state.state_details ->> 'deployment_concurrency_lease_id' IS NOT NULL
   AND NOT EXISTS (SELECT FROM downbeat.installation)
    ON CONFLICT DO NOTHING;

-- Task runs hold the limits of their tags until they end. The ids of their leases are nowhere, so nobody renews them; an hour
-- is to spare most of them being overtaken without letting those stay for ever whose process is gone. Of many that say that
-- they run the latest are believed, as many as slots were counted.
WITH claims AS (
     SELECT bound.id AS limit_id,
            bound.active_slots,
            run.id AS run_id,
            run.state_timestamp,
            row_number() OVER (PARTITION BY bound.id ORDER BY run.state_timestamp DESC, run.id) AS place
       FROM concurrency_limit_v2 AS bound
            JOIN task_run AS run ON run.tags ? substr(bound.name, 5)
      WHERE bound.name LIKE 'tag:%'
        AND bound.active_slots > 0
        AND run.state_type IN ('RUNNING', 'CANCELLING')
     )
INSERT INTO downbeat.concurrency_lease (id, place, limit_id, holder_type, holder_id, slots, acquired, expires)
SELECT gen_random_uuid(), 1, claims.limit_id, 'task_run', claims.run_id, 1, LEAST(claims.state_timestamp, now()),
       now() + interval '1 hour'
  FROM claims
 WHERE claims.place <= claims.active_slots
   AND NOT EXISTS (SELECT FROM downbeat.installation);

-- Slots that nobody can be shown to hold would be held for ever. What decays frees itself.
UPDATE concurrency_limit_v2 AS bound
   SET active_slots = held.slots
  FROM (SELECT every.id, COALESCE(sum(lease.slots), 0) AS slots
          FROM concurrency_limit_v2 AS every
               LEFT JOIN downbeat.concurrency_lease AS lease ON lease.limit_id = every.id
         WHERE every.slot_decay_per_second = 0
         GROUP BY every.id) AS held
 WHERE bound.id = held.id
   AND bound.active_slots <> held.slots
   AND NOT EXISTS (SELECT FROM downbeat.installation);
