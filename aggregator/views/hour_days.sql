/*---
title = "Sales by day and hour"
description = "One row per day, channel and local hour with a line: what was sold then. sold_cents are without returns, tickets and returns are documents; a document is of one day and hour, so that they may be added up over all of these."
keep = "day"
key = ["business_day", "channel", "business_hour"]
---*/
SELECT business_day, channel, business_hour, COUNT(*) AS lines, COUNT(DISTINCT CASE WHEN NOT is_return THEN document_key END) AS tickets,
       COUNT(DISTINCT CASE WHEN is_return THEN document_key END) AS returns, SUM(quantity) AS pieces, SUM(net_cents) AS net_cents,
       SUM(CASE WHEN is_return THEN 0 ELSE net_cents END) AS sold_cents, SUM(discount_cents) AS discount_cents,
       SUM(cost_cents) AS cost_cents, SUM(margin_cents) AS margin_cents
FROM sales
GROUP BY business_day, channel, business_hour
