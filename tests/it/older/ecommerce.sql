-- What ecommerce of the first version asks its database, by the file that asks. A test runs all of it on today's schema,
-- because that version runs beside the newer one while it is replaced, and comes back. Never edited.

-- services/ecommerce/src/carts.rs
SELECT id, customer_id, status, item_count, total_cents, order_id, created_at, updated_at FROM carts WHERE NOT deleted AND id
  > coalesce($1, 0) AND ($2::bigint IS NULL OR customer_id = $2) AND ($3::text IS NULL OR status = $3) ORDER BY id LIMIT $4;
INSERT INTO carts (customer_id, idempotency_key, idempotency_digest) VALUES ($1, $2, $3) ON CONFLICT (idempotency_key) DO
  NOTHING RETURNING id, customer_id, status, item_count, total_cents, order_id, created_at, updated_at;
SELECT id, customer_id, status, item_count, total_cents, order_id, created_at, updated_at FROM carts WHERE id = $1 AND NOT
  deleted;
SELECT product_id, sku, product_name, quantity, unit_price_cents, current_unit_price_cents FROM cart_items WHERE cart_id = $1
  ORDER BY added_at, product_id;
SELECT erased_at IS NOT NULL FROM customers WHERE id = $1 AND NOT deleted;

-- services/ecommerce/src/carts/checkout.rs
UPDATE carts SET status = 'checked_out', order_id = $2, customer_id = $3, updated_at = now() WHERE id = $1;
UPDATE cart_items i SET current_unit_price_cents = n.price FROM UNNEST($2::bigint[], $3::bigint[]) AS n (product_id, price)
  WHERE i.cart_id = $1 AND i.product_id = n.product_id;
SELECT product_id, quantity, unit_price_cents FROM cart_items WHERE cart_id = $1 ORDER BY added_at, product_id;
INSERT INTO orders (reference, customer_id, status, payment_status, location_id, occurred_at, time_zone, total_cents,
  idempotency_key, idempotency_digest) VALUES ($1, $2, 'pending', 'pending', $3, $4, $5, $6, $7, $8) ON CONFLICT
  (idempotency_key) DO NOTHING RETURNING id;
