-- What inventory of the first version asks its database, by the file that asks. A test runs all of it on today's schema,
-- because that version runs beside the newer one while it is replaced, and comes back. Never edited.

-- services/inventory/src/categories.rs
SELECT id, name FROM categories WHERE NOT deleted AND id > coalesce($1, 0) AND ($2::text IS NULL OR name = $2) ORDER BY id
  LIMIT $3;
INSERT INTO categories (name, idempotency_key, request_digest) VALUES ($1, $2, $3) ON CONFLICT (idempotency_key) DO NOTHING
  RETURNING id, name;
SELECT id, name FROM categories WHERE id = $1 AND NOT deleted;
UPDATE categories SET name = $2 WHERE id = $1 AND NOT deleted RETURNING id, name;

-- services/inventory/src/locations.rs
SELECT id, code, name, kind, store_id, active FROM locations WHERE NOT deleted AND id > coalesce($1, 0) AND ($2::text IS NULL
  OR code = $2) AND ($3::text IS NULL OR kind = $3) AND ($4::bigint IS NULL OR store_id = $4) AND ($5::bool IS NULL OR active
  = $5) ORDER BY id LIMIT $6;
INSERT INTO locations (code, name, kind, store_id, idempotency_key, request_digest) VALUES ($1, $2, $3, $4, $5, $6) ON
  CONFLICT (idempotency_key) DO NOTHING RETURNING id, code, name, kind, store_id, active;
SELECT id, code, name, kind, store_id, active FROM locations WHERE id = $1 AND NOT deleted;
UPDATE locations SET name = coalesce($2, name), active = coalesce($3, active) WHERE id = $1 AND NOT deleted RETURNING id,
  code, name, kind, store_id, active;

-- services/inventory/src/movements/apply.rs
INSERT INTO movement_documents (reference, outcome, reason, location_id, to_location_id, occurred_at, time_zone,
  request_digest) VALUES ($1, 'applied', $2, $3, $4, coalesce($5, now()), coalesce($6, 'UTC'), $7) ON CONFLICT (reference) DO
  NOTHING;
INSERT INTO stock_movements (reference, product_id, location_id, quantity, reason, occurred_at, time_zone) SELECT d.reference,
  line.product_id, $2, line.quantity, d.reason, d.occurred_at, d.time_zone FROM movement_documents d, unnest($3::bigint[],
  $4::bigint[]) AS line (product_id, quantity) WHERE d.reference = $1 ORDER BY line.product_id;
SELECT EXISTS (SELECT FROM locations WHERE id = $1 AND NOT deleted);
SELECT id FROM products WHERE id = ANY($1) AND NOT deleted;
INSERT INTO stock (product_id, location_id, on_hand) SELECT line.product_id, $1, 0 FROM unnest($2::bigint[], $3::bigint[]) AS
  line (product_id, quantity) WHERE line.quantity > 0 ORDER BY line.product_id ON CONFLICT (product_id, location_id) DO
  NOTHING;
SELECT product_id, on_hand FROM stock WHERE location_id = $1 AND product_id = ANY($2) ORDER BY product_id FOR NO KEY UPDATE;
UPDATE stock SET on_hand = stock.on_hand + line.quantity FROM unnest($2::bigint[], $3::bigint[]) AS line (product_id,
  quantity) WHERE stock.location_id = $1 AND stock.product_id = line.product_id;
UPDATE movement_documents SET outcome = 'refused', refusal = $2 WHERE reference = $1;

-- services/inventory/src/movements/document.rs
SELECT reference, outcome, reason, location_id, to_location_id, occurred_at, time_zone, imported, decided_at, refusal,
  request_digest FROM movement_documents WHERE reference = $1;
SELECT product_id, quantity FROM stock_movements WHERE reference = $1 AND NOT reversal AND ($2::bigint IS NULL OR location_id
  = $2) ORDER BY product_id, id;

