/*---
title = "Sales by day and category"
description = "One row per day, channel and category with a line, as frozen on the lines: what was sold of it."
keep = "day"
key = ["business_day", "channel", "category"]
---*/
SELECT business_day, channel, category, COUNT(*) AS lines, SUM(quantity) AS pieces, SUM(net_cents) AS net_cents,
       SUM(discount_cents) AS discount_cents, SUM(cost_cents) AS cost_cents, SUM(margin_cents) AS margin_cents
FROM sales
GROUP BY business_day, channel, category
