/*---
title = "Customer orders"
description = "One row per online order that counts (neither pending nor cancelled), with its pieces, net revenue and margin; and one per refunded line of such an order, negative, on the day of the refund. orders is 1 for an order and 0 for a refund."
---*/
-- Customer and day are the order's, the same on each of its lines: one key to group by is quicker than three.
SELECT order_id, MAX(customer_id) AS customer_id, MAX(business_day) AS business_day, CAST(1 AS BIGINT) AS orders, SUM(quantity) AS pieces, SUM(net_cents) AS net_cents,
       SUM(net_cents - quantity * unit_cost_cents) AS margin_cents
FROM order_lines
WHERE status NOT IN ('pending', 'cancelled')
GROUP BY order_id
UNION ALL
SELECT order_id, customer_id, business_day, CAST(0 AS BIGINT) AS orders, quantity AS pieces, net_cents,
       net_cents - quantity * unit_cost_cents AS margin_cents
FROM refund_lines
WHERE status = 'completed' AND order_status NOT IN ('pending', 'cancelled')
