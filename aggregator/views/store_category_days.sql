/*---
title = "Sales by day, store and category"
description = "One row per day, channel, store and category with a line, as frozen on the lines: what was sold of it there. A ticket with lines of several categories is one of each: do not add tickets up over categories."
keep = "day"
key = ["business_day", "channel", "store_id", "category"]
---*/
SELECT business_day, channel, store_id, category, COUNT(*) AS lines,
       COUNT(DISTINCT CASE WHEN NOT is_return THEN document_key END) AS tickets, SUM(quantity) AS pieces, SUM(net_cents) AS net_cents,
       SUM(discount_cents) AS discount_cents, SUM(cost_cents) AS cost_cents, SUM(margin_cents) AS margin_cents
FROM sales
GROUP BY business_day, channel, store_id, category
