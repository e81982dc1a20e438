/*---
title = "Customer orders"
description = "One row per online order that counts (neither pending nor cancelled), with its pieces, net revenue and margin."
---*/
SELECT order_id, customer_id, business_day, SUM(quantity) AS pieces, SUM(net_cents) AS net_cents,
       SUM(net_cents - quantity * unit_cost_cents) AS margin_cents
FROM order_lines
WHERE status NOT IN ('pending', 'cancelled')
GROUP BY order_id, customer_id, business_day
