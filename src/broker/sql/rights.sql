-- The functions that an instance calls run with their owner's rights, so that its own role needs none on the tables: it may use the
-- schema and execute these. Nobody else may.
DO $sennit$
DECLARE
    called CONSTANT text[] := string_to_array('open poll publish read lease_write lease_claim lease_release lease_take '
        'lease_lapsed lease_end present_enter present_leave present_list mail_send mail_owners stats rooms_touch pulse blocker schema_version record_ask record_pass record_end record_list', ' ');
    allowed CONSTANT text := current_setting('sennit.role');
    f record;
BEGIN
    FOR f IN SELECT p.oid::regprocedure AS name, p.proname = ANY (called) AS is_called FROM pg_proc p
        WHERE p.pronamespace = current_schema()::regnamespace
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f.name);
        CONTINUE WHEN NOT f.is_called;
        EXECUTE format('ALTER FUNCTION %s SECURITY DEFINER SET search_path = %I, pg_temp SET lock_timeout = ''2s''',
            f.name, current_schema());
        IF allowed <> '' THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', f.name, allowed);
        END IF;
    END LOOP;
    IF allowed <> '' THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), allowed);
    END IF;
END $sennit$;
