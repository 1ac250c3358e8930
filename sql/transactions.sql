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

-- name: savepoint :exec
-- Mark the point that a rule's writes can be undone to.
SAVEPOINT rule;

-- name: rollback_to_savepoint :exec
-- Undo what was written since the savepoint.
ROLLBACK TO SAVEPOINT rule;
