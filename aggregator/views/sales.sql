/*---
title = "Sales"
description = "Every line sold or returned in any channel that counts: completed in store; online neither pending nor cancelled. Returns are negative, on the day of the return. document_key tells tickets and orders apart: positive in store, negative online."
---*/
SELECT business_day, business_hour, channel, store_id, register_id, CAST(NULL AS BIGINT) AS customer_id,
       sale_id AS document_key, reference, kind = 'return' AS is_return, imported,
       product_id, sku, product_name, category, quantity, discount_cents, net_cents,
       quantity * unit_cost_cents AS cost_cents, net_cents - quantity * unit_cost_cents AS margin_cents
FROM sale_lines
WHERE status = 'completed'
UNION ALL
SELECT business_day, business_hour, channel, CAST(NULL AS BIGINT) AS store_id, CAST(NULL AS BIGINT) AS register_id, customer_id,
       -order_id AS document_key, reference, FALSE AS is_return, imported,
       product_id, sku, product_name, category, quantity, discount_cents, net_cents,
       quantity * unit_cost_cents AS cost_cents, net_cents - quantity * unit_cost_cents AS margin_cents
FROM order_lines
WHERE status NOT IN ('pending', 'cancelled')
