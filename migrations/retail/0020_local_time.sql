-- Local time of a fact: what the clock on its wall showed, computed once, by the service that writes the fact, and kept. The
-- same text stands in every service's migrations, because databases share nothing; a test compares the copies.
--
-- Business days came from a stored generated column, which asks the zone data of this server: another copy of those data
-- than programs have, so that a day differed between databases, and a restore onto newer data moved it.

-- For versions of the service that do not know the column: it is filled by this server's zone data.
CREATE FUNCTION local_time_fill() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.local_time := timezone(NEW.time_zone, NEW.occurred_at);
    RETURN NEW;
END
$$;

CREATE FUNCTION local_time_keep() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'local_time of % never changes', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$$;

-- How far what was there before has been filled. A service does it before it serves: until then no feed offers the column.
CREATE TABLE local_time_filled (
    table_name text NOT NULL,
    through_id bigint NOT NULL DEFAULT 0,
    ended_at timestamptz,
    CONSTRAINT local_time_filled_pkey PRIMARY KEY (table_name)
);
COMMENT ON TABLE local_time_filled IS 'Of each table of facts: through which id its older rows have their local time, and when all of them had it.';

-- Filling changes nothing that a feed has delivered, so it stamps nothing: whoever asks for the new column reads all rows.
CREATE OR REPLACE FUNCTION feed_stamp() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND current_setting('feed.keep_stamps', true) = 'on' THEN
        NEW.change_xid := OLD.change_xid;
    ELSIF TG_OP = 'UPDATE' AND current_setting('feed.restamp', true) IS DISTINCT FROM 'on' THEN
        NEW.change_xid := GREATEST(OLD.change_xid, pg_current_xact_id());
    ELSE
        NEW.change_xid := pg_current_xact_id();
    END IF;
    RETURN NEW;
END
$$;
