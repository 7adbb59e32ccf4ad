-- What the checker writes down beside the servers, in their own transactions: who got which lease,
-- and every write that only the holder of a lease may make and somebody else made. A process is
-- known by its application_name, which no other one ever has.

CREATE TABLE chaos_claims (
    run TEXT NOT NULL,
    fence BIGINT NOT NULL,
    worker TEXT NOT NULL,
    process TEXT NOT NULL,
    -- Another lease had ended before the run did.
    took_over BOOLEAN NOT NULL,
    PRIMARY KEY (run, fence)
);

CREATE TABLE chaos_wrong (is_claim BOOLEAN NOT NULL, what TEXT NOT NULL);

CREATE FUNCTION chaos_run_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    now_ms CONSTANT BIGINT := floor(extract(epoch FROM clock_timestamp()) * 1000);
    us CONSTANT TEXT := current_setting('application_name');
    holder TEXT;
    what TEXT;
BEGIN
    -- Whoever makes a run, or hands outputs to one that nobody has, may take it up along with that.
    IF TG_OP = 'INSERT' THEN
        IF NEW.attempt > 0 THEN
            INSERT INTO chaos_claims VALUES (NEW.id, NEW.fence, NEW.lease_owner, us, false);
        END IF;
        RETURN NULL;
    END IF;
    IF NEW.attempt > OLD.attempt THEN
        IF OLD.lease_until IS DISTINCT FROM 0
            AND NOT (OLD.status = 'requires_action' AND OLD.lease_until IS NULL)
        THEN
            INSERT INTO chaos_wrong VALUES (true, format(
                '%s claimed %s, which had a lease until %s at %s',
                us, OLD.id, OLD.lease_until, now_ms));
        END IF;
        INSERT INTO chaos_claims VALUES (NEW.id, NEW.fence, NEW.lease_owner, us,
            OLD.status NOT IN ('queued', 'requires_action'));
        RETURN NULL;
    END IF;
    SELECT process INTO holder FROM chaos_claims WHERE run = OLD.id AND fence = OLD.fence;
    IF holder IS NULL OR holder = us THEN
        RETURN NULL;
    END IF;
    IF OLD.lease_until >= now_ms AND NEW.lease_until = 0 AND NEW.version = OLD.version THEN
        what := 'took its lease away';
    ELSIF OLD.lease_until > 0 AND NEW.lease_until > OLD.lease_until THEN
        what := 'prolonged its lease';
    ELSIF NEW.version > OLD.version AND NEW.fence = OLD.fence AND OLD.status = 'in_progress'
        AND NEW.status IN ('in_progress', 'requires_action', 'completed', 'incomplete', 'failed')
    THEN
        what := format('made it %s', NEW.status);
    END IF;
    IF what IS NOT NULL THEN
        INSERT INTO chaos_wrong
            VALUES (false, format('%s had %s, and %s %s', holder, OLD.id, us, what));
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER chaos_run_changed AFTER INSERT OR UPDATE ON runs
    FOR EACH ROW EXECUTE FUNCTION chaos_run_changed();

-- Deltas are stored by the holder alone.
CREATE FUNCTION chaos_deltas_stored() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    us CONSTANT TEXT := current_setting('application_name');
    fence BIGINT;
    holder TEXT;
BEGIN
    SELECT runs.fence INTO fence FROM runs
        WHERE runs.workspace_id = NEW.workspace_id AND runs.id = NEW.run_id;
    SELECT process INTO holder FROM chaos_claims AS it
        WHERE it.run = NEW.run_id AND it.fence = NEW.attempt;
    IF fence IS DISTINCT FROM NEW.attempt OR holder IS DISTINCT FROM us THEN
        INSERT INTO chaos_wrong VALUES (false, format(
            '%s had %s, and %s stored deltas of lease %s under lease %s',
            holder, NEW.run_id, us, NEW.attempt, fence));
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER chaos_deltas_stored AFTER INSERT ON run_events
    FOR EACH ROW WHEN (NEW.metadata IS NULL) EXECUTE FUNCTION chaos_deltas_stored();
