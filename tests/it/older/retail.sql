-- What retail of the first version asks its database, by the file that asks. A test runs all of it on today's schema,
-- because that version runs beside the newer one while it is replaced, and comes back. Never edited.

-- services/retail/src/registers.rs
SELECT id, store_id, number, active, created_at FROM registers WHERE NOT deleted AND id > coalesce($1, 0) AND ($2::bigint IS
  NULL OR store_id = $2) AND ($3::int IS NULL OR number = $3) AND ($4::bool IS NULL OR active = $4) ORDER BY id LIMIT $5;
INSERT INTO registers (store_id, number, active, idempotency_key, idempotency_digest) VALUES ($1, $2, $3, $4, $5) ON CONFLICT
  (idempotency_key) DO NOTHING RETURNING id, store_id, number, active, created_at;
SELECT id, store_id, number, active, created_at FROM registers WHERE id = $1 AND NOT deleted;
UPDATE registers SET active = coalesce($2, active) WHERE id = $1 AND NOT deleted RETURNING id, store_id, number, active,
  created_at;

-- services/retail/src/sales.rs
SELECT s.id, s.reference, s.kind, s.status, s.receipt_number, s.store_id, s.register_id, s.original_sale_id, s.occurred_at,
  s.time_zone, s.business_day, s.total_cents, s.imported, NOT EXISTS (SELECT FROM stock_tasks t WHERE t.document_id = s.id) AS
  stock_settled, s.refusal, s.created_at, s.voided_at FROM sales s WHERE NOT s.deleted AND s.id > coalesce($1, 0) AND
  ($2::bigint IS NULL OR s.store_id = $2) AND ($3::bigint IS NULL OR s.register_id = $3) AND ($4::text IS NULL OR s.kind = $4)
  AND ($5::text IS NULL OR s.status = $5) AND ($6::text IS NULL OR s.receipt_number = $6) AND ($7::text IS NULL OR s.reference
  = $7) AND ($8::bigint IS NULL OR EXISTS (SELECT FROM sale_lines l WHERE l.sale_id = s.id AND l.product_id = $8)) AND
  ($9::bigint IS NULL OR s.original_sale_id = $9) AND ($10::bool IS NULL OR s.imported = $10) AND ($11::date IS NULL OR
  s.business_day = $11) AND ($12::timestamptz IS NULL OR s.occurred_at >= $12) AND ($13::timestamptz IS NULL OR s.occurred_at
  < $13) ORDER BY s.id LIMIT $14;
SELECT s.id, s.reference, s.kind, s.status, s.receipt_number, s.store_id, s.register_id, s.original_sale_id, s.occurred_at,
  s.time_zone, s.business_day, s.total_cents, s.imported, NOT EXISTS (SELECT FROM stock_tasks t WHERE t.document_id = s.id) AS
  stock_settled, s.refusal, s.created_at, s.voided_at FROM sales s WHERE s.original_sale_id = $1 AND NOT s.deleted AND s.id >
  coalesce($2, 0) ORDER BY s.id LIMIT $3;

-- services/retail/src/sales/answer.rs
SELECT status FROM sales WHERE id = $1;

-- services/retail/src/sales/document.rs
SELECT line_no, product_id, sku, product_name, category, quantity, unit_price_cents, unit_cost_cents, discount_cents,
  net_cents, original_line_no FROM sale_lines WHERE sale_id = $1 ORDER BY line_no;
SELECT s.id, s.reference, s.kind, s.status, s.receipt_number, s.store_id, s.register_id, s.original_sale_id, s.occurred_at,
  s.time_zone, s.business_day, s.total_cents, s.imported, NOT EXISTS (SELECT FROM stock_tasks t WHERE t.document_id = s.id) AS
  stock_settled, s.refusal, s.created_at, s.voided_at FROM sales s WHERE s.id = $1 AND NOT s.deleted;

-- services/retail/src/sales/import/batch.rs
SELECT reference FROM sales WHERE reference = ANY($1);
SELECT code, id, time_zone FROM stores WHERE code = ANY($1) AND NOT deleted;
INSERT INTO registers (store_id, number) SELECT a.store_id, a.number FROM UNNEST($1::bigint[], $2::int[]) AS a (store_id,
  number) WHERE NOT EXISTS (SELECT FROM registers r WHERE r.store_id = a.store_id AND r.number = a.number) ORDER BY 1, 2 ON
  CONFLICT (store_id, number) DO NOTHING;
