/*---
title = "Sales by day"
description = "Every day of the period, also those without a sale, against the same weekday a week and a year before. A row for each day. Order: day."
section = "Sales"
engine = "in-memory"
grain = "day"
inherits = "sales"
lookback = 7
key = ["day"]
[[days]]
from = "$from - 7d"
to = "$to"
[[days]]
from = "$from - 364d"
to = "$to - 364d"
[publish]
[columns]
day = { type = "date", title = "Day" }
weekday = { type = "int32", title = "Weekday" }
[chart]
kind = "line"
x = "day"
y = "net_revenue"
---*/
SELECT business_day AS day, day_of_week AS weekday, tickets, pieces, net_cents AS net_revenue, margin_cents AS margin,
       CASE WHEN tickets > 0 THEN sold_cents / tickets END AS average_ticket,
       week_ago_cents AS week_ago_revenue, year_ago_cents AS year_ago_revenue
FROM compared_days
WHERE business_day BETWEEN $from AND $to
ORDER BY day