-- services/inventory/src/movements/import.rs
INSERT INTO movement_documents (reference, outcome, reason, occurred_at, time_zone, imported) SELECT DISTINCT ON (reference)
  reference, 'applied', reason, occurred_at, time_zone, true FROM unnest($1::text[], $2::text[], $3::timestamptz[],
  $4::text[]) AS row (reference, reason, occurred_at, time_zone) ORDER BY reference, occurred_at ON CONFLICT (reference) DO
  NOTHING;
SELECT reference FROM movement_documents WHERE reference = ANY($1) AND NOT imported;
INSERT INTO stock_movements (reference, location_id, product_id, quantity, reason, occurred_at, time_zone, imported) SELECT
  reference, location, product, quantity, reason, occurred_at, time_zone, true FROM unnest($1::text[], $2::bigint[],
  $3::bigint[], $4::bigint[], $5::text[], $6::timestamptz[], $7::text[]) AS row (reference, location, product, quantity,
  reason, occurred_at, time_zone) ON CONFLICT ON CONSTRAINT stock_movements_once DO NOTHING RETURNING reference, location_id,
  product_id;
SELECT reference, location_id, product_id, quantity FROM stock_movements WHERE reference = ANY($1) AND NOT reversal;

-- services/inventory/src/movements/list.rs
SELECT id, reference, product_id, location_id, quantity, reason, reversal, occurred_at, time_zone, imported FROM
  stock_movements WHERE NOT deleted AND id > coalesce($1, 0) AND ($2::text IS NULL OR reference = $2) AND ($3::bigint IS NULL
  OR product_id = $3) AND ($4::bigint IS NULL OR location_id = $4) AND ($5::text IS NULL OR reason = $5) AND ($6::timestamptz
  IS NULL OR occurred_at >= $6) AND ($7::timestamptz IS NULL OR occurred_at < $7) ORDER BY id LIMIT $8;

-- services/inventory/src/movements/reverse.rs
INSERT INTO movement_documents (reference, outcome) VALUES ($1, 'closed') ON CONFLICT (reference) DO NOTHING;
SELECT outcome, imported FROM movement_documents WHERE reference = $1 FOR UPDATE;
SELECT location_id, product_id, quantity FROM stock_movements WHERE reference = $1 AND NOT reversal ORDER BY location_id,
  product_id;
INSERT INTO stock_movements (reference, product_id, location_id, quantity, reason, reversal, occurred_at, time_zone, imported)
  SELECT reference, product_id, location_id, -quantity, reason, true, $2, time_zone, imported FROM stock_movements WHERE
  reference = $1 AND NOT reversal ORDER BY id;
UPDATE movement_documents SET outcome = 'reversed' WHERE reference = $1;

-- services/inventory/src/names.rs
SELECT sku, id FROM products WHERE sku = ANY($1) AND NOT deleted;
SELECT code, id FROM locations WHERE code = ANY($1) AND NOT deleted;

-- services/inventory/src/products.rs
SELECT id, sku, name, category_id, unit_price_cents, unit_cost_cents, reorder_point, active FROM products p WHERE NOT deleted
  AND id > coalesce($1, 0) AND ($2::text IS NULL OR sku = $2) AND ($3::text IS NULL OR strpos(lower(name), lower($3)) > 0 OR
  strpos(lower(sku), lower($3)) > 0) AND ($4::bigint IS NULL OR category_id = $4) AND ($5::bool IS NULL OR active = $5) AND
  ($6::bool IS NULL OR $6 = (reorder_point > (SELECT coalesce(sum(s.on_hand), 0) FROM stock s WHERE s.product_id = p.id AND
  NOT s.deleted))) ORDER BY id LIMIT $7;
INSERT INTO products (sku, name, category_id, unit_price_cents, unit_cost_cents, reorder_point, active, idempotency_key,
  request_digest) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (idempotency_key) DO NOTHING RETURNING id, sku,
  name, category_id, unit_price_cents, unit_cost_cents, reorder_point, active;
SELECT id, sku, name, category_id, unit_price_cents, unit_cost_cents, reorder_point, active FROM products WHERE id = $1 AND
  NOT deleted;
