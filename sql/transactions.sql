-- Transaction control, as statements like all others so that they travel in the batch of what they enclose.

-- name: begin :exec
-- Open a transaction.
BEGIN;

-- name: commit :exec
-- Make everything since BEGIN durable, at once.
COMMIT;

-- name: rollback :exec
-- Undo everything since BEGIN.
ROLLBACK;
