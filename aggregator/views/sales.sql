/*---
title = "Sales"
description = "Every line sold or returned in any channel that counts: completed in store; online neither pending nor cancelled. Returns are negative, on the day of the return."
---*/
SELECT business_day, business_hour, channel, store_id, register_id, CAST(NULL AS BIGINT) AS customer_id,
       'sale' AS document_kind, sale_id AS document_id, reference, kind = 'return' AS is_return, imported,
       product_id, sku, product_name, category, quantity, unit_price_cents, unit_cost_cents, discount_cents, net_cents,
       net_cents - quantity * unit_cost_cents AS margin_cents
FROM sale_lines
WHERE status = 'completed'
UNION ALL
SELECT business_day, business_hour, channel, CAST(NULL AS BIGINT) AS store_id, CAST(NULL AS BIGINT) AS register_id, customer_id,
       'order' AS document_kind, order_id AS document_id, reference, FALSE AS is_return, imported,
       product_id, sku, product_name, category, quantity, unit_price_cents, unit_cost_cents, discount_cents, net_cents,
       net_cents - quantity * unit_cost_cents AS margin_cents
FROM order_lines
WHERE status NOT IN ('pending', 'cancelled')