UPDATE products SET name = coalesce($2, name), category_id = coalesce($3, category_id), unit_price_cents = coalesce($4,
  unit_price_cents), unit_cost_cents = coalesce($5, unit_cost_cents), reorder_point = coalesce($6, reorder_point), active =
  coalesce($7, active) WHERE id = $1 AND NOT deleted RETURNING id, sku, name, category_id, unit_price_cents, unit_cost_cents,
  reorder_point, active;

-- services/inventory/src/products/import.rs
INSERT INTO categories (name) SELECT DISTINCT name FROM unnest($1::text[]) AS given (name) WHERE NOT EXISTS (SELECT FROM
  categories c WHERE c.name = given.name) ORDER BY name ON CONFLICT (name) DO NOTHING;
INSERT INTO products AS p (sku, name, category_id, unit_price_cents, unit_cost_cents, reorder_point, active) SELECT given.sku,
  given.name, c.id, given.price, given.cost, given.reorder_point, given.active FROM unnest($1::text[], $2::text[], $3::text[],
  $4::bigint[], $5::bigint[], $6::bigint[], $7::bool[]) WITH ORDINALITY AS given (sku, name, category, price, cost,
  reorder_point, active, place) JOIN categories c ON c.name = given.category ORDER BY given.place ON CONFLICT (sku) DO UPDATE
  SET name = excluded.name, category_id = excluded.category_id, unit_price_cents = excluded.unit_price_cents, unit_cost_cents
  = excluded.unit_cost_cents, reorder_point = excluded.reorder_point, active = excluded.active WHERE (p.name, p.category_id,
  p.unit_price_cents, p.unit_cost_cents, p.reorder_point, p.active) IS DISTINCT FROM (excluded.name, excluded.category_id,
  excluded.unit_price_cents, excluded.unit_cost_cents, excluded.reorder_point, excluded.active);

-- services/inventory/src/products/validate.rs
SELECT id FROM locations WHERE active AND NOT deleted AND CASE WHEN $1::bigint IS NULL THEN kind = 'warehouse' ELSE store_id =
  $1 END ORDER BY id LIMIT 1;
SELECT p.id AS product_id, p.sku, p.name, p.category_id, c.name AS category, p.unit_price_cents, p.unit_cost_cents, p.active,
  coalesce(s.on_hand, 0) AS on_hand FROM products p JOIN categories c ON c.id = p.category_id LEFT JOIN stock s ON
  s.product_id = p.id AND s.location_id = $2 WHERE p.id = ANY($1) AND NOT p.deleted ORDER BY p.id;

-- services/inventory/src/stock.rs
SELECT product_id, location_id, on_hand FROM stock WHERE NOT deleted AND (product_id, location_id) > ($1, $2) AND ($3::bigint
  IS NULL OR product_id = $3) AND ($4::bigint IS NULL OR location_id = $4) AND ($5::bigint IS NULL OR on_hand = $5) ORDER BY
  product_id, location_id LIMIT $6;

-- services/inventory/src/stock/import.rs
INSERT INTO stock (product_id, location_id, on_hand) SELECT product, location, counted FROM unnest($1::bigint[], $2::bigint[],
  $3::bigint[]) AS count (product, location, counted) ORDER BY location, product ON CONFLICT (product_id, location_id) DO
  NOTHING;
SELECT location_id, product_id, counted - on_hand FROM (SELECT s.location_id, s.product_id, s.on_hand, count.counted FROM
  unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS count (product, location, counted) JOIN stock s ON s.product_id =
  count.product AND s.location_id = count.location ORDER BY s.location_id, s.product_id FOR NO KEY UPDATE OF s) AS locked
  WHERE counted <> on_hand;
INSERT INTO movement_documents (reference, outcome, reason, occurred_at, time_zone, request_digest) VALUES ('count-' ||
  gen_random_uuid(), 'applied', 'adjustment', now(), 'UTC', $1) RETURNING reference;
INSERT INTO stock_movements (reference, product_id, location_id, quantity, reason, occurred_at, time_zone) SELECT $1, product,
  location, delta, 'adjustment', now(), 'UTC' FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) AS off (product, location,
  delta);
UPDATE stock SET on_hand = stock.on_hand + off.delta FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS off (product,
  location, delta) WHERE stock.product_id = off.product AND stock.location_id = off.location;
