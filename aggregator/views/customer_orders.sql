/*---
title = "Customer orders"
description = "One row per online order that counts (neither pending nor cancelled), with its pieces, net revenue and margin."
---*/
-- Customer and day are the order's, the same on each of its lines: one key to group by is quicker than three.
SELECT order_id, MAX(customer_id) AS customer_id, MAX(business_day) AS business_day, SUM(quantity) AS pieces, SUM(net_cents) AS net_cents,
       SUM(net_cents - quantity * unit_cost_cents) AS margin_cents
FROM order_lines
WHERE status NOT IN ('pending', 'cancelled')
GROUP BY order_id
