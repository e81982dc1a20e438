/*---
title = "Sales by day and product"
description = "One row per day, channel, product and label (SKU, name and category, as frozen on the lines) with a line: what was sold of it, of that what came back (returned, as positive numbers), the moment of its latest line, and its highest document_key and line_no; sold_lines are those with pieces that left."
keep = "day"
key = ["business_day", "channel", "product_id", "sku", "product_name", "category"]
---*/
SELECT business_day, channel, product_id, sku, product_name, category, MAX(occurred_at) AS last_at,
       MAX(document_key) AS last_document, MAX(line_no) AS last_line, COUNT(*) AS lines,
       SUM(CASE WHEN quantity > 0 THEN 1 ELSE 0 END) AS sold_lines, SUM(CASE WHEN is_return THEN 1 ELSE 0 END) AS returned_lines,
       SUM(quantity) AS pieces, SUM(CASE WHEN is_return THEN -quantity ELSE 0 END) AS returned, SUM(net_cents) AS net_cents,
       SUM(CASE WHEN is_return THEN -net_cents ELSE 0 END) AS returned_cents, SUM(discount_cents) AS discount_cents,
       SUM(cost_cents) AS cost_cents, SUM(margin_cents) AS margin_cents
FROM sales
GROUP BY business_day, channel, product_id, sku, product_name, category