INSERT INTO order_lines (order_id, line_no, product_id, sku, product_name, category, quantity, unit_price_cents,
  unit_cost_cents) SELECT $1, line_no::int, product_id, sku, product_name, category, quantity, price, cost FROM
  UNNEST($2::bigint[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[]) WITH ORDINALITY AS l
  (product_id, sku, product_name, category, quantity, price, cost, line_no);

-- services/ecommerce/src/carts/idle.rs
UPDATE carts SET status = 'abandoned' WHERE id IN ( SELECT id FROM carts WHERE status = 'open' AND item_count > 0 AND
  updated_at < now() - make_interval(secs => $1) ORDER BY updated_at LIMIT 1000 FOR UPDATE SKIP LOCKED);

-- services/ecommerce/src/carts/items.rs
INSERT INTO cart_items (cart_id, product_id, sku, product_name, quantity, unit_price_cents, current_unit_price_cents) VALUES
  ($1, $2, $3, $4, $5, $6, $6) ON CONFLICT (cart_id, product_id) DO UPDATE SET sku = excluded.sku, product_name =
  excluded.product_name, quantity = excluded.quantity, unit_price_cents = excluded.unit_price_cents, current_unit_price_cents
  = excluded.current_unit_price_cents;
UPDATE cart_items SET quantity = $3 WHERE cart_id = $1 AND product_id = $2;
DELETE FROM cart_items WHERE cart_id = $1 AND product_id = $2;
SELECT status, order_id FROM carts WHERE id = $1 AND NOT deleted FOR NO KEY UPDATE;
UPDATE carts SET status = 'open', updated_at = now(), item_count = i.pieces, total_cents = i.total FROM (SELECT
  coalesce(sum(quantity), 0)::bigint AS pieces, count(*) AS products, coalesce(sum(quantity::numeric * unit_price_cents),
  0)::bigint AS total FROM cart_items WHERE cart_id = $1) AS i WHERE id = $1 RETURNING i.products;

-- services/ecommerce/src/customers.rs
SELECT id, reference, name, email, phone, city, country, signup_day, erased_at, created_at FROM customers WHERE NOT deleted
  AND id > coalesce($1, 0) AND ($2::text IS NULL OR reference = $2) AND ($3::text IS NULL OR lower(email) = lower($3)) AND
  ($4::text IS NULL OR city = $4) AND ($5::text IS NULL OR country = $5) AND ($6::text IS NULL OR position(lower($6) IN
  lower(concat_ws(' ', name, email))) > 0) ORDER BY id LIMIT $7;
INSERT INTO customers (reference, name, email, phone, city, country, signup_day, idempotency_key, idempotency_digest) VALUES
  ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (idempotency_key) DO NOTHING RETURNING id, reference, name, email, phone,
  city, country, signup_day, erased_at, created_at;
SELECT id, reference, name, email, phone, city, country, signup_day, erased_at, created_at FROM customers WHERE id = $1 AND
  NOT deleted;
UPDATE customers SET name = coalesce($2, name), email = coalesce($3, email), phone = coalesce($4, phone), city = coalesce($5,
  city), country = coalesce($6, country) WHERE id = $1 AND NOT deleted AND erased_at IS NULL RETURNING id, reference, name,
  email, phone, city, country, signup_day, erased_at, created_at;
UPDATE customers SET name = NULL, email = NULL, phone = NULL, erased_at = coalesce(erased_at, now()), idempotency_key = NULL,
  idempotency_digest = NULL WHERE id = $1 AND NOT deleted RETURNING id, reference, name, email, phone, city, country,
  signup_day, erased_at, created_at;

-- services/ecommerce/src/customers/import.rs
SELECT reference FROM customers WHERE reference = ANY($1) AND erased_at IS NOT NULL;
SELECT lower(email), reference FROM customers WHERE lower(email) = ANY($1);
INSERT INTO customers AS c (reference, name, email, phone, city, country, signup_day) SELECT * FROM UNNEST($1::text[],
  $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::date[]) ON CONFLICT (reference) DO UPDATE SET name =
  excluded.name, email = excluded.email, phone = excluded.phone, city = excluded.city, country = excluded.country, signup_day
  = excluded.signup_day WHERE c.erased_at IS NULL AND (c.name, c.email, c.phone, c.city, c.country, c.signup_day) IS DISTINCT
  FROM (excluded.name, excluded.email, excluded.phone, excluded.city, excluded.country, excluded.signup_day);

-- services/ecommerce/src/orders.rs
SELECT o.id, o.reference, o.customer_id, o.status, o.payment_status, o.occurred_at, o.time_zone, o.business_day,
  o.confirmed_at, o.shipped_at, o.delivered_at, o.cancelled_at, o.total_cents, o.imported, NOT EXISTS (SELECT FROM stock_tasks
  t WHERE t.document_id = o.id) AS stock_settled, o.refusal, o.created_at FROM orders o WHERE NOT o.deleted AND o.id >
  coalesce($1, 0) AND ($2::bigint IS NULL OR o.customer_id = $2) AND ($3::text IS NULL OR o.status = $3) AND ($4::text IS NULL
  OR o.payment_status = $4) AND ($5::text IS NULL OR o.reference = $5) AND ($6::bigint IS NULL OR EXISTS (SELECT FROM
  order_lines l WHERE l.order_id = o.id AND l.product_id = $6)) AND ($7::bool IS NULL OR o.imported = $7) AND ($8::date IS
  NULL OR o.business_day = $8) AND ($9::timestamptz IS NULL OR o.occurred_at >= $9) AND ($10::timestamptz IS NULL OR
  o.occurred_at < $10) ORDER BY o.id LIMIT $11;

-- services/ecommerce/src/orders/answer.rs
SELECT status FROM orders WHERE id = $1;

-- services/ecommerce/src/orders/document.rs
SELECT line_no, product_id, sku, product_name, category, quantity, unit_price_cents, unit_cost_cents, discount_cents,
  net_cents FROM order_lines WHERE order_id = $1 ORDER BY line_no;
SELECT o.id, o.reference, o.customer_id, o.status, o.payment_status, o.occurred_at, o.time_zone, o.business_day,
  o.confirmed_at, o.shipped_at, o.delivered_at, o.cancelled_at, o.total_cents, o.imported, NOT EXISTS (SELECT FROM stock_tasks
  t WHERE t.document_id = o.id) AS stock_settled, o.refusal, o.created_at FROM orders o WHERE o.id = $1 AND NOT o.deleted;

-- services/ecommerce/src/orders/import/batch.rs
SELECT reference FROM orders WHERE reference = ANY($1);
SELECT reference, id FROM customers WHERE reference = ANY($1) AND NOT deleted;
INSERT INTO orders (reference, customer_id, status, payment_status, occurred_at, time_zone, confirmed_at, shipped_at,
  delivered_at, cancelled_at, total_cents, imported) SELECT d.*, true FROM UNNEST($1::text[], $2::bigint[], $3::text[],
  $4::text[], $5::timestamptz[], $6::text[], $7::timestamptz[], $8::timestamptz[], $9::timestamptz[], $10::timestamptz[],
  $11::bigint[]) AS d ON CONFLICT (reference) DO NOTHING RETURNING reference, id;
INSERT INTO order_lines (order_id, line_no, product_id, sku, product_name, category, quantity, unit_price_cents,
  unit_cost_cents, discount_cents) SELECT * FROM UNNEST($1::bigint[], $2::int[], $3::bigint[], $4::text[], $5::text[],
  $6::text[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[]);

-- services/ecommerce/src/orders/settle.rs
SELECT reference, location_id, occurred_at, time_zone FROM orders WHERE id = $1;
SELECT product_id, (-sum(quantity))::bigint AS quantity FROM order_lines WHERE order_id = $1 GROUP BY product_id ORDER BY
  product_id;
UPDATE orders SET status = 'confirmed', confirmed_at = now() WHERE id = $1 AND status = 'pending';
UPDATE orders SET status = 'cancelled', cancelled_at = now(), refusal = $2 WHERE id = $1 AND status = 'pending';
UPDATE carts SET status = 'open', order_id = NULL, updated_at = now() WHERE order_id = $1;

-- services/ecommerce/src/orders/step.rs
UPDATE orders SET status = $2, confirmed_at = CASE WHEN $2 = 'confirmed' THEN now() ELSE confirmed_at END, shipped_at = CASE
  WHEN $2 = 'shipped' THEN now() ELSE shipped_at END, delivered_at = CASE WHEN $2 = 'delivered' THEN now() ELSE delivered_at
  END, cancelled_at = CASE WHEN $2 = 'cancelled' THEN now() ELSE cancelled_at END WHERE id = $1;
UPDATE orders SET payment_status = $2 WHERE id = $1;
SELECT status, payment_status, imported FROM orders WHERE id = $1 AND NOT deleted FOR NO KEY UPDATE;

-- services/ecommerce/src/orders/stuck.rs
SELECT o.id, o.reference, o.status, o.customer_id, t.step AS owed, t.since, t.attempts, t.due_at AS next_attempt_at,
  t.last_error FROM stock_tasks t JOIN orders o ON o.id = t.document_id WHERE o.id > coalesce($1, 0) AND t.since <= now() -
  make_interval(secs => $2) ORDER BY o.id LIMIT $3;

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
