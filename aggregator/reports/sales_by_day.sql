/*---
title = "Sales by day"
description = "Every day of the period, also those without a sale, against the same weekday a week and a year before."
section = "Sales"
grain = "day"
lookback = 7
key = ["day"]
[params]
from = { type = "date", title = "From", default = "today-30d" }
to = { type = "date", title = "To", default = "yesterday" }
[[days]]
from = "$from - 7d"
to = "$to"
[[days]]
from = "$from - 364d"
to = "$to - 364d"
[publish]
from = "$business_day"
to = "$business_day"
[columns]
day = { type = "date", title = "Day" }
weekday = { type = "int32", title = "Weekday" }
tickets = { type = "int64", title = "Tickets" }
pieces = { type = "int64", title = "Pieces", unit = "pieces" }
net_revenue = { type = "money", title = "Net revenue" }
margin = { type = "money", title = "Margin" }
average_ticket = { type = "money", title = "Average ticket" }
week_ago_revenue = { type = "money", title = "Net revenue a week ago" }
year_ago_revenue = { type = "money", title = "Net revenue a year ago" }
[chart]
kind = "line"
x = "day"
y = "net_revenue"
---*/
SELECT business_day AS day, day_of_week AS weekday, tickets, pieces, net_cents AS net_revenue, margin_cents AS margin,
       CASE WHEN tickets > 0 THEN net_cents / tickets END AS average_ticket,
       week_ago_cents AS week_ago_revenue, year_ago_cents AS year_ago_revenue
FROM compared_days
WHERE business_day BETWEEN $from AND $to
ORDER BY day
