/*---
title = "Orders by day and customer"
description = "One row per day, channel and customer with orders that count, and one with refunds of such orders, which have no orders themselves."
keep = "day"
key = ["business_day", "channel", "customer_id", "is_refund"]
---*/
SELECT business_day, channel, customer_id, FALSE AS is_refund, COUNT(DISTINCT order_id) AS orders, COUNT(*) AS lines,
       SUM(quantity) AS pieces, SUM(net_cents) AS net_cents,
       SUM(net_cents - quantity * unit_cost_cents) AS margin_cents
FROM order_lines
WHERE status NOT IN ('pending', 'cancelled')
GROUP BY business_day, channel, customer_id
UNION ALL
SELECT business_day, channel, customer_id, TRUE AS is_refund, CAST(0 AS BIGINT) AS orders, COUNT(*) AS lines,
       SUM(quantity) AS pieces, SUM(net_cents) AS net_cents,
       SUM(net_cents - quantity * unit_cost_cents) AS margin_cents
FROM refund_lines
WHERE status = 'completed' AND order_status NOT IN ('pending', 'cancelled')
GROUP BY business_day, channel, customer_id