SELECT r.store_id, r.number, r.id FROM registers r JOIN UNNEST($1::bigint[], $2::int[]) AS a (store_id, number) ON r.store_id
  = a.store_id AND r.number = a.number;
SELECT reference, id FROM sales WHERE reference = ANY($1) AND kind = 'sale' AND status = 'completed' AND NOT deleted ORDER BY
  id FOR NO KEY UPDATE;
SELECT sale_id, product_id, sum(quantity)::bigint FROM ( SELECT l.sale_id, l.product_id, l.quantity FROM sale_lines l WHERE
  l.sale_id = ANY($1) UNION ALL SELECT r.original_sale_id, l.product_id, l.quantity FROM sales r JOIN sale_lines l ON
  l.sale_id = r.id WHERE r.original_sale_id = ANY($1) AND r.status IN ('pending', 'completed') AND NOT r.deleted) AS moved
  GROUP BY sale_id, product_id;
INSERT INTO sales (reference, kind, status, receipt_number, store_id, register_id, original_sale_id, occurred_at, time_zone,
  total_cents, imported, settled_at) SELECT reference, kind, 'completed', reference, store_id, register_id, original,
  occurred_at, time_zone, total, true, now() FROM UNNEST($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[],
  $6::timestamptz[], $7::text[], $8::bigint[]) AS d (reference, kind, store_id, register_id, original, occurred_at, time_zone,
  total) ON CONFLICT DO NOTHING RETURNING reference, id;
