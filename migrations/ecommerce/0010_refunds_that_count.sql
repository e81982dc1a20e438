-- A refund that falls away takes nothing: what is left of its order is not looked at.
DROP TRIGGER refunds_within_paid ON refunds;
CREATE CONSTRAINT TRIGGER refunds_within_paid AFTER INSERT OR UPDATE OF order_id, status, deleted ON refunds
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NOT NEW.deleted AND NEW.status <> 'rejected')
    EXECUTE FUNCTION refund_within_paid();
