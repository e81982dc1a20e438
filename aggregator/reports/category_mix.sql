/*---
title = "Category mix"
description = "What each category sold and earned, with its share, against the period before."
section = "Sales"
grain = "day"
lookback = 1
key = ["category"]
[params]
from = { type = "date", title = "From", default = "today-30d" }
to = { type = "date", title = "To", default = "yesterday" }
[derived]
before_from = "$from - span"
[days]
from = "$from - span"
to = "$to"
[publish]
from = "$business_day"
to = "$business_day"
[columns]
category = { type = "string", title = "Category", note = "As frozen on the lines." }
pieces = { type = "int64", title = "Pieces", unit = "pieces", note = "Sold less returned." }
net_revenue = { type = "money", title = "Net revenue", note = "After discounts, without cancelled orders and voided sales; returns are deducted on the day of the return." }
share = { type = "float", title = "Share", unit = "%", note = "Of the net revenue of all rows together." }
margin = { type = "money", title = "Margin", note = "Net revenue less the cost frozen on each line." }
margin_rate = { type = "float", title = "Margin rate", unit = "%" }
previous_revenue = { type = "money", title = "Net revenue before", note = "Of as many days just before the period." }
change = { type = "float", title = "Change", unit = "%" }
[chart]
kind = "pie"
x = "category"
y = "net_revenue"
---*/
WITH by_category AS (
    SELECT category, SUM(CASE WHEN business_day >= $from THEN quantity ELSE 0 END) AS pieces,
           SUM(CASE WHEN business_day >= $from THEN net_cents ELSE 0 END) AS net_revenue,
           SUM(CASE WHEN business_day >= $from THEN margin_cents ELSE 0 END) AS margin,
           SUM(CASE WHEN business_day >= $from THEN 0 ELSE net_cents END) AS previous_revenue
    FROM sales
    WHERE business_day BETWEEN $before_from AND $to
    GROUP BY category
),
total AS (
    SELECT SUM(net_revenue) AS total_revenue FROM by_category
)
SELECT b.category AS category, b.pieces AS pieces, b.net_revenue AS net_revenue,
       CASE WHEN t.total_revenue <> 0 THEN b.net_revenue * 100.0 / t.total_revenue END AS share, b.margin AS margin,
       CASE WHEN b.net_revenue <> 0 THEN b.margin * 100.0 / b.net_revenue END AS margin_rate, b.previous_revenue AS previous_revenue,
       CASE WHEN b.previous_revenue > 0 THEN (b.net_revenue - b.previous_revenue) * 100.0 / b.previous_revenue END AS change
FROM by_category AS b
CROSS JOIN total AS t
ORDER BY net_revenue DESC, category