INSERT INTO sale_lines (sale_id, line_no, product_id, sku, product_name, category, quantity, unit_price_cents,
  unit_cost_cents, discount_cents) SELECT * FROM UNNEST($1::bigint[], $2::int[], $3::bigint[], $4::text[], $5::text[],
  $6::text[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[]);

-- services/retail/src/sales/place.rs
SELECT s.id AS store_id, s.code AS store_code, s.time_zone, r.id AS register_id, r.number AS register_number, s.active AS
  store_active, r.active AS register_active FROM registers r JOIN stores s ON s.id = r.store_id WHERE r.id = $1 AND NOT
  r.deleted;

-- services/retail/src/sales/returns.rs
SELECT FROM sales WHERE id = $1 FOR NO KEY UPDATE;
SELECT l.product_id, l.original_line_no, (-sum(l.quantity))::bigint FROM sales r JOIN sale_lines l ON l.sale_id = r.id WHERE
  r.original_sale_id = $1 AND r.status IN ('pending', 'completed') AND NOT r.deleted GROUP BY l.product_id, l.original_line_no
  ORDER BY l.original_line_no NULLS LAST, l.product_id;

-- services/retail/src/sales/settle.rs
SELECT reference, kind, location_id, occurred_at, time_zone FROM sales WHERE id = $1;
SELECT product_id, (-sum(quantity))::bigint AS quantity FROM sale_lines WHERE sale_id = $1 GROUP BY product_id ORDER BY
  product_id;
UPDATE sales SET status = 'completed', settled_at = now() WHERE id = $1 AND status = 'pending';
UPDATE sales SET status = 'rejected', refusal = $2, settled_at = now() WHERE id = $1 AND status = 'pending';
SELECT kind FROM sales WHERE id = $1;

-- services/retail/src/sales/stuck.rs
SELECT s.id, s.reference, s.kind, s.status, s.store_id, s.receipt_number, t.step AS owed, t.since, t.attempts, t.due_at AS
  next_attempt_at, t.last_error FROM stock_tasks t JOIN sales s ON s.id = t.document_id WHERE s.id > coalesce($1, 0) AND
  t.since <= now() - make_interval(secs => $2) ORDER BY s.id LIMIT $3;

-- services/retail/src/sales/void.rs
SELECT kind, status, imported, ARRAY(SELECT r.id FROM sales r WHERE r.original_sale_id = s.id AND r.status IN ('pending',
  'completed') ORDER BY r.id) AS returns FROM sales s WHERE id = $1 AND NOT deleted;
UPDATE sales SET status = 'voided', voided_at = now() WHERE id = $1 AND status = 'completed';

-- services/retail/src/sales/write.rs
WITH drawn AS ( INSERT INTO receipt_counters AS c (register_id, last) VALUES ($5, 1) ON CONFLICT (register_id) DO UPDATE SET
  last = c.last + 1 RETURNING last), sale AS ( INSERT INTO sales (reference, kind, status, receipt_number, store_id,
  register_id, location_id, original_sale_id, occurred_at, time_zone, total_cents, idempotency_key, idempotency_digest) SELECT
  $1, $2, 'pending', $3 || lpad(last::text, greatest(6, length(last::text)), '0'), $4, $5, $6, $7, $8, $9, $10, $11, $12 FROM
  drawn ON CONFLICT (idempotency_key) DO NOTHING RETURNING id), lines AS ( INSERT INTO sale_lines (sale_id, line_no,
  product_id, sku, product_name, category, quantity, unit_price_cents, unit_cost_cents, discount_cents, original_line_no)
  SELECT sale.id, line_no::int, product_id, sku, product_name, category, quantity, price, cost, discount, original FROM sale,
  UNNEST($13::bigint[], $14::text[], $15::text[], $16::text[], $17::bigint[], $18::bigint[], $19::bigint[], $20::bigint[],
  $21::int[]) WITH ORDINALITY AS l (product_id, sku, product_name, category, quantity, price, cost, discount, original,
  line_no)) SELECT id FROM sale;

-- services/retail/src/stores.rs
SELECT id, code, name, city, time_zone, active, created_at FROM stores WHERE NOT deleted AND id > coalesce($1, 0) AND
  ($2::text IS NULL OR code = $2) AND ($3::text IS NULL OR city = $3) AND ($4::text IS NULL OR time_zone = $4) AND ($5::bool
  IS NULL OR active = $5) AND ($6::text IS NULL OR position(lower($6) IN lower(code || ' ' || name || ' ' || city)) > 0) ORDER
  BY id LIMIT $7;
INSERT INTO stores (code, name, city, time_zone, active, idempotency_key, idempotency_digest) VALUES ($1, $2, $3, $4, $5, $6,
  $7) ON CONFLICT (idempotency_key) DO NOTHING RETURNING id, code, name, city, time_zone, active, created_at;
SELECT id, code, name, city, time_zone, active, created_at FROM stores WHERE id = $1 AND NOT deleted;
UPDATE stores SET name = coalesce($2, name), city = coalesce($3, city), time_zone = coalesce($4, time_zone), active =
  coalesce($5, active) WHERE id = $1 AND NOT deleted RETURNING id, code, name, city, time_zone, active, created_at;

-- services/retail/src/stores/import.rs
INSERT INTO stores AS s (code, name, city, time_zone) SELECT * FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[]) ON
  CONFLICT (code) DO UPDATE SET name = excluded.name, city = excluded.city, time_zone = excluded.time_zone WHERE (s.name,
  s.city, s.time_zone) IS DISTINCT FROM (excluded.name, excluded.city, excluded.time_zone);

-- services/kit/src/settle/task.rs
INSERT INTO stock_tasks (document_id, step, due_at) VALUES ($1, $2, now() + make_interval(secs => $3)) ON CONFLICT
  (document_id) DO UPDATE SET step = 'reverse';
SELECT step FROM stock_tasks WHERE document_id = $1;
DELETE FROM stock_tasks WHERE document_id = $1 AND step = $2;
UPDATE stock_tasks SET step = 'reverse' WHERE document_id = $1;
UPDATE stock_tasks SET last_error = $2, due_at = CASE WHEN attempts = 0 THEN least(due_at, now() + interval '1 second') ELSE
  due_at END WHERE document_id = $1;
UPDATE stock_tasks SET attempts = attempts + 1, due_at = now() + make_interval(secs => least(power(2, least(attempts, 6)), 60)
  * (0.5 + random())) WHERE document_id IN (SELECT document_id FROM stock_tasks WHERE due_at <= now() ORDER BY due_at LIMIT $1
  FOR UPDATE SKIP LOCKED) RETURNING document_id, step = 'post' AND since < now() - make_interval(secs => $2) AS too_long;
SELECT count(*) FILTER (WHERE step = 'post') AS posts, count(*) FILTER (WHERE step = 'reverse') AS reversals, count(*) FILTER
  (WHERE since <= now() - make_interval(secs => $1)) AS stuck, coalesce(extract(epoch FROM now() - min(since)), 0)::float8 AS
  oldest FROM stock_tasks;
