/*---
title = "Sales by day and product"
description = "One row per day, channel and product with a line: what was sold of it; sold_lines are those with pieces that left."
keep = "day"
key = ["business_day", "channel", "product_id"]
---*/
SELECT business_day, channel, product_id, COUNT(*) AS lines, SUM(CASE WHEN quantity > 0 THEN 1 ELSE 0 END) AS sold_lines,
       SUM(quantity) AS pieces, SUM(net_cents) AS net_cents, SUM(discount_cents) AS discount_cents, SUM(cost_cents) AS cost_cents,
       SUM(margin_cents) AS margin_cents
FROM sales
GROUP BY business_day, channel, product_id
